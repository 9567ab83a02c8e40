"""Parts of values: byte ranges as they stand in query arguments, in bodies and in the ``Range`` header.

A range of DVID's (``byte_start``, ``byte_end``) includes both ends and must lie within the value. A ``Range`` header
follows RFC 9110 with one range: it is clamped to the value, and one that cannot be understood is as if it were absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

import msgspec

from dvidkit.errors import InvalidInputError, OutOfBounds, shown

_UNIT: Final = "bytes="
_U64: Final = (1 << 64) - 1


class Unsatisfiable(Exception):
    """A ``Range`` header asks for bytes of which the value has none."""


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes ``start`` to ``end``, both included."""

    start: int
    end: int

    @classmethod
    def of(cls, start: int, end: int) -> Self:
        """The range, if it does not end before it starts.

        Raises:
            InvalidInputError: it does.
        """
        if start > end:
            raise InvalidInputError(f"byte_start {start} is after byte_end {end}")
        return cls(start, end)

    def of_value(self, value: bytes, key: str) -> bytes:
        """The bytes of a value.

        Raises:
            OutOfBounds: the value ends before the range does.
        """
        if self.end >= len(value):
            raise OutOfBounds(
                f"bytes {self.start} to {self.end} are not all in the value of {shown(key)}, which has {len(value)}"
            )
        return value[self.start : self.end + 1]


class Wanted(msgspec.Struct, frozen=True):
    """A key whose value is asked for, or the part of it that is."""

    key: str
    part: ByteRange | None = None

    def of_value(self, value: bytes) -> bytes:
        """What is asked for of the key's value."""
        return value if self.part is None else self.part.of_value(value, self.key)


def from_query(query: Mapping[str, str]) -> ByteRange | None:
    """The range of ``byte_start`` and ``byte_end``, if they are given.

    Raises:
        InvalidInputError: only one of them, no numbers, or the end before the start.
    """
    start, end = query.get("byte_start"), query.get("byte_end")
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise InvalidInputError("a part of a value needs both byte_start and byte_end")
    return ByteRange.of(_unsigned(start, "byte_start"), _unsigned(end, "byte_end"))


def from_header(header: str, size: int) -> ByteRange | None:
    """The range that a ``Range`` header means in a value of this size; ``None`` if the header is to be ignored.

    Raises:
        Unsatisfiable: the value has no byte of it.

    Source: DVID ``parseHTTPRangeHeader`` (``datatype/keyvalue/keyvalue.go``).
    """
    if not header:
        return None
    spec = header[len(_UNIT) :].strip()
    first, dash, last = (part.strip() for part in spec.partition("-"))
    if not header.startswith(_UNIT) or not dash or not (first or last) or not _digits(first) or not _digits(last):
        return None
    if first and last and int(first) > int(last):
        return None
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    if start >= size or end < 0:
        raise Unsatisfiable
    return ByteRange(start, end)


def _digits(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= 20)


def _unsigned(text: str, name: str) -> int:
    if not text or not _digits(text) or int(text) > _U64:
        raise InvalidInputError(f"{name} must be a whole number, not {shown(text)}")
    return int(text)
