"""Stores for the kernel's tests: in memory, with LMDB, and over engines that can do less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine

from dvidkit.engine import Capability, Engine, StoreConfig
from dvidkit.store import Store

MakeStore = Callable[..., Store]


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[MakeStore]:
    """A function that opens stores, in memory unless it is given an engine, and the closing of them."""
    opened: list[Store] = []

    def make(engine: Engine | None = None, *, name: str = "store", **config: Any) -> Store:
        engine = engine or MemoryEngine()
        store = Store(engine, StoreConfig(engine.name, str(tmp_path / name), **config))
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture(params=[True, False], ids=["sealed", "unsealed"])
def store(request: pytest.FixtureRequest, make_store: MakeStore) -> Store:
    """A store in memory, with and without checksums."""
    return make_store(integrity=request.param)


_WAYS: dict[str, Callable[[], Engine]] = {
    "five": lambda: wrapped(MemoryEngine(), features=()),
    "seek": lambda: wrapped(MemoryEngine(), features={Capability.SEEK}, seek_cost=1),
    "tiny": lambda: wrapped(MemoryEngine(), rows=2, seek_cost=1),
    "last": lambda: wrapped(LmdbEngine(), rows=3, seek_cost=1),
    "lmdb": LmdbEngine,
}


@pytest.fixture(params=list(_WAYS))
def any_engine(request: pytest.FixtureRequest) -> Engine:
    """Engines that take the kernel through each of its ways of reading."""
    name: str = request.param
    return _WAYS[name]()
