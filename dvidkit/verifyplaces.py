"""Examining how many rows there should be outside of the data: metadata by class, blobs, positions of feeds."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, cast

from dvidkit import records
from dvidkit.checksum import unseal
from dvidkit.engine import Item
from dvidkit.errors import CorruptData
from dvidkit.findings import Damage, Findings
from dvidkit.salvage import Salvage
from dvidkit.slots import CURSORS, Slot, place_of, place_range
from dvidkit.verifydata import Tally

_WRAP: Final = (1 << 64) - 1
_CLASSES: Final = (records.REVISION, records.COUNTER, records.REPO, records.NODE, records.INSTANCE)
_NAMES: Final = {bytes((0, each.id)): f"metadata, class {each.name!r}" for each in _CLASSES}
_BLOB: Final = b"\x02"
_BLOB_SIZE: Final = 17
_OTHERS: Final = {_BLOB: "blobs", CURSORS: "positions of feeds"}


class PlacesCheck:
    """Counts rows outside of the data as they are looked at, then compares with the records.

    Args:
        reads: the store at one instant.
        findings: takes what is wrong.
    """

    def __init__(self, reads: Salvage, findings: Findings) -> None:
        self._reads = reads
        self._findings = findings
        self._there: defaultdict[bytes, Tally] = defaultdict(Tally)

    def add(self, page: Sequence[Item]) -> None:
        """Take stored rows; those with keys that no blob has are said to be so elsewhere."""
        by_place: defaultdict[bytes, list[Item]] = defaultdict(list)
        for row in page:
            if row[0][:1] == _BLOB and len(row[0]) != _BLOB_SIZE:
                continue
            by_place[cast(bytes, place_of(row[0]))].append(row)
        for place, rows in by_place.items():
            self._there[place].add(rows, sealed=True)

    def compare(self) -> None:
        """Say where there are fewer, more or other rows than recorded; not if some of them could not be read."""
        whole = not self._reads.failures
        recorded: set[bytes] = set()
        for page in self._reads.pages(*place_range()):
            for key, stored in page:
                place = key[2:]
                recorded.add(place)
                self._compare_record(key, stored, place, whole=whole)
        if whole and not self._reads.failures:
            for place, there in self._there.items():
                if place not in recorded:
                    self._differ(place, 0, there.rows)

    def _compare_record(self, key: bytes, stored: bytes, place: bytes, *, whole: bool) -> None:
        there = self._there.get(place) or Tally()
        try:
            slot = Slot.decode(unseal(key, stored))
        except (CorruptData, struct.error):
            text = f"the completeness record of {_text(place)} cannot be read; {there.rows} rows are there"
            self._findings.add(Damage.BAD_RECORD, text, rows=1, keys=(key,))
            return
        wanted = slot.values + slot.tombstones
        if whole and wanted != there.rows:
            self._differ(place, wanted, there.rows)
        elif whole and slot.sum != there.sum & _WRAP and not self._findings.has_rows(Damage.CHANGED):
            text = f"{_text(place)}: as many rows as recorded, each whole, but not the same ones"
            self._findings.add(Damage.REPLACED, text)

    def _differ(self, place: bytes, wanted: int, got: int) -> None:
        rows = abs(wanted - got)
        verb, damage = ("lost", Damage.LOST) if got < wanted else ("too many", Damage.EXTRA)
        text = f"{_text(place)}: {rows} rows {verb}: {wanted} recorded, {got} there"
        self._findings.add(damage, text, rows=rows)


def _text(place: bytes) -> str:
    if place[:1] == b"\x00":
        return _NAMES.get(place, f"metadata of class {place[1]:#04x}" if len(place) > 1 else "metadata of no class")
    return _OTHERS.get(place, f"place {place.hex()}")
