"""Data instances: a datatype with settings, under a name in a repo, with its values in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dvidkit.context import DataContext, VersionedContext
from dvidkit.errors import PluginLoadError, UnknownInstance, UnsupportedError
from dvidkit.gate import Users
from dvidkit.keys import InstanceID
from dvidkit.locks import KeyedLocks
from dvidkit.records import InstanceRecord
from dvidkit.settings import Settings

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.kernel import Kernel
    from dvidkit.repo import Repo, Version
    from dvidkit.store import Store

_MAX_CONTEXTS: Final = 1024


class DataInstance:
    """A data instance of a repo.

    Attributes:
        repo: whose it is.
        record: what is stored about it.
        datatype: its class.
        settings: of the datatype's ``Settings``.
        store: where its values are.
        locks: held by mutations over what they read and write back.
        users: the mutations under way, for whose end a deletion waits.
        missing: whether its datatype is not installed.
    """

    def __init__(
        self, repo: Repo, record: InstanceRecord, datatype: type[Datatype], settings: Settings, store: Store
    ) -> None:
        missing = datatype.requires - store.engine.capabilities.features
        if missing:
            raise UnsupportedError(
                f"datatype {datatype.typename!r} needs {', '.join(sorted(missing))}, which engine "
                f"{store.engine.name!r} does not declare",
                capability=min(missing),
            )
        self.repo = repo
        self.record = record
        self.datatype = datatype
        self.settings = settings
        self.store = store
        self.locks = KeyedLocks()
        self.users = Users()
        self.missing = bool(getattr(datatype, "missing", False))
        self._contexts: dict[int, VersionedContext | DataContext] = {}

    @classmethod
    def load(cls, repo: Repo, record: InstanceRecord, kernel: Kernel) -> DataInstance:
        """An instance from its stored record. Where its datatype is not installed, using it says so."""
        from dvidkit.datatype import missing_datatype

        datatype = kernel.plugins.datatypes.get(record.typename) or missing_datatype(record.typename)
        settings = datatype.settings.parse(record.settings)
        return cls(repo, record, datatype, settings, kernel.store_for(record))

    def refreshed(self, record: InstanceRecord) -> DataInstance:
        """This instance, with the record and settings that another process has stored."""
        self.settings = self.datatype.settings.parse(record.settings)
        self.record = record
        return self

    @property
    def name(self) -> str:
        """Unique in the repo."""
        return self.record.name

    @property
    def id(self) -> InstanceID:
        """Number of the instance in its store's keys."""
        return InstanceID(self.record.id)

    @property
    def uuid(self) -> str:
        """Identity for ever, also when renamed."""
        return self.record.uuid

    @property
    def versioned(self) -> bool:
        """Whether its values belong to versions."""
        return self.settings.versioned

    def at(self, version: Version, *, override: bool = False) -> Any:
        """The instance as a version sees it: an object of its datatype.

        With ``override`` it may be written although the version is committed; for administrators and repairs.
        """
        return self.datatype(self, version, override=override)

    @property
    def syncs(self) -> tuple[DataInstance, ...]:
        """The instances this one subscribes to."""
        by_uuid = {instance.uuid: instance for instance in list(self.repo.instances.values())}
        return tuple(by_uuid[uuid] for uuid in self.record.syncs if uuid in by_uuid)

    def subscribers(self, kind: str) -> list[DataInstance]:
        """The instances that want to be told of events of this kind."""
        return [
            other
            for other in list(self.repo.instances.values())
            if self.uuid in other.record.syncs and kind in other.datatype.consumes
        ]

    def context(self, version: Version) -> VersionedContext | DataContext:
        """Where its values at this version are; those of an unversioned instance are the root's."""
        found = self._contexts.get(version.id)
        if found is None:
            classes = self.datatype.tkey_classes
            if self.versioned:
                found = VersionedContext(self.id, version.id, self.repo.dag, classes)
            else:
                found = DataContext(self.id, self.repo.root.id, classes)
            if len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.clear()
            self._contexts[version.id] = found
        return found

    @property
    def deleted(self) -> bool:
        """Whether it, or its repo, was deleted."""
        return self.record.deleted or self.repo.record.deleted

    def enter(self) -> None:
        """Begin a mutation; until ``users.leave`` a deletion waits before it removes data.

        Raises:
            UnknownInstance: it was deleted.
        """
        self.users.enter()
        if self.record.deleted or self.repo.record.deleted:
            self.users.leave()
            raise UnknownInstance(f"data instance {self.name!r} was deleted", name=self.name)

    def usable(self) -> None:
        """Raise what using an instance without its datatype raises.

        Raises:
            PluginLoadError: naming the datatype.
        """
        if self.missing:
            raise PluginLoadError(
                f"data instance {self.name!r} needs datatype {self.record.typename!r}, which is not installed",
                plugin=self.record.typename,
                distribution="",
            )

    def __repr__(self) -> str:
        return f"<DataInstance {self.name!r} [{self.record.typename}]>"
