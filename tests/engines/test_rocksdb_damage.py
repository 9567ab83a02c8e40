"""RocksDB's files damaged, its disk full, and what a repair keeps. Silence is what must not be."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from dvidkit.errors import CorruptData, StoreError, StoreLocked, StorePoisoned

rocksdict = pytest.importorskip("rocksdict")

from dvidkit.apart import LARGE  # noqa: E402

pytestmark = pytest.mark.only("rocksdb")

END: Final = b"\xff" * 8
Rows = list[tuple[bytes, bytes]]


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


def numbered(count: int, size: int = 100) -> Rows:
    """Rows whose values cannot be compressed."""
    chance = random.Random(count)
    return [(b"%06d" % n, chance.randbytes(size)) for n in range(count)]


def tables(stores: Any, batch: Rows) -> list[Path]:
    """Make a closed store of these rows, all of them in tables, and return those."""
    store = stores.of(batch)
    store.compact(b"\x00", END)
    store.close()
    return sorted(Path(stores.path, "data").glob("*.sst"))


def logged(stores: Any, count: int) -> Path:
    """A store of ``numbered`` rows whose process was killed, so that all of them are in its log, which is returned."""
    script = f"""
    import random
    store, chance = opened(), random.Random({count})
    for n in range({count}):
        store.write([(b"%06d" % n, chance.randbytes(100))], durable=False)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    assert "exit -9" in stores.in_child(script)
    (log,) = Path(stores.path, "data").glob("*.log")
    return log


def flipped(content: bytes, place: int) -> bytes:
    """The content with one bit of this byte changed."""
    return content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :]


READS: Final[dict[str, Callable[[Any, Rows], Any]]] = {
    "scanned": lambda store, batch: rows(store),
    "scanned back": lambda store, batch: rows(store, reverse=True)[::-1],
    "got": lambda store, batch: [(key, store.get(key)) for key, _ in batch],
    "got at once": lambda store, batch: [
        *zip([key for key, _ in batch], store.get_many([key for key, _ in batch]), strict=True)
    ],
    "sought": lambda store, batch: [store.seek_last_before(key + b"\x00", key) for key, _ in batch],
    "sought on": lambda store, batch: [store.seek_first_from(key, key + b"\x00") for key, _ in batch],
    "last of groups": lambda store, batch: [
        row for page in store.scan_last_before(b"\x00", END, b"\xff") for row in page
    ],
    "listed": lambda store, batch: [(key, dict(batch)[key]) for key in rows(store, keys_only=True)],
}


