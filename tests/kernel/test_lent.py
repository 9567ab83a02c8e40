"""``Reader.lent``: what ``get_many`` returns, for the length of a block, on every engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dvidkit.context import Context, DataContext, MetadataContext, VersionedContext
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadType, CorruptData, LimitError, StoreClosed, VersionConflict
from dvidkit.keys import TKeyClass
from dvidkit.plugins import Plugins
from dvidkit.resolve import Conflict
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

CLASS = TKeyClass(23, "block", width=1)
DAG = VersionDAG({1: (), 2: (1,), 3: (1,), 4: (2, 3), 5: (4,), 9: (1,), 8: (9,)})
LARGE = bytes(range(256)) * 1024


def at(version: int) -> VersionedContext:
    """The instance as this version sees it."""
    return VersionedContext(7, version, DAG, (CLASS,))


def key(n: int) -> bytes:
    """The n-th TKey."""
    return CLASS.key(bytes((n,)))


@pytest.fixture(params=["memory", "lmdb"])
def engine(request: Any) -> Any:
    """Engines that copy, and that lend."""
    return Plugins().engine(request.param)


@pytest.fixture(params=[True, False], ids=["sealed", "plain"])
def store(engine: Any, request: Any, tmp_path: Path) -> Iterator[Store]:
    """A store with and without checksums."""
    config = StoreConfig(engine.name, str(tmp_path / "store"), integrity=request.param, durability="buffered")
    with Store(engine, config) as store:
        yield store


def lent(reader: Any, ctx: Context, tkeys: list[bytes], **options: Any) -> list[bytes | None]:
    """What is lent, copied while it may be read."""
    with reader.lent(ctx, tkeys, **options) as views:
        return [None if view is None else bytes(view) for view in views]


def test_is_get_many_at_every_version(store: Store) -> None:
    """Values, overridden values, tombstones, other branches, ids that do not grow with descent."""
    for n in range(6):
        store.put(at(1), key(n), b"one" + LARGE[n:])
    store.put(at(2), key(1), b"two")
    store.delete(at(2), key(2))
    store.put(at(3), key(3), b"")
    store.delete(at(4), key(4))
    store.put(at(5), key(4), b"five")
    store.put(at(9), key(5), b"nine")
    store.put(at(8), key(0), b"eight")
    tkeys = [key(n) for n in (0, 5, 5, 9, 4, 3, 2, 1)]
    for version in DAG:  # type: ignore[attr-defined]
        assert lent(store, at(version), tkeys) == store.get_many(at(version), tkeys)
    with store.snapshot() as snapshot:
        store.put(at(5), key(5), b"later")
        assert lent(snapshot, at(5), tkeys) == snapshot.get_many(at(5), tkeys)
        assert b"later" not in lent(snapshot, at(5), tkeys)
    assert lent(store, at(1), []) == []


def test_conflicts_are_raised_or_collected(store: Store) -> None:
    """A key in conflict is an error before the block, or counts as absent."""
    for version in (2, 3):
        store.put(at(version), key(0), b"%d" % version)
    store.put(at(1), key(1), LARGE)
    with pytest.raises(VersionConflict) as caught:
        lent(store, at(4), [key(1), key(0)])
    assert [conflict.tkey for conflict in caught.value.conflicts] == [key(0)]
    found: list[Conflict] = []
    assert lent(store, at(4), [key(1), key(0)], conflicts=found) == [LARGE, None]
    assert found == list(caught.value.conflicts)


def test_unversioned_and_metadata(store: Store) -> None:
    """Contexts without versions are read by their full keys."""
    ctx, metadata = DataContext(7, 1, (CLASS,)), MetadataContext()
    store.put(ctx, key(1), LARGE)
    store.put(metadata, b"name", b"value")
    assert lent(store, ctx, [key(0), key(1)]) == [None, LARGE]
    assert lent(store, metadata, [b"name", b"other"]) == [b"value", None]


def test_changed_bytes_are_found(engine: Any, tmp_path: Path) -> None:
    """With checksums, a value that is not what was written is never lent."""
    with Store(engine, StoreConfig(engine.name, str(tmp_path / "store"))) as store:
        store.put(at(1), key(1), LARGE)
        stored = at(1).prefix + key(1) + at(1).suffix
        store.write_own([(stored, LARGE + b"\0\0\0\0")])
        with pytest.raises(CorruptData) as caught:
            lent(store, at(1), [key(1)])
        assert caught.value.key == stored


def test_what_cannot_be_is_refused(store: Store) -> None:
    """Types and lengths are checked as by ``get_many``; a closed store lends nothing."""
    with pytest.raises(BadType):
        lent(store, at(1), ["text"])  # type: ignore[list-item]
    with pytest.raises(LimitError):
        lent(store, at(1), [CLASS.min() + bytes(store.engine.limits.max_key)])
    store.close()
    with pytest.raises(StoreClosed):
        lent(store, at(1), [key(1)])


def test_reads_are_counted(store: Store) -> None:
    """The monitor sees what is lent as it sees what is read."""
    store.put(at(1), key(1), LARGE)
    before = replace(store.monitor.total)
    lent(store, at(1), [key(1), key(2)])
    after = store.monitor.total
    assert after.gets == before.gets + 1
    assert after.value_bytes_read - before.value_bytes_read >= len(LARGE)
