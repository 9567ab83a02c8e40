"""What the index holds for a key: a short value itself, or the place of a longer one.

=============  ========================================================================================================
short value    ``bytes``: the value, then the number of the journal that has it, u32 little-endian
longer value   ``int``: ``journal << 72 | offset << 32 | length``; so places sort as they lie
=============  ========================================================================================================

The index costs about 100 bytes a key, besides the key and the short values.
"""

from __future__ import annotations

from typing import Final

Entry = bytes | int

MAX_KEY: Final = 1 << 16
"""Bytes of the longest key."""

SHORT: Final = 96
"""Bytes of the longest value that the index holds itself."""

CHECK: Final = 4
"""Bytes of the CRC behind a longer value."""

ROW: Final = 8
"""Bytes that a row takes in a journal besides its key and value."""

_LENGTH: Final = (1 << 32) - 1
_OFFSET: Final = (1 << 40) - 1


def place(journal: int, offset: int, length: int) -> int:
    """The entry of a longer value."""
    return journal << 72 | offset << 32 | length


def journal_of(entry: Entry) -> int:
    """The number of the journal that has the row."""
    return entry >> 72 if isinstance(entry, int) else int.from_bytes(entry[-4:], "little")


def offset_of(entry: int) -> int:
    """Where the value begins in its journal."""
    return entry >> 32 & _OFFSET


def length_of(entry: Entry) -> int:
    """Bytes of the value."""
    return entry & _LENGTH if isinstance(entry, int) else len(entry) - 4


def weight_of(key: bytes, entry: Entry | None) -> int:
    """Bytes that the row takes in its journal; ``None`` is a deletion."""
    if entry is None:
        return ROW + len(key)
    return ROW + len(key) + (len(entry) - 4 if isinstance(entry, bytes) else (entry & _LENGTH) + CHECK)
