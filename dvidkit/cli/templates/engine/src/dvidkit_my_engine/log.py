"""The log file of a my-engine store: every batch that was ever written, in order.

Each batch is a frame: ``magic (4) | durable u8 | length u32 | crc u32 | payload``, little-endian; the CRC is over flag,
length and payload, the payload is MessagePack: a list of (key, value or nil).

A frame that is damaged at the end looks like one that was never finished. So an orderly close leaves a file ``closed``
with the length of the log, and the first write after it takes that away: while it is there, the log must be whole.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from dvidkit import Batch
from dvidkit.errors import CorruptData, StoreError
from dvidkit.storedir import os_error

_HEAD: Final = struct.Struct("<4sBII")
_CHECKED: Final = struct.Struct("<BI")
_MAGIC: Final = b"mEf1"
_decode: Final = msgspec.msgpack.Decoder(list[tuple[bytes, bytes | None]]).decode


class Log:
    """The log of one open store. Used by one writer at a time.

    Attributes:
        dropped: torn bytes that were cut off the end when it was opened.
    """

    def __init__(self, path: Path, engine: str, *, create: bool) -> None:
        self._path, self._engine = path, engine
        self._closed = path.with_name("closed")
        self._marked = self._closed.exists()
        self._size = 0
        self._broken = False
        self.dropped = 0
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
            _sync(path.parent)
        except FileNotFoundError as error:
            raise CorruptData(f"{path} is gone", engine=engine, path=str(path)) from error
        except OSError as error:
            raise self._failed("open", error) from error

    def replay(self) -> Iterator[Batch]:
        """Every batch, oldest first. A torn end is cut off: it belongs to a write that nobody was told of.

        Raises:
            CorruptData: something is damaged that was once on the disk for sure.
        """
        data = memoryview(self._read())
        while (payload := _frame(data, self._size)) is not None:
            yield _decode(payload)
            self._size += _HEAD.size + len(payload)
        if _durable_frame_after(data, self._size) or self._closed_at() not in (None, self._size):
            raise CorruptData(
                f"{self._path} is damaged at byte {self._size}", engine=self._engine, path=str(self._path)
            )
        self.dropped = len(data) - self._size
        if self.dropped:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)

    def _closed_at(self) -> int | None:
        """How long the log was when it was closed; ``None`` if it was not, or has been written since."""
        try:
            return int(self._closed.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return -1
        except OSError as error:
            raise self._failed("read", error) from error

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise self._failed("read", error) from error

    def _failed(self, what: str, error: OSError) -> StoreError:
        """A driver's own errors never leave an engine: they become those of dvidkit."""
        return os_error(error, f"cannot {what} {self._path}", self._engine, str(self._path))

    def append(self, batch: Batch, *, durable: bool) -> None:
        """Write a batch behind the others; if that fails, it is as if it had not been tried.

        Raises:
            StoreFull, StoreError: nothing was written.
        """
        if self._broken:
            raise StoreError("a write failed earlier; reopen the store", engine=self._engine, path=str(self._path))
        payload = msgspec.msgpack.encode([(key, value) for key, value in batch])
        crc = zlib.crc32(payload, zlib.crc32(_CHECKED.pack(durable, len(payload))))
        frame = _HEAD.pack(_MAGIC, durable, len(payload), crc) + payload
        try:
            self._begin()
            done = 0
            while done < len(frame):
                done += os.pwrite(self._fd, frame[done:], self._size + done)
            if durable:
                os.fsync(self._fd)
        except OSError as error:
            self._undo()
            raise self._failed("write", error) from error
        self._size += len(frame)

    def _begin(self) -> None:
        """Before the first write: the log is not closed any more."""
        if self._marked:
            self._closed.unlink(missing_ok=True)
            _sync(self._path.parent)
            self._marked = False

    def _undo(self) -> None:
        """Cut a failed frame off again. If even that fails, or it may come back, nothing more is written."""
        self._broken = True
        try:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
        except OSError:
            return
        self._broken = False

    def _mark_closed(self) -> None:
        os.fsync(self._fd)
        place = self._closed.with_suffix(".new")
        with place.open("wb") as file:
            file.write(b"%d" % self._size)
            file.flush()
            os.fsync(file.fileno())
        place.replace(self._closed)
        _sync(self._path.parent)

    def close(self) -> None:
        """Give the file up, and say how long it is. If that fails, the next opening takes a torn end for a crash's."""
        if not self._broken:
            with suppress(OSError):
                self._mark_closed()
        os.close(self._fd)


def _frame(data: memoryview, at: int) -> memoryview | None:
    """The payload of the frame that begins here, ``None`` if there is no whole one."""
    if len(data) - at < _HEAD.size:
        return None
    magic, durable, length, crc = _HEAD.unpack_from(data, at)
    payload = data[at + _HEAD.size : at + _HEAD.size + length]
    if magic != _MAGIC or len(payload) < length:
        return None
    return payload if zlib.crc32(payload, zlib.crc32(_CHECKED.pack(durable, length))) == crc else None


def _durable_frame_after(data: memoryview, begin: int) -> bool:
    """Whether a durable batch was written behind this place: then everything before it was on the disk too."""
    rest = bytes(data[begin:])
    at = rest.find(_MAGIC)
    while at >= 0:
        if _frame(data, begin + at) is not None and rest[at + len(_MAGIC)]:
            return True
        at = rest.find(_MAGIC, at + 1)
    return False


def _sync(folder: Path) -> None:
    """Make a new file's name survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
