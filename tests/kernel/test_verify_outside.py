"""What is lost, added or exchanged outside of the data is found and named: metadata, blobs, feeds, the mutation log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_memory.engine import MemoryEngine

from dvidkit import records
from dvidkit.checksum import seal, unseal
from dvidkit.context import MetadataContext
from dvidkit.engine import Batch, Engine, StoreConfig
from dvidkit.errors import StoreFull
from dvidkit.feed import Cursor
from dvidkit.findings import VerifyReport
from dvidkit.keys import metadata_key
from dvidkit.repo import Repo
from dvidkit.slots import place_range, slot_key
from dvidkit.store import Store
from dvidkit.transfer import copy_store
from dvidkit.upkeep import delete_instance
from dvidkit.verify import verify

MakeStore = Callable[..., Store]
Changes = list[tuple[bytes, bytes | None]]
VECTOR = Path(__file__).parent / "vectors" / "store-format-1.json"
LOG = b"\x03\x03"
INDEX = b"\x03\x04"


@pytest.fixture
def store(repo: Repo) -> Store:
    """A store with a repo, two changes of an instance, a blob and a position of a feed."""
    repo.root["counts"].add("one")  # type: ignore[attr-defined]
    repo.root["counts"].add("two")  # type: ignore[attr-defined]
    store = repo.repos.metadata.store
    store.put_blob(b"a blob")
    Cursor(store, b"somebody").write(3)
    assert verify(store).ok
    return store


def keys(store: Store, begin: bytes, end: bytes) -> list[bytes]:
    """Every key of a range."""
    with store.instant() as access:
        return list(access.scan(begin, end, keys_only=True))


def plant(store: Store, *changes: tuple[bytes, bytes | None]) -> None:
    """Write behind the store's back."""
    store._life.bytes.write(list(changes), durable=False)


def found(store: Store) -> list[tuple[str, str, int]]:
    """Damage, text before the colon and rows of each finding."""
    return [(each.damage.value, each.text.split(":")[0], each.rows) for each in verify(store).findings]


