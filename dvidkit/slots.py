"""Completeness records as they are stored: how many rows there are in each place, and a hash of all of them.

A place is one version of one instance, a *slot*, or a kind of rows outside of the data. Records lie in dvidkit's own
key space ``03``, which the store's API never shows:

======================================  ===========================================================================
key                                     value (big-endian, sealed)
======================================  ===========================================================================
``03 | 01 | instance u32 | version``    ``values u64 | tombstones u64 | sum u64 | top key``; where the slot has rows
                                        in the index of the mutation log,
                                        ``01 | values | tombstones | sum | logged u64 | sum of these u64 | top key``
``03 | 06 | 00 | class of the TKey``    metadata of one class: ``rows u64 | 0 | sum u64 | top key``
``03 | 06 | 02``, ``03 | 06 | 03 05``   blobs, and positions of feeds, likewise
======================================  ===========================================================================

A store without checksums keeps only ``03 | 02 | instance | version`` for each slot that ever held a row: ``01``, or
nothing once it held a tombstone, so that a put elsewhere need not remove one. Stores that were made before that have
none of slots that only ever held values.

``sum`` adds the rows' CRCs modulo 2^64, so it does not depend on order and is kept up by the rows that change.
``top key`` is the greatest key ever written there: a key above it is new without looking. The log lies in the record of
its slot because most changes of a slot are logged in the same batch: one record is written for both.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, NamedTuple, cast

from dvidkit.access import Access
from dvidkit.checksum import unseal
from dvidkit.errors import CorruptData
from dvidkit.keys import BLOB, DATA, METADATA, TOMBSTONE_MARK, u32

SPACE: Final = b"\x03"
LOG_INDEX: Final = b"\x03\x04"
CURSORS: Final = b"\x03\x05"
_SLOT_PREFIX: Final = b"\x03\x01"
_FLAG_PREFIX: Final = b"\x03\x02"
PLACES: Final = b"\x03\x06"
PLACES_END: Final = b"\x03\x07"
_SLOT_SIZE: Final = 8
_NUMBERS: Final = struct.Struct(">QQQ")
_LOGGED: Final = struct.Struct(">BQQQQQ")
_HAS_LOG: Final = b"\x01"
"""First byte of a record with the two numbers of the log; without them it is 0, the first of a number of values."""


class Slot(NamedTuple):
    """What one version of one instance holds, or one place outside of the data."""

    values: int = 0
    tombstones: int = 0
    sum: int = 0
    top: bytes = b""
    logged: int = 0
    log_sum: int = 0

    def encode(self) -> bytes:
        """The record, unsealed."""
        if self.logged:
            return _LOGGED.pack(1, self.values, self.tombstones, self.sum, self.logged, self.log_sum) + self.top
        return _NUMBERS.pack(self.values, self.tombstones, self.sum) + self.top

    @classmethod
    def decode(cls, data: bytes) -> Slot:
        """From an unsealed record.

        Raises:
            struct.error: it is too short.
        """
        if data[:1] == _HAS_LOG:
            _, values, tombstones, total, logged, log_sum = _LOGGED.unpack_from(data)
            return cls(values, tombstones, total, data[_LOGGED.size :], logged, log_sum)
        values, tombstones, total = _NUMBERS.unpack_from(data)
        return cls(values, tombstones, total, data[_NUMBERS.size :])


def slot_of(key: bytes) -> bytes:
    """``instance | version`` of a data key."""
    return key[1:5] + key[-9:-5]


def place_of(key: bytes) -> bytes | None:
    """The slot of a data key, the place of a row outside of the data; ``None`` for rows that are not counted so."""
    space = key[0]
    if space == DATA:
        return slot_of(key)
    if space == BLOB:
        return key[:1]
    return key[:2] if space == METADATA or key[:2] == CURSORS else None


def slot_key(slot: bytes) -> bytes:
    """Where the record of a slot, or of a place outside of the data, is stored."""
    return (_SLOT_PREFIX if len(slot) == _SLOT_SIZE else PLACES) + slot


def flag_key(slot: bytes) -> bytes:
    """Where a store without checksums keeps that the slot ever held a row."""
    return _FLAG_PREFIX + slot


def flags_tombstones(flag: bytes | None) -> bool:
    """Whether what lies there says that the slot ever held a tombstone."""
    return flag == b""


def tally(rows: Iterable[tuple[bytes, bytes]]) -> tuple[int, int, int]:
    """(values, tombstones, sum of CRCs) of sealed rows."""
    rows = list(rows)
    tombstones = [key[-1] for key, _ in rows].count(TOMBSTONE_MARK)
    crcs = struct.unpack(f"<{len(rows)}I", b"".join([value[-4:] for _, value in rows]))
    return len(rows) - tombstones, tombstones, sum(crcs)


def slot_range(instance: int | None = None) -> tuple[bytes, bytes]:
    """Half-open bounds of the records of every slot, or of every slot of one instance."""
    begin = _SLOT_PREFIX if instance is None else _SLOT_PREFIX + u32(instance, "instance")
    return begin, begin + b"\xff" * 9


def place_range() -> tuple[bytes, bytes]:
    """Half-open bounds of the records of every place outside of the data."""
    return PLACES, PLACES_END


def crc_of(stored: bytes) -> int:
    """The CRC at the end of a sealed value."""
    return int.from_bytes(stored[-4:], "little")


def recorded_slots(access: Access, instance: int, *, sealed: bool) -> list[bytes]:
    """The slots of an instance that the records name, of a store with or without checksums."""
    prefix = (_SLOT_PREFIX if sealed else _FLAG_PREFIX) + u32(instance, "instance")
    pages = access.pages(prefix, prefix + b"\xff" * 5, keys_only=True)
    return [key[2:] for page in pages for key in cast(list[bytes], page)]


def may_hold_tombstones(access: Access, slot: bytes, *, sealed: bool) -> bool:
    """What the record of a slot says of tombstones; true where there is none.

    Raises:
        CorruptData, struct.error: it cannot be read.
    """
    key = slot_key(slot) if sealed else flag_key(slot)
    stored = access.get(key)
    if stored is None or not sealed:
        return stored is None or flags_tombstones(stored)
    return Slot.decode(unseal(key, stored)).tombstones > 0


def recorded_rows(access: Access, instance: int | None = None) -> int:
    """How many rows the records say there are; a record that cannot be read counts for none."""
    total = 0
    for key, stored in access.scan(*slot_range(instance)):
        with suppress(CorruptData, struct.error):
            slot = Slot.decode(unseal(key, stored))
            total += slot.values + slot.tombstones
    return total
