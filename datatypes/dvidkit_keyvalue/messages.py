"""The Protocol Buffers messages of the batch endpoints.

=============  =========================================================================
message        fields
=============  =========================================================================
``KeyValue``   1 ``key`` string, 2 ``value`` bytes
``KeyRange``   1 ``key`` string, 2 ``byte_start`` uint64, 3 ``byte_end`` uint64
``Keys``       1 ``keys`` strings, 2 ``key_ranges`` messages ``KeyRange``
``KeyValues``  1 ``kvs`` messages ``KeyValue``
=============  =========================================================================

Source: DVID ``datatype/common/proto/keyvalue.proto`` (proto3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from dvidkit.protobuf import bytes_field, bytes_head, fields, number, raw, text, varint_field
from dvidkit_keyvalue.slices import ByteRange, Wanted

_KEY: Final = 1
_VALUE: Final = 2
_BYTE_START: Final = 2
_BYTE_END: Final = 3
_KEYS: Final = 1
_KEY_RANGES: Final = 2
_KVS: Final = 1


def read_keyvalues(body: bytes) -> list[tuple[str, bytes]]:
    """The pairs of a ``KeyValues``, in order.

    Raises:
        BadPayload: the body is no such message.
    """
    return [_read_keyvalue(raw(value)) for field, _, value in fields(body) if field == _KVS]


def _read_keyvalue(message: memoryview) -> tuple[str, bytes]:
    key, value = "", b""
    for field, _, found in fields(message):
        if field == _KEY:
            key = text(found)
        elif field == _VALUE:
            value = bytes(raw(found))
    return key, value


def write_keyvalues(pairs: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """A ``KeyValues``, in pieces; values are not copied."""
    for key, value in pairs:
        named = bytes_field(_KEY, key.encode("utf-8")) if key else b""
        head = bytes_head(_VALUE, len(value)) if value else b""
        yield bytes_head(_KVS, len(named) + len(head) + len(value)) + named + head
        if value:
            yield value


def read_keys(body: bytes) -> list[Wanted]:
    """What a ``Keys`` asks for: first all of ``keys``, then all of ``key_ranges``.

    Raises:
        BadPayload: the body is no such message.
        InvalidInputError: a range that ends before it starts.
    """
    whole: list[Wanted] = []
    parts: list[Wanted] = []
    for field, _, value in fields(body):
        if field == _KEYS:
            whole.append(Wanted(text(value)))
        elif field == _KEY_RANGES:
            parts.append(_read_range(raw(value)))
    return whole + parts


def _read_range(message: memoryview) -> Wanted:
    key, start, end = "", 0, 0
    for field, _, value in fields(message):
        if field == _KEY:
            key = text(value)
        elif field == _BYTE_START:
            start = number(value)
        elif field == _BYTE_END:
            end = number(value)
    return Wanted(key, ByteRange.of(start, end))


def write_keys(wanted: Iterable[Wanted]) -> bytes:
    """A ``Keys`` that asks for this; for clients and tests."""
    parts = []
    for each in wanted:
        if each.part is None:
            parts.append(bytes_field(_KEYS, each.key.encode("utf-8")))
            continue
        message = bytes_field(_KEY, each.key.encode("utf-8"))
        message += varint_field(_BYTE_START, each.part.start) + varint_field(_BYTE_END, each.part.end)
        parts.append(bytes_field(_KEY_RANGES, message))
    return b"".join(parts)