def whole(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A row as the store would have written it."""
    return key, seal(key, value)


@pytest.mark.parametrize(
    ("begin", "end", "name"),
    [
        (b"\x00\x10", b"\x00\x11", "metadata, class 'metadata revision'"),
        (b"\x00\x11", b"\x00\x12", "metadata, class 'counter'"),
        (b"\x00\x12", b"\x00\x13", "metadata, class 'repo'"),
        (b"\x00\x13", b"\x00\x14", "metadata, class 'version'"),
        (b"\x00\x14", b"\x00\x15", "metadata, class 'data instance'"),
        (b"\x02", b"\x03", "blobs"),
        (b"\x03\x05", b"\x03\x06", "positions of feeds"),
    ],
)
def test_a_lost_row_is_named(store: Store, begin: bytes, end: bytes, name: str) -> None:
    """Lost: which kind of row, and that there is one less."""
    plant(store, (keys(store, begin, end)[0], None))
    assert ("lost", name, 1) in found(store)


def test_an_added_row_is_named(store: Store) -> None:
    """Extra: whole rows that nobody wrote through the store, also where there was none of their kind."""
    new = [metadata_key(records.COUNTER.key(b"other")), metadata_key(b"\x77"), metadata_key(b""), b"\x02" + bytes(16)]
    plant(store, *(whole(key, bytes(8)) for key in new))
    places = ["blobs", "metadata of class 0x77", "metadata of no class", "metadata, class 'counter'"]
    assert sorted(found(store)) == [("extra", place, 1) for place in places]


def test_an_old_value_put_back_is_noticed(store: Store) -> None:
    """Replaced: as many rows, each whole, but one is as it was before."""
    plant(store, whole(metadata_key(records.COUNTER.key(b"instance")), (100).to_bytes(8, "big")))
    assert found(store) == [("replaced", "metadata, class 'counter'", 0)]


def test_a_changed_row_is_not_also_replaced(store: Store) -> None:
    """A changed row has another checksum than the one that was counted; it is named once, as changed."""
    plant(store, (metadata_key(records.REVISION.key()), bytes(12)))
    assert [damage for damage, _, _ in found(store)] == ["changed"]


def test_a_record_of_a_place_that_is_bad_or_gone(store: Store) -> None:
    """A record that cannot be read is named; rows without one are extra."""
    key = slot_key(b"\x00\x13")
    plant(store, (key, b"bad"))
    assert found(store) == [
        ("bad-record", "the completeness record of metadata, class 'version' cannot be read; 1 rows are there", 1)
    ]
    plant(store, (key, None))
    assert found(store) == [("extra", "metadata, class 'version'", 1)]


# --- the mutation log ------------------------------------------------------------------------------------------------


def test_a_lost_record_of_the_log_is_named(store: Store) -> None:
    """By the instance and version whose index has it, and by its key."""
    key = keys(store, LOG, INDEX)[-1]
    plant(store, (key, None))
    (finding,) = verify(store).findings
    assert (finding.damage.value, finding.name, finding.rows, finding.keys) == ("lost", "counts", 1, (key,))


def test_a_lost_row_of_the_index_is_named(store: Store) -> None:
    """By instance and version, or by the repo; the record that is left is not another finding."""
    first, *_, last = keys(store, INDEX, b"\x03\x05")
    plant(store, (last, None))
    (finding,) = verify(store).findings
    assert (finding.damage.value, finding.name, finding.rows) == ("lost", "counts", 1)
    assert finding.uuid
    plant(store, (first, None))
    assert ("lost", "mutation log of repo 1 itself", 1) in found(store)


def test_a_lost_entry_of_the_log_is_named(store: Store) -> None:
    """Record and index row both gone: the completeness record of the slot remembers them."""
    plant(store, (keys(store, INDEX, b"\x03\x05")[-1], None), (keys(store, LOG, INDEX)[-1], None))
    ((damage, text, rows),) = found(store)
    assert (damage, rows) == ("lost", 1)
    assert text.startswith("mutation log of instance 'counts'")


def test_an_added_record_of_the_log_is_named(store: Store) -> None:
    """A whole record that the index does not have; and one that it has, of an instance that has no such row."""
    stored = store.read_own(key := keys(store, LOG, INDEX)[-1])
    assert stored is not None
    number = (99).to_bytes(8, "big")
    plant(store, whole(LOG + number, unseal(key, stored)))
    assert found(store) == [("extra", "mutation log", 1)]
    plant(store, whole(INDEX + bytes(7) + b"\x09" + number, b""))
    assert found(store) == [("extra", "mutation log of repo 9 itself", 1)]


def test_an_exchanged_row_of_the_index_is_noticed(store: Store) -> None:
    """Replaced: as many rows of a slot, each whole, but not the same ones."""
    last = keys(store, INDEX, b"\x03\x05")[-1]
    plant(store, (last, None), whole(last[:-8] + (1).to_bytes(8, "big"), b""))
    assert [damage for damage, _, _ in found(store)] == ["replaced"]


@pytest.mark.parametrize("value", [b"x", b""])
def test_a_bad_row_of_the_index_is_named(store: Store, value: bytes) -> None:
    """A key of another length, and a value that is not what was written."""
    last = keys(store, INDEX, b"\x03\x05")[-1]
    plant(store, (last, value), (last + b"\x00", value))
    assert {damage for damage, _, _ in found(store)} == {"changed", "bad-key"}


def test_the_log_of_a_store_without_checksums(make_store: MakeStore) -> None:
    """Its index still tells which records are lost."""
    store = make_store(wrapped(MemoryEngine(), shared=True), integrity=False)
    store.write_own([(LOG + bytes(8), b"\x92\xa1a\xa1r"), (INDEX + bytes(16), b"")])
    plant(store, (LOG + bytes(8), None))
    assert ("lost", "mutation log of repo 0 itself", 1) in found(store)


# --- kept up ---------------------------------------------------------------------------------------------------------


def test_writing_keeps_the_records_right(store: Store) -> None:
    """Overwritten, deleted, raw and twice in one batch; the last row of a place takes its record with it."""
    ctx = MetadataContext()
    for pairs in (
        [(b"b", b"1"), (b"a", b"2")],
        [(b"a", b"3"), (b"a", None), (b"a", b"4")],
        [(b"b", None), (b"c", None)],
    ):
        store.write_pairs(ctx, pairs)
        assert verify(store).ok
    store.raw_write([(b"\x00a", None), (b"\x00aa", b"O")])
    store.raw_put(b"\x00aa", b"P")
    assert verify(store).ok
    store.delete(ctx, b"aa")
    assert verify(store).ok
    assert not [key for key in keys(store, *place_range()) if key[3:] in (b"a", b"b")]


def test_two_segments_of_one_batch(store: Store) -> None:
    """A second change of a row in the same batch counts from the first."""
    ctx = MetadataContext()
    store.commit([store.segment(ctx, [(b"a", b"1")]), store.segment(ctx, [(b"a", b"22")])])
    index = keys(store, INDEX, b"\x03\x05")[-1]
    again = store.segment(ctx, [])
    again.changes = [(index, None)]
    back = store.segment(ctx, [])
    back.changes = [whole(index, b"")]
    store.commit([again, back])
    assert verify(store).ok


def test_a_deleted_instance_leaves_true_records(store: Store, repo: Repo) -> None:
    """Its rows and those of its log go, and the records with them."""
    delete_instance(repo.instance("counts"))
    assert repo.repos.deletions.wait(30)
    assert verify(store).ok


def test_a_copy_counts_for_itself(store: Store, make_store: MakeStore) -> None:
    """A copied store has records of its own, right ones, and the same rows otherwise."""
    target = make_store(wrapped(MemoryEngine(), shared=True), name="copy")
    copy_store(store, target)
    assert verify(target).ok
    assert keys(target, *place_range()) == keys(store, *place_range())
    plant(target, (keys(target, b"\x00\x13", b"\x00\x14")[0], None))
    assert ("lost", "metadata, class 'version'", 1) in found(target)


# --- stores of format 1 ----------------------------------------------------------------------------------------------


def old(engine: Engine) -> None:
    """Put the rows that a release of format 1 wrote into the engine's store."""
    rows: dict[str, str] = json.loads(VECTOR.read_text())
    engine.open(StoreConfig(engine.name)).write(
        [(bytes.fromhex(key), bytes.fromhex(value)) for key, value in rows.items()], durable=True
    )


def test_a_store_of_format_1_is_counted_when_it_is_opened(make_store: MakeStore) -> None:
    """Everything is there, ``verify`` is content, counts from then on, and the format is that of this release."""
    engine = wrapped(MemoryEngine(), shared=True)
    old(engine)
    make_store(engine)
    store = make_store(engine)
    assert (store.record.format, store.record.counted) == (2, True)
    assert verify(store).findings == verify(store).unchecked == ()
    store.put(MetadataContext(), b"\x77", b"new")
    assert verify(store).ok
    plant(store, (keys(store, INDEX, b"\x03\x05")[-1], None))
    plant(store, (keys(store, b"\x00\x14", b"\x00\x15")[-1], None))
    assert {damage for damage, _, _ in found(store)} == {"lost"}


class _Ended(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", range(4))
def test_counting_that_was_interrupted_is_done_again(make_store: MakeStore, at: int) -> None:
    """At whichever write the process ends, before it or after it: the next opening counts, and rightly."""
    writes = 0

    def end(batch: Batch) -> None:
        nonlocal writes
        writes += 1
        if writes == at // 2 + 1:
            raise _Ended

    engine = wrapped(MemoryEngine(), shared=True)
    old(engine)
    ending = wrapped(engine, after_write=end) if at % 2 else wrapped(engine, before_write=end)
    with pytest.raises(_Ended):
        Store(ending, StoreConfig("memory"))
    store = make_store(engine)
    assert store.record.counted
    assert verify(store).findings == ()


def test_a_damaged_store_of_format_1_is_opened_as_it_is(make_store: MakeStore) -> None:
    """What cannot be counted is not; it is used, and ``verify`` says that lost rows there go unnoticed."""
    engine = wrapped(MemoryEngine(), shared=True)
    old(engine)
    engine.open(StoreConfig("memory")).write([(b"\x00\x12\x00\x00\x00\x00\x01", b"damaged")], durable=True)
    store = make_store(engine)
    assert (store.record.format, store.record.counted) == (1, False)
    store.put(MetadataContext(), b"\x77", b"new")
    report: VerifyReport = verify(store)
    assert any("format 1" in text for text in report.unchecked)
    assert not keys(store, *place_range())


def test_a_full_disk_leaves_the_counting_for_later(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of format 1 on a full disk is opened all the same, uncounted."""
    engine = wrapped(MemoryEngine(), shared=True)
    old(engine)

    def full(*_: object, **__: object) -> None:
        raise StoreFull("no room", engine="memory")

    with monkeypatch.context() as patch:
        patch.setattr("dvidkit.lifecycle.Lifecycle.apply", full)
        store = make_store(engine)
    assert not store.record.counted
    assert store.get(MetadataContext(), records.repo_tkey(1)) is not None
