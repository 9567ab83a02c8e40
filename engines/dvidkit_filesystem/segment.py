"""One journal that is open: reading values from it, and keeping account of what in it still counts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Final

from dvidkit import checksum
from dvidkit.errors import CorruptData
from dvidkit.storedir import os_error
from dvidkit_filesystem.entries import CHECK, Entry, length_of, offset_of
from dvidkit_filesystem.files import Files

_GAP: Final = 1 << 10
"""Bytes between two values that are rather read over than left out."""
_MOST: Final = 1 << 22

_entry_of: Final = itemgetter(1)


class Segment:
    """A journal's descriptor, closed when nobody has the segment any more; so a reader never reads another's file.

    Attributes:
        number, first: of the journal, and of its first record.
        last: number of its last record so far; ``first - 1`` if it has none.
        end: where its last record ends.
        live: bytes of the rows that the index has from here.
        deletions: bytes of the deletions in it.
        damaged: a value in it could not be read, so it is left as it is.
    """

    def __init__(self, files: Files, descriptor: int, path: str, number: int, first: int) -> None:
        self._files = files
        self.descriptor = descriptor
        self.path = path
        self.number = number
        self.first = first
        self.last = first - 1
        self.end = 0
        self.live = 0
        self.deletions = 0
        self.damaged = False

    def __del__(self) -> None:
        with suppress(OSError):
            self._files.close(self.descriptor)

    def value(self, key: bytes, entry: int) -> bytes:
        """The value of this entry, checked.

        Raises:
            CorruptData: it is not what was written.
        """
        return checksum.unseal(key, self._bytes(offset_of(entry), length_of(entry) + CHECK))

    def _bytes(self, offset: int, size: int) -> bytes:
        try:
            data = self._files.read(self.descriptor, size, offset)
        except OSError as error:
            raise os_error(error, f"cannot read {self.path}", "filesystem", self.path) from error
        if len(data) < size:
            raise CorruptData(f"{self.path} ends at {offset + len(data)}, within a value", engine="filesystem")
        return data

    def values(self, rows: Sequence[tuple[bytes, int]]) -> list[bytes]:
        """The values of rows whose entries ascend; what lies close together is read at once."""
        stored: list[bytes] = []
        start = 0
        while start < len(rows):
            begin = offset_of(rows[start][1])
            stop, end = start, begin
            while stop < len(rows):
                entry = rows[stop][1]
                offset, after = offset_of(entry), offset_of(entry) + length_of(entry) + CHECK
                if stop > start and (offset > end + _GAP or after > begin + _MOST):
                    break
                stop, end = stop + 1, after
            data = self._bytes(begin, end - begin)
            for _, entry in rows[start:stop]:
                at = offset_of(entry) - begin
                stored.append(data[at : at + length_of(entry) + CHECK])
            start = stop
        checksum.check([(row[0], value) for row, value in zip(rows, stored, strict=True)])
        return [value[:-CHECK] for value in stored]


def values_of(segments: dict[int, Segment], rows: Sequence[tuple[bytes, Entry]]) -> list[tuple[bytes, bytes]]:
    """Key and value of rows of the index.

    Raises:
        CorruptData: a value is not what was written; which key is said.
    """
    long = [(key, entry) for key, entry in rows if isinstance(entry, int)]
    if not long:
        return [(key, entry[:-4]) for key, entry in rows]  # type: ignore[index]
    long.sort(key=_entry_of)
    found: dict[bytes, bytes] = {}
    start = 0
    while start < len(long):
        number = long[start][1] >> 72
        stop = start + 1
        while stop < len(long) and long[stop][1] >> 72 == number:
            stop += 1
        part = long[start:stop]
        found.update(zip((key for key, _ in part), segments[number].values(part), strict=True))
        start = stop
    return [(key, entry[:-4] if isinstance(entry, bytes) else found[key]) for key, entry in rows]
