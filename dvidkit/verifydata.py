"""Examining the rows of one data instance: keys, checksums, and how many there should be."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from dvidkit import checksum
from dvidkit.checksum import SEAL, crc32, unseal
from dvidkit.engine import Item
from dvidkit.errors import CorruptData
from dvidkit.findings import Damage, Findings
from dvidkit.keys import DATA_MARK, MIN_DATA_KEY, TOMBSTONE_MARK, instance_range, u32
from dvidkit.salvage import Salvage
from dvidkit.slots import Slot, flag_key, flags_tombstones, slot_range

_MARKS: Final = frozenset({DATA_MARK, TOMBSTONE_MARK})
_WRAP: Final = (1 << 64) - 1


def whole(key: bytes, stored: bytes) -> bool:
    """Whether a sealed row is what was written."""
    return len(stored) >= checksum.SIZE and crc32(stored, crc32(key, SEAL)) == SEAL


class Tally:
    """What one version of one instance really holds."""

    __slots__ = ("sum", "tombstones", "values")

    def __init__(self) -> None:
        self.values = self.tombstones = self.sum = 0

    @property
    def rows(self) -> int:
        """Values and tombstones."""
        return self.values + self.tombstones

    def add(self, rows: Sequence[Item], *, sealed: bool) -> None:
        """Take rows of this version."""
        tombstones = [key[-1] for key, _ in rows].count(TOMBSTONE_MARK)
        self.values += len(rows) - tombstones
        self.tombstones += tombstones
        if sealed:
            tails = b"".join([stored[-checksum.SIZE :].rjust(checksum.SIZE, b"\x00") for _, stored in rows])
            self.sum += sum(struct.unpack(f"<{len(rows)}I", tails))


class InstanceCheck:
    """Examines one instance.

    Args:
        instance: its id.
        reads: the store at one instant.
        findings: takes what is wrong.
        sealed: the store keeps checksums and completeness records.
    """

    def __init__(self, instance: int, reads: Salvage, findings: Findings, *, sealed: bool) -> None:
        self._instance = instance
        self._reads = reads
        self._findings = findings
        self._sealed = sealed
        self._there: defaultdict[bytes, Tally] = defaultdict(Tally)

    def run(self, count: Callable[[str, int], object]) -> None:
        """Look at every row, then at the records; ``count`` is told how many rows of which kind."""
        for page in self._reads.pages(*instance_range(self._instance), self._instance):
            rows = self._parsed(page)
            tombstones = [key[-1] for key, _ in rows].count(TOMBSTONE_MARK)
            count("tombstones", tombstones)
            count("values", len(page) - tombstones)
            if tombstones:
                self._never_both(rows)
            if self._sealed:
                self._check_values(rows)
            self._tally(rows)
        self._whose()
        if self._sealed:
            self._compare()
        else:
            self._check_flags()

    # --- rows --------------------------------------------------------------------------------------------------------

    def _parsed(self, page: list[Item]) -> list[Item]:
        """The rows whose keys are data keys."""
        good = [row for row in page if len(row[0]) >= MIN_DATA_KEY and row[0][-1] in _MARKS]
        if len(good) < len(page):
            kept = {key for key, _ in good}
            for key, _ in page:
                if key not in kept:
                    self._findings.add_row(Damage.BAD_KEY, key, self._instance)
        return good

    def _never_both(self, rows: Sequence[Item]) -> None:
        for (before, _), (key, _) in pairwise(rows):
            if before[:-1] == key[:-1]:
                self._findings.add_row(Damage.INCONSISTENT, key, self._instance, _number(key[-9:-5]))

    def _check_values(self, rows: Sequence[Item]) -> None:
        try:
            checksum.check(rows)
        except CorruptData:
            for key, stored in rows:
                if not whole(key, stored):
                    self._findings.add_row(Damage.CHANGED, key, self._instance, _number(key[-9:-5]))

    def _tally(self, rows: Sequence[Item]) -> None:
        by_version: defaultdict[bytes, list[Item]] = defaultdict(list)
        for row in rows:
            by_version[row[0][-9:-5]].append(row)
        for version, its in by_version.items():
            self._there[version].add(its, sealed=self._sealed)

    # --- whose they are ----------------------------------------------------------------------------------------------

    def _whose(self) -> None:
        catalog, instance = self._findings.catalog, self._instance
        if catalog.empty or instance in catalog.filling or not self._there:
            return
        if instance not in catalog.instances:
            rows = sum(tally.rows for tally in self._there.values())
            self._findings.add(
                Damage.ORPHAN, f"{rows} rows are of instance {instance}, which no repo has", instance, rows=rows
            )
            return
        for version, tally in self._there.items():
            number = _number(version)
            if not catalog.belongs(instance, number):
                text = f"{tally.rows} rows of {catalog.instance_text(instance)} are of version {number}, which its "
                self._findings.add(Damage.ORPHAN, text + "repo does not have", instance, number, rows=tally.rows)

    # --- how many there should be ------------------------------------------------------------------------------------

    def _compare(self) -> None:
        there: Mapping[bytes, Tally] = self._there
        recorded: set[bytes] = set()
        for page in self._reads.pages(*slot_range(self._instance), self._instance):
            for key, stored in page:
                version = key[-4:]
                recorded.add(version)
                self._compare_record(key, stored, version, there.get(version) or Tally())
        if self._instance in self._reads.unreadable:
            return
        for version, tally in there.items():
            if version not in recorded:
                self._differ(Damage.EXTRA, version, "rows", 0, tally.rows)

    def _compare_record(self, key: bytes, stored: bytes, version: bytes, there: Tally) -> None:
        try:
            slot = Slot.decode(unseal(key, stored))
        except (CorruptData, struct.error):
            text = f"the completeness record of {self._at(version)} cannot be read; {there.rows} rows are there"
            self._findings.add(Damage.BAD_RECORD, text, self._instance, _number(version), rows=1, keys=(key,))
            return
        if self._instance in self._reads.unreadable:
            return
        pairs = (("values", slot.values, there.values), ("tombstones", slot.tombstones, there.tombstones))
        for what, wanted, got in pairs:
            if wanted != got:
                self._differ(Damage.LOST if got < wanted else Damage.EXTRA, version, what, wanted, got)
        same = all(wanted == got for _, wanted, got in pairs)
        explained = self._findings.has_rows(Damage.CHANGED, self._instance, _number(version))
        if same and slot.sum != there.sum & _WRAP and not explained:
            text = f"{self._at(version)}: as many rows as recorded, each whole, but not the same ones"
            self._findings.add(Damage.REPLACED, text, self._instance, _number(version))

    def _differ(self, damage: Damage, version: bytes, what: str, wanted: int, got: int) -> None:
        rows = abs(wanted - got)
        verb = "lost" if damage is Damage.LOST else "too many"
        text = f"{self._at(version)}: {rows} {what} {verb}: {wanted} recorded, {got} there"
        self._findings.add(damage, text, self._instance, _number(version), rows=rows)

    def _check_flags(self) -> None:
        """Without its flag, the store would not clear the version's tombstones when values are put."""
        for version, there in self._there.items():
            flag = flag_key(u32(self._instance, "instance") + version)
            if there.tombstones and not flags_tombstones(self._reads.get(flag)):
                text = f"{self._at(version)}: {there.tombstones} tombstones, but no record that there are any"
                self._findings.add(Damage.INCONSISTENT, text, self._instance, _number(version), rows=there.tombstones)

    def _at(self, version: bytes) -> str:
        catalog = self._findings.catalog
        return f"{catalog.instance_text(self._instance)}, {catalog.version_text(_number(version))}"


def _number(version: bytes) -> int:
    return int.from_bytes(version, "big")
