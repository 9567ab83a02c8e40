"""Changes on their way into a store: what is done by the batch is what is done by the row."""

from __future__ import annotations

import pytest

from dvidkit.checksum import seal
from dvidkit.context import Context, DataContext, MetadataContext, VersionedContext
from dvidkit.keys import TKeyClass
from dvidkit.segment import Segment, Sizes, segment
from dvidkit.versions import VersionDAG

CLASS = TKeyClass(7, "test", terminator=0)
CONTEXTS: list[Context] = [
    MetadataContext(),
    DataContext(5),
    DataContext(5, 1, [CLASS]),
    VersionedContext(5, 1, VersionDAG({1: ()}), [CLASS]),
]


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 256, 300])
@pytest.mark.parametrize("ctx", CONTEXTS, ids=repr)
def test_a_batch_is_its_rows(ctx: Context, count: int, alike: bool, sealed: bool) -> None:
    """Keys, sealed values, sizes and the sum of the CRCs, whether TKeys are equally long or not, of any number."""
    tkeys = [CLASS.key(b"%04d" % n if alike else b"%d" % (7 * n)) for n in range(count)]
    values = [b"v" * (n % 5) for n in range(count)]
    made = segment(ctx, list(zip(tkeys, values, strict=True)), sealed=sealed, deletes=False)
    suffix = b"" if isinstance(ctx, MetadataContext) else ctx.suffix
    keys = [ctx.prefix + tkey + suffix for tkey in tkeys]
    rows = [(key, seal(key, value) if sealed else value) for key, value in zip(keys, values, strict=True)]
    assert made.changes == rows
    if made.sizes is not None:
        assert made.sizes == Sizes.of_changes(made.changes)
    if sealed and made.crcs is not None:
        assert made.crcs == sum(int.from_bytes(value[-4:], "little") for _, value in rows)


@pytest.mark.parametrize("count", [1, 130])
def test_deletes_of_many_rows_have_sizes_of_keys_alone(count: int) -> None:
    """Keys that are equally long are counted as they are, with values for none."""
    made = segment(CONTEXTS[3], [(CLASS.key(b"%04d" % n), None) for n in range(count)] * 2, sealed=True)
    assert made.sizes == Sizes(21, 0, 42 * count, 0)
    assert made.deletes
    assert segment(CONTEXTS[3], [], sealed=True) == Segment([])
