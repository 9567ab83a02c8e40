"""The engine contract: what a storage engine implements. Bytes only; versions are the kernel's.

An engine is a small class with a name, what it can do, and ``open``. What ``open`` returns is a ``ByteStore``: five
methods that every engine has. Everything else is optional: a protocol below *and* a name in ``capabilities``. What is
not declared is never called; the kernel then does the same thing with the five methods, or answers
``UnsupportedError`` where it cannot.

Order everywhere is unsigned bytewise, a proper prefix first. Ranges are half-open, ``[begin, end)``; an empty or
inverted range holds nothing and is no error. Keys are ``bytes`` of at least one byte, values ``bytes`` of any length
including none; the kernel passes no other type, unless the engine declares ``borrow``. Everything returned is ``bytes``
that stay valid for ever.

Every method of every object here may be called from any thread at any time. After ``close`` every call, and the next
step of every iterator, raises ``StoreClosed``: never data, never a crash. A driver's own exceptions do not leave the
engine: they become the ``StoreError`` that fits, with the original as ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol, overload, runtime_checkable

from dvidkit.errors import UnsupportedError

Batch = Sequence[tuple[bytes, bytes | None]]
"""Changes in order: (key, value) puts, (key, None) deletes. Of several changes to one key the last holds."""

Item = tuple[bytes, bytes]


class Capability(StrEnum):
    """What an engine may offer beyond the five methods. The set is closed; an unknown name is refused at load."""

    GET_MANY = "get_many"
    """``get_many`` on stores and snapshots."""
    LEND = "lend"
    """``lend`` on snapshots."""
    BORROW = "borrow"
    """``write`` takes a ``memoryview`` for a value, reads it while it runs, and is done with it when it returns."""
    SEEK = "seek"
    """``seek_last_before`` and ``seek_first_from`` on stores and snapshots."""
    LAST = "last"
    """``scan_last_before`` on stores and snapshots."""
    PAGES = "pages"
    """``scan_pages`` on stores and snapshots."""
    DELETE_RANGE = "delete_range"
    """``delete_range``, atomic."""
    SIZES = "sizes"
    """``approximate_sizes``."""
    COMPACT = "compact"
    """``compact``."""
    BACKUP = "backup"
    """``backup``: a consistent copy while the store is in use."""
    REPAIR = "repair"
    """``Engine.repair``."""
    CHECKSUMS = "checksums"
    """The engine itself finds changed bytes and raises ``CorruptData``."""
    READ_ONLY = "read_only"
    """``StoreConfig.read_only`` is honoured and leaves every file byte-identical."""
    MULTI_PROCESS = "multi_process"
    """Several processes may have one store open."""


class Loss(StrEnum):
    """The worst event after which what was written is still there."""

    NONE = "none"
    """Nothing survives ``close``: the store lives in memory."""
    CLOSE = "close"
    """Survives an orderly ``close``."""
    PROCESS = "process"
    """Survives the death of the process (kill -9)."""
    POWER = "power"
    """Survives the loss of power."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest things an engine takes; the kernel refuses larger ones before any effect.

    Attributes:
        max_key: bytes of a full key. The kernel adds 14 bytes of framing to a TKey.
        max_value: bytes of a stored value. The kernel adds 4 bytes of checksum.
        max_batch_ops: changes in one ``write``.
        max_batch_bytes: keys and values of one ``write`` together.
    """

    max_key: int = 65_536
    max_value: int = 1 << 30
    max_batch_ops: int = 10_000_000
    max_batch_bytes: int = 1 << 31


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine declares.

    Attributes:
        features: the optional protocols it implements.
        durable: what a ``durable=True`` write survives.
        buffered: what a ``durable=False`` write survives.
        seek_cost: a hint: rows that a forward scan passes in the time of one seek. The kernel weighs skipping by it.
    """

    features: frozenset[Capability] = frozenset()
    durable: Loss = Loss.POWER
    buffered: Loss = Loss.PROCESS
    seek_cost: int = 8


