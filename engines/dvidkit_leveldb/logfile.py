"""LevelDB's log format, as far as a repair must know it: how much of a log is sound.

LevelDB's own repair reads logs without checking them, and so makes rows of damaged bytes.

A log is a row of blocks of 32 KiB, a block a row of pieces, a record one piece or several:

======  =====  ====================================================================================
bytes   type   field
======  =====  ====================================================================================
4       u32    CRC-32C of the type and the payload, rotated right by 15 and shifted by a constant
2       u16    length of the payload
1       u8     type: 1 a whole record, 2 its first, 3 a middle, 4 its last piece; 0 not yet written
length  bytes  payload
======  =====  ====================================================================================

All little-endian. Fewer than seven bytes at the end of a block are padding.
"""

from __future__ import annotations

import struct
from typing import Final

_BLOCK: Final = 32768
_HEADER: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MASK: Final = 0xFFFFFFFF


def sound_length(log: bytes) -> int:
    """How many bytes, from the start, are sound records; all of them, unless something is damaged.

    A record that ends beyond the end of the log was being written when the process ended; that is no damage.
    """
    place = sound = 0
    within = False
    while place + _HEADER.size <= len(log):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER.size:
            place += left
            continue
        crc, length, kind = _HEADER.unpack_from(log, place)
        if kind == 0 and length == 0:
            place += left
            continue
        end = place + _HEADER.size + length
        if end > len(log) and _HEADER.size + length <= left:
            return len(log)
        if _HEADER.size + length > left or within != (kind in (_MIDDLE, _LAST)) or not _FULL <= kind <= _LAST:
            return sound
        if _masked(crc32c(log[place + _HEADER.size - 1 : end])) != crc:
            return sound
        place = end
        within = kind in (_FIRST, _MIDDLE)
        if not within:
            sound = place
    return len(log)


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of the bytes."""
    table, crc = _TABLE, _MASK
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ _MASK


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & _MASK


def _entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE: Final = tuple(map(_entry, range(256)))
