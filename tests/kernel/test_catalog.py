"""The metadata of a store examined: what cannot be read, and what cannot all be true, is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from dvidkit import records
from dvidkit.checksum import seal
from dvidkit.datatype import Datatype
from dvidkit.engine import StoreConfig
from dvidkit.findings import Damage, Finding
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass, metadata_key
from dvidkit.plugins import Plugins
from dvidkit.records import NodeRecord
from dvidkit.verify import verify

TEXT = TKeyClass(200, "text of a name", terminator=0)


class Note(Datatype):
    """Texts by name."""

    typename = "note"
    tkey_classes = (TEXT,)

    def put(self, name: str, text: str) -> None:
        with self.mutation("note") as m:
            m.put(TEXT.key(name.encode()), text.encode())


class _Notes:
    @hookimpl
    def dvidkit_datatypes(self) -> list[type[Datatype]]:
        return [Note]


class Case:
    """A small healthy store in memory with two instances and two versions."""

    def __init__(self) -> None:
        self.kernel = Kernel(StoreConfig("memory"), plugins=Plugins({"notes": _Notes()}))
        self.store = self.kernel.stores["default"]
        self.repo = self.kernel.repos.create("notes")
        self.repo.create_instance("note", "a")
        self.repo.create_instance("note", "b")
        self.root = self.repo.root
        self.root["a"].put("one", "1")
        self.root["b"].put("one", "1")
        self.root.commit()
        self.root.new_version()["a"].put("two", "2")

    def stored(self, key: bytes) -> bytes:
        """The row as the engine has it."""
        with self.store.instant() as access:
            found = access.get(key)
        assert found is not None
        return found

    def plant(self, *changes: tuple[bytes, bytes | None]) -> None:
        """Write behind the store's back."""
        self.store._life.bytes.write(list(changes), durable=False)

    def findings(self) -> list[Finding]:
        """What ``verify`` finds."""
        return list(verify(self.store).findings)


@pytest.fixture
def quick() -> Iterator[Case]:
    """The store."""
    case = Case()
    assert case.findings() == []
    yield case
    case.kernel.close()


def node(quick: Case, number: int, **fields: Any) -> tuple[bytes, bytes]:
    """A changed version record, whole."""
    key = metadata_key(records.node_tkey(quick.repo.id, number))
    record = msgspec.structs.replace(quick.repo.nodes[number], **fields)
    return key, seal(key, records.encode(record))


def gone(tkey: bytes) -> Callable[[Case], list[tuple[bytes, bytes | None]]]:
    """Delete a metadata record."""
    return lambda quick: [(metadata_key(tkey), None)]


@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        (gone(records.node_tkey(1, 1)), "which is to be its root"),
        (gone(records.node_tkey(1, 1)), "has the parent 1, which does not exist"),
        (gone(records.node_tkey(1, 1)), "of version 1, which its repo does not have"),
        (gone(records.repo_tkey(1)), "is of repo 1, which does not exist"),
        (gone(records.instance_tkey(1, 2)), "1 rows are of instance 2, which no repo has"),
        (gone(records.COUNTER.key(b"instance")), "instance 1 exists, but the next instance would be 1"),
        (gone(records.COUNTER.key(b"version")), "version 1 exists, but the next version would be 1"),
        (lambda quick: [node(quick, 1, locked=False)], "has the parent 1, which is not committed"),
        (lambda quick: [node(quick, 1, parents=(2,))], "has the parent 2, which is younger"),
        (lambda quick: [node(quick, 2, uuid=quick.root.uuid)], "has a UUID that 2 versions have"),
        (lambda quick: [node(quick, 2, version=5)], "is of version 5"),
    ],
)
def test_contradictions_of_the_metadata_are_named(quick: Case, damage: Any, wanted: str) -> None:
    """What cannot all be true is said, and the rest goes on being checked."""
    quick.plant(*damage(quick))
    assert any(wanted in found.text for found in quick.findings()), quick.findings()


def test_metadata_records_must_decode(quick: Case) -> None:
    """Each that does not is named by its key; data it described is then nobody's."""
    bad, later = (metadata_key(records.instance_tkey(1, number)) for number in (1, 2))
    record = msgspec.structs.replace(quick.repo.instance("b").record, schema=99)
    quick.plant((bad, seal(bad, b"\xc1")), (later, seal(later, records.encode(record))))
    found = quick.findings()
    assert [(each.damage, each.keys) for each in found[:2]] == [
        (Damage.BAD_RECORD, (bad,)),
        (Damage.BAD_RECORD, (later,)),
    ]
    assert {each.instance for each in found if each.damage is Damage.ORPHAN} == {1, 2}


def test_a_changed_metadata_record_is_named(quick: Case) -> None:
    """By its key."""
    key = metadata_key(records.node_tkey(1, 2))
    quick.plant((key, b"\x00" + quick.stored(key)[1:]))
    assert (Damage.CHANGED, (key,)) in [(found.damage, found.keys) for found in quick.findings()]


def test_names_must_differ(quick: Case) -> None:
    """Two instances of one name: only one of them could be found."""
    key = metadata_key(records.instance_tkey(1, 2))
    record = msgspec.structs.replace(quick.repo.instance("b").record, name="a", root="0" * 32)
    quick.plant((key, seal(key, records.encode(record))))
    texts = [found.text for found in quick.findings()]
    assert sum("has a name that another instance" in text for text in texts) == 2
    assert any("was made at version 00000000000000000000000000000000" in text for text in texts)


def test_record_kinds_are_decoded(quick: Case) -> None:
    """The helper above makes what it says."""
    key, stored = node(quick, 2, note="x")
    assert records.decode(stored[:-4], NodeRecord).note == "x"
    quick.plant((key, stored))
    assert [found.damage for found in quick.findings()] == [Damage.REPLACED]
