"""Where reads look first: whatever is known of who wrote, and whenever, the answers are those of a search."""

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

from dvidkit import holders as module
from dvidkit.checksum import seal
from dvidkit.context import VersionedContext
from dvidkit.engine import Engine, StoreConfig
from dvidkit.errors import ConflictError, VersionConflict
from dvidkit.keys import DATA_MARK, TOMBSTONE_MARK, data_key
from dvidkit.resolve import winner
from dvidkit.slots import flag_key, slot_key
from dvidkit.store import Store
from dvidkit.storerecord import StoreRecord
from dvidkit.versions import VersionDAG

MakeStore = Callable[..., Store]

DAG = VersionDAG({1: (), 2: (1,), 3: (2,), 4: (1,), 5: (3, 4), 6: (5,), 7: (3,), 8: (7,)})
CONTEXTS: dict[int, VersionedContext] = {version: VersionedContext(5, version, DAG) for version in DAG}
TKEYS = [b"a", b"b"]


def context(version: int) -> VersionedContext:
    """One that nothing was read through."""
    return VersionedContext(5, version, DAG)


def looks_at(store: Store, ctx: VersionedContext) -> bytes:
    """The suffix of the key that a read asks for first."""
    return store._first_of(ctx)  # pyright: ignore[reportPrivateUsage]


def searched(store: Store, ctx: VersionedContext, tkey: bytes) -> Any:
    """What the rule of versions says, from a search of all entries; versions in conflict."""
    with store.instant() as access:
        try:
            found = winner(access, ctx, ctx.prefix + tkey)
        except VersionConflict as error:
            return [each.versions for each in error.conflicts]
    return None if found is None else found[1][:-4] if store.record.integrity else found[1]


def read(store: Store, ctx: VersionedContext, tkey: bytes) -> Any:
    """What ``get`` says; ``exists`` must agree."""
    try:
        found = store.get(ctx, tkey)
    except VersionConflict as error:
        with pytest.raises(VersionConflict):
            store.exists(ctx, tkey)
        return [each.versions for each in error.conflicts]
    assert store.exists(ctx, tkey) is (found is not None)
    return found


VERSION = st.sampled_from(sorted(DAG))
VALUES = st.one_of(st.none(), st.sampled_from([b"", b"x", b"y"]))
WRITE = st.tuples(st.just("write"), VERSION, st.lists(st.tuples(st.sampled_from(TKEYS), VALUES), max_size=3))
RAW = st.tuples(st.just("raw"), VERSION, st.sampled_from(TKEYS), st.sampled_from([DATA_MARK, TOMBSTONE_MARK]), VALUES)
READ = st.tuples(st.just("read"), VERSION, st.sampled_from(TKEYS))


@pytest.mark.parametrize("integrity", [True, False])
@settings(deadline=None, max_examples=150)
@given(program=st.lists(st.one_of(WRITE, RAW, READ, READ, st.just(("open",))), max_size=14))
def test_reads_are_those_of_a_search(integrity: bool, program: list[Any]) -> None:
    """Any order of writes, deletes, raw writes, reopenings and reads, also below merges, through used contexts."""
    engine = wrapped(MemoryEngine(), shared=True)
    store = Store(engine, StoreConfig("memory", integrity=integrity))
    for ctx in CONTEXTS.values():
        ctx.near = True
    for what, *rest in program:
        if what == "write":
            store.write_pairs(CONTEXTS[rest[0]], rest[1])
        elif what == "raw":
            version, tkey, mark, value = rest
            store.raw_write(_without_both(store, data_key(5, tkey, version, mark=mark), value))
        elif what == "read":
            ctx = CONTEXTS[rest[0]]
            assert read(store, ctx, rest[1]) == searched(store, ctx, rest[1])
        else:
            store = Store(engine, StoreConfig("memory"))
    for ctx in CONTEXTS.values():
        for tkey in TKEYS:
            assert read(store, ctx, tkey) == searched(store, ctx, tkey)


def _without_both(store: Store, key: bytes, value: bytes | None) -> list[tuple[bytes, bytes | None]]:
    """A change that leaves no value beside a tombstone of one version: what then holds is shown elsewhere."""
    other = key[:-1] + bytes((DATA_MARK + TOMBSTONE_MARK - key[-1],))
    return [(key, value)] if value is None else [(other, None), (key, value)]


