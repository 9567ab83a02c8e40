"""The mutation log: what was changed, by whom, when, in the order in which it was written.

The log lies in dvidkit's own key space beside the data, so that a change and its record are one batch.

=====================================================  =============================================================
key                                                    value
=====================================================  =============================================================
``03 | 03 | number u64``                               the record, MessagePack, sealed
``03 | 04 | instance u32 | version u32 | number u64``  empty, sealed: which records are of this instance and version
=====================================================  =============================================================

Numbers are given out by the store when it is a write's turn: a record's number is greater than that of every record
written before it, and a reader that has seen number *n* never misses one below. They have gaps where writes failed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from dvidkit.access import Access
from dvidkit.checksum import seal, unseal
from dvidkit.errors import BadType, CorruptData, shown
from dvidkit.keys import u32
from dvidkit.segment import Changes, Segment

if TYPE_CHECKING:
    from dvidkit.store import Store

_RECORD: Final = b"\x03\x03"
_INDEX: Final = b"\x03\x04"
_SLOT: Final = struct.Struct(">II")
_U64_MAX: Final = (1 << 64) - 1


class MutationRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the log.

    Attributes:
        action: what was done, in DVID's words (``postkv``, ``merge`` …).
        repo: UUID of the repo's root.
        version: UUID of the version that was changed; empty for a change of the repo itself.
        instance: data UUID; empty for a change of the repo itself.
        time: RFC 3339, UTC.
        mutation: mutation id, or 0 for kinds of change that have none.
        user, app: who asked.
        fields: the rest, under the names that DVID's log and Kafka messages use.
        events: what was told to subscribers, for those in other stores: (kind, payload).
        number: place in the log; not stored in the record but in its key.
    """

    action: str
    repo: str
    version: str = ""
    instance: str = ""
    time: str = ""
    mutation: int = 0
    user: str = ""
    app: str = ""
    fields: dict[str, Any] = {}
    events: tuple[tuple[str, Any], ...] = ()
    number: int = 0

    def to_json(self) -> dict[str, Any]:
        """The record as DVID's ``mutations`` endpoint and Kafka topics have it."""
        shown: dict[str, Any] = {"Action": self.action, **self.fields}
        if self.version:
            shown["UUID"] = self.version
        if self.mutation:
            shown["MutationID"] = self.mutation
        if self.user:
            shown["User"] = self.user
        if self.app:
            shown["App"] = self.app
        shown["Timestamp"] = self.time
        return shown


def log_segment(record: MutationRecord, *, instance: int = 0, version: int = 0, sealed: bool) -> Segment:
    """The changes that append a record to the log, numbered when they are written."""
    try:
        data = msgspec.msgpack.encode(record)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadType(f"a record of {shown(record.action)} cannot be logged: {error}") from error
    slot = _SLOT.pack(instance, version)

    def stamp(number: int) -> Changes:
        place = number.to_bytes(8, "big")
        key, index = _RECORD + place, _INDEX + slot + place
        return [(key, seal(key, data)), (index, seal(index, b""))] if sealed else [(key, data), (index, b"")]

    return Segment([], slot=slot, stamp=stamp)


def last_stamp(access: Access) -> int:
    """The number of the last record in the log, 0 if it is empty."""
    key = access.last_before(_INDEX, _RECORD, keys_only=True)
    return int.from_bytes(key[2:], "big") if key is not None else 0


class MutationLog:
    """Reads the log of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def after(self, number: int, *, limit: int = 1000) -> list[MutationRecord]:
        """The first records whose number is greater, in order."""
        begin = _RECORD + min(number + 1, _U64_MAX).to_bytes(8, "big")
        found: list[MutationRecord] = []
        with self._store.instant() as access:
            for key, stored in access.scan(begin, _INDEX):
                found.append(self._decode(key, stored))
                if len(found) == limit:
                    break
        return found

    def last(self) -> int:
        """The number of the last record, 0 if there is none."""
        with self._store.instant() as access:
            return last_stamp(access)

    def of(self, instance: int, version: int) -> Iterator[MutationRecord]:
        """The records of one instance at one version (not its ancestors), in order."""
        begin = _INDEX + u32(instance, "instance") + u32(version, "version")
        with self._store.instant() as access:
            for index in access.scan(begin, begin + b"\xff" * 9, keys_only=True):
                key = _RECORD + index[-8:]
                stored = access.get(key)
                if stored is not None:
                    yield self._decode(key, stored)

    def forget(self, instance: int) -> None:
        """Delete the records of an instance, after the instance itself was deleted.

        The newest record of the log is kept, whosever it is: the next number is counted from it, and numbers that were
        used before would not be delivered.
        """
        begin = _INDEX + u32(instance, "instance")
        with self._store.instant() as access:
            newest = last_stamp(access).to_bytes(8, "big")
            for page in access.pages(begin, begin + b"\xff" * 13, keys_only=True):
                indexes = [index for index in cast(list[bytes], page) if index[-8:] != newest]
                records: Changes = [(_RECORD + index[-8:], None) for index in indexes]
                self._store.write_own(records + [(index, None) for index in indexes])

    def _decode(self, key: bytes, stored: bytes) -> MutationRecord:
        data = unseal(key, stored) if self._store.record.integrity else stored
        try:
            record = msgspec.msgpack.decode(data, type=MutationRecord)
        except msgspec.MsgspecError as error:
            raise CorruptData(f"a record of the mutation log cannot be read: {error}", key=key) from error
        return msgspec.structs.replace(record, number=int.from_bytes(key[2:], "big"))