Durability = Literal["durable", "buffered", "volatile"]


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """How to open a store.

    Attributes:
        engine: name of the engine.
        path: directory of the store; engines that keep nothing on disk ignore it.
        create: make a new store if there is none at ``path``; an existing store is opened, never truncated.
        read_only: open without the right to write (needs ``read_only``).
        durability: ``durable`` (each write survives power loss), ``buffered`` (survives the death of the process, the
            last seconds may go with the power), ``volatile`` (scratch: may be lost or broken by a crash).
        integrity: keep and check a CRC with every value, and completeness records. Fixed when the store is created.
        options: the engine's own settings; an unknown one is refused with ``BadConfig``.
    """

    engine: str
    path: str = ""
    create: bool = True
    read_only: bool = False
    durability: Durability = "durable"
    integrity: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OpenReport:
    """What opening found.

    Attributes:
        created: the store did not exist before.
        recovered: batches replayed from a log that an earlier process had not folded in.
        dropped_bytes: torn bytes at the end of a log that belonged to no acknowledged write.
        notes: anything else a person should know, one sentence each.
    """

    created: bool = False
    recovered: int = 0
    dropped_bytes: int = 0
    notes: tuple[str, ...] = ()


class ByteReader(Protocol):
    """Reads, of the store as it is or of a snapshot."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value, or ``None`` if the key is absent. An empty value is a value."""
        ...

    @overload
    def scan(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: Literal[False] = False
    ) -> Iterator[Item]: ...
    @overload
    def scan(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: Literal[True]
    ) -> Iterator[bytes]: ...
    @overload
    def scan(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool
    ) -> Iterator[Item] | Iterator[bytes]: ...
    def scan(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[Item] | Iterator[bytes]:
        """(key, value) of every key with ``begin <= key < end``, ascending, or descending with ``reverse``.

        With ``keys_only`` the iterator yields keys and the engine should not read values. The iterator shows one
        instant (no earlier than the call, no later than its first step) for its whole life, whatever is written
        meanwhile. It may be abandoned at any step and then holds nothing. It ends only at the end of the range: if
        the engine cannot read on, it raises.
        """
        ...


class Snapshot(ByteReader, Protocol):
    """A read-only view of one instant: any number of reads, all of the same state."""

    def close(self) -> None:
        """Release the view. Idempotent; also happens when the snapshot is dropped."""
        ...


class ByteStore(ByteReader, Protocol):
    """An open store."""

    @property
    def report(self) -> OpenReport:
        """What ``open`` found."""
        ...

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """Apply all changes, in order, or none: for readers, for errors and for crashes.

        When it returns, later reads see all of it, and it survives what ``capabilities.durable`` says (``buffered``
        if not ``durable``). ``expect`` maps keys to the value they must have at that instant, ``None`` for absent.
        Deleting an absent key is not an error. An empty batch does nothing but check ``expect``.

        Raises:
            ConflictError: an expectation does not hold; nothing was written.
            ReadOnlyStore, StoreFull, StoreError: nothing was written.
        """
        ...

    def snapshot(self) -> Snapshot:
        """A view of this instant."""
        ...

    def close(self) -> None:
        """Wait for running calls, release files and locks. Idempotent. What was written stays (see ``buffered``)."""
        ...


@runtime_checkable
class ManyReader(Protocol):
    """``Capability.GET_MANY``."""

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """``get`` of each key, in order, all of one instant."""
        ...


@runtime_checkable
class Lender(Protocol):
    """``Capability.LEND``: large values are read where they lie, not copied out first."""

    def lend(self, keys: Sequence[bytes], /) -> AbstractContextManager[Sequence[bytes | memoryview | None]]:
        """What ``get_many`` returns, for the length of a ``with`` block.

        A ``memoryview`` is read-only, may be read by any thread, and only inside the block: afterwards the bytes it
        shows are somebody else's. Inside the block nothing may be asked of the snapshot or its store by the thread
        that entered it. An engine may lend copies where it cannot do better.
        """
        ...


@runtime_checkable
class SeekReader(Protocol):
    """``Capability.SEEK``."""

    @overload
    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: Literal[False] = False) -> Item | None: ...
    @overload
    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: Literal[True]) -> bytes | None: ...
    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """The last entry of ``[floor, end)``, or ``None``."""
        ...

    @overload
    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: Literal[False] = False) -> Item | None: ...
    @overload
    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: Literal[True]) -> bytes | None: ...
    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """The first entry of ``[begin, end)``, or ``None``."""
        ...


