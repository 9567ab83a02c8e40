"""Completeness records and tombstone flags: after anything, what they say is what a recount finds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidkit import ledger as module
from dvidkit.checksum import unseal
from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.engine import Engine, StoreConfig
from dvidkit.errors import ConflictError, CorruptData
from dvidkit.keys import DATA_MARK, TOMBSTONE_MARK, TKeyClass, data_key
from dvidkit.slots import SPACE, Slot, slot_key, slot_of, tally
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

MakeStore = Callable[..., Store]

DAG = VersionDAG({1: (), 2: (1,), 3: (1,)})
CLASS = TKeyClass(7, "test", width=1)
NAMES = [CLASS.key(bytes((byte,))) for byte in b"abcd"]
CONTEXTS = [VersionedContext(5, version, DAG, [CLASS]) for version in (1, 2, 3)]
CONTEXTS_ALL: list[Any] = [*CONTEXTS, DataContext(5, 1, [CLASS]), DataContext(6, 0, [CLASS]), MetadataContext()]


def check(store: Store) -> None:
    """The records equal a recount, slot by slot, and the greatest key is not below any that is there."""
    slots: dict[bytes, list[tuple[bytes, bytes]]] = {}
    records: dict[bytes, Slot] = {}
    with store.instant() as access:
        for key, stored in access.scan(b"\x01", b"\x02"):
            slots.setdefault(slot_of(key), []).append((key, stored))
        for key, stored in access.scan(SPACE + b"\x01", SPACE + b"\x02"):
            records[key[2:]] = Slot.decode(unseal(key, stored))
    assert {slot: record[:3] for slot, record in records.items()} == {slot: tally(rows) for slot, rows in slots.items()}
    for slot, record in records.items():
        assert record.top >= max(key for key, _ in slots[slot])


def visible(store: Store) -> None:
    """RAW-2: no TKey has a value and a tombstone at one version, unless it was written raw."""
    keys = {key for key, _ in store.raw_range_query(b"\x01", b"\x02")}
    assert not {key[:-1] for key in keys if key[-1] == DATA_MARK} & {
        key[:-1] for key in keys if key[-1] == TOMBSTONE_MARK
    }


VALUE = st.sampled_from([b"", b"v", b"O" * 30])
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.one_of(st.none(), VALUE)), max_size=6)
CTX = st.integers(0, len(CONTEXTS_ALL) - 1)
RAW = st.builds(
    data_key,
    st.sampled_from([5, 6]),
    st.sampled_from(NAMES),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 9]),
    st.sampled_from([DATA_MARK, TOMBSTONE_MARK]),
)
OPS = st.one_of(
    st.tuples(st.just("pairs"), CTX, PAIRS),
    st.tuples(st.just("segments"), CTX, st.lists(st.tuples(CTX, PAIRS), max_size=3)),
    st.tuples(st.just("delete_range"), CTX, st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))),
    st.tuples(st.just("delete_all"), st.integers(0, 4), st.none()),
    st.tuples(st.just("refused"), CTX, PAIRS),
)
RAW_OPS = st.tuples(st.just("raw"), st.just(0), st.lists(st.tuples(RAW, st.one_of(st.none(), VALUE)), max_size=4))


def run(store: Store, op: tuple[str, int, Any]) -> None:
    """Do one operation of a program."""
    kind, number, what = op
    ctx = CONTEXTS_ALL[number]
    if kind == "pairs":
        store.write_pairs(ctx, what)
    elif kind == "segments":
        store.commit([store.segment(CONTEXTS_ALL[each], pairs) for each, pairs in what])
    elif kind == "delete_range":
        store.delete_range(ctx, *what)
    elif kind == "delete_all":
        store.delete_all(ctx)
    elif kind == "raw":
        store.raw_write(what)
    else:
        with pytest.raises(ConflictError):
            store.commit([store.segment(ctx, what)], expect={b"\x00absent": b"x"})


@given(st.lists(st.one_of(OPS, RAW_OPS), max_size=12), st.booleans())
@settings(max_examples=150)
def test_records_equal_a_recount(program: list[tuple[str, int, Any]], forget: bool) -> None:
    """R9: after every operation of any program, duplicates, raw writes and refusals too, also from a cold start."""
    engine = wrapped(MemoryEngine(), shared=True)
    config = StoreConfig("memory")
    store = Store(engine, config)
    for op in program:
        run(store, op)
        check(store)
        if forget:
            store = Store(engine, config)


@given(st.lists(OPS, max_size=12), st.booleans(), st.booleans())
@settings(max_examples=100)
def test_a_key_is_never_both(program: list[tuple[str, int, Any]], integrity: bool, forget: bool) -> None:
    """RAW-2, TOMB-4: with checksums and without, warm and cold, a put clears the tombstone of its version."""
    engine = wrapped(MemoryEngine(), shared=True)
    config = StoreConfig("memory", integrity=integrity)
    store = Store(engine, config)
    for op in program:
        if op[1] in (3, 4) or op[0] == "segments":
            continue
        run(store, op)
        visible(store)
        if forget:
            store = Store(engine, config)


@pytest.mark.parametrize("engine", [MemoryEngine(), LmdbEngine()], ids=["memory", "lmdb"])
def test_records_equal_a_recount_after_many_threads(make_store: MakeStore, engine: Engine) -> None:
    """CONC-1: sixteen threads that put and delete the same few keys, grouped as it comes, leave true records."""
    store = make_store(engine, durability="buffered")
    errors: list[BaseException] = []
    wrong: list[bytes] = []

    def work(thread: int) -> None:
        try:
            for number in range(40):
                ctx = CONTEXTS[(thread + number) % 3]
                name = NAMES[(thread * number) % 4]
                if number % 3 == 2:
                    store.delete(ctx, name)
                else:
                    store.put_range(ctx, [(name, b"%d" % number), (NAMES[0], b"x"), (name, b"%d" % thread)])
                own = CLASS.key(bytes((128 + thread,)))
                store.put(ctx, own, b"%d" % number)
                if store.get(ctx, own) != b"%d" % number:
                    wrong.append(own)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a writer was never woken"
    assert errors == []
    assert wrong == []
    check(store)
    visible(store)


def test_more_slots_than_are_remembered(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with more instances and versions than the ledger remembers keeps true records."""
    monkeypatch.setattr(module, "_MAX_CACHED", 3)
    store = make_store()
    for number in range(20):
        store.put(DataContext(number % 7, number % 2), b"k%02d" % number, b"v")
    store.delete_all(DataContext(3))
    check(store)


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 40])
def test_a_damaged_record_is_found_when_it_is_needed(make_store: MakeStore, damage: bytes) -> None:
    """CorruptData, and nothing written; other slots are not touched by it."""
    store = make_store()
    store.put(CONTEXTS[0], NAMES[0], b"v")
    store.write_own([(slot_key(b"\x00\x00\x00\x05\x00\x00\x00\x02"), damage)])
    with pytest.raises(CorruptData):
        store.put(CONTEXTS[1], NAMES[1], b"v")
    store.put(CONTEXTS[2], NAMES[1], b"v")
    assert store.get(CONTEXTS[1], NAMES[1]) is None
