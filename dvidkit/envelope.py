"""DVID's envelope of stored values: how a value is compressed, and a checksum of it.

=======  ============================================================================================
bytes    content
=======  ============================================================================================
1        ``(compression & 7) << 5 | (checksum & 3) << 3``
0 or 4   CRC-32 of the payload as stored, little-endian, if the checksum is CRC-32
rest     payload: raw; snappy block; gzip stream; JPEG; or for lz4 the raw size (u32 little-endian) and one LZ4 block
=======  ============================================================================================

An empty value is stored as zero bytes, without a header. Gzip never has the checksum. An lz4 payload of raw size 0 is
not compressed: an early release of DVID wrote those.

Source: DVID ``dvid/serialize.go`` (``SerializeData``, ``DeserializeData``).
"""

from __future__ import annotations

import struct
import zlib
from importlib import import_module
from typing import Any, Final

import lz4.block

from dvidkit.checksum import crc32
from dvidkit.errors import CorruptData, LimitError, MissingExtra, UnsupportedError
from dvidkit.settings import Checksum, Compression

NONE, SNAPPY, GZIP, LZ4, JPEG = 0, 1, 2, 4, 5
_CODES: Final[dict[str, int]] = {"none": NONE, "snappy": SNAPPY, "gzip": GZIP, "lz4": LZ4, "jpeg": JPEG}
_KNOWN: Final = frozenset(_CODES.values())
_CRC_BIT: Final = 1 << 3
_GZIP_WBITS: Final = 31
_SIZE: Final = 4
_SIZE_OF: Final = struct.Struct("<I").unpack_from
_PLAIN_LZ4: Final = LZ4 << 5
"""First byte of most values: LZ4, without a checksum of the envelope's own."""
_PLAIN_HEAD: Final = bytes((_PLAIN_LZ4,))
_LZ4_RATIO: Final = 255
"""No LZ4 block unpacks to more than this many times its own size."""
_NO_GZIP: Final = 0
"""The gzip level that means no compression; DVID then stores the value raw."""
MAX_RAW: Final = 0x7E000000
"""Bytes of the largest value: what one LZ4 block can hold. A header can claim anything."""


def pack(
    value: bytes | memoryview, compression: Compression = "lz4", checksum: Checksum = "none", *, level: int = -1
) -> bytes:
    """The value in its envelope.

    Raises:
        LimitError: larger than ``MAX_RAW``.
        UnsupportedError: ``jpeg``, which only image data has, and image data comes compressed.
        MissingExtra: ``snappy`` without its library.
    """
    if not len(value):
        return b""
    if compression == "lz4" and checksum == "none" and len(value) <= MAX_RAW:
        return _PLAIN_HEAD + lz4.block.compress(value, store_size=True)  # type: ignore[no-any-return]
    code = _CODES[compression]
    if code == GZIP and level == _NO_GZIP:
        code = NONE
    _refuse_over(len(value), MAX_RAW)
    payload = _compress(code, value, level)
    return b"".join((head(code, payload, checksum), payload))


def head(code: int, payload: bytes | memoryview, checksum: Checksum) -> bytes:
    """What stands before a payload that is compressed already: one byte, or five with a checksum."""
    if checksum == "crc32" and code != GZIP:
        return bytes((code << 5 | _CRC_BIT,)) + crc32(payload, 0).to_bytes(4, "little")
    return bytes((code << 5,))


def unpack(stored: bytes | memoryview, *, size: int | None = None) -> bytes:
    """The value from its envelope.

    Args:
        stored: as ``pack`` returned it.
        size: bytes the value must have, if known; a larger one is not even unpacked.

    Raises:
        CorruptData: not an envelope, its checksum fails, or its payload does not unpack to ``size``.
        LimitError: no ``size`` was given, and it is larger than ``MAX_RAW``.
        UnsupportedError: a JPEG, which is read as an image.
        MissingExtra: ``snappy`` without its library.
    """
    if not len(stored):
        value = b""
    elif size is None:
        code, payload = (LZ4, memoryview(stored)[1:]) if stored[0] == _PLAIN_LZ4 else split(stored)
        value = _decompress(code, payload, MAX_RAW)
    else:
        value = _decompress_known(*split(stored), size)
    if size is not None and len(value) != size:
        raise CorruptData(f"a stored value unpacks to {len(value)} bytes, not {size}")
    return value


