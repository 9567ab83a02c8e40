"""Metadata records: what was written is read, what a later release wrote is refused."""

from __future__ import annotations

import msgspec
import pytest

from dvidkit import records
from dvidkit.errors import CorruptData, StoreMismatch
from dvidkit.records import InstanceRecord, NodeRecord, RepoRecord

RECORDS = [
    RepoRecord(1, "root", "now", "now", alias="a", log=("x",), properties={"a": [1, {"b": None}]}),
    NodeRecord(7, "uuid", "now", "now", parents=(1, 2), branch="side", locked=True, log=("line",)),
    InstanceRecord(3, "uuid", "name", "type", "1", "root", "now", {"versioned": False}, syncs=("a",)),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: type(each).__name__)
def test_records_come_back(record: RepoRecord | NodeRecord | InstanceRecord) -> None:
    """A record is read as it was written; one of a later schema is StoreMismatch, other bytes are CorruptData."""
    kind = type(record)
    assert records.decode(records.encode(record), kind) == record  # type: ignore[type-var]
    later = msgspec.structs.replace(record, schema=records.SCHEMA + 1)
    with pytest.raises(StoreMismatch):
        records.decode(records.encode(later), kind)  # type: ignore[type-var]
    for damage in (b"", b"\x00", msgspec.msgpack.encode({"id": "text"})):
        with pytest.raises(CorruptData):
            records.decode(damage, kind)  # type: ignore[type-var]


def test_places_of_records() -> None:
    """The layout in the module's table."""
    assert records.repo_tkey(1) == b"\x12\x01\x00\x00\x00\x01"
    assert records.node_tkey(1, 2) == b"\x13\x01\x00\x00\x00\x01\x00\x00\x00\x02"
    assert records.instance_tkey(1, 0xFFFFFFFF) == b"\x14\x01\x00\x00\x00\x01\xff\xff\xff\xff"
