"""Making a damaged store openable: every record that can be read is kept, the rest is left out.

What can be read is written into new journals, and only when those are on disk does a new manifest take the place of the
old files. A row whose value is damaged is left out, and so is what it had replaced: an old value is never given for a
new one where it is known that there was a new one. Where a record's head is damaged nobody can tell which keys it had;
then older values of those may come forth, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from dvidkit.checksum import SEAL, crc32
from dvidkit.engine import OpenReport, StoreConfig
from dvidkit.errors import CorruptData
from dvidkit.storedir import StoreDirectory, os_error
from dvidkit_filesystem import manifest, mark
from dvidkit_filesystem.entries import CHECK, Entry, length_of, offset_of
from dvidkit_filesystem.files import Files
from dvidkit_filesystem.journal import BATCH, LAYOUT, START, Record, Scan
from dvidkit_filesystem.journals import Journals
from dvidkit_filesystem.manifest import journal_name, journal_number
from dvidkit_filesystem.recovery import Recovery
from dvidkit_filesystem.segment import Segment, values_of
from dvidkit_filesystem.store import uuid_of

_CHUNK = 8 << 20


def repair(path: str, files: Files) -> OpenReport:
    """See ``Engine.repair``."""
    directory = StoreDirectory(StoreConfig("filesystem", path, create=False), "filesystem", LAYOUT)
    try:
        salvage = _Salvage(files, str(directory.data), uuid_of(directory))
        if salvage.is_whole():
            return OpenReport(notes=("nothing is wrong with the store",))
        return salvage.run()
    except OSError as error:
        raise os_error(error, f"cannot repair {path}", "filesystem", path) from error
    finally:
        directory.release()


@dataclass(slots=True)
class _Salvage:
    files: Files
    folder: str
    uuid: bytes
    segments: dict[int, Segment] = field(default_factory=dict)
    index: dict[bytes, Entry] = field(default_factory=dict)
    records: int = 0
    skipped: int = 0
    lost: int = 0

    def is_whole(self) -> bool:
        """Whether the store opens and every value can be read."""
        journals = Journals(self.files, self.folder, self.uuid)
        recovery = Recovery(journals, read_only=True)
        try:
            recovery.run()
            for _ in _chunks(recovery.index, journals.segments):
                pass
        except CorruptData:
            return False
        finally:
            journals.abandon()
        return True

    def run(self) -> OpenReport:
        """Read what there is, write it anew."""
        there = [number for name in self.files.names(self.folder) if (number := journal_number(name)) is not None]
        listed = manifest.read(self.files, self.folder, self.uuid)
        for number in sorted(set(there) & {each.number for each in listed} if listed else there):
            self._read(number)
        self._write(max(there, default=1) + 1)
        return OpenReport(recovered=self.records, dropped_bytes=self.skipped, notes=self._notes())

    def _notes(self) -> tuple[str, ...]:
        notes = [f"{self.records} records with {len(self.index)} rows that count were kept"]
        if self.lost:
            notes.append(f"{self.lost} rows were left out because their values were damaged")
        if self.skipped:
            notes.append(
                f"{self.skipped} bytes could not be read; keys written there are missing or have an older value"
            )
        return tuple(notes)

    def _read(self, number: int) -> None:
        path = f"{self.folder}/{journal_name(number)}"
        descriptor = self.files.open(path, write=False)
        self.segments[number] = Segment(self.files, descriptor, path, number, 0)
        scan = Scan(self.files, descriptor, number, self.uuid)
        read = 0
        for record in scan.later(0):
            self._take(record)
            read += record.end - record.start
        self.skipped += max(0, scan.size - START - read)

    def _take(self, record: Record) -> None:
        self.records += 1
        for key, entry in record.rows:
            if entry is None:
                self.index.pop(key, None)
            elif isinstance(entry, int) and not self._is_whole(key, entry):
                self.index.pop(key, None)
                self.lost += 1
            else:
                self.index[key] = entry

    def _is_whole(self, key: bytes, entry: int) -> bool:
        descriptor = self.segments[entry >> 72].descriptor
        stored = self.files.read(descriptor, length_of(entry) + CHECK, offset_of(entry))
        return len(stored) == length_of(entry) + CHECK and crc32(stored, crc32(key, SEAL)) == SEAL

    def _write(self, number: int) -> None:
        old = self.files.names(self.folder)
        journals = Journals(self.files, self.folder, self.uuid)
        try:
            journals.begin(number)
            for rows in _chunks(self.index, self.segments):
                journals.append(rows, kind=BATCH, durable=False)
            journals.publish()
            new = {journal_name(number) for number in journals.segments}
        finally:
            journals.abandon()
        for name in old:
            if name not in {manifest.NAME, mark.NAME, *new}:
                with suppress(OSError):
                    self.files.unlink(f"{self.folder}/{name}")


def _chunks(index: dict[bytes, Entry], segments: dict[int, Segment]) -> Iterator[dict[bytes, bytes | None]]:
    """All rows in order of their keys, some megabytes at a time."""
    rows: list[tuple[bytes, Entry]] = []
    size = 0
    for key in sorted(index):
        rows.append((key, index[key]))
        size += len(key) + length_of(index[key])
        if size > _CHUNK:
            yield dict(values_of(segments, rows))
            rows, size = [], 0
    if rows:
        yield dict(values_of(segments, rows))
