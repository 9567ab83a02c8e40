"""The kernel: plugins, stores and repos of one embedding program. Several may live in one process."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from dvidkit.assignment import Assignment
from dvidkit.copymarks import refuse_unfinished
from dvidkit.deferred import logger
from dvidkit.engine import Durability, StoreConfig
from dvidkit.errors import BadConfig, shown
from dvidkit.feed import Feeds
from dvidkit.metadata import Metadata
from dvidkit.plugins import Plugins
from dvidkit.records import InstanceRecord
from dvidkit.repos import FIRST_MUTATION_ID, Repos
from dvidkit.store import Store
from dvidkit.workers import Workers

_LOG: Final = logger("dvidkit.kernel")
DEFAULT_ENGINE: Final = "lmdb"
DEFAULT_STORE: Final = "default"


class Kernel:
    """Owns plugins, open stores and repos. Thread-safe. Use as a context manager or call ``close``.

    Attributes:
        plugins: engines and datatypes.
        stores: open stores by alias.
        assignment: which of them keeps what.
        repos: the repos.
        feeds: delivery of the mutation log to plugins and to subscribers in other stores.
        workers: threads for work on large values.
        full_write: committed versions take writes; for repairs and old test suites.
        least_instance_id, least_mutation_id: the smallest that are handed out.
    """

    def __init__(
        self,
        stores: Mapping[str, StoreConfig] | StoreConfig,
        *,
        assign: Mapping[str, str] | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        """Open every store and read the repos.

        Args:
            stores: by alias. A single configuration is the store ``default``.
            assign: rules by which instances and metadata are given stores, see ``Assignment``.
            plugins: unless given, those that are installed.

        Raises:
            BadConfig: no store, or a rule that names none of them.
            UnknownEngine, StoreError: see ``Engine.open``; whatever was opened is closed again.
            StoreMismatch: a store is the unfinished copy of another.
        """
        configs = {DEFAULT_STORE: stores} if isinstance(stores, StoreConfig) else dict(stores)
        if not configs:
            raise BadConfig("a kernel needs a store", setting="stores")
        self.assignment = Assignment(assign or {}, configs)
        self.plugins = plugins or Plugins()
        self.full_write = False
        self.least_instance_id = 1
        self.least_mutation_id = FIRST_MUTATION_ID
        self.workers = Workers()
        self._closing = False
        self.stores: dict[str, Store] = {}
        try:
            for alias, config in configs.items():
                store = self.stores[alias] = self.open_store(config)
                refuse_unfinished(store)
            self.repos = Repos(self, Metadata(self.stores[self.assignment.metadata]))
            self.feeds = Feeds(self)
        except BaseException:
            self.close()
            raise

    def open_store(self, config: StoreConfig) -> Store:
        """Open a store that is not one of this kernel's; the caller closes it."""
        return Store(self.plugins.engine(config.engine), config)

    def alias_for(self, typename: str, name: str, root: str, tags: Mapping[str, str]) -> str:
        """The alias of the store that keeps a new data instance."""
        return self.assignment.store_of(typename, name, root, tags)

    def store_for(self, record: InstanceRecord) -> Store:
        """The store of a data instance."""
        try:
            return self.stores[record.store or self.assignment.default]
        except KeyError:
            raise BadConfig(
                f"data instance {record.name!r} is kept in store {shown(record.store)}, which is not configured: "
                "give a store the alias that it had when the instance was made",
                setting="stores",
            ) from None

    def close(self, patience: float = 5.0) -> None:
        """End what runs in the background, close every store. Idempotent.

        Args:
            patience: seconds that plugins and subscribers in other stores may take to be told of what is written; what
                they were not told, the next kernel tells them.
        """
        if hasattr(self, "feeds"):
            self.repos.deletions.stop()
            self.feeds.stop(patience)
            self._say_goodbye()
        for store in self.stores.values():
            store.close()
        self.workers.close()

    def _say_goodbye(self) -> None:
        if self._closing:
            return
        self._closing = True
        for plugin in self.plugins.manager.hook.dvidkit_closing.get_hookimpls():
            try:
                plugin.function(*(self for _ in plugin.argnames))
            except Exception:
                _LOG.exception("plugin %s failed at closing", plugin.plugin_name)

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
