"""What is special to the memory engine: what it keeps of the past, and for how long."""

from __future__ import annotations

import gc
import random
import tracemalloc
from typing import Any

import pytest
from dvidkit_memory.engine import MemoryEngine
from dvidkit_memory.store import MemoryStore

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, ReadOnlyStore

END = b"\xff" * 8


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()


def kept(store: MemoryStore) -> int:
    """Old values that the store still has."""
    with store._rows.lock:
        return store._rows.kept


def test_no_path_no_options_no_read_only() -> None:
    """A path is ignored; an option is unknown; a store that begins empty cannot be read-only."""
    engine = MemoryEngine()
    engine.open(StoreConfig("memory", "/nowhere/at/all")).write([(b"k", b"v")], durable=True)
    with pytest.raises(BadConfig):
        engine.open(StoreConfig("memory", options={"size": 1}))
    with pytest.raises(ReadOnlyStore):
        engine.open(StoreConfig("memory", read_only=True))
    engine.destroy(StoreConfig("memory", "/nowhere/at/all"))


def test_two_stores_share_nothing() -> None:
    """Each opening is a new, empty store."""
    config = StoreConfig("memory", "same")
    one, two = MemoryEngine().open(config), MemoryEngine().open(config)
    one.write([(b"k", b"v")], durable=True)
    assert two.get(b"k") is None


def test_nothing_is_kept_without_views(store: MemoryStore) -> None:
    """Overwriting and deleting leaves no trace when nobody looks."""
    for n in range(20):
        store.write([(b"%03d" % m, b"%d" % n) for m in range(100)], durable=False)
    store.write([(b"%03d" % m, None) for m in range(100)], durable=False)
    assert kept(store) == 0
    assert len(store._rows.keys) == 0


def test_a_view_keeps_one_value_a_row(store: MemoryStore) -> None:
    """However often rows are overwritten while a snapshot is open, it costs each of them once."""
    store.write([(b"%03d" % m, b"0") for m in range(100)], durable=False)
    view = store.snapshot()
    for n in range(50):
        store.write([(b"%03d" % m, b"%d" % n) for m in range(150)], durable=False)
    assert kept(store) == 150
    assert [value for _, value in view.scan(b"\x00", END)] == [b"0"] * 100
    view.close()
    assert kept(store) == 0


@pytest.mark.parametrize("end", ["close", "drop", "cycle", "begun scan", "scan not begun", "scan of a dropped view"])
def test_whatever_way_a_view_ends(store: MemoryStore, end: str) -> None:
    """Closed, dropped, collected, abandoned at any step: what it kept is forgotten."""
    store.write([(b"%04d" % m, b"0") for m in range(3000)], durable=False)
    view: Any = store.snapshot() if "scan" not in end or "dropped" in end else None
    scan: Any = store.scan(b"\x00", END) if view is None else view.scan(b"\x00", END)
    if end == "scan not begun":
        scan = store.scan_pages(b"\x00", END, reverse=True)
    elif end == "begun scan":
        next(scan)
    if "dropped" in end:
        view = None
    store.write([(b"%04d" % m, None) for m in range(3000)], durable=False)
    assert kept(store) == 3000
    if end == "close" and view is not None:
        view.close()
    elif end == "cycle":
        loop: list[Any] = [view]
        loop.append(loop)
        del loop
    view = scan = None
    gc.collect()
    assert kept(store) == 0
    assert len(store._rows.keys) == 0


@pytest.mark.parametrize("seed", range(5))
def test_views_that_come_and_go(store: MemoryStore, seed: int) -> None:
    """Many overlapping snapshots against copies of the content; in the end nothing is kept."""
    chance = random.Random(seed)
    model: dict[bytes, bytes] = {}
    views: list[tuple[Any, dict[bytes, bytes]]] = []
    view: Any = None
    for _ in range(600):
        batch = [
            (b"%02d" % chance.randrange(60), chance.choice([None, b"", b"%d" % chance.randrange(99)])) for _ in "abc"
        ]
        store.write(batch, durable=False)
        for key, value in batch:
            model.pop(key, None)
            if value is not None:
                model[key] = value
        if chance.random() < 0.4:
            views.append((store.snapshot(), dict(model)))
        if views and chance.random() < 0.4:
            views.pop(chance.randrange(len(views)))[0].close()
        for view, content in views[-3:] + views[:2]:
            assert dict(view.scan(b"\x00", END)) == content
    views.append((store.snapshot(), model))
    for view, content in views:
        assert list(view.scan(b"\x00", END)) == sorted(content.items())
        assert list(view.scan(b"\x00", END, reverse=True)) == sorted(content.items(), reverse=True)
    view = None
    while views:
        views.pop(chance.randrange(len(views)))
    assert kept(store) == 0
    assert list(store._rows.keys) == sorted(model)


def test_memory_comes_back(store: MemoryStore) -> None:
    """A hundred rounds of snapshot, overwrite, drop: the store is not larger than after the first."""
    sizes = []
    tracemalloc.start()
    for n in range(100):
        view = store.snapshot()
        store.write([(b"%04d" % m, b"%d" % n * 100) for m in range(500)], durable=False)
        assert view.get(b"0000") != b"%d" % n * 100
        view = None
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] < sizes[5] * 1.5


def test_a_million_rows(store: MemoryStore) -> None:
    """A million rows go in, are found, are walked both ways, and half of them go again."""
    for start in range(0, 1_000_000, 100_000):
        store.write([(b"%07d" % n, b"%d" % n) for n in range(start, start + 100_000)], durable=False)
    assert store.get(b"0123456") == b"123456"
    assert store.seek_last_before(b"0500000", b"0", keys_only=True) == b"0499999"
    assert sum(map(len, store.scan_pages(b"0", b"1"))) == 1_000_000
    view = store.snapshot()
    store.write([(b"%07d" % n, None) for n in range(0, 1_000_000, 2)], durable=False)
    assert sum(1 for _ in store.scan(b"0", b"1", keys_only=True)) == 500_000
    assert sum(map(len, view.scan_pages(b"0", b"1", reverse=True, keys_only=True))) == 1_000_000
    view.close()
    assert kept(store) == 0
