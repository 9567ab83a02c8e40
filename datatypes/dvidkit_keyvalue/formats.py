"""How several values are sent: as a JSON object, as a tar file, or as a Protocol Buffers message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from dvidkit.deferred import deferred
from dvidkit.errors import BadPayload, InvalidInputError, shown
from dvidkit_keyvalue.slices import ByteRange, Wanted

if TYPE_CHECKING:
    import tarfile
else:
    tarfile = deferred("tarfile")

Pairs = Iterable[tuple[str, bytes]]

_MODE: Final = 0o755
_ABSENT: Final = b"{}"
"""What stands for a value that is absent or empty, which no JSON is."""


class _Part(msgspec.Struct):
    key: str
    byte_start: int | None = None
    byte_end: int | None = None


def write_json(pairs: Pairs, *, check: bool = True) -> Iterator[bytes]:
    """A JSON object of values that are JSON themselves, in pieces.

    Raises:
        BadPayload: with ``check``, at a value that is not.
    """
    before = b"{"
    for key, value in pairs:
        if check and value:
            _check_json(key, value)
        yield b"%b%b:%b" % (before, msgspec.json.encode(key), value or _ABSENT)
        before = b","
    yield b"}" if before == b"," else b"{}"


def _check_json(key: str, value: bytes) -> None:
    try:
        msgspec.json.decode(value)
        str(value, "utf-8")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadPayload(f"the value of {shown(key)} is no JSON: {error}", key=key) from None


def write_tar(pairs: Pairs) -> Iterator[bytes]:
    """A tar file with a member for each value, in pieces."""
    for key, value in pairs:
        member = tarfile.TarInfo(key)
        member.size, member.mode = len(value), _MODE
        yield member.tobuf(tarfile.PAX_FORMAT)
        yield value
        yield bytes(-len(value) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def read_wanted(body: bytes) -> list[Wanted]:
    """What a JSON array asks for: of keys, or of objects ``{"key", "byte_start", "byte_end"}``.

    Raises:
        BadPayload: of another form.
        InvalidInputError: only one end of a range, or an end before its start.
    """
    try:
        items = msgspec.json.decode(body, type=list[str | _Part])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadPayload(f"the body is no array of keys: {error}") from None
    return [Wanted(item) if isinstance(item, str) else _wanted(item) for item in items]


def _wanted(item: _Part) -> Wanted:
    start, end = item.byte_start, item.byte_end
    if start is None and end is None:
        return Wanted(item.key)
    if start is None or end is None or start < 0:
        raise InvalidInputError(f"a part of the value of {shown(item.key)} needs both byte_start and byte_end")
    return Wanted(item.key, ByteRange.of(start, end))
