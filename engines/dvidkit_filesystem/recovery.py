"""Opening the journals of a store: reading its index from them, and telling what was torn from what is damaged.

Finished journals must be there to the byte. Of the newest one, what its mark says was on disk must be there; behind
that a record may be torn, for nobody was told that it was written. But if a sound record further on says that this
place was on disk when it was made, the place has been damaged since. What the mark does not vouch for is written again,
in place, before anything is written behind it: after a failed sync it may be in the system's memory and not on disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from dvidkit.checksum import SEAL, crc32
from dvidkit.engine import OpenReport
from dvidkit.errors import CorruptData
from dvidkit_filesystem import manifest, mark
from dvidkit_filesystem.entries import CHECK, Entry, journal_of, length_of, offset_of, weight_of
from dvidkit_filesystem.files import Files
from dvidkit_filesystem.journal import START, Record, Scan
from dvidkit_filesystem.journals import Journals
from dvidkit_filesystem.manifest import Listed, journal_name, journal_number
from dvidkit_filesystem.mark import Mark, MarkFile
from dvidkit_filesystem.segment import Segment

_CHUNK = 1 << 20


@dataclass(slots=True)
class Recovery:
    """Reads a store's journals into ``journals`` and ``index``.

    Attributes:
        journals: to be filled.
        read_only: change nothing.
        index: entries of all keys.
        report: what was found.
    """

    journals: Journals
    read_only: bool
    index: dict[bytes, Entry] = field(default_factory=dict)
    report: OpenReport = field(default_factory=OpenReport)

    def run(self) -> None:
        """Do all of it.

        Raises:
            CorruptData: something that had been acknowledged is not there; which file is said.
            OSError: something could not be read or written.
        """
        listed = manifest.read(self._files, self._folder, self.journals.uuid)
        if not listed:
            raise self.damaged(manifest.NAME, "is missing or damaged")
        for each in listed[:-1]:
            self._read_finished(each)
        self._read_active(listed[-1])
        self._account()
        if not self.read_only:
            self._remove_leftovers({each.number for each in listed})

    @property
    def _files(self) -> Files:
        return self.journals.files

    @property
    def _folder(self) -> str:
        return self.journals.folder

    def damaged(self, name: str, what: str) -> CorruptData:
        """The error for a file of the store."""
        path = f"{self._folder}/{name}"
        return CorruptData(f"{path} {what}; the engine's repair keeps what can be read", engine="filesystem", path=path)

    def _open(self, listed: Listed) -> tuple[Segment, Scan]:
        name = journal_name(listed.number)
        path = f"{self._folder}/{name}"
        try:
            descriptor = self._files.open(path, write=not self.read_only)
        except FileNotFoundError:
            raise self.damaged(name, "is missing") from None
        segment = Segment(self._files, descriptor, path, listed.number, listed.first)
        scan = Scan(self._files, descriptor, listed.number, self.journals.uuid)
        if not scan.begins_well():
            raise self.damaged(name, "is not a journal of this store")
        self.journals.segments[listed.number] = segment
        return segment, scan

    def _read_finished(self, listed: Listed) -> None:
        segment, scan = self._open(listed)
        for record in scan.records():
            self._take(segment, record)
        if (scan.end, scan.size, segment.last) != (listed.length, listed.length, listed.last):
            what = f"is damaged at byte {scan.end}: it has {scan.size} of {listed.length} bytes"
            raise self.damaged(journal_name(listed.number), what)
        segment.end = scan.end

    def _take(self, segment: Segment, record: Record) -> None:
        if record.number != segment.last + 1:
            raise self.damaged(
                journal_name(segment.number), f"has record {record.number} where {segment.last + 1} is due"
            )
        segment.last = record.number
        index = self.index
        for key, entry in record.rows:
            if entry is None:
                index.pop(key, None)
                segment.deletions += weight_of(key, None)
            else:
                index[key] = entry

    # --- the newest journal ------------------------------------------------------------------------------------------

    def _read_active(self, listed: Listed) -> None:
        segment, scan = self._open(listed)
        known = self._mark(listed)
        closed = known.closed and known.end == scan.size
        records = scan.records() if closed else self._whole(scan, segment, known.end)
        recovered = 0
        for record in records:
            self._take(segment, record)
            recovered += record.end > known.end
            segment.end = record.end
        segment.end = max(segment.end, START)
        if segment.end < known.end:
            raise self.damaged(journal_name(listed.number), f"is damaged at byte {segment.end} of {known.end}")
        self._look_behind(scan, segment)
        self.report = OpenReport(recovered=recovered, dropped_bytes=scan.size - segment.end)
        self.journals.newest = segment.number
        self.journals.number = segment.last + 1
        self.journals.synced = known.end
        if not self.read_only:
            self._settle(segment, known, scan.size)

    def _mark(self, listed: Listed) -> Mark:
        known = mark.read(self._files, f"{self._folder}/{mark.NAME}", self.journals.uuid)
        if known is None:
            raise self.damaged(mark.NAME, "is missing or damaged")
        if known.journal > listed.number:
            raise self.damaged(manifest.NAME, f"is older than the store: journal {known.journal} was written to")
        if known.journal < listed.number:
            return Mark(listed.number, START, count=known.count)
        return known

    def _whole(self, scan: Scan, segment: Segment, known: int) -> Iterator[Record]:
        """The records; of those beyond ``known`` only as long as their values are whole too."""
        for record in scan.records():
            if record.end > known and not self._has_values(segment, record):
                return
            yield record

    def _has_values(self, segment: Segment, record: Record) -> bool:
        for key, entry in record.rows:
            if isinstance(entry, int):
                stored = self._files.read(segment.descriptor, length_of(entry) + CHECK, offset_of(entry))
                if len(stored) < length_of(entry) + CHECK or crc32(stored, crc32(key, SEAL)) != SEAL:
                    return False
        return True

    def _look_behind(self, scan: Scan, segment: Segment) -> None:
        """Something unreadable is at ``segment.end``: torn in writing, unless what lies behind it knows better."""
        for record in scan.later(segment.end):
            if record.number > segment.last and record.synced > segment.end:
                raise self.damaged(
                    journal_name(segment.number),
                    f"is damaged at byte {segment.end}: record {record.number} behind it is whole",
                )

    def _settle(self, segment: Segment, known: Mark, size: int) -> None:
        """Put on disk what was read, and nothing else."""
        files = self._files
        for at in range(known.end, segment.end, _CHUNK):
            piece = files.read(segment.descriptor, min(_CHUNK, segment.end - at), at)
            files.write(segment.descriptor, [piece], at)
        if size > segment.end:
            files.truncate(segment.descriptor, segment.end)
        if size != known.end:
            files.sync(segment.descriptor)
        path = f"{self._folder}/{mark.NAME}"
        marks = MarkFile(files, files.open(path, write=True), self.journals.uuid, known)
        self.journals.marks = marks
        self.journals.synced = segment.end
        marks.write(Mark(segment.number, segment.end))

    # --- the rest ----------------------------------------------------------------------------------------------------

    def _account(self) -> None:
        segments = self.journals.segments
        live = dict.fromkeys(segments, 0)
        for key, entry in self.index.items():
            live[journal_of(entry)] += weight_of(key, entry)
        for number, segment in segments.items():
            segment.live = live[number]

    def _remove_leftovers(self, numbers: set[int]) -> None:
        for name in self._files.names(self._folder):
            number = journal_number(name)
            if name in (manifest.NAME, mark.NAME) or number in numbers:
                continue
            with suppress(OSError):
                self._files.unlink(f"{self._folder}/{name}")
