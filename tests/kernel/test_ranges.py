"""Versioned reads against the specification's definition, on every way the kernel has of reading."""

from __future__ import annotations

import queue
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidkit.context import DataContext, VersionedContext
from dvidkit.engine import Capability, Engine, StoreConfig
from dvidkit.errors import VersionConflict
from dvidkit.keys import TKeyClass
from dvidkit.reading import Reader
from dvidkit.resolve import Conflict
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

TKEYS = (b"\x00", b"a\x00", b"a\x01\x02", b"ab", b"bbb", b"\xfe\xff", b"\xff\xff\x00")
"""Prefix-free, of many lengths, with the bytes of marks and bounds in them."""

IDS = (0, 1, 2, 3, 255, 256, 0x61000000, 0xFFFFFFFE, 0xFFFFFFFF)

WAYS: dict[str, Callable[[], Engine]] = {
    "five methods": lambda: wrapped(MemoryEngine(), features=()),
    "pages of one": lambda: wrapped(MemoryEngine(), features={Capability.PAGES}, rows=1),
    "seek": lambda: wrapped(MemoryEngine(), features={Capability.SEEK}, seek_cost=0),
    "seek, pages of two": lambda: wrapped(MemoryEngine(), rows=2, seek_cost=0),
    "memory": MemoryEngine,
    "last, pages of three": lambda: wrapped(LmdbEngine(), rows=3, seek_cost=0),
    "lmdb": LmdbEngine,
}


@dataclass
class History:
    """Versions, and what was written at them, in order; the whole truth about one instance."""

    parents: dict[int, tuple[int, ...]]
    writes: list[tuple[int, bytes, bytes | None]] = field(default_factory=list)

    def entries(self, tkey: bytes) -> dict[int, bytes | None]:
        """What each version holds for a TKey; ``None`` is a tombstone."""
        return {version: value for version, each, value in self.writes if each == tkey}

    def above(self, version: int) -> set[int]:
        """The version and its ancestors."""
        seen, todo = {version}, [version]
        while todo:
            for parent in self.parents[todo.pop()]:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
        return seen

    def live(self, tkey: bytes, version: int) -> dict[int, bytes]:
        """The specification's *L*: maximal visible entries that are values."""
        seen = {each: value for each, value in self.entries(tkey).items() if each in self.above(version)}
        covered = {upper for each in seen for upper in self.above(each) if upper != each}
        return {each: value for each, value in seen.items() if each not in covered and value is not None}

    def fill(self, store: Store, dag: VersionDAG) -> None:
        """Write it."""
        for version, tkey, value in self.writes:
            ctx = VersionedContext(7, version, dag)
            if value is None:
                store.delete(ctx, tkey)
            else:
                store.put(ctx, tkey, value)