@runtime_checkable
class LastReader(Protocol):
    """``Capability.LAST``: the versioned range read, pushed down to where a cursor or an index can skip rows."""

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Item]] | Iterator[list[bytes]]:
        """Of each group of keys in ``[begin, end)`` the last one before the group's ceiling, ascending, in pages.

        A key's group is the key without its last ``len(ceiling)`` bytes; ``group + ceiling`` bounds it, excluded. A
        group with no key before its ceiling is left out. All of one instant, like ``scan``. The engine may assume that
        no key of the range is shorter than the ceiling and that no group is a prefix of another.
        """
        ...


@runtime_checkable
class PageReader(Protocol):
    """``Capability.PAGES``: ``scan`` in lists, so that the work per row is done in bulk."""

    @overload
    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: Literal[False] = False
    ) -> Iterator[list[Item]]: ...
    @overload
    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: Literal[True]
    ) -> Iterator[list[bytes]]: ...
    @overload
    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool
    ) -> Iterator[list[Item]] | Iterator[list[bytes]]: ...
    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Item]] | Iterator[list[bytes]]:
        """What ``scan`` yields, in non-empty lists of a few megabytes at most, which are the caller's to change."""
        ...


@runtime_checkable
class RangeDeleter(Protocol):
    """``Capability.DELETE_RANGE``."""

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """Delete every key of ``[begin, end)``, all or none."""
        ...


@runtime_checkable
class Sizer(Protocol):
    """``Capability.SIZES``."""

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """Bytes that each half-open range takes, as the engine estimates them; 0 for an empty range."""
        ...


@runtime_checkable
class Compactor(Protocol):
    """``Capability.COMPACT``."""

    def compact(self, begin: bytes, end: bytes, /) -> None:
        """Give back the room of deleted and overwritten entries of the range. Readers see no difference."""
        ...


@runtime_checkable
class Backer(Protocol):
    """``Capability.BACKUP``."""

    def backup(self, path: str, /) -> None:
        """Write a store of one instant at ``path``, which must not exist, while reads and writes go on."""
        ...


class Engine:
    """Base class of engines. One object per engine and kernel; it holds no store.

    Attributes:
        name: what configurations call it: lower case, digits and ``-``.
        version: version of the engine plugin (PEP 440).
        summary: one line for lists.
        capabilities, limits: declarations, also read without opening a store.
        options: names of the engine's own settings with one line about each.
        conformance: where its conformance case is, as ``"package.module:ClassName"``; empty if it has none.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "0"
    summary: ClassVar[str] = ""
    capabilities: ClassVar[Capabilities] = Capabilities()
    limits: ClassVar[Limits] = Limits()
    options: ClassVar[Mapping[str, str]] = {}
    conformance: ClassVar[str] = ""

    def open(self, config: StoreConfig) -> ByteStore:
        """Open or create the store.

        Raises:
            StoreMissing: nothing there and ``create`` is false; nothing was created.
            StoreLocked: open elsewhere (engines without ``multi_process``).
            StoreMismatch: the directory holds another engine's store, or a layout of a later release.
            CorruptData: what is there is damaged.
            MissingExtra: the driver is not installed; the error says how to install it.
        """
        raise NotImplementedError

    def repair(self, path: str) -> OpenReport:
        """Make a damaged store openable, keeping what can be kept; a healthy store is left as it is.

        Rows may be lost, never invented or changed; ``notes`` says what was. Needs ``Capability.REPAIR``.
        """
        raise UnsupportedError(f"engine {self.name!r} has no repair", capability=Capability.REPAIR)

    def destroy(self, config: StoreConfig) -> None:
        """Delete a closed store with all its files. A store that does not exist is not an error."""
        raise UnsupportedError(f"engine {self.name!r} has no destroy", capability="destroy")
