"""Stores for the kernel's tests: in memory, with LMDB, and over engines that can do less."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine

from dvidkit.datatype import Datatype
from dvidkit.engine import Capability, Engine, StoreConfig
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
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


class Tally(Datatype):
    """Counts by name, as the kernel's documentation has it."""

    typename = "tally"
    COUNT = TKeyClass(200, "count of a name", terminator=0)
    tkey_classes = (COUNT,)

    def count(self, name: str) -> int:
        """How often the name was added."""
        return int(self.store.get(self.ctx, self.COUNT.key(name.encode())) or 0)

    def add(self, name: str, n: int = 1) -> None:
        """Add to a count."""
        tkey = self.COUNT.key(name.encode())
        with self.mutation("add") as m:
            m.put(tkey, b"%d" % (int(m.lock([tkey])[tkey] or 0) + n))


class Offer:
    """A plugin of engines and datatypes."""

    def __init__(self, engines: Iterable[Engine] = (), datatypes: Iterable[type[Datatype]] = ()) -> None:
        self._engines = list(engines)
        self._datatypes = list(datatypes)

    @hookimpl
    def dvidkit_engines(self) -> Iterable[Engine]:
        """See the hook."""
        return self._engines

    @hookimpl
    def dvidkit_datatypes(self) -> Iterable[type[Datatype]]:
        """See the hook."""
        return self._datatypes


MakeKernel = Callable[..., Kernel]


@pytest.fixture
def make_kernel(tmp_path: Path) -> Iterator[MakeKernel]:
    """A function that opens kernels with one store, in memory unless it is given an engine, and ``tally``."""
    opened: list[Kernel] = []

    def make(engine: Engine | None = None, *datatypes: type[Datatype], name: str = "store", **config: Any) -> Kernel:
        engine = engine or MemoryEngine()
        plugins = Plugins({"test": Offer([engine], [Tally, *datatypes])}, installed=False)
        kernel = Kernel(StoreConfig(engine.name, str(tmp_path / name), **config), plugins=plugins)
        opened.append(kernel)
        return kernel

    yield make
    for kernel in opened:
        kernel.close()


@pytest.fixture
def kernel(make_kernel: MakeKernel) -> Kernel:
    """A kernel over a store in memory."""
    return make_kernel()


@pytest.fixture
def repo(kernel: Kernel) -> Repo:
    """A repo with an open root and the instance ``counts``."""
    repo = kernel.repos.create("repo")
    repo.create_instance("tally", "counts")
    return repo
