"""DVID's envelope of stored values: how a value is compressed, and a checksum of it.

=======  ============================================================================================
bytes    content
=======  ============================================================================================
1        ``(compression & 7) << 5 | (checksum & 3) << 3``
0 or 4   CRC-32 of the payload as stored, little-endian, if the checksum is CRC-32
rest     payload: raw; snappy block; gzip stream; JPEG; or for lz4 the raw size (u32 little-endian) and one LZ4 block
=======  ============================================================================================

An empty value is stored as zero bytes, without a header. Gzip never has the checksum.

Source: DVID ``dvid/serialize.go`` (``SerializeData``, ``DeserializeData``).
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import Any, Final

import lz4.block

from dvidkit.checksum import crc32
from dvidkit.errors import CorruptData, LimitError, MissingExtra, UnsupportedError
from dvidkit.settings import Checksum, Compression

NONE, SNAPPY, GZIP, LZ4, JPEG = 0, 1, 2, 4, 5
_CODES: Final[dict[str, int]] = {"none": NONE, "snappy": SNAPPY, "gzip": GZIP, "lz4": LZ4, "jpeg": JPEG}
_CRC_BIT: Final = 1 << 3
_GZIP_WBITS: Final = 31
MAX_RAW: Final = 1 << 31
"""Largest value that is unpacked unless the caller knows better: a header can claim anything."""


def pack(
    value: bytes | memoryview, compression: Compression = "lz4", checksum: Checksum = "none", *, level: int = -1
) -> bytes:
    """The value in its envelope.

    Raises:
        UnsupportedError: ``jpeg``, which only image data has, and image data comes compressed.
        MissingExtra: ``snappy`` without its library.
    """
    if not len(value):
        return b""
    code = _CODES[compression]
    payload = _compress(code, value, level)
    if checksum == "crc32" and code != GZIP:
        return b"".join((bytes((code << 5 | _CRC_BIT,)), crc32(payload, 0).to_bytes(4, "little"), payload))
    return bytes((code << 5,)) + payload


def unpack(stored: bytes, *, size: int | None = None) -> bytes:
    """The value from its envelope.

    Args:
        stored: as ``pack`` returned it.
        size: bytes the value must have, if known; a larger one is not even unpacked.

    Raises:
        CorruptData: not an envelope, its checksum fails, or its payload does not unpack to ``size``.
        UnsupportedError: a JPEG, which is read as an image.
    """
    if not stored:
        value = b""
    else:
        code, payload = split(stored)
        value = _decompress(code, payload, MAX_RAW if size is None else size)
    if size is not None and len(value) != size:
        raise CorruptData(f"a stored value unpacks to {len(value)} bytes, not {size}")
    return value


def split(stored: bytes) -> tuple[int, memoryview]:
    """(compression code, payload as stored) of an envelope that is not empty, its checksum checked.

    Raises:
        CorruptData: not an envelope, or its checksum fails.
    """
    head, rest = stored[0], memoryview(stored)[1:]
    code, check = head >> 5, head >> 3 & 3
    if head & 7 or code not in _CODES.values() or check > 1:
        raise CorruptData(f"a stored value begins with {head:#04x}, which is no envelope of DVID's")
    if check:
        if len(rest) < 4 or crc32(bytes(rest[4:]), 0) != int.from_bytes(rest[:4], "little"):
            raise CorruptData("a stored value fails the checksum of its envelope")
        rest = rest[4:]
    return code, rest


def _compress(code: int, value: bytes | memoryview, level: int) -> bytes:
    if code == LZ4:
        return bytes(lz4.block.compress(value, store_size=True))
    if code == GZIP:
        return zlib.compress(value, level, _GZIP_WBITS)
    if code == SNAPPY:
        return bytes(_snappy().compress_raw(value))
    if code == JPEG:
        raise UnsupportedError("a value cannot be compressed as JPEG here: store the JPEG itself", capability="jpeg")
    return bytes(value)


def _decompress(code: int, payload: memoryview, limit: int) -> bytes:
    try:
        if code == LZ4:
            return _unpack_lz4(payload, limit)
        if code == GZIP:
            return _unpack_gzip(payload, limit)
        if code == SNAPPY:
            return bytes(_snappy().decompress_raw(payload))
    except (lz4.block.LZ4BlockError, zlib.error, ValueError) as error:
        raise CorruptData(f"a stored value does not unpack: {error}") from error
    if code == JPEG:
        raise UnsupportedError("the value is a JPEG; read it as an image", capability="jpeg")
    return bytes(payload)


def _unpack_lz4(payload: memoryview, limit: int) -> bytes:
    size = int.from_bytes(payload[:4], "little")
    if size > limit:
        raise LimitError(f"a stored value claims {size} bytes, over {limit}", what="max_value", limit=limit, got=size)
    if size == 0:
        return bytes(payload[4:])
    return bytes(lz4.block.decompress(payload[4:], uncompressed_size=size))


def _unpack_gzip(payload: memoryview, limit: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_WBITS)
    value = unpacker.decompress(payload, limit + 1)
    if len(value) > limit:
        raise LimitError(f"a stored value unpacks to over {limit} bytes", what="max_value", limit=limit, got=len(value))
    if not unpacker.eof:
        raise CorruptData("a stored gzip value is cut short")
    return value


def _snappy() -> Any:
    try:
        return import_module("cramjam").snappy
    except ImportError as error:
        raise MissingExtra(
            "snappy values need cramjam: pip install 'dvidkit[snappy]'",
            plugin="snappy",
            install="pip install 'dvidkit[snappy]'",
        ) from error
