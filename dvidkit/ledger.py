"""Keeping the completeness records (``dvidkit.slots``): what each batch does to them goes along with it.

A checksum finds a changed row, never a missing one. So each batch also carries, for every place it touches, a record of
the rows that should now be there, and ``verify`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from dvidkit.checksum import seal, unseal
from dvidkit.keys import DATA, TOMBSTONE_MARK
from dvidkit.segment import Changes, Segment
from dvidkit.slots import LOG_INDEX, Slot, crc_of, flag_key, flags_tombstones, place_of, slot_key, slot_of, tally

if TYPE_CHECKING:
    from dvidkit.storerecord import StoreRecord

_WRAP: Final = (1 << 64) - 1
_TOMBSTONE: Final = bytes((TOMBSTONE_MARK,))
_MAX_CACHED: Final = 50_000
_VALUES: Final = b"\x01"
_DELETED: Final = b""

Last = Mapping[bytes, bytes | None]
GetMany = Callable[[Sequence[bytes]], list[bytes | None]]


class Records(Protocol):
    """What goes along with every batch: kept by ``Ledger``, or, without checksums, by ``Flags``."""

    def begin(self, segments: Sequence[Segment]) -> None:
        """Forget what an earlier batch had prepared, and read at once what these segments will ask for."""
        ...

    def tombstones(self, slot: bytes) -> bool:
        """Whether the slot may hold tombstones, with the batch in preparation."""
        ...

    def account(self, segment: Segment, changes: Changes, *, pending: Last) -> None:
        """Take changes of one slot, or of any keys, into the batch in preparation.

        Args:
            segment: that they were made from.
            changes: full key and stored value, ``None`` for a delete.
            pending: changes ahead of these that are not in the store yet.
        """
        ...

    def touched(self) -> list[tuple[bytes, bool]]:
        """Places in which the batch in preparation may write the first row, or the first tombstone (true)."""
        ...

    def logged(self, slot: bytes, rows: Sequence[bytes]) -> None:
        """Take new rows of the mutation log's index, by their stored values, into the batch in preparation."""
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
    """Only which slots ever held a row, and which a tombstone. Used by one writer at a time.

    Args:
        get_many: reads stored values.
        values: slots that only hold values are recorded too.
    """

    def __init__(self, get_many: GetMany, *, values: bool = True) -> None:
        self._get_many = get_many
        self._values = values
        self._known: dict[bytes, bytes | None] = {}
        self._new: dict[bytes, bytes] = {}

    def begin(self, segments: Sequence[Segment]) -> None:
        """See ``Records``."""
        self._new = {}

    def tombstones(self, slot: bytes) -> bool:
        """See ``Records``."""
        return flags_tombstones(self._flag(slot))

    def _flag(self, slot: bytes) -> bytes | None:
        if slot in self._new:
            return self._new[slot]
        if slot not in self._known:
            if len(self._known) >= _MAX_CACHED:
                self._known.clear()
            self._known[slot] = self._get_many([flag_key(slot)])[0]
        return self._known[slot]

    def account(self, segment: Segment, changes: Changes, *, pending: Last) -> None:
        """See ``Records``."""
        if segment.slot is not None and not segment.deletes:
            self._hold(segment.slot)
            return
        for key, value in changes:
            if value is not None and key[0] == DATA:
                if key[-1] != TOMBSTONE_MARK:
                    self._hold(slot_of(key))
                elif not self.tombstones(slot_of(key)):
                    self._new[slot_of(key)] = _DELETED

    def _hold(self, slot: bytes) -> None:
        if self._values and self._flag(slot) is None:
            self._new[slot] = _VALUES

    def logged(self, slot: bytes, rows: Sequence[bytes]) -> None:
        """See ``Records``."""

    def changes(self) -> Changes:
        """See ``Records``."""
        return [(flag_key(slot), flag) for slot, flag in self._new.items()]

    def touched(self) -> list[tuple[bytes, bool]]:
        """See ``Records``."""
        return [(slot, flags_tombstones(flag)) for slot, flag in self._new.items()]

    def written(self) -> None:
        """See ``Records``."""
        self._known.update(self._new)

    def forget(self) -> None:
        """See ``Records``."""
        self._known.clear()


