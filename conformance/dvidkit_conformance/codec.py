"""Keys and stored values, read and written without the kernel, so that both cannot be wrong in the same way.

Written from the specification (section 4.0) and docs/decisions/0002, not from ``dvidkit.keys``.

================  =================================================================================
full key          ``00 | TKey`` · ``01 | instance u32 | TKey | version u32 | client u32 | mark`` · ``02 | 16 bytes``
mark              ``03`` a value, ``4F`` a tombstone
stored value      ``value | CRC-32 (IEEE, little-endian) over key and value, begun at the state 2144DF1C``
================  =================================================================================
"""

from __future__ import annotations

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
