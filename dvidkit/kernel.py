"""The kernel: plugins, stores and repos of one embedding program. Several may live in one process."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from dvidkit.engine import Durability, StoreConfig
from dvidkit.errors import BadConfig, shown
from dvidkit.metadata import Metadata
from dvidkit.plugins import Plugins
from dvidkit.records import InstanceRecord
from dvidkit.repos import Repos
from dvidkit.store import Store

DEFAULT_ENGINE: Final = "lmdb"
DEFAULT_STORE: Final = "default"


class Kernel:
    """Owns plugins, open stores and repos. Thread-safe. Use as a context manager or call ``close``.

    Attributes:
        plugins: engines and datatypes.
        stores: open stores by alias; ``default`` holds the metadata.
        repos: the repos.
        full_write: committed versions take writes; for repairs and old test suites.
    """

    def __init__(self, stores: Mapping[str, StoreConfig] | StoreConfig, *, plugins: Plugins | None = None) -> None:
        """Open every store and read the repos.

        Args:
            stores: by alias; one of them is ``default``. A single configuration is that one.
            plugins: unless given, those that are installed.

        Raises:
            BadConfig: no store ``default``.
            UnknownEngine, StoreError: see ``Engine.open``; whatever was opened is closed again.
        """
        configs = {DEFAULT_STORE: stores} if isinstance(stores, StoreConfig) else dict(stores)
        if DEFAULT_STORE not in configs:
            raise BadConfig(f"one store must be called {DEFAULT_STORE!r}, not only {sorted(configs)}", setting="stores")
        self.plugins = plugins or Plugins()
        self.full_write = False
        self.stores: dict[str, Store] = {}
        try:
            for alias, config in configs.items():
                self.stores[alias] = self.open_store(config)
            self.repos = Repos(self, Metadata(self.stores[DEFAULT_STORE]))
        except BaseException:
            self.close()
            raise

    def open_store(self, config: StoreConfig) -> Store:
        """Open a store that is not one of this kernel's; the caller closes it."""
        return Store(self.plugins.engine(config.engine), config)

    def store_for(self, record: InstanceRecord) -> Store:
        """The store of a data instance."""
        try:
            return self.stores[record.store or DEFAULT_STORE]
        except KeyError:
            raise BadConfig(
                f"data instance {record.name!r} is kept in store {shown(record.store)}, which is not configured",
                setting="stores",
            ) from None

    def announce(self, store: Store) -> None:
        """Called after each logged mutation of a store."""

    def close(self) -> None:
        """Close every store. Idempotent."""
        for store in self.stores.values():
            store.close()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_kernel(
    path: str = "",
    engine: str = DEFAULT_ENGINE,
    *,
    create: bool = True,
    read_only: bool = False,
    durability: Durability = "durable",
    integrity: bool = True,
    plugins: Plugins | None = None,
    **options: Any,
) -> Kernel:
    """A kernel with one store. ``dvidkit.open`` is this function.

    Args:
        path: directory of the store; made if it does not exist (its parent must).
        engine: name of an installed engine.
        create, read_only, durability, integrity, options: see ``StoreConfig``.
        plugins: unless given, those that are installed.

    Raises:
        UnknownEngine, MissingExtra, StoreError, BadConfig: see ``Engine.open``.
    """
    config = StoreConfig(engine, path, create, read_only, durability, integrity, options)
    return Kernel(config, plugins=plugins)
