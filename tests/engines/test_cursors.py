"""The pool of cursors under the engines that read through a driver's iterators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dvidkit.engine import StoreConfig
from dvidkit.plugins import Plugins


@pytest.mark.parametrize("driver", ["leveldb", "rocksdb"])
def test_reads_never_go_back(driver: str, tmp_path: Path) -> None:
    """While a write is being made, whoever reads after somebody saw it sees it too (found by CONC-2).

    The write is held where the driver has made it and the store has not been told. One thread is at a read with the
    cursor that was idle before; a second, for which there is none left, gets a new one; a third comes after both.
    """
    plugins = Plugins()
    if driver not in plugins.engines:
        pytest.skip(f"engine {driver} is not installed")
    store: Any = plugins.engine(driver).open(StoreConfig(driver, str(tmp_path / "s")))
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
    store.close()


def test_reads_of_lmdb_never_go_back(tmp_path: Path) -> None:
    """The same for LMDB's read transactions: held between LMDB's commit and the pool's being told (found by CONC-2)."""
    plugins = Plugins()
    if "lmdb" not in plugins.engines:
        pytest.skip("engine lmdb is not installed")
    store: Any = plugins.engine("lmdb").open(StoreConfig("lmdb", str(tmp_path / "s")))
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
    store.close()
