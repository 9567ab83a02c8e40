"""Keys and stored values, read and written without the kernel, so that both cannot be wrong in the same way.

Written from the specification (section 4.0) and docs/decisions/0002, not from ``dvidkit.keys``.

================  =================================================================================
full key          ``00 | TKey`` · ``01 | instance u32 | TKey | version u32 | client u32 | mark`` · ``02 | 16 bytes``
mark              ``03`` a value, ``4F`` a tombstone
stored value      ``value | CRC-32 (IEEE, little-endian) over key and value, begun at the state 2144DF1C``
================  =================================================================================
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Final, NamedTuple

VALUE: Final = 0x03
TOMBSTONE: Final = 0x4F
OWN: Final = b"\x03"
"""dvidkit's own records begin with this byte; they are no data and in no dump."""

_RESIDUE: Final = 0x2144DF1C
_TAIL: Final = struct.Struct(">IIB")


class Entry(NamedTuple):
    """A data key, taken apart."""

    instance: int
    tkey: bytes
    version: int
    client: int
    mark: int


def data_key(instance: int, tkey: bytes, version: int, mark: int = VALUE, client: int = 0) -> bytes:
    """The full key of an entry."""
    return b"\x01" + instance.to_bytes(4, "big") + tkey + _TAIL.pack(version, client, mark)


def entry(key: bytes) -> Entry:
    """Take a data key apart; ``ValueError`` if it is none."""
    if len(key) < 14 or key[0] != 1 or key[-1] not in (VALUE, TOMBSTONE):
        raise ValueError(f"not a data key: {key!r}")
    version, client, mark = _TAIL.unpack(key[-9:])
    return Entry(int.from_bytes(key[1:5], "big"), key[5:-9], version, client, mark)


def sealed(key: bytes, value: bytes) -> bytes:
    """The value with its checksum behind it."""
    state = zlib.crc32(key + value, _RESIDUE)
    return value + state.to_bytes(4, "little")


def opened(key: bytes, stored: bytes) -> bytes:
    """The value of a sealed one; ``ValueError`` if the checksum does not hold."""
    value = stored[:-4]
    if sealed(key, value) != stored:
        raise ValueError(f"the checksum behind {key!r} does not hold")
    return value


# --- envelopes -------------------------------------------------------------------------------------------------------
_CRC: Final = 1
_RAW, _SNAPPY, _GZIP, _LZ4, _JPEG = 0, 1, 2, 4, 5


def checked(value: bytes) -> bool:
    """Whether an envelope carries a checksum of its own."""
    return bool(value) and value[0] >> 3 & 3 == _CRC


def gzipped(value: bytes) -> bool:
    """Whether an envelope holds a gzip stream, which has a checksum within."""
    return bool(value) and value[0] >> 5 == _GZIP


def unpacked(value: bytes) -> bytes:
    """The payload of DVID's envelope: ``compression u3 | checksum u2 | 0 u3``, CRC-32 if asked for, payload.

    Payloads of snappy and JPEG are returned as they are.

    Raises:
        ValueError: another first byte, a checksum that does not hold, a payload that does not unpack.
    """
    first, rest = value[0], value[1:]
    if first & 7 or first >> 3 & 3 > _CRC or first >> 5 not in (_RAW, _SNAPPY, _GZIP, _LZ4, _JPEG):
        raise ValueError(f"{first:#04x} begins no envelope")
    if checked(value):
        rest = rest[4:]
        if zlib.crc32(rest) != int.from_bytes(value[1:5], "little"):
            raise ValueError("the checksum does not hold")
    try:
        return _raw(first >> 5, rest)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from None


def _raw(compression: int, payload: bytes) -> bytes:
    if compression == _GZIP:
        return gzip.decompress(payload)
    if compression == _LZ4:
        return _lz4(payload[4:], int.from_bytes(payload[:4], "little"))
    return payload


def _lz4(block: bytes, size: int) -> bytes:
    """One LZ4 block: sequences of literals and a match, each with lengths of which 15 goes on in further bytes."""
    if not size:
        return block
    out, place = bytearray(), 0
    while place < len(block):
        token, place = block[place], place + 1
        count, place = _length(block, place, token >> 4)
        out += block[place : place + count]
        place += count
        if place >= len(block):
            break
        back, place = int.from_bytes(block[place : place + 2], "little"), place + 2
        count, place = _length(block, place, token & 15)
        if not 0 < back <= len(out):
            raise ValueError("an LZ4 match begins before the value")
        for _ in range(count + 4):
            out.append(out[-back])
    if len(out) != size:
        raise ValueError(f"an LZ4 block of {len(out)} bytes claims {size}")
    return bytes(out)


def _length(block: bytes, place: int, count: int) -> tuple[int, int]:
    """A length and where what follows it begins."""
    while count >= 15 and place < len(block):
        more, place = block[place], place + 1
        count += more
        if more != 255:
            break
    return count, place
