"""What is special to RocksDB and rocksdict: each of their known traps, through the engine."""

from __future__ import annotations

import errno
import gc
import os
import random
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from dvidkit.engine import Limits, StoreConfig
from dvidkit.errors import (
    BadConfig,
    CorruptData,
    LimitError,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMismatch,
    StoreMissing,
)

rocksdict = pytest.importorskip("rocksdict")

from dvidkit_rocksdb.failures import translate  # noqa: E402
from dvidkit_rocksdb.sizes import estimate  # noqa: E402
from dvidkit_rocksdb.store import RocksDBStore  # noqa: E402
from dvidkit_rocksdb.syncing import GroupSync  # noqa: E402

from dvidkit.apart import LARGE  # noqa: E402

pytestmark = pytest.mark.only("rocksdb")

END: Final = b"\xff" * 8
LONG: Final = 5000
"""Rows of a scan that is long enough to be read by rocksdict's own."""


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


def numbered(count: int, size: int = 20) -> list[tuple[bytes, bytes]]:
    """Rows whose values cannot be compressed."""
    chance = random.Random(count)
    return [(b"%06d" % n, chance.randbytes(size)) for n in range(count)]


class Wrapped:
    """An object some of whose attributes are others."""

    def __init__(self, inner: Any, **other: Any) -> None:
        self._inner = inner
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TestScans:
    @pytest.mark.parametrize("reverse", [False, True])
    def test_bounds(self, stores: Any, reverse: bool) -> None:
        """The driver's lower bound is an upper one, and its upper one dangles: neither is used."""
        batch = numbered(LONG)
        store = stores.of(batch)
        for begin, end in ((3, 7), (0, 1), (10, 4000), (600, 601), (0, LONG), (4990, 6000), (7, 3), (5, 5)):
            found = rows(store, b"%06d" % begin, b"%06d" % end, reverse=reverse)
            assert found == (batch[begin:end][::-1] if reverse else batch[begin:end])
            gc.collect()

    @pytest.mark.parametrize("keys_only", [False, True])
    def test_snapshot_shows_its_instant(self, stores: Any, keys_only: bool) -> None:
        """The driver's snapshots scan live data; ours do not, written to before the scan or in its midst."""
        batch = numbered(LONG)
        wanted = [key for key, _ in batch] if keys_only else batch
        store = stores.of(batch)
        changes = [(key, b"new" if n % 3 else None) for n, (key, _) in enumerate(batch)]
        for steps in (0, 1, 300, 400, 3000):
            snapshot = store.snapshot()
            scan = snapshot.scan(b"\x00", END, keys_only=keys_only)
            found = [next(scan) for _ in range(steps)]
            store.write([*changes, (b"0000001", b"between")], durable=False)
            assert found + list(scan) == wanted
            assert rows(snapshot, keys_only=keys_only) == wanted
            assert rows(snapshot, reverse=True, keys_only=keys_only) == wanted[::-1]
            store.write([*batch, (b"0000001", None)], durable=False)

    def test_write_just_before_a_ready_made_scan(self, stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Written to between looking and making, rocksdict's scan is of another instant, and is not used."""
        batch = numbered(LONG)
        store = stores.of(batch)
        database = store._database
        driver, made = database.db, []

        def items(**how: Any) -> Any:
            driver[b"000999x"] = b"not there when the scan began"
            made.append(driver.items(**how))
            return made[-1]

        monkeypatch.setattr(database, "db", Wrapped(driver, items=items))
        assert rows(store) == batch
        assert made
        monkeypatch.undo()
        made.clear()
        assert len(rows(store)) == len(batch) + 1

    def test_seek_past_the_last_row(self, stores: Any) -> None:
        """At either end of what there is, a seek finds what there is."""
        store = stores.of([(b"m", b"1")])
        assert store.seek_last_before(END, b"\x00") == (b"m", b"1")
        assert store.seek_last_before(b"m", b"\x00") is None
        assert store.seek_first_from(b"m\x00", END) is None
        assert list(store.scan_last_before(b"a", b"z", b"\xff")) == [[(b"m", b"1")]]


class TestRangeDeletes:
    def test_inverted(self, stores: Any) -> None:
        """A range the wrong way round would keep RocksDB from every later write; here it is an empty one."""
        store = stores.of([(b"5", b"5"), (b"7", bytes(LARGE)), (b"\xff", b"f")])
        for begin, end in ((b"7", b"6"), (b"6", b"6"), (b"\xff", b"7"), (b"\xff\x01", b"\xff\x00")):
            store.delete_range(begin, end, durable=True)
            store.write([(b"8", begin)], durable=True)
        store.compact(b"7", b"6")
        assert store.approximate_sizes([(b"7", b"6")]) == [0]
        store = stores.reopened(store)
        assert [key for key, _ in rows(store)] == [b"5", b"7", b"8", b"\xff"]

    def test_takes_values_that_stand_apart(self, stores: Any) -> None:
        """All of a range, large values included, and nothing beside it; other snapshots keep it."""
        batch = [(b"%03d" % n, os.urandom(LARGE if n % 2 else 10)) for n in range(90)]
        store = stores.of([*batch, (b"\xff", b"f")])
        before = store.snapshot()
        store.delete_range(b"030", b"060", durable=False)
        assert rows(store) == batch[:30] + batch[60:] + [(b"\xff", b"f")]
        assert rows(before) == [*batch, (b"\xff", b"f")]
        store.delete_range(b"060", END, durable=False)
        assert rows(store) == batch[:30]


class TestBatches:
    @pytest.mark.parametrize("bad", [(b"c", 7), (7, b"c"), ("c", b"c"), (b"c", "text"), (bytearray(b"c"), b"c")])
    def test_bad_type_writes_nothing(self, stores: Any, bad: Any) -> None:
        """The driver answers a wrong type with ``KeyError`` or ``ValueError``; here it is a ``TypeError``."""
        store = stores.of([(b"a", b"0")])
        with pytest.raises(TypeError):
            store.write([(b"a", b"1"), bad, (b"d", b"4")], durable=True)
        store.write([(b"b", b"1")], durable=True)
        assert rows(store) == [(b"a", b"0"), (b"b", b"1")]

    def test_values_too_large(self, tmp_path: Path) -> None:
        """The driver crashes on a value of 4 GiB; what is over the limit is refused, with the whole batch."""
        config = StoreConfig("rocksdb", str(tmp_path / "store"))
        with closing(RocksDBStore(config, Limits(max_value=10_000))) as store:
            store.write([(b"a", bytes(10_000))], durable=False)
            with pytest.raises(LimitError) as caught:
                store.write([(b"b", b"1"), (b"c", bytes(10_001))], durable=False)
            assert (caught.value.what, caught.value.limit, caught.value.got) == ("max_value", 10_000, 10_001)
            assert rows(store, keys_only=True) == [b"a"]


class TestSyncing:
    def test_a_durable_write_waits_for_the_disk(self, stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The log is flushed, and to the disk, before a durable write returns, and by no other write."""
        store = stores.open()
        database = store._database
        flushes: list[bool] = []

        def flush(sync: bool) -> None:
            database.db._inner.flush_wal(sync)
            flushes.append(sync)

        monkeypatch.setattr(database, "db", Wrapped(database.db, flush_wal=flush))
        store.write([(b"a", b"1")], durable=False)
        assert flushes == []
        store.write([(b"b", b"1")], durable=True)
        store.delete_range(b"a", b"b", durable=True)
        assert flushes == [True, True]
        monkeypatch.undo()

    def test_one_wait_for_all(self) -> None:
        """Writes made while the disk is waited for are served by one further wait."""
        waiting, go_on, flushes = threading.Event(), threading.Event(), []

        def flush() -> None:
            flushes.append(sync.ticket)
            waiting.set()
            assert go_on.wait(30)

        sync = GroupSync(flush)

        def write() -> threading.Thread:
            sync.written()
            thread = threading.Thread(target=sync.wait, args=(sync.ticket,))
            thread.start()
            return thread

        threads = [write()]
        assert waiting.wait(30)
        threads += [write() for _ in range(5)]
        go_on.set()
        for thread in threads:
            thread.join(30)
        assert flushes == [1, 6]

    def test_failure_is_final(self) -> None:
        """A flush that failed is not tried again: it might succeed without having written anything."""
        outcomes = iter([StoreError("the disk failed")])

        def flush() -> None:
            for error in outcomes:
                raise error

        sync = GroupSync(flush)
        sync.written()
        for _ in range(2):
            with pytest.raises(StoreError, match="the disk failed"):
                sync.wait(1)


class TestOpen:
    def test_parent_is_not_made(self, stores: Any, tmp_path: Path) -> None:
        """RocksDB makes missing parents silently."""
        with pytest.raises(StoreMissing):
            stores.open("no/such/store")
        assert not (tmp_path / "no").exists()

    def test_twice_through_a_link(self, stores: Any, tmp_path: Path) -> None:
        """RocksDB's own lock lets a symlink through, and both would write."""
        stores.open()
        (tmp_path / "link").symlink_to(tmp_path / "store")
        with pytest.raises(StoreLocked):
            stores.open("link")

    def test_lock_survives_a_copy(self, stores: Any, tmp_path: Path) -> None:
        """Reading RocksDB's LOCK in this process gives RocksDB's lock up; ours still keeps others out."""
        stores.of([(b"k", b"v")])
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        script = """
        for settings in ({}, {"read_only": True}):
            try:
                opened(**settings)
            except StoreLocked:
                print("locked")
        """
        assert stores.in_child(script) == "locked\nlocked\n"
        (tmp_path / "store" / "data" / "LOCK").unlink()
        assert stores.in_child(script) == "locked\nlocked\n"

    def test_a_store_of_the_other_mode(self, stores: Any, tmp_path: Path) -> None:
        """The driver's default mode unpickles what it reads: a store made in it is never opened."""
        stores.open().close()
        data = tmp_path / "store" / "data"
        shutil.rmtree(data)
        foreign: Any = rocksdict.Rdict(str(data))
        foreign["k"] = {"python": "object"}
        foreign.close()
        with pytest.raises(StoreMismatch):
            stores.open(create=False)

    @pytest.mark.parametrize(
        "options", [{"cache": 1}, {"cache_size": "1"}, {"cache_size": -1}, {"write_buffer_size": True}]
    )
    def test_bad_options(self, stores: Any, options: dict[str, Any]) -> None:
        """An unknown option, or one of the wrong type or size, is refused."""
        with pytest.raises(BadConfig):
            stores.open(options=options)
        assert stores.open(options={"cache_size": 1 << 12, "write_buffer_size": 1 << 20}).get(b"k") is None

    def test_read_only_after_a_crash(self, stores: Any, tmp_path: Path) -> None:
        """What is still in the log is read, nothing is written, and every write is refused."""
        script = """
        opened().write([(b"k", b"v")], durable=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
        assert "exit -9" in stores.in_child(script)
        data = tmp_path / "store" / "data"
        before = {file.name: file.read_bytes() for file in data.iterdir()}
        store = stores.open(read_only=True)
        assert rows(store) == [(b"k", b"v")]
        for call in (
            lambda: store.write([(b"k", b"w")], durable=False),
            lambda: store.delete_range(b"a", b"z", durable=False),
        ):
            with pytest.raises(ReadOnlyStore):
                call()
        store.close()
        assert {file.name: file.read_bytes() for file in data.iterdir()} == before

    def test_info_logs_are_few(self, stores: Any, tmp_path: Path) -> None:
        """RocksDB keeps a thousand of its own logs, one for each opening; here a few."""
        for _ in range(8):
            stores.open().close()
        assert len(list((tmp_path / "store" / "data").glob("LOG*"))) <= 4


class TestClose:
    def test_iterators_hold_nothing_open(self, stores: Any) -> None:
        """A live iterator of rocksdict's keeps the store open and locked; here it closes, and opens again at once."""
        store = stores.of(numbered(LONG))
        held = [store.snapshot(), store.scan(b"\x00", END), store.snapshot().scan_pages(b"\x00", END)]
        held.append(store.scan(b"\x00", END))
        for _ in range(3000):
            next(held[3])
        next(held[1])
        next(held[2])
        store.close()
        store.close()
        assert len(rows(stores.open(create=False))) == LONG
        for iterator in held[1:]:
            with pytest.raises(StoreClosed):
                next(iterator)

    def test_under_load(self, stores: Any) -> None:
        """The driver's close raises while others read, and readers raise oddly; here only ``StoreClosed`` is seen."""
        script = """
        sys.setswitchinterval(1e-6)
        rows = [(b"%05d" % n, b"v" * (5000 if n % 10 == 0 else 100)) for n in range(2000)]
        for life in range(15):
            store = opened()
            store.write(rows, durable=False)
            def work(number):
                try:
                    view = store.snapshot()
                    for n in range(10**9):
                        store.get(b"%05d" % (n % 2000))
                        store.seek_last_before(b"%05d" % (n % 2000), b"0")
                        view.get_many([b"%05d" % (n % 2000), b"00001"])
                        next(store.scan(b"0", b"9"))
                        if number == 0:
                            store.write([(b"%05d" % (n % 2000), b"w")], durable=n % 5 == 0)
                        if n % 50 == 0:
                            sum(1 for _ in store.scan(b"0", b"9", reverse=bool(n % 100)))
                except StoreClosed:
                    pass
            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for thread in threads: thread.start()
            time.sleep(0.05)
            store.close()
            for thread in threads: thread.join(30)
            assert not any(thread.is_alive() for thread in threads)
        print("done")
        """
        assert stores.in_child(script) == "done\n"

    def test_waits_for_upkeep(self, stores: Any, tmp_path: Path) -> None:
        """A compaction and a backup under way are finished before the store closes; later ones are refused."""
        store = stores.of(numbered(20_000, 100))
        outcomes: list[object] = []

        def work(call: Callable[[], None]) -> None:
            try:
                call()
                outcomes.append("done")
            except StoreClosed:
                outcomes.append("closed")

        calls = [lambda: store.compact(b"\x00", END), lambda: store.backup(str(tmp_path / "copy"))]
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        store.close()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 2
        assert set(outcomes) <= {"done", "closed"}
        with pytest.raises(StoreClosed):
            store.compact(b"\x00", END)


class TestFork:
    def test_child_has_no_rocksdb(self, stores: Any) -> None:
        """After a fork RocksDB hangs, loses writes, and crashes at exit: the child is refused everything, and ends."""
        script = """
        store = opened()
        store.write([(b"%05d" % n, b"v" * (5000 if n % 9 == 0 else 50)) for n in range(3000)], durable=False)
        stop = False
        def work():
            while not stop:
                store.get(b"00001")
                sum(1 for _ in store.scan(b"0", b"9"))
        threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
        for thread in threads: thread.start()
        view, scan, pages = store.snapshot(), store.scan(b"0", b"9"), store.scan_pages(b"0", b"9")
        next(scan), next(pages)
        for number in range(6):
            child = os.fork()
            if child == 0:
                refused = 0
                calls = [
                    lambda: store.get(b"00001"), lambda: store.write([(b"x", b"y")], durable=True), store.snapshot,
                    lambda: view.get(b"00001"), lambda: list(scan), lambda: next(pages),
                    lambda: next(view.scan(b"0", b"9")), lambda: store.compact(b"0", b"9"),
                    lambda: store.seek_last_before(b"9", b"0"), opened, lambda: engine.repair(sys.argv[2]),
                    lambda: engine.open(StoreConfig("rocksdb", sys.argv[2] + "-other")),
                    lambda: store.delete_range(b"0", b"9", durable=False),
                ]
                for call in calls:
                    try:
                        call()
                    except StoreForked:
                        refused += 1
                view.close()
                store.close()
                del view, scan, pages, store
                if refused != len(calls):
                    os._exit(1)
                if number % 2:
                    os._exit(40)
                sys.exit(40)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert status == 40, (number, status)
            store.write([(b"parent%d" % number, b"1")], durable=True)
        stop = True
        for thread in threads: thread.join()
        assert view.get(b"00001") is not None
        store.close()
        print(len(list(opened().scan(b"0", b"z"))))
        """
        assert stores.in_child(script) == "3006\n"


class TestSizes:
    def test_of_ranges(self) -> None:
        """Tables within count whole, those across a bound by their share, those beyond not at all."""
        files = [
            {"size": 1000, "start_key": b"a0", "end_key": b"a9"},
            {"size": 500, "start_key": b"c", "end_key": b"c"},
        ]
        assert estimate(files, b"a", b"b") == 1000
        assert estimate(files, b"a", b"z") == 1500
        assert estimate(files, b"c", b"c\x00") == 500
        assert estimate(files, b"b", b"c") == 0
        assert 300 < estimate(files, b"a0", b"a5") < 700


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Corruption: block checksum mismatch: stored = 1, computed = 2 in x/000008.sst", CorruptData),
        ("Invalid argument: x: does not exist (create_if_missing is false)", CorruptData),
        ("Invalid argument: a: does not match existing comparator b", StoreMismatch),
        ("IO error: lock hold by current process, acquire time 1 acquiring thread 2: x/LOCK: No locks", StoreLocked),
        ("IO error: While lock file: x/LOCK: Resource temporarily unavailable", StoreLocked),
        ("IO error: " + os.strerror(errno.ENOSPC) + ": While appending to file: x/000004.log", StoreFull),
        ("IO error: " + os.strerror(errno.EDQUOT) + ": While appending to file: x/000004.log", StoreFull),
        ("IO error: " + os.strerror(errno.EFBIG) + ": While appending to file: x/000004.log", StoreFull),
        ("IO error: " + os.strerror(errno.ENOENT) + ": While open a file for random read: x/000008.sst", CorruptData),
        ("IO error: " + os.strerror(errno.EROFS) + ": While mkdir: x", ReadOnlyStore),
        ("IO error: " + os.strerror(errno.EIO) + ": While fsync: x/000004.log", StoreError),
        ("Not implemented: Not supported operation in read only mode.", ReadOnlyStore),
        ("Already borrowed", StoreBusy),
        ("Already mutably borrowed", StoreBusy),
        ("DB instance already closed", StoreClosed),
        ("Shutdown in progress: ", StoreClosed),
        ("Resource busy: ", StoreBusy),
        ("Operation timed out: ", StoreBusy),
        ("Operation failed. Try again.: ", StoreBusy),
        ("something new", StoreError),
    ],
)
def test_translation(text: str, expected: type[StoreError]) -> None:
    """The driver raises bare exceptions: what each text becomes."""
    error = translate(Exception(text), "x")
    assert type(error) is expected
    assert isinstance(error, StoreError)
    assert (error.engine, error.path) == ("rocksdb", "x")
    assert "RocksDB" in str(error)


def test_translation_of_classes() -> None:
    """A closed database is told by its class, and an error of the tree stays as it is."""
    assert type(translate(rocksdict.DbClosedError("gone"), "x")) is StoreClosed
    error = StoreBusy("later")
    assert translate(error, "x") is error


def test_sizes_of_a_table_that_holds_rows_and_values_apart(tmp_path: Path) -> None:
    """Long values lie far behind their rows: a table with both is not thought to be empty. Found by SIZE-2."""
    config = StoreConfig("rocksdb", str(tmp_path / "store"))
    store = RocksDBStore(config, Limits())
    store.write([(b"%03d" % n, os.urandom(4096)) for n in range(256)], durable=True)
    store.close()
    store = RocksDBStore(config, Limits())
    whole, half, none = store.approximate_sizes([(b"0", b"3"), (b"0", b"128"), (b"4", b"5")])
    store.close()
    assert 1 << 18 <= whole <= 1 << 22
    assert 0 < half < whole
    assert none == 0
