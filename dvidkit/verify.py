"""Examining a whole store: is everything there that was written, as it was written, and does it fit together?

Every stored value is checked against its CRC, every key is taken apart, the completeness records of every instance and
version are compared with the rows that are there, blobs with their hashes, and the metadata with itself and with the
data. Nothing is written, and nothing that is found ends the examination: what the engine cannot read is a finding too.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from dvidkit import checksum
from dvidkit.access import Access
from dvidkit.catalog import Catalog, contradictions, read_catalog
from dvidkit.checksum import unseal
from dvidkit.copymarks import MARKS_END, WHOLE, CopyMark
from dvidkit.engine import Item
from dvidkit.errors import CorruptData, StoreError, shown
from dvidkit.findings import Damage, Findings, VerifyReport
from dvidkit.keys import U32_MAX, instance_range
from dvidkit.salvage import Salvage
from dvidkit.slots import CURSORS, PLACES, PLACES_END, recorded_rows, slot_range
from dvidkit.store import Store
from dvidkit.verifydata import InstanceCheck, whole
from dvidkit.verifylog import LogCheck
from dvidkit.verifyplaces import PlacesCheck

_NO_CRCS: Final = (
    "the store was made without checksums: changed values and lost rows cannot be noticed; keys, blobs and metadata "
    "were checked"
)
_UNCOUNTED: Final = (
    "the store is of format 1: rows of metadata, log and blobs are not counted before it is opened for writing, so "
    "that lost ones cannot be noticed"
)
_NO_METADATA: Final = "the store holds no repos, so whose the data is was not checked"

OnProgress = Callable[[int, int | None], object]


def verify(store: Store, *, on_progress: OnProgress | None = None) -> VerifyReport:
    """Examine the store as it is at this instant.

    Args:
        store: an open store; it may be used meanwhile.
        on_progress: called with the rows looked at so far and, where there are completeness records, how many they say
            there are.

    Returns:
        A report; ``report.ok`` says whether all is well. Memory is bounded by the number of versions, not of rows.

    Raises:
        StoreClosed: the store was closed meanwhile.
    """
    with store.instant() as access:
        return _Examination(store, access, on_progress).run()


class _Examination:
    def __init__(self, store: Store, access: Access, on_progress: OnProgress | None) -> None:
        self._store = store
        self._sealed = store.record.integrity
        self._on_progress = on_progress
        self._total = _recorded(access) if self._sealed else None
        self._counts: dict[str, int] = {"values": 0, "tombstones": 0, "metadata": 0, "blobs": 0, "own": 0}
        self._catalog = Catalog()
        self._findings = Findings(self._catalog)
        self._reads = Salvage(access, self._findings)
        self._counted = store.record.counted
        self._places = PlacesCheck(self._reads, self._findings)

    def run(self) -> VerifyReport:
        """Everything: first what gives names to the rest."""
        read_catalog(self._plain(b"\x00", b"\x01", "metadata"), self._findings)
        contradictions(self._findings)
        self._own()
        LogCheck(self._reads, self._findings, sealed=self._sealed, counted=self._counted).run(self._count)
        for instance in self._instances():
            InstanceCheck(instance, self._reads, self._findings, sealed=self._sealed).run(self._count)
        for key, value in self._plain(b"\x02", b"\x03", "blobs"):
            self._blob(key, value)
        if self._counted:
            self._places.compare()
        self._nothing_in(b"\x01", instance_range(0)[0])
        self._nothing_in(b"\x04", b"\xff" * 9)
        return self._report()

    def _plain(self, begin: bytes, end: bytes, kind: str) -> Iterator[Item]:
        """Rows with plain values; those that fail their checksum are noted and left out."""
        for page in self._reads.pages(begin, end):
            self._count(kind, len(page))
            if self._counted:
                self._places.add(page)
            for key, stored in page:
                if not self._sealed:
                    yield key, stored
                elif whole(key, stored):
                    yield key, stored[: -checksum.SIZE]
                else:
                    self._findings.add_row(Damage.CHANGED, key)

    def _count(self, kind: str, rows: int) -> None:
        self._counts[kind] += rows
        if self._on_progress is not None and rows:
            self._on_progress(sum(self._counts.values()), self._total)

    def _nothing_in(self, begin: bytes, end: bytes) -> None:
        for page in self._reads.pages(begin, end):
            for key, _ in page:
                self._findings.add_row(Damage.BAD_KEY, key)

    def _blob(self, key: bytes, value: bytes) -> None:
        if len(key) != 17:
            self._findings.add_row(Damage.BAD_KEY, key)
        elif not self._sealed and hashlib.blake2b(value, digest_size=16).digest() != key[1:]:
            self._findings.add_row(Damage.CHANGED, key)

    # --- which instances there are -----------------------------------------------------------------------------------

    def _instances(self) -> Iterator[int]:
        """Every instance that has rows, completeness records or a metadata record, ascending."""
        recorded = {int.from_bytes(key[2:6], "big") for page in self._reads.pages(*slot_range()) for key, _ in page}
        known = sorted(recorded | set(self._catalog.instances))
        instance = 0
        while instance <= U32_MAX:
            found = known[(place := bisect_left(known, instance)) : place + 1]
            key = self._reads.first_key(instance_range(instance)[0], b"\x02")
            if key is not None:
                found.append(_range_of(key))
            if not found:
                return
            yield min(found)
            instance = min(found) + 1

    # --- dvidkit's own records ---------------------------------------------------------------------------------------

    def _own(self) -> None:
        """Positions of feeds, and marks of copies; the log and the completeness records are looked at by others."""
        for page in self._reads.pages(CURSORS, PLACES):
            self._count("own", len(page))
            if self._counted:
                self._places.add(page)
            self._check_own(page)
        for page in self._reads.pages(PLACES_END, b"\x04"):
            self._count("own", len(page))
            self._check_own([row for row in page if not WHOLE <= row[0] < MARKS_END])
            for key, stored in page:
                if WHOLE <= key < MARKS_END:
                    self._mark(key, stored)

    def _check_own(self, page: list[Item]) -> None:
        for key, stored in page:
            if self._sealed and not whole(key, stored):
                self._findings.add_row(Damage.CHANGED, key)

    def _mark(self, key: bytes, stored: bytes) -> None:
        instance = int.from_bytes(key[2:6], "big") if len(key) > 2 else None
        if instance is not None:
            self._catalog.filling.add(instance)
        try:
            mark = msgspec.json.decode(unseal(key, stored), type=CopyMark)
        except (CorruptData, msgspec.MsgspecError):
            text = f"the mark of a copy, {shown(key)}, cannot be read"
            self._findings.add(Damage.BAD_RECORD, text, instance, rows=1, keys=(key,))
            return
        what = f"instance {mark.name!r}" if mark.instance else "the whole store"
        text = f"a copy of {what} from store {mark.source}, begun {mark.started}, was not completed; run it again"
        self._findings.add(Damage.UNFINISHED, text, instance, keys=(key,))

    # --- what to say -------------------------------------------------------------------------------------------------

    def _report(self) -> VerifyReport:
        unchecked = [] if self._sealed else [_NO_CRCS]
        if self._sealed and not self._counted:
            unchecked.append(_UNCOUNTED)
        if self._catalog.empty and self._counts["values"] + self._counts["tombstones"]:
            unchecked.append(_NO_METADATA)
        return VerifyReport(
            self._store.engine.name,
            self._store.config.path,
            self._store.record.uuid,
            self._sealed,
            self._counts,
            self._findings.all(),
            tuple(unchecked),
        )


def _range_of(key: bytes) -> int:
    """The instance in whose range a key of the data space lies; a key cut short lies at the end of the one before."""
    number = int.from_bytes(key[1:5].ljust(4, b"\x00"), "big")
    return number if len(key) >= 5 else number - 1


def _recorded(access: Access) -> int | None:
    """How many rows there should be, for showing how far the examination is."""
    try:
        return recorded_rows(access)
    except StoreError:
        return None