def test_the_nearest_version_that_holds_rows_is_looked_at(make_store: MakeStore, any_engine: Engine) -> None:
    """Also after reopening, with checksums and without; a version that comes between is known at once."""
    for integrity in (True, False):
        store = make_store(any_engine, name=f"store-{integrity}", integrity=integrity)
        store.put(CONTEXTS[1], b"a", b"1")
        below, other = context(3), context(3)
        assert looks_at(store, below) == CONTEXTS[1].suffix
        assert store.get(below, b"a") == b"1"
        store.put(CONTEXTS[2], b"a", b"2")
        assert store.get(below, b"a") == b"2"
        assert looks_at(store, below) == looks_at(store, other) == CONTEXTS[2].suffix
        assert looks_at(store, context(4)) == CONTEXTS[1].suffix
        if any_engine.name != "memory":
            store.close()
            store = make_store(any_engine, name=f"store-{integrity}")
            assert looks_at(store, context(3)) == CONTEXTS[2].suffix
            assert store.get(context(3), b"a") == b"2"


def test_only_versions_that_decide_alone_are_looked_at(store: Store) -> None:
    """Not one parent of a merge, nor a version with tombstones, which could stand beside a value."""
    store.put(CONTEXTS[3], b"a", b"3")
    store.put(CONTEXTS[4], b"a", b"4")
    assert looks_at(store, context(5)) == CONTEXTS[5].suffix
    with pytest.raises(VersionConflict):
        store.get(context(6), b"a")
    assert looks_at(store, context(8)) == CONTEXTS[3].suffix
    used = context(8)
    assert store.get(used, b"a") == b"3"
    store.delete(CONTEXTS[3], b"b")
    assert looks_at(store, context(8)) == CONTEXTS[8].suffix
    store.raw_put(data_key(5, b"a", 3, mark=TOMBSTONE_MARK), b"")
    assert store.get(used, b"a") is None


@pytest.mark.parametrize("integrity", [True, False])
def test_a_version_is_known_before_it_can_be_read(integrity: bool) -> None:
    """Whoever asks while a batch is written does not overlook its version afterwards, whether it is written or not."""
    below, early, fails = context(3), context(3), [False]

    def during(batch: Any) -> None:
        assert store.get(below, b"a") == b"1"
        assert looks_at(store, context(3)) == CONTEXTS[2].suffix
        if fails[0]:
            raise ConflictError("refused", key=b"")

    engine = wrapped(MemoryEngine(), before_write=lambda batch: hook[0](batch))
    hook: list[Callable[[Any], object]] = [lambda batch: None]
    store = Store(engine, StoreConfig("memory", integrity=integrity))
    store.put(CONTEXTS[1], b"a", b"1")
    assert store.get(early, b"a") == b"1"
    hook[0], fails[0] = during, True
    with pytest.raises(ConflictError):
        store.put(CONTEXTS[2], b"a", b"2")
    assert store.get(below, b"a") == store.get(early, b"a") == b"1"
    fails[0] = False
    store.put(CONTEXTS[2], b"a", b"2")
    assert store.get(below, b"a") == store.get(early, b"a") == store.get(context(3), b"a") == b"2"


