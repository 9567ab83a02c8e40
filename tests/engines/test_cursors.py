"""The pool of cursors under the engines that read through a driver's iterators."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.only("leveldb", "rocksdb")
def test_reads_never_go_back(stores: Any) -> None:
    """While a write is being made, whoever reads after somebody saw it sees it too (found by CONC-2).

    The write is held where the driver has made it and the store has not been told. One thread is at a read with the
    cursor that was idle before; a second, for which there is none left, gets a new one; a third comes after both.
    """
    store = stores.open()
    seen = []
    apply = store._apply

    def held(*args: Any, **options: Any) -> None:
        apply(*args, **options)
        first = store.cursors.take()
        seen.append(store.get(b"k"))
        store.cursors.give(first)
        seen.append(store.get(b"k"))

    store.write([(b"k", b"old")], durable=False)
    assert store.get(b"k") == b"old"
    store._apply = held
    store.write([(b"k", b"new")], durable=False)
    assert seen == [b"new", b"new"]


@pytest.mark.only("lmdb")
def test_reads_of_lmdb_never_go_back(stores: Any) -> None:
    """The same for LMDB's read transactions: held between LMDB's commit and the pool's being told (found by CONC-2)."""
    store = stores.open()
    seen = []
    committed = store.readers.committed

    def held() -> None:
        first = store.readers.take()
        seen.append(store.get(b"k"))
        store.readers.give(first)
        seen.append(store.get(b"k"))
        committed()

    store.write([(b"k", b"old")], durable=False)
    assert store.get(b"k") == b"old"
    store.readers.committed = held
    store.write([(b"k", b"new")], durable=False)
    assert seen == [b"new", b"new"]
