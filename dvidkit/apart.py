"""Large values apart from their rows: for engines that keep a value beside its key.

LevelDB and RocksDB read a row's value with its key, also where only keys are wanted, and a step back reads three rows.
So values of 4 KiB and more are set apart. Which of the driver's rows hold which of ours:

============================  =============================================================
driver's key                  holds
============================  =============================================================
``key``                       the row ``key``, if it does not begin with ``ff``
``ff 00 | key``               the row ``key``, if it does
``ff 01 | driver's key``      the value of the row at that driver's key, if it is set apart
============================  =============================================================

In place of a value that is set apart stands a pointer, ``magic 8 | length u64 | crc u32`` (little-endian), the CRC over
the driver's key and the value, by which the value can be checked where the driver's check is slow. A value that only
looks like a pointer is set apart too.
"""

from __future__ import annotations

import struct
from typing import Final

from dvidkit.checksum import crc32

HIGH: Final = b"\xff"
"""The first key that is not stored as it is."""
APART: Final = b"\xff\x01"
APART_END: Final = b"\xff\x02"
LARGE: Final = 4096
"""Bytes from which a value is set apart."""

_ESCAPE: Final = b"\xff\x00"
_MAGIC: Final = b"\x91\xc5\xf3\x1a\x5e\x08\xd7\x6c"
_POINTER: Final = struct.Struct("<8sQI")
POINTER_SIZE: Final = _POINTER.size


def stored_key(key: bytes) -> bytes:
    """Where the row is, or where a range bound lies."""
    return key if key < HIGH else _ESCAPE + key


def row_key(stored: bytes) -> bytes:
    """The key of the row at this place."""
    return stored if stored < HIGH else stored[2:]


def apart_key(stored: bytes) -> bytes:
    """Where the value of the row at this place is, if it is set apart."""
    return APART + stored


def is_apart(value: bytes) -> bool:
    """Whether the value in a row is a pointer."""
    return len(value) == POINTER_SIZE and value.startswith(_MAGIC)


def belongs_apart(value: bytes) -> bool:
    """Whether a value must be set apart."""
    return len(value) >= LARGE or is_apart(value)


def pointer(stored: bytes, value: bytes) -> bytes:
    """What stands in the row for a value that is set apart."""
    return _POINTER.pack(_MAGIC, len(value), crc32(value, crc32(stored, 0)))


def has_length(pointer: bytes, value: bytes) -> bool:
    """Whether the value has the length of that which the pointer was made for."""
    return bool(_POINTER.unpack(pointer)[1] == len(value))


def is_whole(stored: bytes, pointer: bytes, value: bytes) -> bool:
    """Whether this is the value the pointer was made for."""
    _, length, crc = _POINTER.unpack(pointer)
    return len(value) == length and bool(crc32(value, crc32(stored, 0)) == crc)
