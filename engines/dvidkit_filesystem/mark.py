"""How far the newest journal is known to be on disk: what tells a record that was torn in writing from a damaged one.

The file ``acknowledged`` has two places, 512 bytes apart, written in turn: magic ``dvM1``, closed u32, count u64,
journal u64, end u64, crc u32, little-endian. The sound one with the higher count holds. It is written after each
``sync`` of the journal, never before, and itself synced only when the store is closed, so what it says is true, if not
always the latest. A store that was closed says so, and then not a byte of its journal may be missing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Final

from dvidkit.checksum import crc32
from dvidkit_filesystem.files import Files

NAME: Final = "acknowledged"
_FORM: Final = struct.Struct("<4sIQQQ")
_CRC: Final = struct.Struct("<I")
_MAGIC: Final = b"dvM1"
_APART: Final = 512


@dataclass(frozen=True, slots=True)
class Mark:
    """Journal ``journal`` was on disk up to ``end``; ``closed``: and nothing was written since."""

    journal: int
    end: int
    closed: bool = False
    count: int = 0


def encode(mark: Mark, uuid: bytes) -> bytes:
    """The bytes of one place."""
    data = _FORM.pack(_MAGIC, mark.closed, mark.count, mark.journal, mark.end)
    return data + _CRC.pack(crc32(data, crc32(uuid, 0)))


def decode(data: bytes, uuid: bytes) -> Mark | None:
    """The mark of one place, or ``None`` if it is not sound."""
    if len(data) < _FORM.size + _CRC.size or not data.startswith(_MAGIC):
        return None
    _, closed, count, journal, end = _FORM.unpack_from(data)
    mark = Mark(journal, end, bool(closed), count)
    return mark if encode(mark, uuid) == data[: _FORM.size + _CRC.size] else None


class MarkFile:
    """The file, open for writing."""

    def __init__(self, files: Files, descriptor: int, uuid: bytes, mark: Mark) -> None:
        self._files = files
        self._descriptor = descriptor
        self._uuid = uuid
        self.mark = mark

    def write(self, mark: Mark, *, sync: bool = False) -> None:
        """Put the mark in the place of the older of the two; if that fails, the next goes to the same place."""
        mark = replace(mark, count=self.mark.count + 1)
        self._files.write(self._descriptor, [encode(mark, self._uuid)], mark.count % 2 * _APART)
        self.mark = mark
        if sync:
            self._files.sync(self._descriptor)

    def close(self) -> None:
        """Give the file back."""
        self._files.close(self._descriptor)


def read(files: Files, path: str, uuid: bytes) -> Mark | None:
    """The mark in the file at ``path``; ``None`` if there is no sound one."""
    try:
        descriptor = files.open(path, write=False)
    except FileNotFoundError:
        return None
    try:
        data = files.read(descriptor, 2 * _APART, 0)
    finally:
        files.close(descriptor)
    found = [mark for at in (0, _APART) if (mark := decode(data[at:], uuid)) is not None]
    return max(found, key=lambda mark: mark.count, default=None)


def create(files: Files, path: str, uuid: bytes, mark: Mark) -> MarkFile:
    """A new file, synced; its name is not."""
    file = MarkFile(files, files.create(path), uuid, mark)
    files.write(file._descriptor, [encode(mark, uuid).ljust(_APART, b"\0"), encode(mark, uuid)], 0)
    files.sync(file._descriptor)
    return file
