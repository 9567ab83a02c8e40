"""Which LevelDB rows hold which of ours.

========================  =====================================================
LevelDB key               holds
========================  =====================================================
``key``                   the row ``key``, if it does not begin with ``ff``
``ff 00 | key``           the row ``key``, if it does
``ff 01 | LevelDB key``   the value of the row at that LevelDB key, if it is set apart
========================  =====================================================

Values of 4 KiB and more are set apart, so that seeking and reading keys do not read them: LevelDB keeps a row's value
beside its key, and a step back looks at three rows. In place of such a value stands a pointer,

``magic 8 | length u64 | crc u32`` (little-endian), the CRC over the LevelDB key and the value,

by which the value is checked when it is read; LevelDB's own check is seven times slower, and is left out there. A value
that only looks like a pointer is set apart too.
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


def is_whole(stored: bytes, pointer: bytes, value: bytes) -> bool:
    """Whether this is the value the pointer was made for."""
    _, length, crc = _POINTER.unpack(pointer)
    return len(value) == length and bool(crc32(value, crc32(stored, 0)) == crc)