@contextmanager
def opened(engine: Engine, **config: Any) -> Iterator[Store]:
    """A store of its own, for one example."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(engine, StoreConfig(engine.name, f"{folder}/store", durability="volatile", **config)) as store,
    ):
        yield store


def agree(store: Reader, history: History, dag: VersionDAG, version: int, first: bytes, last: bytes) -> None:
    """Every form of reading answers as the definition does."""
    ctx = VersionedContext(7, version, dag)
    values: dict[bytes, bytes] = {}
    conflicts: list[tuple[bytes, frozenset[int]]] = []
    for tkey in sorted({tkey for _, tkey, _ in history.writes}):
        if first <= tkey <= last:
            live = history.live(tkey, version)
            if len(live) == 1:
                values[tkey] = next(iter(live.values()))
            elif live:
                conflicts.append((tkey, frozenset(live)))

    def known(found: list[Conflict]) -> list[tuple[bytes, frozenset[int]]]:
        return sorted((each.tkey, frozenset(each.versions)) for each in found)

    pairs = list(values.items())
    for read, wanted in ((store.get_range, pairs), (store.keys_in_range, list(values))):
        found: list[Conflict] = []
        assert read(ctx, first, last, conflicts=found) == wanted
        assert known(found) == conflicts
        if conflicts:
            with pytest.raises(VersionConflict) as caught:
                read(ctx, first, last)
            assert caught.value.result == wanted
            assert known(list(caught.value.conflicts)) == conflicts
        for limit in range(len(wanted) + 2):
            found = []
            assert read(ctx, first, last, limit=limit, conflicts=found) == wanted[:limit]
            end = list(values)[limit - 1] if 0 < limit <= len(values) else None
            before = [each for each in conflicts if limit > len(values) or (end is not None and each[0] < end)]
            assert known(found) == before
    found, seen = [], []
    store.process_range(ctx, first, last, lambda tkey, value: seen.append((tkey, value)), conflicts=found)
    assert (seen, known(found)) == (pairs, conflicts)
    found = []
    assert list(store.iter_range(ctx, first, last, conflicts=found)) == pairs
    assert known(found) == conflicts
    channel: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    store.send_keys_in_range(ctx, first, last, channel, conflicts=[])
    sent = [channel.get_nowait() for _ in range(len(pairs) + 1)]
    assert [key[5:-9] for key in sent[:-1] if key is not None] == list(values)
    assert sent[-1] is None


def points_agree(store: Reader, history: History, dag: VersionDAG, version: int) -> None:
    """Point reads answer as the definition does."""
    ctx = VersionedContext(7, version, dag)
    wanted: list[bytes | None] = []
    for tkey in TKEYS:
        live = history.live(tkey, version)
        if len(live) > 1:
            for read in (store.get, store.exists, store.get_version):
                with pytest.raises(VersionConflict) as caught:
                    read(ctx, tkey)
                assert {*caught.value.conflicts[0].versions} == {*live}
        else:
            value = next(iter(live.values()), None)
            assert store.get(ctx, tkey) == value
            assert store.exists(ctx, tkey) is (value is not None)
            assert store.get_version(ctx, tkey) == next(iter(live), None)
        wanted.append(next(iter(live.values())) if len(live) == 1 else None)
    assert store.get_many(ctx, TKEYS, conflicts=[]) == wanted


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A few versions, ids in or out of the order of descent, with merges; a few writes at each."""
    count = draw(st.integers(1, 7))
    ids = draw(st.permutations(IDS))[:count]
    if draw(st.booleans()):
        ids = sorted(ids)
    parents: dict[int, tuple[int, ...]] = {ids[0]: ()}
    for place in range(1, count):
        parents[ids[place]] = tuple(draw(st.lists(st.sampled_from(ids[:place]), unique=True, min_size=1, max_size=3)))
    write = st.tuples(
        st.sampled_from(ids), st.sampled_from(TKEYS), st.one_of(st.none(), st.sampled_from([b"", b"v", b"O", b"\x03"]))
    )
    return History(parents, draw(st.lists(write, max_size=25)))


@st.composite
def bounds(draw: st.DrawFn) -> bytes:
    """Any bytes: TKeys, what they begin with, what begins with them (also as their own entries do)."""
    tkey = draw(st.sampled_from(TKEYS))
    form = draw(st.integers(0, 3))
    if form == 0:
        return tkey
    if form == 1:
        return tkey[: draw(st.integers(0, len(tkey)))]
    if form == 2:
        return tkey + draw(st.sampled_from(IDS)).to_bytes(4, "big")[: draw(st.integers(1, 4))]
    return draw(st.binary(max_size=6))


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
@settings(max_examples=25)
def test_every_way_of_reading_agrees_with_the_definition(way: str, data: st.DataObject) -> None:
    """VER-1 to VER-9, TOMB, MERGE, ORD, VER-6: on small random histories, at every version, between any bounds."""
    history = data.draw(histories())
    dag = VersionDAG(history.parents)
    ends = [b"", b"\xff" * 4, *data.draw(st.lists(bounds(), min_size=2, max_size=4))]
    with opened(WAYS[way](), integrity=data.draw(st.booleans())) as store:
        history.fill(store, dag)
        readers: list[Reader] = [store]
        with store.snapshot() as snapshot:
            readers.append(snapshot)
            version = data.draw(st.sampled_from(sorted(history.parents)))
            for reader in readers:
                points_agree(reader, history, dag, version)
                for first in ends[:4]:
                    for last in ends[1:]:
                        agree(reader, history, dag, version, first, last)


