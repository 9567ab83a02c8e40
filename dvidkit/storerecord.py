"""The store's own record: that this is a dvidkit store, in which format, and whether its values carry checksums."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from dvidkit.checksum import seal, unseal
from dvidkit.engine import StoreConfig
from dvidkit.errors import CorruptData, ReadOnlyStore, StoreMismatch
from dvidkit.lifecycle import Lifecycle

FORMAT: Final = 1
_KEY: Final = b"\x03\x00"


class StoreRecord(msgspec.Struct, frozen=True):
    """What a store says of itself, written once when it is made.

    Attributes:
        format: of keys, checksums and completeness records.
        uuid: identity of the store.
        integrity: values carry a CRC and there are completeness records.
    """

    format: int
    uuid: str
    integrity: bool


def read_or_make(life: Lifecycle, config: StoreConfig) -> StoreRecord:
    """The record of an opened store; a store without any content gets one.

    Raises:
        StoreMismatch: there is content but no record, or the record is of a later release.
        CorruptData: the record cannot be read.
    """
    stored = life.access.get(_KEY)
    if stored is None:
        return _make(life, config)
    try:
        record = msgspec.json.decode(unseal(_KEY, stored), type=StoreRecord)
    except msgspec.MsgspecError as error:
        raise CorruptData("the store's own record cannot be read", key=_KEY) from error
    if record.format != FORMAT:
        raise StoreMismatch(
            f"the store has format {record.format}; this release reads {FORMAT}",
            engine=life.engine.name,
            path=config.path,
        )
    return record


def _make(life: Lifecycle, config: StoreConfig) -> StoreRecord:
    if life.access.first_from(b"\x00", b"\xff", keys_only=True) is not None:
        raise StoreMismatch("the store holds keys but no record of dvidkit", engine=life.engine.name, path=config.path)
    if config.read_only:
        raise ReadOnlyStore("an empty store cannot be opened read-only", engine=life.engine.name, path=config.path)
    record = StoreRecord(FORMAT, uuid.uuid4().hex, config.integrity)
    life.apply([(_KEY, seal(_KEY, msgspec.json.encode(record)))], durable=True, expect={_KEY: None})
    return record
