"""Protocol Buffers' wire format: as much of it as DVID's messages need, in both directions.

A message is a sequence of fields, each a tag (``number << 3 | wire type``, a varint) and a value.

====  ==================================  =====================================
type  value                               here
====  ==================================  =====================================
0     varint                              ``int``, 0 … 2^64-1
1     8 bytes                             ``bytes``
2     length (varint) and so many bytes   ``memoryview`` (strings, bytes, messages)
5     4 bytes                             ``bytes``
====  ==================================  =====================================

Groups (types 3 and 4) are obsolete and refused. Which fields a message has is said by those who read it; fields that
they do not know are to be skipped. See docs/decisions/0020 for why this is no library.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dvidkit.errors import BadPayload

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

_U64: Final = (1 << 64) - 1
_LONGEST_VARINT: Final = 10
_MOST_FIELDS: Final = (1 << 29) - 1

Field = tuple[int, int, int | memoryview]
"""Number, wire type, value."""


def fields(message: bytes | memoryview) -> Iterator[Field]:
    """The fields of a message in the order in which they stand.

    Raises:
        BadPayload: it is cut short, or no message.
    """
    data, place = memoryview(message), 0
    while place < len(data):
        tag, place = read_varint(data, place)
        number, kind = tag >> 3, tag & 7
        if not 0 < number <= _MOST_FIELDS:
            raise BadPayload(f"a protobuf message cannot have a field {number}")
        if kind == VARINT:
            value, place = read_varint(data, place)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, place = read_varint(data, place)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise BadPayload(f"field {number} of a protobuf message has the wire type {kind}, which is not used")
        if size > len(data) - place:
            raise BadPayload(f"field {number} of a protobuf message is cut short")
        yield number, kind, data[place : place + size]
        place += size


def read_varint(data: memoryview | bytes, place: int) -> tuple[int, int]:
    """The number at a place, and the place behind it. Of more than 64 bits the lowest 64 are taken, as by protobuf.

    Raises:
        BadPayload: it is cut short or longer than ten bytes.
    """
    number = shift = 0
    for at in range(place, min(place + _LONGEST_VARINT, len(data))):
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & _U64, at + 1
        shift += 7
    raise BadPayload("a number in a protobuf message is cut short or too long")


def varint(number: int) -> bytes:
    """A number of 0 … 2^64-1 as it is written."""
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)


def bytes_field(number: int, value: bytes | memoryview) -> bytes:
    """A field of bytes, of a string in UTF-8, or of a message: its head, and the value."""
    return b"".join((bytes_head(number, len(value)), value))


def bytes_head(number: int, size: int) -> bytes:
    """What stands before ``size`` bytes of a field."""
    return varint(number << 3 | BYTES) + varint(size)


def varint_field(number: int, value: int) -> bytes:
    """A field of an unsigned number."""
    return varint(number << 3 | VARINT) + varint(value)


def text(value: int | memoryview) -> str:
    """The value of a string field.

    Raises:
        BadPayload: it is no UTF-8, or a number.
    """
    try:
        return str(raw(value), "utf-8")
    except UnicodeDecodeError as error:
        raise BadPayload(f"a string in a protobuf message is no UTF-8: {error}") from None


def raw(value: int | memoryview) -> memoryview:
    """The value of a field of bytes or of a message.

    Raises:
        BadPayload: it is a number.
    """
    if isinstance(value, int):
        raise BadPayload("a field of a protobuf message is a number where bytes were expected")
    return value


def number(value: int | memoryview) -> int:
    """The value of a field of an unsigned number.

    Raises:
        BadPayload: it is bytes.
    """
    if not isinstance(value, int):
        raise BadPayload("a field of a protobuf message is bytes where a number was expected")
    return value
