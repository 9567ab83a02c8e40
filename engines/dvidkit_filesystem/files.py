"""Every operation on files that this engine does, in one place.

Tests put another ``Files`` in its place: one that records the operations, to replay what a loss of power may leave of
them, or one that fails at the n-th. What each promises to survive a loss of power, and nothing else does:

- what ``write`` and ``truncate`` did to a file, after ``sync`` of that file;
- that a file is there under its name, is no more, or has another name, after ``sync_directory`` of its directory.

Without them any of it may be lost or not, page by page and name by name, in any order. A ``write`` that fails may have
done a part. All may raise ``OSError``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

_JOINED_MAX: Final = 1 << 18
_PIECES_MAX: Final = 512


class Files:
    """The operating system's files, by descriptor. No method keeps state; all may be called from any thread."""

    def open(self, path: str, *, write: bool) -> int:
        """A descriptor of an existing file."""
        return os.open(path, os.O_RDWR if write else os.O_RDONLY)

    def create(self, path: str) -> int:
        """A descriptor of a new, empty file; a file of this name is emptied."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

    def close(self, descriptor: int) -> None:
        """Give the descriptor back; nothing is made durable by it."""
        os.close(descriptor)

    def size(self, descriptor: int) -> int:
        """Bytes of the file."""
        return os.fstat(descriptor).st_size

    def read(self, descriptor: int, size: int, offset: int) -> bytes:
        """The bytes there; fewer only if the file ends before."""
        data = os.pread(descriptor, size, offset)
        while len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
            data += more
        return data

    def write(self, descriptor: int, pieces: Sequence[bytes], offset: int) -> None:
        """Write all pieces, one after another, from ``offset`` on."""
        if sum(map(len, pieces)) <= _JOINED_MAX:
            pieces = (b"".join(pieces),)
        for start in range(0, len(pieces), _PIECES_MAX):
            offset = self._write(descriptor, pieces[start : start + _PIECES_MAX], offset)

    @staticmethod
    def _write(descriptor: int, pieces: Sequence[bytes], offset: int) -> int:
        left: list[bytes | memoryview] = list(pieces)
        while left:
            written = os.pwritev(descriptor, left, offset)
            offset += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left and written:
                left[0] = memoryview(left[0])[written:]
        return offset

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file after ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        """Wait until the file's content and length are on disk."""
        os.fdatasync(descriptor)

    def sync_directory(self, path: str) -> None:
        """Wait until the names in the directory are on disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        """Give the file another name, in place of any file of that name, at once for all who look."""
        os.replace(source, target)

    def unlink(self, path: str) -> None:
        """Take the name away; whoever has the file open can read on."""
        os.unlink(path)  # noqa: PTH108 - as the other calls here

    def names(self, path: str) -> list[str]:
        """Names in the directory."""
        return sorted(os.listdir(path))
