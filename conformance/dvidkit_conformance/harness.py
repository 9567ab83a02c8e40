"""One engine under test in a working directory: the kit opens, reopens and removes its stores, never the engine."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from dvidkit.engine import ByteStore, Engine, Loss, StoreConfig
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit_conformance.nursery import Door


class Tapped(Engine):
    """The engine itself, but the kit keeps what ``open`` returned, to read bytes past the ``Store``."""

    def __init__(self, engine: Engine) -> None:
        self.inner = engine
        self.name = engine.name  # type: ignore[misc]
        self.version = engine.version  # type: ignore[misc]
        self.summary = engine.summary  # type: ignore[misc]
        self.capabilities = engine.capabilities  # type: ignore[misc]
        self.limits = engine.limits  # type: ignore[misc]
        self.options = engine.options  # type: ignore[misc]
        self.last: ByteStore | None = None

    def open(self, config: StoreConfig) -> ByteStore:
        """Open, and remember."""
        self.last = self.inner.open(config)
        return self.last


class Harness:
    """Stores of one engine, each in a directory of its own.

    Attributes:
        engine: under test.
        folder: where its stores are made.
        store_class: the kernel's ``Store``; another one where the kit itself is tested.
        scale: how much a check may do: 0 quick, 1 ci, 2 nightly.
        plugins: other installed engines and datatypes, where a check needs them.
        extra: datatypes that are not installed.
        nursery: where checks get clean processes from; without, they start interpreters.
        alone: by datatypes, plugins of the engine and these alone, as they are made.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *,
        store_class: type[Store] = Store,
        scale: int = 0,
        plugins: Any = None,
        extra: Sequence[Any] = (),
        nursery: Door | None = None,
    ) -> None:
        self.engine = engine
        self.folder = folder
        self.store_class = store_class
        self.scale = scale
        self.plugins = plugins
        self.extra = {each.typename: each for each in extra}
        self.nursery = nursery
        self.alone: dict[tuple[Any, ...], Plugins] = {}
        self._numbers = count()

    @property
    def persistent(self) -> bool:
        """Whether what was written survives ``close``."""
        return self.engine.capabilities.durable is not Loss.NONE

    def offers(self, capability: str) -> bool:
        """Whether the engine declares this: a ``Capability``, ``persistent``, ``process``, ``power``, or nothing."""
        durable = self.engine.capabilities.durable
        if capability == "persistent":
            return self.persistent
        if capability in ("process", "power"):
            return durable is Loss.POWER or (durable is Loss.PROCESS and capability == "process")
        return not capability or capability in self.features

    @property
    def features(self) -> frozenset[str]:
        """Names of the declared capabilities."""
        return frozenset(str(feature) for feature in self.engine.capabilities.features)

    def fresh(self) -> Path:
        """A path where nothing is; its parent exists."""
        return self.folder / f"s{next(self._numbers)}"

    def fresh_folder(self) -> Path:
        """A new directory, for another harness."""
        folder = self.fresh()
        folder.mkdir()
        return folder

    def config(self, path: Path, **fields: Any) -> StoreConfig:
        """How the kit opens stores."""
        return StoreConfig(**{"engine": self.engine.name, "path": str(path), **fields})

    def datatype(self, typename: str) -> Any:
        """A datatype by name: given to this harness, or installed.

        Raises:
            UnknownDatatype: neither.
        """
        own = self.extra.get(typename)
        if own is not None:
            return own
        return (Plugins() if self.plugins is None else self.plugins).datatype(typename)

    def open(self, path: Path, **fields: Any) -> ByteStore:
        """The engine's own ``open``."""
        return self.engine.open(self.config(path, **fields))

    def open_store(self, path: Path, **fields: Any) -> tuple[Store, Tapped]:
        """A ``Store``, and the tap through which its bytes are read."""
        tap = Tapped(self.engine)
        return self.store_class(tap, self.config(path, **fields)), tap

    def remove(self, path: Path) -> None:
        """Delete a closed store's files, without asking the engine."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()

    def files(self, path: Path) -> Mapping[str, bytes]:
        """Contents of every file below a path, but for who holds the lock."""
        found = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
        return {name: file.read_bytes() for name, file in found.items() if "lock" not in name.lower()}
