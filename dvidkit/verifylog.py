"""Examining the mutation log: its records, its index, whether each has the other, and how many there should be."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from dvidkit import checksum
from dvidkit.checksum import unseal
from dvidkit.engine import Item
from dvidkit.errors import CorruptData, shown
from dvidkit.findings import KEYS_SHOWN, Damage, Findings
from dvidkit.mutationlog import MutationRecord
from dvidkit.salvage import Salvage
from dvidkit.slots import CURSORS, LOG_INDEX, Slot, slot_range
from dvidkit.verifydata import Tally, whole

_RECORDS: Final = b"\x03\x03"
_INDEX_SIZE: Final = 18
_WRAP: Final = (1 << 64) - 1


class LogCheck:
    """Examines the mutation log.

    Args:
        reads: the store at one instant.
        findings: takes what is wrong.
        sealed: the store keeps checksums.
        counted: it keeps completeness records of the log.
    """

    def __init__(self, reads: Salvage, findings: Findings, *, sealed: bool, counted: bool) -> None:
        self._reads = reads
        self._findings = findings
        self._sealed = sealed
        self._counted = counted
        self._there: defaultdict[bytes, Tally] = defaultdict(Tally)
        self._unrecorded: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._records = self._indexed = self._unindexed = 0

    def run(self, count: Callable[[str, int], object]) -> None:
        """Look at every record and every row of the index, then at the completeness records."""
        for look, begin, end in (
            (self._look_at_records, _RECORDS, LOG_INDEX),
            (self._look_at_index, LOG_INDEX, CURSORS),
        ):
            for page in self._reads.pages(begin, end):
                count("own", len(page))
                look(page)
        if self._reads.failures:
            return
        if self._counted:
            self._compare()
        self._say_unrecorded()
        self._say_unindexed()

    # --- rows --------------------------------------------------------------------------------------------------------

    def _look_at_records(self, page: Sequence[Item]) -> None:
        self._records += len(page)
        for key, stored in page:
            if self._sealed and not whole(key, stored):
                self._findings.add_row(Damage.CHANGED, key)
                continue
            try:
                msgspec.msgpack.decode(stored[: -checksum.SIZE] if self._sealed else stored, type=MutationRecord)
            except msgspec.MsgspecError as error:
                text = f"record {shown(key)} of the mutation log cannot be read: {error}"
                self._findings.add(Damage.BAD_RECORD, text, rows=1, keys=(key,))

    def _look_at_index(self, page: Sequence[Item]) -> None:
        good = [row for row in page if len(row[0]) == _INDEX_SIZE]
        for key, stored in page:
            if len(key) != _INDEX_SIZE:
                self._findings.add_row(Damage.BAD_KEY, key)
            elif self._sealed and not whole(key, stored):
                self._findings.add_row(Damage.CHANGED, key)
        by_slot: defaultdict[bytes, list[Item]] = defaultdict(list)
        for row in good:
            by_slot[row[0][2:10]].append(row)
        for slot, rows in by_slot.items():
            self._there[slot].add(rows, sealed=self._sealed)
        places = [_RECORDS + key[-8:] for key, _ in good]
        for (key, _), place, record in zip(good, places, self._reads.get_many(places), strict=True):
            if record is None:
                self._unrecorded[key[2:10]].append(place)
            else:
                self._indexed += 1

    # --- what to say -------------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        recorded: set[bytes] = set()
        for page in self._reads.pages(*slot_range()):
            for key, stored in page:
                slot = key[2:]
                recorded.add(slot)
                # A record that cannot be read is found with the data of its slot.
                with suppress(CorruptData, struct.error):
                    self._compare_slot(slot, Slot.decode(unseal(key, stored)))
        for slot, there in self._there.items():
            if slot not in recorded:
                self._differ(slot, 0, there.rows)

    def _compare_slot(self, slot: bytes, record: Slot) -> None:
        there = self._there.get(slot) or Tally()
        if record.logged != there.rows:
            self._differ(slot, record.logged, there.rows)
        elif record.log_sum != there.sum & _WRAP and not self._findings.has_rows(Damage.CHANGED):
            text = f"{self._text(slot)}: as many rows of its index as recorded, each whole, but not the same ones"
            self._findings.add(Damage.REPLACED, text, *self._place(slot))

    def _differ(self, slot: bytes, wanted: int, got: int) -> None:
        rows = abs(wanted - got)
        verb, damage = ("lost", Damage.LOST) if got < wanted else ("too many", Damage.EXTRA)
        self._unindexed += max(wanted - got, 0)
        text = f"{self._text(slot)}: {rows} rows of its index {verb}: {wanted} recorded, {got} there"
        self._findings.add(damage, text, *self._place(slot), rows=rows)

    def _say_unrecorded(self) -> None:
        for slot, keys in self._unrecorded.items():
            text = f"{self._text(slot)}: {len(keys)} records lost that are in its index, {shown(keys[0])} first"
            self._findings.add(Damage.LOST, text, *self._place(slot), rows=len(keys), keys=tuple(keys[:KEYS_SHOWN]))

    def _say_unindexed(self) -> None:
        """Records that the index does not have, beyond those whose rows of the index are known to be lost."""
        rows = self._records - self._indexed - self._unindexed
        if rows > 0:
            text = f"mutation log: {rows} records too many: the index does not have them"
            self._findings.add(Damage.EXTRA, text, rows=rows)

    def _text(self, slot: bytes) -> str:
        instance, version = int.from_bytes(slot[:4], "big"), int.from_bytes(slot[4:], "big")
        if not instance:
            return f"mutation log of repo {version} itself"
        catalog = self._findings.catalog
        return f"mutation log of {catalog.instance_text(instance)}, {catalog.version_text(version)}"

    def _place(self, slot: bytes) -> tuple[int | None, int | None]:
        """Instance and version, where the slot is of an instance."""
        instance, version = int.from_bytes(slot[:4], "big"), int.from_bytes(slot[4:], "big")
        return (instance, version) if instance else (None, None)
