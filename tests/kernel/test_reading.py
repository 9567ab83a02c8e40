"""Reads: points, ranges with any bounds, conflicts, raw queries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dvidkit_lmdb.engine import LmdbEngine

from dvidkit.context import Context, DataContext, MetadataContext, VersionedContext
from dvidkit.engine import Engine
from dvidkit.errors import LimitError, StoreClosed, VersionConflict
from dvidkit.resolve import Conflict
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

MakeStore = Callable[..., Store]

META = MetadataContext()
DAG = VersionDAG({1: (), 2: (1,), 3: (1,), 4: (2, 3)})


def at(version: int) -> VersionedContext:
    """A context of one instance, whose classes are not declared."""
    return VersionedContext(5, version, DAG)


@pytest.fixture
def merged(make_store: MakeStore, any_engine: Engine) -> Store:
    """At version 4: ``a`` and ``c`` are in conflict, ``b``, ``d`` and ``e`` are not."""
    store = make_store(any_engine)
    store.put_range(at(2), [(name, b"two") for name in (b"a", b"b", b"c")])
    store.put_range(at(3), [(name, b"three") for name in (b"a", b"c", b"d", b"e")])
    return store


CONFLICTS = (Conflict(b"a", (3, 2)), Conflict(b"c", (3, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", range(5))
def test_a_limit_hides_no_conflict_before_its_end(merged: Store, limit: int) -> None:
    """ORD-12 and MERGE-4: of the first ``limit`` live TKeys and the conflicts among them none is left out."""
    live = [b"b", b"d", b"e"][:limit]
    wanted = [each for each in CONFLICTS if len(live) < limit or (live and each.tkey < live[-1])]
    conflicts: list[Conflict] = []
    assert merged.keys_in_range(at(4), b"", b"\xff", limit=limit, conflicts=conflicts) == live
    assert conflicts == wanted
    for read in (merged.get_range, merged.keys_in_range):
        if wanted:
            with pytest.raises(VersionConflict) as caught:
                read(at(4), b"", b"\xff", limit=limit)
            assert list(caught.value.conflicts) == wanted
            assert len(caught.value.result) == len(live)
        else:
            assert len(read(at(4), b"", b"\xff", limit=limit)) == len(live)


def test_a_tkey_no_engine_could_hold_is_refused_by_every_read(make_store: MakeStore) -> None:
    """LIM-1, KV-10: over the limit, all point reads of all contexts answer ``LimitError``, none answers absent."""
    store = make_store(LmdbEngine())
    contexts: list[Context] = [at(1), at(4), DataContext(5), META]
    for ctx in contexts:
        reads: list[Callable[[], object]] = [
            lambda ctx=ctx: store.get(ctx, b"x" * 600),  # type: ignore[misc]
            lambda ctx=ctx: store.exists(ctx, b"x" * 600),  # type: ignore[misc]
            lambda ctx=ctx: store.get_version(ctx, b"x" * 600),  # type: ignore[misc]
            lambda ctx=ctx: store.get_many(ctx, [b"a", b"x" * 600]),  # type: ignore[misc]
        ]
        for read in reads:
            with pytest.raises(LimitError):
                read()


def test_a_closed_store_answers_no_range(make_store: MakeStore) -> None:
    """ERR-3: after ``close`` also ranges that hold nothing raise ``StoreClosed``."""
    store = make_store()
    snapshot = store.snapshot()
    snapshot.close()
    store.close()
    for ctx in (at(1), DataContext(5), META):
        for first, last, limit in ((b"b", b"a", None), (b"a", b"b", 0), (b"a", b"b", None)):
            with pytest.raises(StoreClosed):
                store.get_range(ctx, first, last, limit=limit)
            with pytest.raises(StoreClosed):
                store.keys_in_range(ctx, first, last, limit=limit)
        with pytest.raises(StoreClosed):
            store.delete_range(ctx, b"b", b"a")


def test_reads_are_counted(make_store: MakeStore) -> None:
    """The monitor counts what ranges read: requests, keys and values; a read of keys counts no values."""
    store = make_store()
    store.put_range(META, [(b"%03d" % number, b"x" * 10) for number in range(100)])
    store.keys_in_range(META, b"", b"\xff")
    assert (store.monitor.total.key_bytes_read, store.monitor.total.value_bytes_read) == (400, 0)
    store.get_range(META, b"", b"\xff")
    assert (store.monitor.total.key_bytes_read, store.monitor.total.value_bytes_read) == (800, 1400)
    assert store.monitor.total.gets == 200


@pytest.mark.parametrize("near", [True, False])
def test_where_a_value_is_looked_for_first_changes_no_answer(
    make_store: MakeStore, any_engine: Engine, near: bool
) -> None:
    """Whatever the context's hint says: own and inherited values and tombstones, siblings' entries and absent keys."""
    store = make_store(any_engine)
    dag = VersionDAG({1: (), 2: (1,), 3: (1,), 4: (2,)})
    contexts = {version: VersionedContext(5, version, dag) for version in (1, 2, 3, 4)}
    store.put_range(contexts[1], [(b"a", b"1"), (b"b", b"1"), (b"c", b"1"), (b"d", b"1")])
    store.put_range(contexts[2], [(b"a", b"2"), (b"e", b"2")])
    store.put_range(contexts[3], [(b"a", b"3"), (b"f", b"3"), (b"d", b"3")])
    store.write_pairs(contexts[4], [(b"a", b"4"), (b"c", None), (b"e", None)])
    wanted = {
        1: [b"1", b"1", b"1", b"1", None, None],
        2: [b"2", b"1", b"1", b"1", b"2", None],
        3: [b"3", b"1", b"1", b"3", None, b"3"],
        4: [b"4", b"1", None, b"1", None, None],
    }
    for version, values in wanted.items():
        for tkey, value in zip((b"a", b"b", b"c", b"d", b"e", b"f"), values, strict=True):
            ctx = contexts[version]
            ctx.near = near
            assert store.get(ctx, tkey) == value
            ctx.near = near
            assert store.exists(ctx, tkey) is (value is not None)
            with store.snapshot() as snapshot:
                ctx.near = near
                assert snapshot.get(ctx, tkey) == value


@pytest.mark.parametrize("near", [True, False])
def test_a_value_beside_a_tombstone_of_its_version_is_read_alike(store: Store, near: bool) -> None:
    """Only raw writes can leave both. Where values are looked for first then makes no difference either."""
    dag = VersionDAG({1: (), 2: (1,)})
    ctx = VersionedContext(5, 2, dag)
    store.put(ctx, b"a", b"2")
    store.raw_put(ctx.prefix + b"a" + ctx.tombstone, b"")
    ctx.near = near
    assert store.get(ctx, b"a") == b"2"
    ctx.near = near
    assert store.exists(ctx, b"a")
