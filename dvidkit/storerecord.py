"""The store's own record: that this is a dvidkit store, in which format, and whether its values carry checksums."""

from __future__ import annotations

import struct
import uuid
from typing import Final

import msgspec

from dvidkit.checksum import seal, unseal
from dvidkit.deferred import logger
from dvidkit.engine import StoreConfig
from dvidkit.errors import CorruptData, ReadOnlyStore, StoreError, StoreMismatch
from dvidkit.lifecycle import Lifecycle
from dvidkit.recount import batches, recounted

_LOG: Final = logger("dvidkit.kernel.storerecord")
FORMAT: Final = 2
"""Format 1 had completeness records of data alone; a store of it is raised when it is opened for writing."""

_KEY: Final = b"\x03\x00"


class StoreRecord(msgspec.Struct, frozen=True):
    """What a store says of itself, written once when it is made.

    Attributes:
        format: of keys, checksums and completeness records.
        uuid: identity of the store.
        integrity: values carry a CRC and there are completeness records.
        counted: these include metadata, blobs, positions of feeds and the mutation log.
        slots: it is recorded of every version of every instance whether it holds rows. With checksums it always is.
    """

    format: int
    uuid: str
    integrity: bool
    counted: bool = False
    slots: bool = False

    @property
    def tells_holders(self) -> bool:
        """Whether it is recorded which versions of an instance hold rows."""
        return self.integrity or self.slots


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
    if not 1 <= record.format <= FORMAT:
        raise StoreMismatch(
            f"the store has format {record.format}; this release reads up to {FORMAT}",
            engine=life.engine.name,
            path=config.path,
        )
    if record.integrity and not record.counted and not config.read_only:
        return _counted(life, record)
    return record


def _counted(life: Lifecycle, record: StoreRecord) -> StoreRecord:
    """Begin the records that a store of format 1 lacks; older releases, which would not keep them up, are kept out.

    A store of which that much cannot be read, or written, is used as it is, and counted when it is next opened.
    """
    try:
        found = recounted(life.access)
        record = _write(life, msgspec.structs.replace(record, format=FORMAT))
        for changes in batches(found, life.limits):
            life.apply(changes, durable=True, expect=None)
        return _write(life, msgspec.structs.replace(record, counted=True))
    except (StoreError, struct.error) as error:
        _LOG.warning("metadata and log of store %s are not counted yet: %s", record.uuid, error)
        return record


def _write(life: Lifecycle, record: StoreRecord) -> StoreRecord:
    life.apply([(_KEY, seal(_KEY, msgspec.json.encode(record)))], durable=True, expect=None)
    return record


def _make(life: Lifecycle, config: StoreConfig) -> StoreRecord:
    if life.access.first_from(b"\x00", b"\xff", keys_only=True) is not None:
        raise StoreMismatch("the store holds keys but no record of dvidkit", engine=life.engine.name, path=config.path)
    if config.read_only:
        raise ReadOnlyStore("an empty store cannot be opened read-only", engine=life.engine.name, path=config.path)
    record = StoreRecord(FORMAT, uuid.uuid4().hex, config.integrity, config.integrity, not config.integrity)
    life.apply([(_KEY, seal(_KEY, msgspec.json.encode(record)))], durable=True, expect={_KEY: None})
    return record
