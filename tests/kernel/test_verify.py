"""Planted damage is found and named; a healthy store has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvidkit.checksum import seal
from dvidkit.context import DataContext
from dvidkit.datatype import Datatype
from dvidkit.drivers import ready
from dvidkit.engine import StoreConfig
from dvidkit.errors import StoreClosed
from dvidkit.findings import Damage, Finding
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass, data_key
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit.store import Store
from dvidkit.verify import verify

TEXT = TKeyClass(200, "text of a name", terminator=0)


class Note(Datatype):
    """Texts by name."""

    typename = "note"
    tkey_classes = (TEXT,)

    def put(self, **texts: str) -> None:
        with self.mutation("note") as m:
            for name, text in texts.items():
                m.put(TEXT.key(name.encode()), text.encode())

    def delete(self, name: str) -> None:
        with self.mutation("note") as m:
            m.delete(TEXT.key(name.encode()))


class _Notes:
    @hookimpl
    def dvidkit_datatypes(self) -> list[type[Datatype]]:
        return [Note]


class Case:
    """A small healthy store with two instances and two versions, and a way to damage it behind the store's back."""

    def __init__(self, engine: str, path: Path, *, integrity: bool = True) -> None:
        config = StoreConfig(engine, str(path), integrity=integrity)
        self.kernel = Kernel(config, plugins=Plugins({"notes": _Notes()}))
        self.store: Store = self.kernel.stores["default"]
        self.repo: Repo = self.kernel.repos.create("notes")
        self.repo.create_instance("note", "a")
        self.repo.create_instance("note", "b")
        self.root = self.repo.root
        self.root["a"].put(**{f"k{number:03}": f"text {number}" for number in range(200)})
        self.root["b"].put(one="1")
        self.root.commit()
        self.child = self.root.new_version()
        self.child["a"].put(k001="other", k002="")
        self.child["a"].delete("k003")
        self.blob = self.store.put_blob(b"a blob")

    def key(self, name: str, version: int = 1, instance: int = 1, *, mark: int = 0x03) -> bytes:
        """Full key of a text."""
        return data_key(instance, TEXT.key(name.encode()), version, mark=mark)

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
        report = verify(self.store)
        assert report.ok is not bool(report.findings)
        json.dumps(report.to_json())
        return list(report.findings)


@pytest.fixture(params=tuple(ready(Plugins().engines)))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """The store on every installed engine."""
    case = Case(request.param, tmp_path / "store")
    yield case
    case.kernel.close()


@pytest.fixture
def quick() -> Iterator[Case]:
    """The store in memory."""
    case = Case("memory", Path())
    yield case
    case.kernel.close()


def brief(findings: list[Finding]) -> list[tuple[str, str, str, int]]:
    """Damage, instance, version and rows of each finding."""
    return [(finding.damage.value, finding.name, finding.uuid, finding.rows) for finding in findings]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_healthy_store_is_well(case: Case) -> None:
    """No finding, everything looked at, nothing left unchecked, nothing written."""
    with case.store.instant() as access:
        before = list(access.pages(b"\x00", b"\xff"))
    seen: list[tuple[int, int | None]] = []
    report = verify(case.store, on_progress=lambda done, total: seen.append((done, total)))
    assert report.findings == ()
    assert report.unchecked == ()
    assert (report.rows["values"], report.rows["tombstones"], report.rows["blobs"]) == (203, 1, 1)
    assert seen[-1] == (sum(report.rows.values()), 204)
    with case.store.instant() as access:
        assert list(access.pages(b"\x00", b"\xff")) == before


def test_a_lost_row_is_named(case: Case) -> None:
    """Lost: the instance, the version, and how many."""
    case.plant((case.key("k010"), None), (case.key("k011"), None))
    assert brief(case.findings()) == [("lost", "a", case.root.uuid, 2)]
    assert "instance 'a' (1)" in case.findings()[0].text
    assert "2 values lost: 200 recorded, 198 there" in case.findings()[0].text


def test_a_lost_tombstone_is_named(case: Case) -> None:
    """A tombstone that is gone would let an old value shine through."""
    case.plant((case.key("k003", 2, mark=0x4F), None))
    assert brief(case.findings()) == [("lost", "a", case.child.uuid, 1)]
    assert "1 tombstones lost" in case.findings()[0].text


@pytest.mark.parametrize("at", [0, 3, -1, -4])
def test_a_changed_byte_is_named(case: Case, at: int) -> None:
    """Changed: the instance, the version and the key, whichever byte of value or checksum it is."""
    key = case.key("k020")
    stored = bytearray(case.stored(key))
    stored[at] ^= 0x40
    case.plant((key, bytes(stored)))
    (found,) = case.findings()
    assert (found.damage, found.name, found.uuid, found.keys) == (Damage.CHANGED, "a", case.root.uuid, (key,))


def test_a_value_cut_short_is_named(quick: Case) -> None:
    """Also one too short to hold a checksum."""
    quick.plant((quick.key("k020"), b"\x01"))
    assert brief(quick.findings()) == [("changed", "a", quick.root.uuid, 1)]


def test_an_added_row_is_named(case: Case) -> None:
    """Extra: a whole row that nobody wrote through the store."""
    key = case.key("new", 2)
    case.plant((key, seal(key, b"planted")))
    assert brief(case.findings()) == [("extra", "a", case.child.uuid, 1)]