@pytest.mark.parametrize("method", ["get", "exists"])
def test_a_read_that_a_write_overtakes_is_of_one_instant(store: Store, method: str) -> None:
    """A batch that changes the version looked at, and writes a nearer one, is seen whole or not at all."""
    store.put(CONTEXTS[1], b"a", b"old")
    ctx = context(3)
    assert store.get(ctx, b"a") == b"old"

    def overtaken(inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            store._use(store._access)  # pyright: ignore[reportPrivateUsage]
            pairs: list[Any] = [(CONTEXTS[1], [(b"a", b"never seen by 3")]), (CONTEXTS[2], [(b"a", None)])]
            store.commit([store.segment(each, changes) for each, changes in pairs])
            return inner(*args, **options)

        return call

    store._get = overtaken(store._get)  # type: ignore[method-assign]
    store._first_from = overtaken(store._first_from)  # type: ignore[method-assign]
    if method == "get":
        assert store.get(ctx, b"a") is None
    else:
        assert store.exists(ctx, b"a") is False


def test_an_emptied_version_is_not_forgotten(store: Store) -> None:
    """Its last row is removed raw: reads go on to the next version above."""
    store.put(CONTEXTS[1], b"a", b"1")
    store.put(CONTEXTS[2], b"a", b"2")
    ctx = context(3)
    assert store.get(ctx, b"a") == b"2"
    with store.snapshot() as before:
        store.raw_delete(CONTEXTS[2].prefix + b"a" + CONTEXTS[2].suffix)
        assert store.get(ctx, b"a") == store.get(context(3), b"a") == b"1"
        assert before.get(ctx, b"a") == before.get(context(3), b"a") == b"2"


def test_records_that_cannot_be_read_are_not_relied_on() -> None:
    """A damaged record of the nearest version: it is not looked at first, and the answer is right."""
    engine = wrapped(MemoryEngine(), shared=True)
    store = Store(engine, StoreConfig("memory"))
    store.put(CONTEXTS[1], b"a", b"1")
    key = slot_key(CONTEXTS[1].slot)
    engine.open(StoreConfig("memory")).write([(key, seal(key, b"short"))], durable=False)
    again = Store(engine, StoreConfig("memory"))
    assert looks_at(again, context(3)) == CONTEXTS[3].suffix
    assert again.get(context(3), b"a") == b"1"


def test_stores_without_checksums_may_be_without_records() -> None:
    """Nothing is relied on there, and nothing is added that an older release would not keep up."""
    engine = wrapped(MemoryEngine(), shared=True)
    Store(engine, StoreConfig("memory", integrity=False))
    inner = engine.open(StoreConfig("memory"))
    key = b"\x03\x00"
    record = b'{"format":1,"uuid":"0123","integrity":false}'
    inner.write([(key, seal(key, record))], durable=False)
    store = Store(engine, StoreConfig("memory"))
    assert store.record == StoreRecord(1, "0123", False)
    store.put(CONTEXTS[1], b"a", b"1")
    store.delete(CONTEXTS[2], b"a")
    assert inner.get(flag_key(CONTEXTS[1].slot)) is None
    assert inner.get(flag_key(CONTEXTS[2].slot)) == b""
    assert looks_at(store, context(7)) == CONTEXTS[7].suffix
    assert store.get(context(7), b"a") is None
    assert store.get(context(4), b"a") == b"1"


def test_tables_and_contexts_are_bounded(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of them than there is room for; reads beyond are right too."""
    monkeypatch.setattr(module, "_MOST", 2)
    monkeypatch.setattr(module, "_MOST_CONTEXTS", 3)
    store = make_store()
    for instance in (5, 6):
        for version in (1, 2):
            store.put(VersionedContext(instance, version, DAG), b"a", b"%d %d" % (instance, version))
    for instance in (5, 6, 5, 6):
        for version in (2, 3, 7, 8):
            ctx = VersionedContext(instance, version, DAG)
            assert store.get(ctx, b"a") == b"%d 2" % instance
            assert len(store._first) <= 3  # pyright: ignore[reportPrivateUsage]
            with store.snapshot() as snapshot:
                for _ in range(5):
                    assert snapshot.get(VersionedContext(instance, version, DAG), b"a") == b"%d 2" % instance
    assert looks_at(store, VersionedContext(5, 8, DAG)) == CONTEXTS[2].suffix
    assert looks_at(store, VersionedContext(6, 8, DAG)) == CONTEXTS[8].suffix


def test_who_cannot_look_at_the_tables_reads_without(store: Store) -> None:
    """Another thread has them, which in a forked child may be for ever: nobody waits."""
    store.put(CONTEXTS[1], b"a", b"1")
    holders: Any = store._first_of  # pyright: ignore[reportPrivateUsage]
    with holders.__self__._lock:
        ctx = context(3)
        assert looks_at(store, ctx) == ctx.suffix
        assert store.get(ctx, b"a") == b"1"
        assert ctx not in store._first  # pyright: ignore[reportPrivateUsage]


def test_readers_never_go_back(make_store: MakeStore) -> None:
    """While version after version overrides a key, readers of the last one see it only ever newer."""
    count = 60
    dag = VersionDAG({version: (version - 1,) if version > 1 else () for version in range(1, count + 2)})
    store = make_store(LmdbEngine(), durability="volatile")
    store.put(VersionedContext(5, 1, dag), b"a", b"1")
    done = threading.Event()
    wrong: list[tuple[int, int]] = []

    def follow() -> None:
        last, ctx = 1, VersionedContext(5, count + 1, dag)
        while last < count and not (wrong or (done.is_set() and last == count)):
            found = int(store.get(ctx, b"a") or b"0")
            if found < last:
                wrong.append((last, found))
            last = max(last, found)

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    for version in range(2, count + 1):
        store.put(VersionedContext(5, version, dag), b"a", b"%d" % version)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