class TestTables:
    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_every_piece(self, stores: Any, read: Callable[[Any, Rows], Any]) -> None:
        """A flipped byte anywhere, last block, filter, index and footer included: never a wrong or missing row.

        The driver's own scans end at it without a word; so the rows are more than a page, and are read by one.
        """
        batch = [(key + b"\x00", value) for key, value in numbered(2500, 30)]
        (table,) = tables(stores, batch)
        whole = table.read_bytes()
        found = 0
        places = sorted({*range(7, len(whole), len(whole) // 14), *range(len(whole) - 6000, len(whole), 600)})
        for place in places:
            table.write_bytes(flipped(whole, place))
            try:
                store = stores.open(create=False)
                try:
                    assert read(store, batch) == batch, place
                finally:
                    store.close()
            except CorruptData:
                found += 1
        assert found >= len(range(7, len(whole) - 6000, len(whole) // 14))

    def test_zeroed_cut_and_gone(self, stores: Any) -> None:
        """The same for a zeroed page, a cut table, and one that is gone."""
        (table,) = tables(stores, numbered(2000))
        whole = table.read_bytes()
        for place in range(0, len(whole), 40_000):
            for broken in (whole[:place] + bytes(4096) + whole[place + 4096 :], whole[:place]):
                table.write_bytes(broken)
                with pytest.raises(CorruptData):
                    rows(stores.open(create=False))
                stores.close()
        table.unlink()
        with pytest.raises(CorruptData):
            rows(stores.open(create=False))

    def test_other_rows_stay_readable(self, stores: Any) -> None:
        """Damage in one place leaves rows elsewhere to be read, by the same store and the same snapshot."""
        batch = numbered(3000)
        (table,) = tables(stores, batch)
        table.write_bytes(flipped(table.read_bytes(), 2000))
        store = stores.open(create=False)
        for reader in (store, store.snapshot()):
            for _ in range(3):
                with pytest.raises(CorruptData):
                    rows(reader)
                with pytest.raises(CorruptData):
                    reader.seek_last_before(batch[12][0] + b"\x00", b"0")
                assert rows(reader, b"001000", b"002000") == batch[1000:2000]
                assert reader.seek_last_before(b"002500\x00", b"0") == batch[2500]

    def test_value_that_stands_apart(self, stores: Any, tmp_path: Path) -> None:
        """A large value that is damaged is its row's loss only; keys are listed, and no backup is made of less."""
        batch = [(b"%02d" % n, os.urandom(20_000)) for n in range(20)]
        for table in tables(stores, batch):
            whole = table.read_bytes()
            if batch[7][1] in whole:
                table.write_bytes(flipped(whole, whole.index(batch[7][1]) + 10_000))
        store = stores.open(create=False)
        with pytest.raises(CorruptData):
            store.get(b"07")
        with pytest.raises(CorruptData):
            rows(store)
        assert rows(store, keys_only=True) == [key for key, _ in batch]
        assert rows(store, b"08") == batch[8:]
        store.close()
        assert stores.engine.repair(stores.path).notes
        assert rows(stores.open(create=False)) == batch[:7] + batch[8:]

    def test_repair_keeps_other_blocks(self, stores: Any) -> None:
        """RocksDB's own repair drops a table for a byte; ours keeps all rows of all other blocks, and invents none."""
        batch = numbered(3000)
        (table,) = tables(stores, batch)
        whole = table.read_bytes()
        table.write_bytes(whole[:100_000] + bytes(300) + whole[100_300:])
        assert stores.engine.repair(stores.path).notes
        kept = rows(stores.open(create=False))
        assert set(kept) < set(batch)
        assert kept == sorted(kept)
        assert 2800 < len(kept) < 2900


class TestLog:
    @pytest.mark.parametrize("place", [5, 5000, 40_000, -60])
    def test_flipped(self, stores: Any, place: int) -> None:
        """Damage in a log is found when opening; the driver would drop what is behind it. A repair keeps the rest."""
        log = logged(stores, 500)
        whole = log.read_bytes()
        place %= len(whole)
        log.write_bytes(flipped(whole, place))
        with pytest.raises(CorruptData):
            stores.open(create=False)
        with pytest.raises(CorruptData):
            stores.open(create=False)
        assert stores.engine.repair(stores.path).notes
        kept = rows(stores.open(create=False))
        assert kept == numbered(500)[: len(kept)]
        assert len(kept) in range(place * 500 // len(whole) - 2, place * 500 // len(whole) + 1)

    def test_cut(self, stores: Any) -> None:
        """A torn end is no damage: it belonged to no write that was acknowledged. All before it is there."""
        log = logged(stores, 500)
        whole = log.read_bytes()
        log.write_bytes(whole[:-50])
        assert rows(stores.open(create=False)) == numbered(500)[:-1]

    def test_whole(self, stores: Any) -> None:
        """What a killed process wrote is there."""
        logged(stores, 500)
        assert rows(stores.open(create=False)) == numbered(500)


class TestLists:
    @pytest.mark.parametrize("name", ["MANIFEST-*", "CURRENT"])
    def test_flipped_or_gone(self, stores: Any, name: str) -> None:
        """A damaged or missing list of tables is damage, no new store; a repair makes it anew from the tables."""
        batch = numbered(2000)
        tables(stores, batch)
        stores.open(create=False).close()
        data = Path(stores.path, "data")
        (file,) = data.glob(name)
        whole = file.read_bytes()
        before = sorted(path.name for path in data.glob("*.sst"))
        for broken in (*(flipped(whole, place) for place in range(0, len(whole), len(whole) // 4)), b"", None):
            if broken is None:
                file.unlink()
            else:
                file.write_bytes(broken)
            with pytest.raises(CorruptData):
                stores.open(create=False)
            assert sorted(path.name for path in data.glob("*.sst")) == before
        assert stores.engine.repair(stores.path).notes
        assert rows(stores.open(create=False)) == batch

    def test_repair_refuses(self, stores: Any, tmp_path: Path) -> None:
        """A store in use is not repaired, nor is one that does not exist; a sound one is left as it is."""
        store = stores.of(numbered(10))
        with pytest.raises(StoreLocked):
            stores.engine.repair(stores.path)
        with pytest.raises(StoreError):
            stores.engine.repair(str(tmp_path / "nothing"))
        store.close()
        assert stores.engine.repair(stores.path).notes == ()
        assert rows(stores.open(create=False)) == numbered(10)

    def test_repair_broken_off(self, stores: Any) -> None:
        """Broken off between taking the old files away and putting the new ones there, it is finished next time."""
        tables(stores, numbered(100))
        home = Path(stores.path)
        (home / "data").rename(home / "data.repaired")
        (home / "data.damaged").mkdir()
        assert stores.engine.repair(stores.path).notes == ()
        assert rows(stores.open(create=False)) == numbered(100)


class TestFailedWrites:
    def test_nothing_acknowledged_is_lost(self, stores: Any) -> None:
        """With no room for the log: the error says so, reads go on, later writes are refused until opened again."""
        script = """
        store = opened()
        acknowledged, n = {}, 0
        def put():
            key, value = b"%06d" % n, os.urandom(1500)
            store.write([(key, value)], durable=n % 2 == 0)
            acknowledged[key] = value
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        try:
            while True:
                put()
                n += 1
        except StoreFull:
            print("full", len(acknowledged) > 100)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        refused = 0
        for n in range(n + 1, n + 200):
            try:
                put()
            except StorePoisoned:
                refused += 1
        print(refused, all(store.get(key) == value for key, value in acknowledged.items()))
        store.close()
        store = opened(create=False)
        n = 999999
        put()
        store.close()
        print(dict(opened(create=False).scan(b"0", b"z")) == acknowledged)
        """
        assert stores.in_child(script) == "full True\n199 True\nTrue\n"

    def test_the_store_above_opens_it_again(self, stores: Any) -> None:
        """With room again, the kernel's store goes on after the failure, and everything it acknowledged stays."""
        script = """
        from dvidkit.context import MetadataContext
        from dvidkit.store import Store
        config = StoreConfig("rocksdb", sys.argv[2])
        store = Store(engine, config)
        ctx, acknowledged, failures = MetadataContext(), {}, set()
        for n in range(900):
            limit = 400_000 if 100 < n < 600 else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            key, value = b"%06d" % n, os.urandom(1500)
            try:
                store.put(ctx, key, value)
                acknowledged[key] = value
            except (StoreFull, StorePoisoned) as error:
                failures.add(type(error).__name__)
                time.sleep(0.001)
        time.sleep(1)
        store.put(ctx, b"after", b"1")
        assert store.suspect is None
        acknowledged[b"after"] = b"1"
        print(sorted(failures), len(acknowledged) > 200)
        print(dict(store.get_range(ctx, b"0", b"z")) == acknowledged)
        store.close()
        store = Store(engine, config)
        print(dict(store.get_range(ctx, b"0", b"z")) == acknowledged)
        """
        assert stores.in_child(script) == "['StoreFull', 'StorePoisoned'] True\nTrue\nTrue\n"

    def test_a_failed_sync_is_final(self, stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """After an error of the disk: reads go on, writes of every kind are refused, and say why."""
        store = stores.of([(b"k", b"v")])

        class Failing:
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def __getattr__(self, name: str) -> Any:
                return getattr(self.inner, name)

            def flush_wal(self, sync: bool) -> None:
                raise Exception("IO error: While fsync: x/000004.log: Input/output error")

        database = store._database
        monkeypatch.setattr(database, "db", Failing(database.db))
        with pytest.raises(StoreError, match="Input/output error"):
            store.write([(b"l", b"w")], durable=True)
        monkeypatch.undo()
        for call in (
            lambda: store.write([(b"k", b"w")], durable=False),
            lambda: store.delete_range(b"a", b"z", durable=True),
        ):
            with pytest.raises(StorePoisoned, match="Input/output error"):
                call()
        assert store.get(b"k") == b"v"
        stores.reopened(store).write([(b"k", bytes(LARGE))], durable=True)