class Ledger:
    """The records of a store, read when first needed. Used by one writer at a time.

    Args:
        get_many: reads stored values.
        outside: rows outside of the data are counted too; not in a store of format 1 that could not be counted.
    """

    def __init__(self, get_many: GetMany, *, outside: bool = True) -> None:
        self._get_many = get_many
        self._outside = outside
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

    def account(self, segment: Segment, changes: Changes, *, pending: Last) -> None:
        """See ``Records``."""
        slot = segment.slot
        crcs = segment.crcs if changes is segment.changes else None
        if slot is not None and segment.ascending and crcs is not None:
            was = self.slot(slot)
            if changes[0][0] > was.top:
                total = (was.sum + crcs) & _WRAP
                values, top = was.values + len(changes), changes[-1][0]
                self._new[slot] = Slot(values, was.tombstones, total, top, was.logged, was.log_sum)
                return
        by_slot = {slot: dict(changes)} if slot is not None else self._by_place(changes)
        for each, last in by_slot.items():
            known = crcs if len(last) == len(changes) else None
            self._new[each] = self.change(self.slot(each), last, pending, known)
        if slot is None and self._outside:
            for each, last in _of_log(changes).items():
                self._new[each] = self._relogged(self.slot(each), last, pending)

    def logged(self, slot: bytes, rows: Sequence[bytes]) -> None:
        """See ``Records``."""
        if self._outside:
            was = self.slot(slot)
            log_sum = (was.log_sum + sum(map(crc_of, rows))) & _WRAP
            self._new[slot] = Slot(was.values, was.tombstones, was.sum, was.top, was.logged + len(rows), log_sum)

    def changes(self) -> Changes:
        """See ``Records``; an emptied slot's record is deleted."""
        records: Changes = []
        for slot, record in self._new.items():
            key = slot_key(slot)
            empty = not (record.values or record.tombstones or record.logged)
            records.append((key, None if empty else seal(key, record.encode())))
        return records

    def touched(self) -> list[tuple[bytes, bool]]:
        """See ``Records``."""
        return [(slot, record.tombstones > 0) for slot, record in self._new.items()]

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
            was.logged,
            was.log_sum,
        )

    def _relogged(self, was: Slot, changes: Last, pending: Last) -> Slot:
        """The record after changes to rows of the log's index: a copy, or the log of a deleted instance."""
        keys = [key for key in changes if key not in pending]
        before = [*self._get_many(keys), *(pending[key] for key in changes if key in pending)]
        gone = [crc_of(stored) for stored in before if stored is not None]
        come = [crc_of(stored) for stored in changes.values() if stored is not None]
        log_sum = (was.log_sum + sum(come) - sum(gone)) & _WRAP
        return was._replace(logged=was.logged + len(come) - len(gone), log_sum=log_sum)

    def _by_place(self, changes: Changes) -> dict[bytes, dict[bytes, bytes | None]]:
        by_place: dict[bytes, dict[bytes, bytes | None]] = {}
        for key, value in changes:
            place = place_of(key) if self._outside or key[0] == DATA else None
            if place is not None:
                by_place.setdefault(place, {})[key] = value
        return by_place

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


def _of_log(changes: Changes) -> dict[bytes, dict[bytes, bytes | None]]:
    """Changes of the mutation log's index, by slot."""
    by_slot: dict[bytes, dict[bytes, bytes | None]] = {}
    for key, value in changes:
        if key[:2] == LOG_INDEX:
            by_slot.setdefault(key[2:10], {})[key] = value
    return by_slot


def records_for(get_many: GetMany, record: StoreRecord) -> Records:
    """What goes along with the batches of a store that says this of itself."""
    if record.integrity:
        return Ledger(get_many, outside=record.counted)
    return Flags(get_many, values=record.slots)
