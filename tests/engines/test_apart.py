"""Values of 4 KiB and more, which LevelDB and RocksDB keep apart from their rows."""

from __future__ import annotations

import os
import threading
from itertools import chain
from typing import Any, Final

import pytest

from dvidkit.apart import APART, LARGE, apart_key, is_apart, pointer

pytestmark = pytest.mark.only("leveldb", "rocksdb")

END: Final = b"\xff" * 8


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


def plain(store: Any) -> list[bytes]:
    """The keys as the driver has them."""
    with store._reading() as cursor:
        pages = [cursor.stored_rows()] if hasattr(cursor, "stored_rows") else cursor.stored_pages(b"", b"\xff\xff")
        return [key for key, _ in chain.from_iterable(pages)]


def test_to_and_fro(stores: Any) -> None:
    """A row's value may be small, large, small and gone again; snapshots see each as it was."""
    store = stores.open()
    values = [b"small", os.urandom(LARGE), os.urandom(LARGE - 1), os.urandom(3 * LARGE), b"", None, b"x" * LARGE]
    for key in (b"k", b"\xff", b"\xff\x01k", b"\xff\xff"):
        views = []
        for value in values:
            store.write([(key, value)], durable=False)
            views.append((store.snapshot(), value))
            assert store.get(key) == value
        for view, value in views:
            expected = [] if value is None else [(key, value)]
            assert view.get(key) == value
            assert rows(view, key, key + b"\x00") == rows(view, key, key + b"\x00", reverse=True) == expected
            assert view.seek_last_before(key + b"\x00", key) == (expected or [None])[0]
            assert view.seek_first_from(key, key + b"\x00") == (expected or [None])[0]
            view.close()
        store.write([(key, None)], durable=False)
    assert rows(store) == []


def test_a_value_that_looks_like_a_pointer(stores: Any) -> None:
    """Our own pointer, written as a value, comes back as it was; so does one that points to another value."""
    store = stores.open()
    large = os.urandom(LARGE)
    store.write([(b"k", large), (b"l", pointer(b"k", large)), (b"m", pointer(b"m", large))], durable=False)
    store.write([(apart_key(b"m"), large), (b"n", pointer(b"n", b""))], durable=False)
    expected = [
        (b"k", large),
        (b"l", pointer(b"k", large)),
        (b"m", pointer(b"m", large)),
        (b"n", pointer(b"n", b"")),
        (apart_key(b"m"), large),
    ]
    assert rows(store) == expected
    assert [store.get(key) for key, _ in expected] == [value for _, value in expected]
    assert is_apart(pointer(b"k", b""))


def test_nothing_is_left_of_them(stores: Any) -> None:
    """Deleted, by key or by range, or given a small value and compacted: no large value stays behind."""
    store = stores.open()
    batch = [(b"%03d" % n, os.urandom(LARGE)) for n in range(90)]
    store.write(batch, durable=False)
    store.write([(key, None) for key, _ in batch[:30]], durable=False)
    store.delete_range(b"030", b"060", durable=False)
    store.write([(key, b"small") for key, _ in batch[60:80]], durable=False)
    store.compact(b"\x00", END)
    inside = plain(store)
    assert [key for key in inside if key >= APART] == [apart_key(key) for key, _ in batch[80:]]
    assert rows(store) == [(key, b"small") for key, _ in batch[60:80]] + batch[80:]


def test_compaction_beside_a_writer(stores: Any) -> None:
    """Sweeping up takes no value away that is being written again."""
    store = stores.open()
    keys = [b"%03d" % n for n in range(60)]
    stop = threading.Event()

    def writer() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            for key in keys:
                store.write([(key, b"%d" % n * (LARGE if n % 2 else 1))], durable=False)

    thread = threading.Thread(target=writer)
    thread.start()
    try:
        for _ in range(15):
            store.compact(b"\x00", END)
            assert set(rows(store, keys_only=True)) <= set(keys)
            assert len(rows(store)) <= len(keys)
    finally:
        stop.set()
        thread.join()


def test_found_again_after_opening(stores: Any) -> None:
    """A store opened anew knows that it holds such values."""
    store = stores.open()
    store.write([(b"k", bytes(LARGE))], durable=False)
    store.close()
    store = stores.open(create=False)
    assert store.get(b"k") == bytes(LARGE)
    store.write([(b"k", None)], durable=False)
    assert plain(store) == []
