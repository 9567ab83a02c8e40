"""Beginning the completeness records of what a store of format 1 did not count: metadata, blobs, feeds, the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

from dvidkit import checksum
from dvidkit.access import Access
from dvidkit.checksum import seal, unseal
from dvidkit.engine import Item, Limits
from dvidkit.segment import Changes
from dvidkit.slots import CURSORS, LOG_INDEX, Slot, crc_of, place_of, slot_key, tally

_WRAP: Final = (1 << 64) - 1
_ROWS: Final = 1000
_OUTSIDE: Final = ((b"\x00", b"\x01"), (b"\x02", b"\x03"), (CURSORS, b"\x03\x06"))


def recounted(access: Access) -> dict[bytes, Slot]:
    """The records, by place, that the rows which are there call for; of slots, those that the log has rows of.

    Raises:
        CorruptData, struct.error: a row or record is damaged, so what should be there is not known.
        StoreError: the engine cannot read all of it.
    """
    found: dict[bytes, Slot] = {}
    for begin, end in _OUTSIDE:
        for row in _rows(access, begin, end):
            place = cast(bytes, place_of(row[0]))
            was, (values, tombstones, crc) = found.get(place, Slot()), tally([row])
            found[place] = Slot(was.values + values, was.tombstones + tombstones, (was.sum + crc) & _WRAP, row[0])
    for key, stored in _rows(access, LOG_INDEX, CURSORS):
        slot = key[2:10]
        was = found.get(slot) or _recorded(access, slot)
        found[slot] = was._replace(logged=was.logged + 1, log_sum=(was.log_sum + crc_of(stored)) & _WRAP)
    return found


def batches(found: dict[bytes, Slot], limits: Limits) -> Iterator[Changes]:
    """The changes that write records, in portions that the engine takes."""
    changes: Changes = []
    room = limits.max_batch_bytes
    for place, slot in found.items():
        key = slot_key(place)
        stored = seal(key, slot.encode())
        room -= len(key) + len(stored)
        if changes and (room < 0 or len(changes) >= min(_ROWS, limits.max_batch_ops)):
            yield changes
            changes, room = [], limits.max_batch_bytes - len(key) - len(stored)
        changes.append((key, stored))
    if changes:
        yield changes


def _rows(access: Access, begin: bytes, end: bytes) -> Iterator[Item]:
    for page in cast(Iterator[list[Item]], access.pages(begin, end)):
        checksum.check(page)
        yield from page


def _recorded(access: Access, slot: bytes) -> Slot:
    """What the record of a slot says of its data; of the log nothing is said yet, or what an interrupted count said."""
    key = slot_key(slot)
    stored = access.get(key)
    return Slot() if stored is None else Slot.decode(unseal(key, stored))._replace(logged=0, log_sum=0)
