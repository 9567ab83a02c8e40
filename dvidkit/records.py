"""What is stored about repos: small records in the metadata key space, each schema-versioned MessagePack.

========  ==========================  ===============================================================================
class     payload of the TKey         record
========  ==========================  ===============================================================================
``0x10``  none                        revision: u64, changed with every metadata change
``0x11``  name of a counter           next id to hand out (``repo``, ``version``, ``instance``, ``mutation``)
``0x12``  repo u32                    ``RepoRecord``
``0x13``  repo u32, version u32       ``NodeRecord``
``0x14``  repo u32, instance u32      ``InstanceRecord``
========  ==========================  ===============================================================================

DVID keeps a repo as one Go-gob blob under the classes 1 to 7; those are left free.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from dvidkit.errors import BadType, CorruptData, StoreMismatch
from dvidkit.keys import TKeyClass, u32

SCHEMA: Final = 1

REVISION: Final = TKeyClass(0x10, "metadata revision", width=0)
COUNTER: Final = TKeyClass(0x11, "counter", terminator=0)
REPO: Final = TKeyClass(0x12, "repo", width=4)
NODE: Final = TKeyClass(0x13, "version", width=8)
INSTANCE: Final = TKeyClass(0x14, "data instance", width=8)


class RepoRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A repo without its versions and instances. Times are RFC 3339 in UTC."""

    id: int
    root: str
    created: str
    updated: str
    alias: str = ""
    description: str = ""
    log: tuple[str, ...] = ()
    properties: dict[str, Any] = {}
    passcode: str = ""
    deleted: bool = False
    schema: int = SCHEMA


class NodeRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version: its identity, its parents (version ids, in the order given), and whether it is committed."""

    version: int
    uuid: str
    created: str
    updated: str
    parents: tuple[int, ...] = ()
    branch: str = ""
    locked: bool = False
    note: str = ""
    log: tuple[str, ...] = ()
    hidden: bool = False
    schema: int = SCHEMA


class InstanceRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A data instance: which datatype, with which settings, made at which version (UUID), kept in which store."""

    id: int
    uuid: str
    name: str
    typename: str
    type_version: str
    root: str
    created: str
    settings: dict[str, Any] = {}
    syncs: tuple[str, ...] = ()
    store: str = ""
    deleted: bool = False
    schema: int = SCHEMA


Record = TypeVar("Record", RepoRecord, NodeRecord, InstanceRecord)


def encode(record: RepoRecord | NodeRecord | InstanceRecord) -> bytes:
    """The record as it is stored, and as ``decode`` can read it.

    Raises:
        BadType: a field holds what it cannot.
    """
    try:
        data = msgspec.msgpack.encode(record)
        msgspec.msgpack.decode(data, type=type(record))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise BadType(f"a {type(record).__name__} cannot be stored: {error}") from error
    return data


def decode(data: bytes, kind: type[Record]) -> Record:
    """A stored record.

    Raises:
        StoreMismatch: written by a later release.
        CorruptData: not a record of this kind.
    """
    try:
        record = msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise CorruptData(f"a stored {kind.__name__} cannot be read: {error}") from error
    if record.schema > SCHEMA:
        raise StoreMismatch(f"a {kind.__name__} of schema {record.schema} is newer than this release reads ({SCHEMA})")
    return record


def repo_tkey(repo: int) -> bytes:
    """Where a repo's record is."""
    return REPO.key(u32(repo, "repo"))


def node_tkey(repo: int, version: int) -> bytes:
    """Where a version's record is."""
    return NODE.key(u32(repo, "repo") + u32(version, "version"))


def instance_tkey(repo: int, instance: int) -> bytes:
    """Where an instance's record is."""
    return INSTANCE.key(u32(repo, "repo") + u32(instance, "instance"))
