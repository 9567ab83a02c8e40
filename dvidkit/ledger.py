"""Completeness records: per instance and version, how many rows there are and a hash of all of them.

A checksum finds a changed row, never a missing one. So each batch also carries, for every (instance, version) it
touches, a record of the rows that should now be there, and ``verify`` compares. A record lies in dvidkit's own key
space ``03``, which the store's API never shows:

``03 | 01 | instance u32 | version u32`` → ``values u64 | tombstones u64 | sum u64 | top key`` (big-endian, sealed)

A store without checksums keeps only ``03 | 02 | instance | version`` for each slot that ever held a tombstone, so that
a put elsewhere need not remove one.

``sum`` adds the rows' CRCs modulo 2^64, so it does not depend on order and is kept up by the rows that change.
``top key`` is the greatest key ever written there: a key above it is new without looking.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

from dvidkit.access import Access
from dvidkit.checksum import seal, unseal
from dvidkit.errors import CorruptData
from dvidkit.keys import DATA, TOMBSTONE_MARK, u32
from dvidkit.segment import Changes, Segment

SPACE: Final = b"\x03"
SPACE_END: Final = b"\x04"
_SLOT_PREFIX: Final = b"\x03\x01"
_FLAG_PREFIX: Final = b"\x03\x02"
_NUMBERS: Final = struct.Struct(">QQQ")
_WRAP: Final = (1 << 64) - 1
_TOMBSTONE: Final = bytes((TOMBSTONE_MARK,))
_MAX_CACHED: Final = 50_000

Last = Mapping[bytes, bytes | None]
GetMany = Callable[[Sequence[bytes]], list[bytes | None]]


class Slot(NamedTuple):
    """What one version of one instance holds."""

    values: int = 0
    tombstones: int = 0
    sum: int = 0
    top: bytes = b""

    def encode(self) -> bytes:
        """The record, unsealed."""
        return _NUMBERS.pack(self.values, self.tombstones, self.sum) + self.top

    @classmethod
    def decode(cls, data: bytes) -> Slot:
        """From an unsealed record."""
        values, tombstones, total = _NUMBERS.unpack_from(data)
        return cls(values, tombstones, total, data[_NUMBERS.size :])


def slot_of(key: bytes) -> bytes:
    """``instance | version`` of a data key."""
    return key[1:5] + key[-9:-5]


def slot_key(slot: bytes) -> bytes:
    """Where the record of a slot is stored."""
    return _SLOT_PREFIX + slot


def flag_key(slot: bytes) -> bytes:
    """Where a store without checksums keeps that the slot ever held a tombstone."""
    return _FLAG_PREFIX + slot


def tally(rows: Iterable[tuple[bytes, bytes]]) -> tuple[int, int, int]:
    """(values, tombstones, sum of CRCs) of sealed rows."""
    rows = list(rows)
    tombstones = [key[-1] for key, _ in rows].count(TOMBSTONE_MARK)
    crcs = struct.unpack(f"<{len(rows)}I", b"".join([value[-4:] for _, value in rows]))
    return len(rows) - tombstones, tombstones, sum(crcs)


def slot_range(instance: int | None = None) -> tuple[bytes, bytes]:
    """Half-open bounds of the records of every slot, or of every slot of one instance."""
    begin = _SLOT_PREFIX if instance is None else _SLOT_PREFIX + u32(instance, "instance")
    return begin, begin + b"\xff" * 9


def recorded_rows(access: Access, instance: int | None = None) -> int:
    """How many rows the records say there are; a record that cannot be read counts for none."""
    total = 0
    for key, stored in access.scan(*slot_range(instance)):
        with suppress(CorruptData, struct.error):
            slot = Slot.decode(unseal(key, stored))
            total += slot.values + slot.tombstones
    return total


class Records(Protocol):
    """What goes along with every batch: kept by ``Ledger``, or, without checksums, by ``Flags``."""

    def begin(self, segments: Sequence[Segment]) -> None:
        """Forget what an earlier batch had prepared, and read at once what these segments will ask for."""
        ...

    def tombstones(self, slot: bytes) -> bool:
        """Whether the slot may hold tombstones, with the batch in preparation."""
        ...

    def account(
        self, slot: bytes | None, changes: Changes, *, crcs: int | None, pending: Last, ascending: bool = False
    ) -> None:
        """Take changes of one slot (``None``: of any keys) into the batch in preparation.

        Args:
            slot: whose they are.
            changes: full key and stored value, ``None`` for a delete.
            crcs: sum of the CRCs of all values, if all are puts of values and the caller has it.
            pending: changes ahead of these that are not in the store yet.
            ascending: they are puts with keys in order, each once.
        """
        ...

    def changes(self) -> Changes:
        """The records to write with the batch."""
        ...

    def written(self) -> None:
        """The batch was written."""
        ...

    def forget(self) -> None:
        """Drop what is remembered, after a write whose outcome is not known."""
        ...


class Flags:
    """Only which slots ever held a tombstone. Used by one writer at a time."""

    def __init__(self, get_many: GetMany) -> None:
        self._get_many = get_many
        self._known: dict[bytes, bool] = {}
        self._new: dict[bytes, bool] = {}

    def begin(self, segments: Sequence[Segment]) -> None:
        """See ``Records``."""
        self._new = {}

    def tombstones(self, slot: bytes) -> bool:
        """See ``Records``."""
        if slot in self._new:
            return True
        found = self._known.get(slot)
        if found is None:
            found = self._known[slot] = self._get_many([flag_key(slot)])[0] is not None
        return found

    def account(
        self, slot: bytes | None, changes: Changes, *, crcs: int | None, pending: Last, ascending: bool = False
    ) -> None:
        """See ``Records``."""
        for key, value in changes:
            if value is not None and key[-1] == TOMBSTONE_MARK and key[0] == DATA and not self.tombstones(slot_of(key)):
                self._new[slot_of(key)] = True

    def changes(self) -> Changes:
        """See ``Records``."""
        return [(flag_key(slot), b"") for slot in self._new]

    def written(self) -> None:
        """See ``Records``."""
        self._known.update(self._new)

    def forget(self) -> None:
        """See ``Records``."""
        self._known.clear()


class Ledger:
    """The records of a store, read when first needed. Used by one writer at a time."""

    def __init__(self, get_many: GetMany) -> None:
        self._get_many = get_many
        self._slots: dict[bytes, Slot] = {}
        self._new: dict[bytes, Slot] = {}
        self._read: dict[bytes, bytes | None] = {}

    def begin(self, segments: Sequence[Segment]) -> None:
        """See ``Records``."""
        self._new = {}
        wanted: list[bytes] = []
        for segment in segments:
            if segment.slot is not None and segment.changes:
                was = self.slot(segment.slot)
                if was.top:
                    wanted += [key for key, _ in segment.changes if key <= was.top]
                    if was.tombstones or segment.deletes:
                        wanted += [key[:-1] + _TOMBSTONE for key, _ in segment.changes]
        self._read = dict(zip(wanted, self._get_many(wanted), strict=True)) if wanted else {}

    def slot(self, slot: bytes) -> Slot:
        """What the record says, with the batch in preparation; an empty slot where there is none.

        Raises:
            CorruptData: the record fails its checksum.
        """
        found = self._new.get(slot) or self._slots.get(slot)
        if found is None:
            key = slot_key(slot)
            stored = self._get_many([key])[0]
            found = Slot.decode(unseal(key, stored)) if stored is not None else Slot()
            if len(self._slots) >= _MAX_CACHED:
                self._slots.clear()
            self._slots[slot] = found
        return found

    def tombstones(self, slot: bytes) -> bool:
        """See ``Records``."""
        return self.slot(slot).tombstones > 0

    def account(
        self, slot: bytes | None, changes: Changes, *, crcs: int | None, pending: Last, ascending: bool = False
    ) -> None:
        """See ``Records``."""
        if slot is not None and ascending and crcs is not None:
            was = self.slot(slot)
            if changes[0][0] > was.top:
                total = (was.sum + crcs) & _WRAP
                self._new[slot] = Slot(was.values + len(changes), was.tombstones, total, changes[-1][0])
                return
        by_slot = {slot: dict(changes)} if slot is not None else _by_slot(changes)
        for each, last in by_slot.items():
            known = crcs if len(last) == len(changes) else None
            self._new[each] = self.change(self.slot(each), last, pending, known)

    def changes(self) -> Changes:
        """See ``Records``; an emptied slot's record is deleted."""
        records: Changes = []
        for slot, record in self._new.items():
            key = slot_key(slot)
            empty = not (record.values or record.tombstones)
            records.append((key, None if empty else seal(key, record.encode())))
        return records

    def written(self) -> None:
        """See ``Records``."""
        self._slots.update(self._new)

    def forget(self) -> None:
        """See ``Records``."""
        self._slots.clear()

    def change(self, was: Slot, changes: Last, pending: Last, crcs: int | None = None) -> Slot:
        """The record after ``changes`` to keys of its slot.

        Args:
            was: the record before.
            changes: the last change to each key, values sealed, ``None`` for a delete.
            pending: changes ahead of these that are not in the store yet.
            crcs: sum of the CRCs of all values, if all changes are puts of values and the caller has it.
        """
        gone = self._gone(was, changes, pending)
        if crcs is not None:
            come, top = (len(changes), 0, crcs), max(changes)
        else:
            new = [(key, value) for key, value in changes.items() if value is not None]
            come, top = tally(new), max(new)[0] if new else b""
        return Slot(
            was.values + come[0] - gone[0],
            was.tombstones + come[1] - gone[1],
            (was.sum + come[2] - gone[2]) & _WRAP,
            max(was.top, top),
        )

    def _gone(self, was: Slot, changes: Last, pending: Last) -> tuple[int, int, int]:
        """Tally of the rows that the changes overwrite or delete."""
        if not was.top:
            return 0, 0, 0
        stored = [key for key in changes if key <= was.top and key not in pending]
        missing = [key for key in stored if key not in self._read]
        if missing:
            self._read.update(zip(missing, self._get_many(missing), strict=True))
        found = ((key, self._read[key]) for key in stored)
        old = [(key, value) for key, value in found if value is not None]
        if pending:
            ahead = ((key, pending.get(key)) for key in changes)
            old += [(key, value) for key, value in ahead if value is not None]
        return tally(old) if old else (0, 0, 0)


def _by_slot(changes: Changes) -> dict[bytes, dict[bytes, bytes | None]]:
    by_slot: dict[bytes, dict[bytes, bytes | None]] = {}
    for key, value in changes:
        if key[0] == DATA:
            by_slot.setdefault(slot_of(key), {})[key] = value
    return by_slot
