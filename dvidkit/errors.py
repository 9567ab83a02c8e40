"""Every error dvidkit raises, as one tree grouped by what a handler would do.

::

    DvidkitError
    ├── NotFoundError (LookupError)     UnknownUUID  UnknownInstance  UnknownDatatype  UnknownEngine
    ├── AlreadyExistsError              InstanceExists  BranchExists  UUIDExists
    ├── InvalidInputError (ValueError)  AmbiguousUUID  BadType  BadKey  KeyContractError  BadPayload
    │                                   OutOfBounds  BadConfig  LimitError
    ├── VersionLocked                   the version is committed and takes no writes
    ├── VersionUnlocked                 the version must be committed first
    ├── VersionConflict                 a merge left several live values for one key
    ├── ConflictError                   somebody else changed it first: read again and retry
    ├── NotAllowed                      the caller may not do this
    ├── UnsupportedError                the engine or datatype said it cannot
    ├── StoreError                      StoreClosed  StoreForked  StoreBusy  StoreLocked  ReadOnlyStore  StoreFull
    │                                   CorruptData  StoreMismatch  StoreMissing  StorePoisoned
    └── PluginError                     PluginLoadError  PluginNameTaken  MissingExtra

Each class has a stable, append-only ``code``. What the error is about is in attributes (``context``), never only in
the message, and every error survives pickling with its attributes. A missing key is not an error: reads answer
``None``. A driver's own exception is only ever found as ``__cause__``.
"""

from __future__ import annotations

from typing import Any, ClassVar

_SHOWN = 64


def shown(value: object) -> str:
    """The value as it may stand in a message: its ``repr``, cut after 64 characters so that no data is dumped."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


class DvidkitError(Exception):
    """Root of the tree. ``context`` holds the keyword arguments, which are attributes too."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.message = message
        self.context = context
        for name, value in context.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.context)


def _rebuild(kind: type[DvidkitError], message: str, context: dict[str, Any]) -> DvidkitError:
    return kind(message, **context)


class NotFoundError(DvidkitError, LookupError):
    """The named thing does not exist."""

    code = "not-found"


class UnknownUUID(NotFoundError):
    """No version has this UUID, prefix or branch name. ``uuid`` is what was asked for."""

    code = "unknown-uuid"
    uuid: str


class UnknownInstance(NotFoundError):
    """The repo has no data instance of this name. ``name`` is what was asked for."""

    code = "unknown-instance"
    name: str


class UnknownDatatype(NotFoundError):
    """No installed datatype has this name. ``name``, and ``installed``: the names there are."""

    code = "unknown-datatype"
    name: str
    installed: tuple[str, ...]


class UnknownEngine(NotFoundError):
    """No installed engine has this name. ``name``, and ``installed``: the names there are."""

    code = "unknown-engine"
    name: str
    installed: tuple[str, ...]


class AlreadyExistsError(DvidkitError):
    """The name is taken."""

    code = "already-exists"


class InstanceExists(AlreadyExistsError):
    """The repo already has a data instance of this ``name``."""

    code = "instance-exists"
    name: str


class BranchExists(AlreadyExistsError):
    """The repo already has this ``branch``, or the version already has a child on it."""

    code = "branch-exists"
    branch: str


class UUIDExists(AlreadyExistsError):
    """The ``uuid`` offered for a new version is already a version."""

    code = "uuid-exists"
    uuid: str


class InvalidInputError(DvidkitError, ValueError):
    """The caller's arguments are wrong; nothing was changed."""

    code = "invalid-input"


class AmbiguousUUID(InvalidInputError):
    """Several versions start with this prefix. ``uuid``, and ``matches``: some of them."""

    code = "ambiguous-uuid"
    uuid: str
    matches: tuple[str, ...]


class BadType(InvalidInputError, TypeError):
    """An argument has the wrong type, found before any effect."""

    code = "bad-type"


class BadKey(InvalidInputError):
    """A key or TKey that cannot be: empty, of an unknown key space, or against its class's layout."""

    code = "bad-key"


class KeyContractError(BadKey):
    """A TKey is a proper prefix of another TKey of its instance. ``tkey``, ``other``."""

    code = "key-contract"
    tkey: bytes
    other: bytes


