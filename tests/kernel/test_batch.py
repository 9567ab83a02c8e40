"""Batches: all or nothing, once."""

from __future__ import annotations

import pytest

from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.errors import BadType, StoreClosed
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

CTX = VersionedContext(5, 1, VersionDAG({1: ()}))


@pytest.mark.parametrize("ctx", [CTX, DataContext(5), MetadataContext()])
def test_a_batch_applies_in_order_at_commit(store: Store, ctx: VersionedContext) -> None:
    """BATCH-2, BATCH-4, BATCH-7, BATCH-8: last wins, nothing before commit, once; an empty one changes nothing."""
    batch = store.new_batch(ctx)
    value = bytearray(b"1")
    batch.put(b"a", value)  # type: ignore[arg-type]
    value[:] = b"2"
    batch.delete(b"b")
    batch.put(b"b", b"3")
    batch.delete(b"c")
    assert len(batch) == 4
    assert list(store.raw_range_query(b"", b"\xff")) == []
    batch.commit()
    assert store.get_range(ctx, b"", b"\xff") == [(b"a", b"1"), (b"b", b"3")]
    assert len(batch) == 0
    for late in (batch.commit, lambda: batch.put(b"a", b""), lambda: batch.delete(b"a")):
        with pytest.raises(StoreClosed):
            late()
    store.new_batch(ctx).commit()


def test_a_batch_whose_block_raises_has_no_effect(store: Store) -> None:
    """BATCH-1: an error while a batch is built leaves nothing behind."""

    def spoiled() -> None:
        with store.new_batch(CTX) as batch:
            batch.put(b"a", b"")
            batch.put(b"b", None)  # type: ignore[arg-type]

    with pytest.raises(BadType):
        spoiled()
    assert list(store.raw_range_query(b"", b"\xff")) == []
    with store.new_batch(CTX) as batch:
        batch.put(b"a", b"")
    assert store.get(CTX, b"a") == b""
