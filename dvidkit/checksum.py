"""The CRC that goes with every stored value, and how a whole page of values is checked in one call.

A stored value is ``value | crc u32 little-endian`` with ``crc = CRC-32(key | value)`` begun at the state ``SEAL``.
``SEAL`` is CRC-32's residue: whatever state a message starts from, feeding it and then its own CRC ends there. So a
record is whole exactly if ``crc32(stored, crc32(key, SEAL)) == SEAL``, and as each whole record begins and ends at the
same state, so is the concatenation of any number of them: one joined call checks a page.

``zlib`` defines the format. Where ``isal`` or ``zlib_ng`` is installed the same CRC is computed about ten times faster
on large values (docs/decisions/0003).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from dvidkit.errors import CorruptData, shown

SEAL: Final = 0x2144DF1C
SIZE: Final = 4
"""Bytes that sealing adds to a value."""

_JOINED_MAX: Final = 2048
"""Above this many bytes a value is checked by itself: copying it to join would cost more than a call."""


def _fastest() -> Callable[[bytes | memoryview, int], int]:
    for name in ("isal.isal_zlib", "zlib_ng.zlib_ng"):
        try:
            fast: Callable[[bytes | memoryview, int], int] = import_module(name).crc32
        except ImportError:
            continue
        return fast
    return zlib.crc32


crc32: Final = _fastest()
"""CRC-32 (IEEE 802.3) as ``zlib.crc32``, by the fastest implementation installed."""


def seal(key: bytes, value: bytes) -> bytes:
    """The value as it is stored."""
    return value + crc32(value, crc32(key, SEAL)).to_bytes(4, "little")


def seal_in_place(key: bytes, room: memoryview) -> int:
    """Put the checksum of what stands before the last four bytes of ``room`` into these; the CRC, as a number."""
    crc = crc32(room[:-SIZE], crc32(key, SEAL))
    room[-SIZE:] = crc.to_bytes(SIZE, "little")
    return crc


def unseal(key: bytes, stored: bytes) -> bytes:
    """The value that was sealed under this key.

    Raises:
        CorruptData: key or value is not what was written.
    """
    if crc32(stored, crc32(key, SEAL)) != SEAL:
        raise corrupt(key)
    return stored[:-4]


def corrupt(key: bytes) -> CorruptData:
    """The error for a record whose CRC does not hold."""
    return CorruptData(f"the stored value of key {shown(key)} fails its checksum", key=key)


def check(rows: Sequence[tuple[bytes, bytes]]) -> None:
    """Check many (key, stored value) rows; one call for all of them where values are small.

    Raises:
        CorruptData: naming the first row that fails.
    """
    small = rows and max(len(rows[0][1]), len(rows[-1][1])) <= _JOINED_MAX
    if small and crc32(b"".join(map(b"".join, rows)), SEAL) == SEAL:
        return
    for key, stored in rows:
        if crc32(stored, crc32(key, SEAL)) != SEAL:
            raise corrupt(key)
