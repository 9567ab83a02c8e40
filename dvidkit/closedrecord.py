"""What the files of a store were when it was closed, so that a file that was lost or cut since is missed.

LevelDB and RocksDB check every block that they read, but cannot tell a log that was deleted, or a list of tables that
was cut where a record ends, from one that never was: they open, and rows are gone without a word. So an orderly close
records each file, and the next opening compares before the driver sees them.

The record is the file ``closed`` among the engine's files, in text, one line a file:

========  ===================================================================================================
field     content
========  ===================================================================================================
name      of the file
length    in bytes, decimal
crc       CRC-32 of what is in the file, eight hexadecimal digits; ``-`` for tables, which the driver checks itself
========  ===================================================================================================

and a last line with the CRC-32 of the lines before. It is there only while the store is closed: it goes before the
driver may change anything, so a store that was killed, or closed after a failed write, has none and is opened as it is.
A record that is damaged itself counts as none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from dvidkit.checksum import crc32
from dvidkit.errors import CorruptData
from dvidkit.storedir import StoreDirectory, os_error, sync_directory, write_file

RECORD: Final = "closed"
_UNREAD: Final = "-"
_PIECE: Final = 1 << 20


def begin(directory: StoreDirectory, *, read_only: bool) -> None:
    """Compare with the record, if there is one; take it away unless the store is only read. Before the driver opens.

    Raises:
        CorruptData: a file is missing, or is not as long, or holds something else, than when the store was closed.
        StoreError: a file cannot be read, or the record cannot be taken away.
    """
    try:
        lost = difference(directory)
    except OSError as error:
        raise os_error(error, f"cannot read {directory.path}", directory.engine, str(directory.path)) from error
    if lost:
        raise CorruptData(
            f"{lost} since the store was closed; if that was on purpose, repair the store",
            engine=directory.engine,
            path=str(directory.path),
        )
    if not read_only:
        forget(directory)


def difference(directory: StoreDirectory) -> str:
    """What has become of the first file that is not as the record says, in words; empty if all are, or without one."""
    for name, length, crc in _entries(directory.data / RECORD):
        file = directory.data / name
        try:
            found = file.stat().st_size
        except FileNotFoundError:
            return f"{name} was lost"
        if found != length:
            return f"{name} went from {length} to {found} bytes"
        if crc != _UNREAD and crc != _crc_of(file):
            return f"{name} was changed"
    return ""


def forget(directory: StoreDirectory) -> None:
    """Take the record away, for good.

    Raises:
        StoreError: it cannot be.
    """
    record = directory.data / RECORD
    if not record.exists():
        return
    try:
        record.unlink()
        sync_directory(directory.data)
    except OSError as error:
        raise os_error(error, f"cannot write in {directory.path}", directory.engine, str(directory.path)) from error


def note(directory: StoreDirectory, read: Sequence[str], measured: Sequence[str]) -> None:
    """Record the files of a store whose driver was closed in good order.

    They are brought to the disk first. A full disk is no reason not to close: then there is no record.

    Args:
        directory: the claim, which is still held.
        read: patterns of the names of files of which all is recorded.
        measured: and of those of which only the length is.
    """
    data = directory.data
    with suppress(OSError):
        lines = [f"{file.name} {_synced(file)} {_crc_of(file)}" for file in _matching(data, read)]
        lines += [f"{file.name} {file.stat().st_size} {_UNREAD}" for file in _matching(data, measured)]
        text = "".join(f"{line}\n" for line in lines).encode()
        write_file(data / RECORD, b"%b%08x\n" % (text, crc32(text, 0)))


def _matching(data: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(data.glob(pattern))


def _synced(file: Path) -> int:
    """The length of the file, all of which is on the disk."""
    fd = os.open(file, os.O_RDONLY)
    try:
        os.fsync(fd)
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def _crc_of(file: Path) -> str:
    crc = 0
    with file.open("rb") as content:
        while piece := content.read(_PIECE):
            crc = crc32(piece, crc)
    return f"{crc:08x}"


def _entries(record: Path) -> list[tuple[str, int, str]]:
    """(name, length, crc) of each file; none if there is no record, or no sound one."""
    try:
        text = record.read_bytes()
    except OSError:
        return []
    body, checksum = text[:-9], text[-9:]
    if checksum != b"%08x\n" % crc32(body, 0):
        return []
    rows = [line.split(" ") for line in body.decode().splitlines()]
    return [(name, int(length), crc) for name, length, crc in rows]
