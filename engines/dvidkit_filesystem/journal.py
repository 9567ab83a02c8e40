"""The format of a journal: a header, then one record for each batch. Integers are little-endian.

================  =====================================================================================================
file header       magic ``dvidkitJ``, layout u32, store's uuid 16 bytes, number of the journal u64, crc u32
record header     magic ``dvR1``, kind u32, rows u32, bytes of the head u32, bytes of the values u64, number u64,
                  synced u64, crc of the head u32, crc u32
record head       length of each key u32, length of each value u32 (``ffffffff``: deleted), keys, short values
values            each longer value and its crc u32, in the order of the rows
================  =====================================================================================================

Records are numbered without gaps through all journals of a store, as long as none was cleaned away. ``synced`` is how
many bytes of this journal were on disk when the record was made: should something before that be unreadable, it was not
torn in writing but has been damaged since. A value's crc covers key and value (``dvidkit.checksum``). The others begin
from the store's uuid and the journal's number, so that bytes of another store or journal are never taken for a record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from dvidkit.checksum import SEAL, crc32
from dvidkit_filesystem.entries import CHECK, SHORT, Entry, place
from dvidkit_filesystem.files import Files

LAYOUT: Final = 1
BATCH: Final = 1
MOVED: Final = 2
"""Kinds of records: a batch that was written, and rows that were moved here from a journal that is being cleaned."""

_FILE: Final = struct.Struct("<8sI16sQ")
_RECORD: Final = struct.Struct("<4sIIIQQQI")
_CRC: Final = struct.Struct("<I")
_MAGIC: Final = b"dvidkitJ"
_RECORD_MAGIC: Final = b"dvR1"
_DELETED: Final = 0xFFFFFFFF
_LEAST_READ: Final = 1 << 12
_MOST_READ: Final = 1 << 18
_SEARCHED: Final = 1 << 20

START: Final = _FILE.size + _CRC.size
"""Bytes of the file header."""

_HEADER: Final = _RECORD.size + _CRC.size


def file_header(uuid: bytes, number: int) -> bytes:
    """The first bytes of a journal."""
    header = _FILE.pack(_MAGIC, LAYOUT, uuid, number)
    return header + _CRC.pack(crc32(header, 0))


def salt_of(uuid: bytes, number: int) -> int:
    """Where the CRCs of a journal's records begin."""
    return crc32(uuid + number.to_bytes(8, "little"), 0)


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read: where it lies, and the entries of its rows (``None``: deleted)."""

    number: int
    synced: int
    start: int
    end: int
    rows: list[tuple[bytes, Entry | None]]


def encode(
    rows: Mapping[bytes, bytes | None], *, kind: int, number: int, synced: int, journal: int, salt: int, start: int
) -> tuple[list[bytes], dict[bytes, Entry | None]]:
    """The pieces of a record that begins at ``start``, and the entries that its rows will have."""
    values = list(rows.values())
    sizes = [_DELETED if value is None else len(value) for value in values]
    short = [value for value in values if value is not None and len(value) <= SHORT]
    head = b"".join((struct.pack(f"<{2 * len(rows)}I", *map(len, rows), *sizes), *rows, *short))
    mark = journal.to_bytes(4, "little")
    offset = begin = start + _HEADER + len(head)
    long: list[bytes] = []
    entries: dict[bytes, Entry | None] = {}
    for key, value in rows.items():
        if value is None:
            entries[key] = None
        elif len(value) <= SHORT:
            entries[key] = value + mark
        else:
            entries[key] = place(journal, offset, len(value))
            offset += len(value) + CHECK
            long += (value, _CRC.pack(crc32(value, crc32(key, SEAL))))
    header = _RECORD.pack(_RECORD_MAGIC, kind, len(rows), len(head), offset - begin, number, synced, crc32(head, salt))
    return [header, _CRC.pack(crc32(header, salt)), head, *long], entries


def rows_of(head: bytes, count: int, journal: int, offset: int) -> list[tuple[bytes, Entry | None]]:
    """The rows that a record's head tells of; ``offset`` is where its values begin."""
    sizes = struct.unpack_from(f"<{2 * count}I", head)
    cuts = list(accumulate(sizes[:count], initial=8 * count))
    keys = [head[begin:end] for begin, end in pairwise(cuts)]
    at = cuts[-1]
    mark = journal.to_bytes(4, "little")
    entries: list[Entry | None] = []
    for size in sizes[count:]:
        if size <= SHORT:
            entries.append(head[at : at + size] + mark)
            at += size
        elif size == _DELETED:
            entries.append(None)
        else:
            entries.append(journal << 72 | offset << 32 | size)
            offset += size + CHECK
    return list(zip(keys, entries, strict=True))


class Scan:
    """Reading a journal's records in order.

    Attributes:
        end: where the last record that was read ends.
        size: bytes of the file.
    """

    def __init__(self, files: Files, descriptor: int, number: int, uuid: bytes) -> None:
        self._files = files
        self._descriptor = descriptor
        self._number = number
        self._uuid = uuid
        self._salt = salt_of(uuid, number)
        self._window = b""
        self._window_at = 0
        self.size = files.size(descriptor)
        self.end = START

    def begins_well(self) -> bool:
        """Whether the file header is as it should be."""
        return self._files.read(self._descriptor, START, 0) == file_header(self._uuid, self._number)

    def records(self, start: int = START) -> Iterator[Record]:
        """The records from ``start`` on, as far as each is sound; values are not read."""
        self.end = start
        while (record := self._record(self.end)) is not None:
            self.end = record.end
            yield record

    def _record(self, start: int) -> Record | None:
        header = self._header(start)
        if header is None:
            return None
        count, size, values, number, synced, crc = header
        head = self._bytes(start + _HEADER, size)
        if len(head) < size or crc32(head, self._salt) != crc or start + _HEADER + size + values > self.size:
            return None
        begin = start + _HEADER + size
        return Record(number, synced, start, begin + values, rows_of(head, count, self._number, begin))

    def _header(self, start: int) -> tuple[int, int, int, int, int, int] | None:
        data = self._bytes(start, _HEADER)
        if len(data) < _HEADER or not data.startswith(_RECORD_MAGIC):
            return None
        if crc32(data[: _RECORD.size], self._salt) != _CRC.unpack_from(data, _RECORD.size)[0]:
            return None
        _, _, count, size, values, number, synced, crc = _RECORD.unpack_from(data)
        return count, size, values, number, synced, crc

    def _bytes(self, start: int, size: int) -> bytes:
        """Through a window that grows while records follow closely, and shrinks where values are skipped."""
        at = start - self._window_at
        if at < 0 or at + size > len(self._window):
            near = 0 <= at <= len(self._window)
            wanted = min(_MOST_READ, 4 * len(self._window)) if near else _LEAST_READ
            self._window = self._files.read(self._descriptor, max(size, wanted, _LEAST_READ), start)
            self._window_at, at = start, 0
        return self._window[at : at + size]

    def later(self, start: int) -> Iterator[Record]:
        """Sound records beyond ``start``, where there is none: what lies behind damage, or behind a hole."""
        while (found := self._find(start)) is not None:
            record = self._record(found)
            if record is None:
                start = found + 1
            else:
                yield record
                start = record.end

    def _find(self, start: int) -> int | None:
        while start < self.size:
            data = self._files.read(self._descriptor, _SEARCHED, start)
            at = data.find(_RECORD_MAGIC)
            while at >= 0:
                if self._header(start + at) is not None:
                    return start + at
                at = data.find(_RECORD_MAGIC, at + 1)
            start += max(1, len(data) - len(_RECORD_MAGIC) + 1)
        return None
