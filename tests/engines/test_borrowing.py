"""Values that an engine is lent for the length of a write: taken as they were, and not looked at afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from dvidkit.engine import Capability
from dvidkit.errors import ConflictError

pytestmark = pytest.mark.capability(Capability.BORROW)

LARGE = bytes(range(256)) * 2048


def test_views_are_stored_as_bytes(stores: Any) -> None:
    """Large, small and empty, among bytes and deletes, read-only or not; changed afterwards, and after reopening."""
    source = bytearray(LARGE)
    store = stores.of([(b"gone", b"x")])
    view = memoryview(source)
    store.write(
        [(b"a", view), (b"b", view[5:9].toreadonly()), (b"c", view[:0]), (b"d", b"bytes"), (b"gone", None)],
        durable=True,
    )
    store.write([(b"e", view[1:])], durable=True)
    source[:] = bytes(len(source))
    wanted = [(b"a", LARGE), (b"b", LARGE[5:9]), (b"c", b""), (b"d", b"bytes"), (b"e", LARGE[1:])]
    assert list(store.scan(b"\x00", b"\xff")) == wanted
    assert all(type(value) is bytes for _, value in store.scan(b"\x00", b"\xff"))
    assert list(stores.reopened(store).scan(b"\x00", b"\xff")) == wanted


def test_a_refused_batch_of_views_leaves_nothing(stores: Any) -> None:
    """An expectation that does not hold: nothing is written, and the views are free again."""
    store = stores.of([(b"k", b"there")])
    source = bytearray(LARGE)
    with pytest.raises(ConflictError):
        store.write([(b"a", memoryview(source))], durable=True, expect={b"k": b"other"})
    source.clear()
    assert list(store.scan(b"\x00", b"\xff")) == [(b"k", b"there")]


@pytest.mark.only("lmdb")
def test_views_are_read_again_where_the_map_had_to_grow(stores: Any) -> None:
    """A batch that is begun anew, since there was no room for it, is written whole."""
    store = stores.open(options={"map_size": 1 << 20})
    views = [(b"%02d" % number, memoryview(LARGE)) for number in range(20)]
    store.write(views, durable=True)
    assert list(store.scan(b"\x00", b"\xff")) == [(key, LARGE) for key, _ in views]
