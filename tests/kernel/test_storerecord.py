"""The store's own record: made once, refused if it is not ours."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine

from dvidkit.checksum import seal
from dvidkit.engine import StoreConfig
from dvidkit.errors import CorruptData, StoreMismatch
from dvidkit.store import Store
from dvidkit.storerecord import FORMAT, StoreRecord

KEY = b"\x03\x00"


@pytest.mark.parametrize("integrity", [True, False])
def test_what_a_store_is_holds_for_ever(make_store: Callable[..., Store], integrity: bool) -> None:
    """Identity and checksums are those the store was made with, whatever a later configuration says."""
    store = make_store(LmdbEngine(), integrity=integrity)
    record = store.record
    assert store.report.created
    store.close()
    again = make_store(LmdbEngine(), integrity=not integrity)
    assert again.record == record
    assert again.record.integrity is integrity
    assert not again.report.created


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([(b"\x00key", b"value")], StoreMismatch),
        ([(b"\x01key", b"value")], StoreMismatch),
        ([(KEY, b"damaged")], CorruptData),
        ([(KEY, seal(KEY, b"no json"))], CorruptData),
        ([(KEY, seal(KEY, msgspec.json.encode(StoreRecord(FORMAT + 1, "uuid", True))))], StoreMismatch),
    ],
)
def test_a_store_that_is_not_ours_is_refused(rows: list[tuple[bytes, bytes]], error: type[Exception]) -> None:
    """Content without a record, a damaged record or a later format: refused, closed, and left as it is."""
    engine = wrapped(MemoryEngine(), shared=True)
    inner = engine.open(StoreConfig("memory"))
    inner.write(rows, durable=True)
    with pytest.raises(error):
        Store(engine, StoreConfig("memory"))
    assert list(inner.scan(b"\x00", b"\xff")) == rows