def test_a_row_under_another_key_is_changed(quick: Case) -> None:
    """A value moved to another key fails the checksum there, and is lost where it was."""
    stored = quick.stored(quick.key("k030"))
    quick.plant((quick.key("k030"), None), (quick.key("moved", 2), stored))
    assert brief(quick.findings()) == [
        ("lost", "a", quick.root.uuid, 1),
        ("extra", "a", quick.child.uuid, 1),
        ("changed", "a", quick.child.uuid, 1),
    ]


def test_an_old_value_put_back_is_noticed(case: Case) -> None:
    """Replaced: whole rows, the right number of them, but not those that were written last."""
    key = case.key("k001", 2)
    case.plant((key, seal(key, b"what it was before")))
    assert brief(case.findings()) == [("replaced", "a", case.child.uuid, 0)]


def test_a_value_beside_its_tombstone_is_named(quick: Case) -> None:
    """RAW-2: never both for one TKey and version."""
    key = quick.key("k003", 2)
    quick.plant((key, seal(key, b"back")))
    assert ("inconsistent", "a", quick.child.uuid, 1) in brief(quick.findings())


def test_much_damage_is_counted_and_some_of_it_shown(quick: Case) -> None:
    """Memory does not grow with the damage: ten keys of a kind and place, and how many."""
    quick.plant(*((quick.key(f"k{number:03}"), b"bad") for number in range(200)))
    (found,) = quick.findings()
    assert (found.rows, len(found.keys)) == (200, 10)
    assert "and 190 more" in found.text


@pytest.mark.parametrize(
    "key", [b"\x01", b"\x01\x00\x00", b"\x01\x00\x00\x00\x01", b"\x01" + bytes(12) + b"\x05", b"\x02ab"]
)
@pytest.mark.parametrize("other", [b"\x05", b"\xff\xff"])
def test_keys_of_no_layout_are_named(quick: Case, key: bytes, other: bytes) -> None:
    """Bad keys, wherever they sort, and only once each."""
    quick.plant((key, seal(key, b"")), (other, b""))
    found = quick.findings()
    assert {each.damage for each in found} == {Damage.BAD_KEY}
    assert sorted(key for each in found for key in each.keys) == sorted((key, other))


# --- dvidkit's own records -------------------------------------------------------------------------------------------


def test_a_completeness_record_that_is_bad_or_gone(quick: Case) -> None:
    """A record that cannot be read is named; rows without one are extra."""
    slot = b"\x03\x01" + (1).to_bytes(4, "big") + (2).to_bytes(4, "big")
    quick.plant((slot, quick.stored(slot)[:-1] + b"?"))
    assert brief(quick.findings()) == [("bad-record", "a", quick.child.uuid, 1)]
    quick.plant((slot, None))
    extra, uuid = "extra", quick.child.uuid
    assert brief(quick.findings()) == [(extra, "a", uuid, 2), (extra, "a", uuid, 3)], "rows of the log, and of the data"
    quick.plant((slot, seal(slot, b"short")))
    assert brief(quick.findings()) == [("bad-record", "a", quick.child.uuid, 1)]


def test_an_instance_that_lost_everything(quick: Case) -> None:
    """All rows gone: the records remember them."""
    quick.plant((quick.key("one", 1, 2), None))
    assert brief(quick.findings()) == [("lost", "b", quick.root.uuid, 1)]


def test_the_mutation_log_is_checked(quick: Case) -> None:
    """A changed record of the log, and one that is whole but no record."""
    with quick.store.instant() as access:
        first, second, *_ = access.scan(b"\x03\x03", b"\x03\x04", keys_only=True)
    quick.plant((first, b"\x00" + quick.stored(first)[1:]), (second, seal(second, b"\xc1")))
    assert [(found.damage, found.keys) for found in quick.findings()] == [
        (Damage.BAD_RECORD, (second,)),
        (Damage.CHANGED, (first,)),
    ]


# --- without checksums -----------------------------------------------------------------------------------------------


def test_without_checksums_it_says_what_it_cannot_check(tmp_path: Path) -> None:
    """A changed value goes unnoticed there, and the report says so; keys, blobs and metadata are still checked."""
    case = Case("memory", tmp_path, integrity=False)
    key = case.key("k020")
    case.plant((key, b"changed"), (case.key("k021"), None))
    report = verify(case.store)
    assert report.ok
    assert "made without checksums" in report.unchecked[0]
    blob = next(key for key, _ in case.store.raw_range_query(b"\x02", b"\x02\xff"))
    case.plant((blob, b"another blob"), (b"\x01\x00\x00\x00\x01x", b""))
    assert [found.damage for found in case.findings()] == [Damage.BAD_KEY, Damage.CHANGED]
    case.kernel.close()


def test_without_checksums_tombstones_need_their_flag(tmp_path: Path) -> None:
    """Without the flag a put would not clear the version's tombstone."""
    case = Case("memory", tmp_path, integrity=False)
    case.plant((b"\x03\x02" + (1).to_bytes(4, "big") + (2).to_bytes(4, "big"), None))
    assert brief(case.findings()) == [("inconsistent", "a", case.child.uuid, 1)]
    case.kernel.close()


def test_a_closed_store_raises(quick: Case) -> None:
    """Closed meanwhile: no report."""
    quick.store.close()
    with pytest.raises(StoreClosed):
        verify(quick.store)


def test_data_without_repos_is_not_called_orphaned(tmp_path: Path) -> None:
    """A store used without repos, or beside a metadata store, is checked for what it can say of itself."""
    with Store(Plugins().engine("memory"), StoreConfig("memory")) as store:
        store.put(DataContext(1), b"k", b"v")
        report = verify(store)
        assert report.ok
        assert report.unchecked == ("the store holds no repos, so whose the data is was not checked",)