def long_history(shape: str) -> History:
    """Hundreds of versions, and TKeys of which some have hundreds of entries and some two."""
    random_, count = random.Random(shape), 300
    parents: dict[int, tuple[int, ...]] = {1: ()}
    for version in range(2, count):
        step = 1 if shape == "line" else random_.choice((1, 1, 2, 7))
        parents[version] = (max(1, version - step),)
        if shape == "merges" and version % 10 == 0:
            parents[version] = (version - 1, version - 5)
    if shape == "backwards":
        parents = {count - version: tuple(count - each for each in above) for version, above in parents.items()}
    history, ids = History(parents), list(parents)
    for place in range(30):
        for _ in range(90 if place % 10 in (3, 4, 5, 6) else 2):
            value = None if random_.random() < 0.2 else b"%d" % random_.randrange(1000) * random_.choice((1, 1, 300))
            history.writes.append((random_.choice(ids), b"k%03d" % place, value))
    return history


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", ["line", "comb", "merges", "backwards"])
def test_long_histories_are_read_alike(way: str, shape: str) -> None:
    """The same with hundreds of rows for a TKey, where reading turns to skipping and back, over many pages."""
    history = long_history(shape)
    ids, dag = list(history.parents), VersionDAG(history.parents)
    with opened(WAYS[way]()) as store:
        by_version: dict[int, list[tuple[bytes, bytes | None]]] = {}
        for version, tkey, value in history.writes:
            by_version.setdefault(version, []).append((tkey, value))
        for version, pairs in by_version.items():
            store.write_pairs(VersionedContext(7, version, dag), pairs)
        for version in (ids[1], ids[150], ids[-2], ids[-1]):
            live = {tkey: history.live(tkey, version) for tkey in sorted({tkey for _, tkey, _ in history.writes})}
            ctx = VersionedContext(7, version, dag)
            for first, last in ((b"", b"\xff"), (b"k003", b"k005"), (b"k0", b"k006\x00"), (b"k004\x00\x00", b"k01")):
                conflicts: list[Conflict] = []
                found = store.get_range(ctx, first, last, conflicts=conflicts)
                wanted = {tkey: each for tkey, each in live.items() if first <= tkey <= last}
                assert found == [(tkey, next(iter(each.values()))) for tkey, each in wanted.items() if len(each) == 1]
                assert [each.tkey for each in conflicts] == [tkey for tkey, each in wanted.items() if len(each) > 1]
                assert store.keys_in_range(ctx, first, last, conflicts=[]) == [tkey for tkey, _ in found]


CLASSES = (TKeyClass(3, "fixed", width=1), TKeyClass(4, "ended", terminator=0))


@pytest.mark.parametrize("way", WAYS)
def test_bounds_of_classes_hold_their_class(way: str) -> None:
    """ORD-9: from the lower to the upper bound of a class, or between TKeys of classes, exactly what lies there."""
    dag = VersionDAG({1: (), 2: (1,)})
    fixed, ended = CLASSES
    tkeys = [fixed.key(bytes((byte,))) for byte in (0, 1, 0xFF)] + [
        ended.key(name) for name in (b"", b"a", b"\xff\xff")
    ]
    with opened(WAYS[way]()) as store:
        for ctx in (VersionedContext(7, 2, dag, CLASSES), DataContext(8, 5, CLASSES)):
            store.put_range(ctx, [(tkey, tkey) for tkey in tkeys])
            marks = sorted(
                {fixed.min(), fixed.max(), ended.min(), ended.max(), *tkeys, b"", b"\x03", b"\x04\x01\xff", b"\x05"}
            )
            for first in marks:
                for last in marks:
                    wanted = [tkey for tkey in sorted(tkeys) if first <= tkey <= last]
                    assert store.keys_in_range(ctx, first, last) == wanted
                    assert store.get_range(ctx, first, last) == [(tkey, tkey) for tkey in wanted]


@pytest.mark.parametrize("way", WAYS)
def test_contexts_with_and_without_versions_in_one_instance(way: str) -> None:
    """UNV-1: entries of a fixed version and those of a DAG lie beside one another; each context sees its own."""
    dag = VersionDAG({1: (), 2: (1,)})
    plain, other, versioned = DataContext(7), DataContext(7, 9), VersionedContext(7, 2, dag)
    with opened(WAYS[way]()) as store:
        for number in range(50):
            tkey = b"k%02d" % number
            store.put(plain, tkey, b"plain")
            if number % 2:
                store.put(other, tkey, b"other")
            if number % 3:
                store.put(versioned, tkey, b"versioned")
        store.delete(plain, b"k05")
        store.delete(versioned, b"k01")
        for ctx, keys in (
            (plain, [number for number in range(50) if number != 5]),
            (other, list(range(1, 50, 2))),
            (versioned, [number for number in range(50) if number % 3 and number != 1]),
        ):
            wanted = [b"k%02d" % number for number in keys]
            assert store.keys_in_range(ctx, b"", b"\xff") == wanted
            assert store.get_many(ctx, wanted) == [value for _, value in store.get_range(ctx, b"", b"\xff")]
            for bound in (b"k1", b"k10\x00", b"k10\x00\x00\x00\x00\x00\x00\x00\x00\x04", b"k10"):
                assert store.keys_in_range(ctx, b"", bound) == [tkey for tkey in wanted if tkey <= bound]
                assert store.keys_in_range(ctx, bound, b"\xff") == [tkey for tkey in wanted if tkey >= bound]
        assert store.get(plain, b"k05") is None
        assert store.get(other, b"k05") == b"other"
        assert store.get_version(other, b"k05") == 9