def split(stored: bytes | memoryview) -> tuple[int, memoryview]:
    """(compression code, payload as stored) of an envelope that is not empty, its checksum checked.

    Raises:
        CorruptData: not an envelope, or its checksum fails.
    """
    first, rest = stored[0], memoryview(stored)[1:]
    if first == _PLAIN_LZ4:
        return LZ4, rest
    code, check = first >> 5, first >> 3 & 3
    if first & 7 or code not in _KNOWN or check > 1:
        raise CorruptData(f"a stored value begins with {first:#04x}, which is no envelope of DVID's")
    if check:
        if len(rest) < 4 or crc32(rest[4:], 0) != int.from_bytes(rest[:4], "little"):
            raise CorruptData("a stored value fails the checksum of its envelope")
        rest = rest[4:]
    return code, rest


def _compress(code: int, value: bytes | memoryview, level: int) -> bytes:
    if code == LZ4:
        return bytes(lz4.block.compress(value, store_size=True))
    if code == GZIP:
        return zlib.compress(value, level, _GZIP_WBITS)
    if code == SNAPPY:
        return bytes(_cramjam().snappy.compress_raw(value))
    if code == JPEG:
        raise UnsupportedError("a value cannot be compressed as JPEG here: store the JPEG itself", capability="jpeg")
    return bytes(value)


def _decompress_known(code: int, payload: memoryview, size: int) -> bytes:
    try:
        return _decompress(code, payload, size)
    except LimitError as error:
        raise CorruptData(f"a stored value holds {error.got} bytes or more, not {size}") from None


def _decompress(code: int, payload: memoryview, limit: int) -> bytes:
    try:
        if code == LZ4:
            return _unpack_lz4(payload, limit)
        if code == NONE:
            return _within(bytes(payload), limit)
        if code == JPEG:
            raise UnsupportedError("the value is a JPEG; read it as an image", capability="jpeg")
        return _UNPACKERS[code](payload, limit)
    except (lz4.block.LZ4BlockError, zlib.error) as error:
        raise CorruptData(f"a stored value does not unpack: {error}") from error


def _unpack_lz4(payload: memoryview, limit: int) -> bytes:
    if len(payload) < _SIZE:
        raise CorruptData("a stored lz4 value is cut short")
    (size,), block = _SIZE_OF(payload), payload[_SIZE:]
    if size == 0:
        return _within(bytes(block), limit)
    if size > limit:
        _refuse_over(size, limit)
    if size > _LZ4_RATIO * len(block):
        raise CorruptData(f"a stored lz4 value of {len(block)} bytes claims to hold {size}")
    value: bytes = lz4.block.decompress(block, size)
    if len(value) != size:
        raise CorruptData(f"a stored lz4 value unpacks to {len(value)} bytes, not the {size} it claims")
    return value


def _unpack_gzip(payload: memoryview, limit: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_WBITS)
    value = _within(unpacker.decompress(payload, limit + 1), limit)
    if not unpacker.eof or unpacker.unused_data:
        raise CorruptData("a stored gzip value is cut short, or something follows it")
    return value


def _unpack_snappy(payload: memoryview, limit: int) -> bytes:
    cramjam = _cramjam()
    try:
        _refuse_over(cramjam.snappy.decompress_raw_len(payload), limit)
        return bytes(cramjam.snappy.decompress_raw(payload))
    except cramjam.DecompressionError as error:
        raise CorruptData(f"a stored value does not unpack: {error}") from error


_UNPACKERS: Final = {GZIP: _unpack_gzip, SNAPPY: _unpack_snappy}


def _within(value: bytes, limit: int) -> bytes:
    _refuse_over(len(value), limit)
    return value


def _refuse_over(size: int, limit: int) -> None:
    if size > limit:
        raise LimitError(
            f"a value of {size} bytes or more is too large; at most {limit}", what="max_value", limit=limit, got=size
        )


def _cramjam() -> Any:
    try:
        return import_module("cramjam")
    except ImportError as error:
        raise MissingExtra(
            "snappy values need cramjam: pip install 'dvidkit[snappy]'",
            plugin="snappy",
            install="pip install 'dvidkit[snappy]'",
        ) from error