class BadPayload(InvalidInputError):
    """A body, file or stored document does not parse or does not fit."""

    code = "bad-payload"


class OutOfBounds(InvalidInputError):
    """Coordinates, sizes or indices outside what can be addressed."""

    code = "out-of-bounds"


class BadConfig(InvalidInputError):
    """A setting is unknown, of the wrong type, or out of range. ``setting`` names it."""

    code = "bad-config"
    setting: str


class LimitError(InvalidInputError):
    """Larger than the engine's declared limit. ``what`` (a field of ``Limits``), ``limit``, ``got``."""

    code = "limit"
    what: str
    limit: int
    got: int


class VersionLocked(DvidkitError):
    """The version is committed; it takes no writes. ``uuid``."""

    code = "version-locked"
    uuid: str


class VersionUnlocked(DvidkitError):
    """The version is still open; commit it before branching or merging. ``uuid``."""

    code = "version-unlocked"
    uuid: str


class VersionConflict(DvidkitError):
    """A merge left several live values for a key, and nothing written at or below the merge decides.

    ``conflicts`` is a tuple of ``Conflict(tkey, versions)`` in key order. From a range read, ``result`` holds every
    entry that is not in conflict, in the shape the call would have returned. From a point read it is ``None``.
    """

    code = "version-conflict"
    conflicts: tuple[Any, ...]
    result: Any = None


class ConflictError(DvidkitError):
    """An ``expect`` did not hold; nothing was written. ``key`` is the first key that differed."""

    code = "conflict"
    key: bytes


class NotAllowed(DvidkitError):
    """The operation needs a right, passcode or mode that the caller does not have."""

    code = "not-allowed"


class UnsupportedError(DvidkitError):
    """The engine or datatype does not do this. ``capability`` names what it would have to declare."""

    code = "unsupported"
    capability: str


class StoreError(DvidkitError):
    """The store failed. ``engine`` and ``path`` say which, where they are known."""

    code = "store"
    engine: str
    path: str


class StoreClosed(StoreError):
    """The store, snapshot or iterator was used after ``close``."""

    code = "store-closed"


class StoreForked(StoreClosed):
    """The store was opened before a ``fork`` and is used in the child, where it is closed. Spawn workers instead."""

    code = "store-forked"


class StoreBusy(StoreError):
    """The store cannot do this just now; the same call may work later."""

    code = "store-busy"


class StoreLocked(StoreBusy):
    """Somebody has this store open. ``owner`` describes them where it is known."""

    code = "store-locked"
    owner: str


class ReadOnlyStore(StoreError):
    """A write to a store that was opened read-only."""

    code = "read-only"


class StoreFull(StoreError):
    """The disk, quota or map is full; nothing of the refused write is stored."""

    code = "store-full"


class CorruptData(StoreError):
    """Stored bytes are not what was written. ``key`` where it is known. Wrong bytes are never returned."""

    code = "corrupt"
    key: bytes


class StoreMismatch(StoreError):
    """The directory holds another engine's store, or a layout this release cannot read."""

    code = "store-mismatch"


class StoreMissing(StoreError):
    """There is no store at this path and ``create`` was not asked for."""

    code = "store-missing"


class StorePoisoned(StoreError):
    """A write failed earlier, so further writes are refused until the store has been reopened and checked.

    ``retry_after`` is in how many seconds a write may next be tried.
    """

    code = "store-poisoned"
    retry_after: float


class PluginError(DvidkitError):
    """A plugin is at fault. ``plugin`` names its entry point, ``distribution`` the package it came from."""

    code = "plugin"


class PluginLoadError(PluginError):
    """The plugin could not be imported or declares something it must not."""

    code = "plugin-load"


class PluginNameTaken(PluginError):
    """Two distributions offer the same name. ``name``, ``owners``: both distributions."""

    code = "plugin-name-taken"
    name: str
    owners: tuple[str, str]


class MissingExtra(PluginError, ImportError):
    """A driver is not installed. ``install`` is the command that installs it."""

    code = "missing-extra"
    install: str
