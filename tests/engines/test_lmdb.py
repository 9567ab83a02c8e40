"""What is special to LMDB: each of its known traps, through the engine."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_lmdb.pages import Damaged, look_through

from dvidkit.context import DataContext, MetadataContext
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadConfig,
    CorruptData,
    LimitError,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StorePoisoned,
)
from dvidkit.keys import TKeyClass
from dvidkit.store import Store

lmdb = pytest.importorskip("lmdb")

END: Final = b"\xff" * 8
SMALL: Final = {"map_size": 1 << 20}


@pytest.fixture
def engine() -> LmdbEngine:
    """The engine."""
    return LmdbEngine()


class Opener:
    """Opens stores below a folder and closes them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[Any] = []

    def __call__(self, name: str = "store", **settings: Any) -> Any:
        """Open the store of this name."""
        store = LmdbEngine().open(StoreConfig("lmdb", str(self.folder / name), **settings))
        self.opened.append(store)
        return store


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Opens stores."""
    opener = Opener(tmp_path)
    yield opener
    for store in opener.opened:
        store.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """LMDB's file of the store."""
    return tmp_path / "store" / "data" / "data.mdb"


def rows(store: Any, **how: Any) -> list[Any]:
    """All rows."""
    return list(store.scan(b"\x00", END, **how))


def in_child(script: str, path: Path | str) -> str:
    """Run the script in another process, with ``opened()`` at hand; what it printed, and how it died if it did."""
    prelude = """
import os, resource, signal, sys, threading, time
from dvidkit.engine import StoreConfig
from dvidkit.errors import *
from dvidkit_lmdb.engine import LmdbEngine
def opened(**settings):
    return LmdbEngine().open(StoreConfig("lmdb", sys.argv[1], **settings))
"""
    command = [sys.executable, "-X", "faulthandler", "-c", prelude + textwrap.dedent(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout + (f"exit {done.returncode}: {done.stderr[-2000:]}" if done.returncode else "")


class TestKeys:
    def test_longest(self, opened: Opener) -> None:
        """511 bytes are a key; 512 are refused by writes, before anything, and are simply absent to reads."""
        store = opened()
        longest, longer = b"k" * 511, b"k" * 512
        store.write([(longest, b"v")], durable=False, expect={longest: None})
        with pytest.raises(LimitError) as caught:
            store.write([(b"a", b"v"), (longer, b"v")], durable=False)
        assert (caught.value.limit, caught.value.got) == (511, 512)
        with pytest.raises(LimitError):
            store.write([(longer, None)], durable=False)
        for reader in (store, store.snapshot()):
            assert reader.get(longest) == b"v"
            assert reader.get(longer) is None
            assert reader.get_many([longer, longest]) == [None, b"v"]
        store.write([(longest, None)], durable=False, expect={longest: b"v", longer: None})
        assert rows(store) == []

    def test_empty(self, opened: Opener) -> None:
        """The empty key is refused by writes and absent to reads; as a bound it is the beginning."""
        store = opened()
        store.write([(b"k", b"v")], durable=False, expect={b"": None})
        for change in (b"v", None):
            with pytest.raises(LimitError):
                store.write([(b"a", b"v"), (b"", change)], durable=False)
        for reader in (store, store.snapshot()):
            assert reader.get(b"") is None
            assert reader.get_many([b"k", b""]) == [b"v", None]
            assert list(reader.scan(b"", b"z")) == [(b"k", b"v")]
            assert reader.seek_last_before(b"z", b"") == (b"k", b"v")
            assert reader.seek_last_before(b"", b"") is None

    def test_none_is_a_delete_not_an_empty_value(self, opened: Opener) -> None:
        """py-lmdb stores ``None`` as an empty value; here it deletes, wherever it stands in a batch."""
        store = opened()
        store.write([(b"a", b"1"), (b"b", None), (b"c", b"3"), (b"a", None), (b"d", b""), (b"c", None)], durable=False)
        assert rows(store) == [(b"d", b"")]


class TestMap:
    """The map begins at a megabyte here; in use it is a tebibyte of address space."""

    def test_grows_unseen(self, opened: Opener) -> None:
        """Sixty megabytes into a map of one, in batches larger than the map too."""
        store = opened(options=SMALL)
        expected = {}
        for n in range(60):
            batch = {b"%03d-%d" % (n, m): bytes([n]) * 50_000 for m in range(20 if n % 10 else 80)}
            store.write(list(batch.items()), durable=False)
            expected |= batch
        assert rows(store) == sorted(expected.items())
        store.close()
        assert rows(opened(options=SMALL)) == sorted(expected.items())

    def test_a_full_map_is_rolled_back_and_grown(self, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the estimate was wrong: the write is rolled back, the map grown and the write made."""
        store = opened(options=SMALL)
        monkeypatch.setattr(type(store), "_make_room", lambda *_: None)
        for n in range(20):
            store.write([(b"%02d" % n, bytes(1 << 20)), (b"count", b"%d" % n)], durable=False)
        assert [len(value) for _, value in rows(store)] == [1 << 20] * 20 + [2]

    def test_deletes_when_the_map_is_full(self, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
        """LMDB needs room to delete too; it is found."""
        store = opened(options=SMALL)
        store.write([(b"%05d" % n, b"v" * 300) for n in range(2000)], durable=False)
        monkeypatch.setattr(type(store), "_make_room", lambda *_: None)
        for n in range(2000):
            store.write([(b"%05d" % n, None)], durable=False)
        assert rows(store) == []

    def test_an_instance_is_deleted_while_the_map_grows(self, tmp_path: Path) -> None:
        """The deletion reads what it deletes; its own writes may take the map away from its readings."""
        kind = TKeyClass(100, "row", width=5)
        tkeys = [kind.key(b"%05d" % n) for n in range(400)]
        one, two = (DataContext(instance, classes=(kind,)) for instance in (1, 2))
        config = StoreConfig("lmdb", str(tmp_path / "store"), options=SMALL, durability="volatile")
        with Store(LmdbEngine(), config) as store:
            for ctx in (one, two):
                for n in range(0, len(tkeys), 20):
                    store.write_pairs(ctx, [(tkey, bytes(60)) for tkey in tkeys[n : n + 20]])
            store.delete_all(one)
            assert store.keys_in_range(one, tkeys[0], tkeys[-1]) == []
            assert store.keys_in_range(two, tkeys[0], tkeys[-1]) == tkeys

    def test_open_views_end_as_busy(self, opened: Opener) -> None:
        """Snapshots and scans that are open when the map moves raise ``StoreBusy``; new ones see everything."""
        store = opened(options=SMALL)
        for start in range(0, 3000, 10):
            store.write([(b"%05d" % n, b"v") for n in range(start, start + 10)], durable=False)
        snapshot = store.snapshot()
        scans = [store.scan(b"\x00", END), snapshot.scan(b"\x00", END), store.scan_pages(b"\x00", END)]
        for scan in scans:
            next(scan)
        store.write([(b"large", bytes(8 << 20))], durable=False)
        for scan in scans:
            with pytest.raises(StoreBusy):
                next(scan)
        for call in (lambda: snapshot.get(b"00001"), lambda: list(snapshot.scan(b"\x00", END))):
            with pytest.raises(StoreBusy):
                call()
        snapshot.close()
        assert len(rows(store)) == 3001
        store.close()
        with pytest.raises((StoreBusy, StoreClosed)):
            snapshot.get(b"00001")

    @pytest.mark.parametrize("pausing", [0.0, 0.001])
    def test_grows_under_readers(self, opened: Opener, pausing: float) -> None:
        """Four threads that read without pause: no write waits for them, and they see no error but ``StoreBusy``."""
        store = opened(options=SMALL)
        store.write([(b"%05d" % n, b"v" * 100) for n in range(2000)], durable=False)
        stop = threading.Event()
        wrong: list[object] = []
        reads = [0] * 6

        def read(thread: int) -> None:
            chance = random.Random(thread)
            while not stop.is_set():
                try:
                    if thread < 4:
                        assert store.get(b"%05d" % chance.randrange(2000)) == b"v" * 100
                    elif thread == 4:
                        assert sum(1 for _ in store.scan(b"\x00", b"1")) == 2000
                    else:
                        assert store.snapshot().get(b"00007") == b"v" * 100
                    reads[thread] += 1
                except StoreBusy:
                    continue
                except BaseException as error:
                    wrong.append(error)
                time.sleep(pausing)

        threads = [threading.Thread(target=read, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        longest = 0.0
        for n in range(64):
            began = time.monotonic()
            store.write([(b"x%05d" % n, bytes(1 << 20))], durable=False)
            longest = max(longest, time.monotonic() - began)
        stop.set()
        for thread in threads:
            thread.join(20)
        assert wrong == []
        assert all(reads)
        assert longest < 10

    def test_rolls_back_under_readers(self, opened: Opener) -> None:
        """py-lmdb's abort waits for a moment without readers; with readers held it comes at once."""
        store = opened()
        store.write([(b"%05d" % n, b"v" * 100) for n in range(2000)], durable=False)
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                store.get(b"00500")
                for _ in store.scan_pages(b"\x00", END):
                    pass

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            longest = 0.0
            for _ in range(20):
                began = time.monotonic()
                with pytest.raises(TypeError):
                    store.write([(b"k", b"v"), (b"l", 7)], durable=False)
                longest = max(longest, time.monotonic() - began)
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        assert longest < 10
        assert store.get(b"k") is None

    def test_no_address_space_to_open(self, tmp_path: Path) -> None:
        """Under a limit of address space (``ulimit -v``) the map starts smaller, and grows as far as it can."""
        script = """
        limit = 3 << 30
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        store = opened()
        written = 0
        try:
            for n in range(400):
                store.write([(b"%05d" % n, bytes(16 << 20))], durable=False)
                written += 1
        except (StoreError, MemoryError) as error:
            print("refused")
        assert written > 20, written
        assert len(store.get(b"00000")) == 16 << 20
        assert sum(1 for _ in store.scan(b"0", b"1", keys_only=True)) == written
        store.write([(b"%05d" % n, None) for n in range(written)], durable=False)
        store.write([(b"small", b"v")], durable=False)
        store.close()
        """
        path = tmp_path if shutil.disk_usage("/dev/shm").free < 4 << 30 else Path("/dev/shm") / f"lmdb-{os.getpid()}"
        try:
            assert in_child(script, path / "store" if path == tmp_path else path) == "refused\n"
        finally:
            if path != tmp_path:
                shutil.rmtree(path, ignore_errors=True)


class TestReaderSlots:
    def test_run_out(self, opened: Opener) -> None:
        """With every slot in an open snapshot: ``StoreBusy``, for any read; writes go on; closing some mends it."""
        store = opened()
        store.write([(b"k", b"v")], durable=False)
        views = [store.snapshot() for _ in range(2046)]
        for call in (store.snapshot, lambda: store.get(b"k"), lambda: rows(store)):
            with pytest.raises(StoreBusy):
                call()
        store.write([(b"k", b"w")], durable=True)
        assert views[7].get(b"k") == b"v"
        for view in views[:10]:
            view.close()
        assert store.get(b"k") == b"w"
        assert rows(store) == [(b"k", b"w")]

    def test_dropped_ones_are_free_again(self, opened: Opener) -> None:
        """Five thousand snapshots and scans that nobody closes, in cycles even."""
        store = opened()
        store.write([(b"%04d" % n, b"v") for n in range(100)], durable=False)
        for n in range(5000):
            loop: list[Any] = [store.snapshot() if n % 2 else store.scan(b"\x00", END)]
            if n % 2 == 0:
                next(loop[0])
            loop.append(loop)
        assert store.get(b"0001") == b"v"

    def test_of_killed_processes(self, tmp_path: Path, opened: Opener) -> None:
        """A process that dies with readers open leaves none of them behind."""
        script = """
        store = opened()
        store.write([(b"k", b"v")], durable=False)
        views = [store.snapshot() for _ in range(500)]
        os.kill(os.getpid(), signal.SIGKILL)
        """
        for _ in range(5):
            in_child(script, tmp_path / "store")
        store = opened()
        assert store.get(b"k") == b"v"
        assert len([store.snapshot() for _ in range(2000)]) == 2000

    def test_idle_readers_keep_no_pages(self, opened: Opener, data: Path) -> None:
        """Sixty rewrites of two megabytes with reads between them: freed pages are used again."""
        store = opened()
        for n in range(60):
            store.write([(b"%03d" % m, bytes([n]) * 20_000) for m in range(100)], durable=False)
            threads = [threading.Thread(target=store.get, args=(b"001",)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert data.stat().st_size < 16 << 20


class TestDamage:
    @pytest.fixture
    def made(self, tmp_path: Path, opened: Opener) -> Path:
        """A closed store of some megabytes; its file."""
        store = opened()
        for n in range(20):
            store.write([(b"%02d-%03d" % (n, m), os.urandom(300 * m % 9000)) for m in range(60)], durable=False)
        store.write([(b"%02d-%03d" % (n, 7), None) for n in range(20)], durable=True)
        store.close()
        return tmp_path / "store" / "data" / "data.mdb"

    @pytest.mark.parametrize("left", [0, 1, 100, 4095, 4096, 5000, 8191, 8192, 12288, 0.1, 0.5, 0.9, 0.99])
    def test_cut_file(self, made: Path, left: float) -> None:
        """A file cut at any length is ``CorruptData`` at open; never a bus error, never an empty store."""
        os.truncate(made, int(left if left > 1 else left * made.stat().st_size) if left != 1 else 1)
        script = """
        try:
            store = opened()
            print("opened", sum(1 for _ in store.scan(b"\\0", b"\\xff")))
        except CorruptData as error:
            print("corrupt")
        """
        assert in_child(script, made.parent.parent) == "corrupt\n"

    def test_missing_file(self, made: Path) -> None:
        """A missing file where a store was is an error, and none is made."""
        made.unlink()
        with pytest.raises(CorruptData):
            LmdbEngine().open(StoreConfig("lmdb", str(made.parent.parent)))
        assert not made.exists()

    def test_lost_lock_file(self, made: Path, opened: Opener) -> None:
        """LMDB's own lock file holds nothing that lasts."""
        (made.parent / "lock.mdb").unlink()
        assert len(rows(opened())) == 1180

    @staticmethod
    def programs(seeds: range) -> Iterator[list[list[tuple[bytes, bytes | None]]]]:
        """Batches that now and then leave pages at the end of the file that LMDB does not write."""
        keys = [b"k" * 300 + bytes([n]) for n in range(40)] + [b"%04d" % n for n in range(30)]
        for seed in seeds:
            chance = random.Random(seed)
            sizes = [1, 40, 3000, 9000]
            yield [
                [(chance.choice(keys), chance.choice([None, b"", bytes(chance.choice(sizes))])) for _ in range(40)]
                for _ in range(25)
            ]

    def test_pages_at_the_end_need_not_be_there(self, opened: Opener) -> None:
        """A file that LMDB left shorter than its pages is whole: opened without a word, every time."""
        for number, batches in enumerate(self.programs(range(14, 40))):
            name = f"store{number}"
            store = opened(name)
            for batch in batches:
                store.write(batch, durable=False)
                expected = rows(store)
                store.close()
                store = opened(name, options={"verify": True})
                assert rows(store) == expected
                assert not any("shorter" in note for note in store.report.notes)
            store.close()

    def test_after_a_crash_they_are_not(self, opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same when a crash kept the engine from lengthening it: looked through once, and said in the report."""
        found = 0
        for number, batches in enumerate(self.programs(range(14, 40))):
            name = f"store{number}"
            with monkeypatch.context() as patch:
                patch.setattr("dvidkit_lmdb.store.lengthened", lambda *_: False)
                store = opened(name)
                for batch in batches:
                    store.write(batch, durable=False)
                    whole = 4096 * (store._last_page + 1)
                    if (tmp_path / name / "data" / "data.mdb").stat().st_size < whole:
                        break
                expected = rows(store)
                store.close()
            reader = opened(name, read_only=True)
            assert rows(reader) == expected
            reader.close()
            store = opened(name)
            assert rows(store) == expected
            notes = store.report.notes
            store.close()
            found += any("shorter" in note for note in notes)
            assert opened(name).report.notes == ()
        assert found

    def test_cut_within_a_long_value(self, opened: Opener, data: Path) -> None:
        """A file of which only the end of one value is missing is found out too."""
        store = opened()
        store.write([(b"k", os.urandom(1 << 20))], durable=True)
        store.close()
        for pages in (1, 2, 100, 100):
            os.truncate(data, data.stat().st_size - pages * 4096)
            with pytest.raises(CorruptData):
                opened()

    def test_looked_through_on_request(self, made: Path, opened: Opener) -> None:
        """With ``verify`` damage is found before LMDB, which might abort the process, comes to it.

        Every page zeroed, every header byte flipped: found, or of no consequence to any row.
        """
        opened(options={"verify": True}).close()
        whole = made.read_bytes()
        chance = random.Random(1)
        passed: list[tuple[int, int]] = []
        found = 0
        for page in range(2, len(whole) // 4096, 7):
            at = page * 4096 + chance.randrange(16)
            for place, size in ((page * 4096, 4096), (at, 1)):
                with open(made, "r+b") as file:
                    os.pwrite(file.fileno(), bytes(4096) if size > 1 else bytes([whole[at] ^ 0x10]), place)
                    try:
                        look_through(str(made))
                    except Damaged:
                        found += 1
                    else:
                        passed.append((place, size))
                    os.pwrite(file.fileno(), whole[place : place + size], place)
        assert found > 50
        assert made.read_bytes() == whole
        script = f"""
        data = os.open(sys.argv[1] + "/data/data.mdb", os.O_RDWR)
        for place, size in {passed}:
            old = os.pread(data, size, place)
            os.pwrite(data, bytes(4096) if size > 1 else bytes([old[0] ^ 0x10]), place)
            print(place, size, file=sys.stderr, flush=True)
            store = opened()
            assert len(list(store.scan(b"0", b"9"))) == 1180
            store.close()
            os.pwrite(data, old, place)
        print("fine")
        """
        assert in_child(script, made.parent.parent) == "fine\n"

    def test_left_open_as_volatile(self, tmp_path: Path, opened: Opener) -> None:
        """A volatile store whose process died is looked through when it is next opened."""
        script = """
        store = opened(durability="volatile")
        store.write([(b"%04d" % n, b"v") for n in range(1000)], durable=False)
        os._exit(0)
        """
        in_child(script, tmp_path / "store")
        store = opened()
        assert len(rows(store)) == 1000
        assert any("looked through" in note for note in store.report.notes)
        store.close()
        assert opened().report.notes == ()


class TestFullDisk:
    @pytest.fixture
    def disk(self, tmp_path: Path) -> Iterator[Path]:
        """A disk of 24 MB."""
        (tmp_path / "disk").mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", tmp_path / "disk"]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("cannot mount a small disk here: needs root")
        yield tmp_path / "disk"
        subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)

    def test_nothing_acknowledged_is_lost(self, disk: Path) -> None:
        """Writes fail with ``StoreFull``; reads and deletes go on; with room again writes do; all is there after."""
        store = LmdbEngine().open(StoreConfig("lmdb", str(disk / "store")))
        (disk / "ballast").write_bytes(bytes(8 << 20))
        acknowledged: dict[bytes, bytes] = {}
        refused = 0
        for n in range(120):
            batch = {b"%03d" % n: os.urandom(200_000), b"count": b"%d" % n}
            try:
                store.write(list(batch.items()), durable=True)
                acknowledged |= batch
            except StoreFull:
                refused += 1
            assert dict(store.scan(b"\x00", END)) == acknowledged
            if refused == 3:
                store.write([(b"000", None)], durable=True)
                acknowledged.pop(b"000", None)
                (disk / "ballast").unlink(missing_ok=True)
        assert refused >= 3
        assert len(acknowledged) > 60
        store.close()
        store = LmdbEngine().open(StoreConfig("lmdb", str(disk / "store")))
        assert dict(store.scan(b"\x00", END)) == acknowledged
        store.close()

    def test_through_the_kernel(self, disk: Path) -> None:
        """The store above refuses writes until it was reopened, and then goes on; nothing acknowledged is lost."""
        meta = MetadataContext()
        with Store(LmdbEngine(), StoreConfig("lmdb", str(disk / "store"))) as store:
            acknowledged = {}
            (disk / "ballast").write_bytes(bytes(17 << 20))

            def write_on() -> None:
                for n in range(200):
                    store.put(meta, b"%03d" % n, b"v" * 100_000)
                    acknowledged[b"%03d" % n] = b"v" * 100_000

            with pytest.raises(StoreFull):
                write_on()
            with pytest.raises(StorePoisoned):
                store.put(meta, b"x", b"v")
            assert dict(store.get_range(meta, b"0", b"9")) == acknowledged
            (disk / "ballast").unlink()
            time.sleep(0.1)
            store.put(meta, b"x", b"v")
            assert dict(store.get_range(meta, b"0", b"z")) == {**acknowledged, b"x": b"v"}

    def test_file_size_limit(self, tmp_path: Path) -> None:
        """``RLIMIT_FSIZE``: ``StoreFull``, and what was there is there."""
        script = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
        store = opened()
        written = 0
        try:
            for n in range(100):
                store.write([(b"%05d" % n, bytes(100_000))], durable=True)
                written += 1
        except StoreFull:
            print("full")
        assert written > 10
        assert sum(1 for _ in store.scan(b"0", b"1")) == written
        store.close()
        store = opened()
        assert sum(1 for _ in store.scan(b"0", b"1")) == written
        store.close()
        """
        assert in_child(script, tmp_path / "store") == "full\n"


class TestThreads:
    def test_a_thread_cannot_die_with_a_transaction(self, opened: Opener) -> None:
        """Whatever ends a write ends its transaction: the next writer, of another thread, is not kept waiting."""
        store = opened()

        class Bomb(list[Any]):
            def __getitem__(self, index: Any) -> Any:
                raise SystemExit

        def die() -> None:
            with pytest.raises(SystemExit):
                store.write(Bomb([(b"k", b"v"), (b"l", None)]), durable=False)

        thread = threading.Thread(target=die)
        thread.start()
        thread.join()
        die()
        done = threading.Thread(target=store.write, args=([(b"k", b"after")],), kwargs={"durable": True})
        done.start()
        done.join(10)
        assert not done.is_alive()
        assert store.get(b"k") == b"after"

    def test_backup_does_not_keep_writers_from_rolling_back(self, opened: Opener, tmp_path: Path) -> None:
        """While a backup runs, refused writes come back at once and the map can grow if it must."""
        store = opened()
        for n in range(40):
            store.write([(b"%02d-%03d" % (n, m), bytes(100_000)) for m in range(30)], durable=False)
        thread = threading.Thread(target=store.backup, args=(str(tmp_path / "backup"),))
        thread.start()
        longest = 0.0
        while thread.is_alive():
            began = time.monotonic()
            with pytest.raises(TypeError):
                store.write([(b"k", 7)], durable=False)
            longest = max(longest, time.monotonic() - began)
        thread.join()
        assert longest < 2
        assert len(rows(opened("backup"))) == 1200

    def test_one_reader_many_threads(self, opened: Opener) -> None:
        """A snapshot and a scan used by several threads at once give each row once."""
        store = opened()
        store.write([(b"%05d" % n, b"%d" % n) for n in range(5000)], durable=False)
        view = store.snapshot()
        wrong: list[object] = []

        def read(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(300):
                n = chance.randrange(5000)
                if view.get(b"%05d" % n) != b"%d" % n or view.seek_last_before(b"%05d" % (n + 1), b"0")[1] != b"%d" % n:
                    wrong.append(n)
            if len(list(view.scan(b"0", b"1"))) != 5000:
                wrong.append("scan")

        threads = [threading.Thread(target=read, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestOptions:
    @pytest.mark.parametrize(
        "options", [{"map_size": 1 << 10}, {"map_size": "1"}, {"map_size": True}, {"readahead": 1}]
    )
    def test_bad_ones(self, tmp_path: Path, options: dict[str, Any]) -> None:
        """A value of the wrong type or size is refused, naming the option."""
        with pytest.raises(BadConfig) as caught:
            LmdbEngine().open(StoreConfig("lmdb", str(tmp_path / "store"), options=options))
        assert caught.value.setting in options

    def test_declared_ones_are_the_accepted_ones(self, opened: Opener) -> None:
        """What the engine's list of options names is what it takes."""
        assert set(LmdbEngine.options) == {"map_size", "readahead", "verify"}
        opened(options={"map_size": 1 << 30, "readahead": False, "verify": True})

    def test_map_smaller_than_the_store(self, opened: Opener) -> None:
        """A ``map_size`` below what is stored already is not taken literally."""
        store = opened()
        store.write([(b"k", bytes(5 << 20))], durable=False)
        store.close()
        store = opened(options=SMALL)
        store.write([(b"l", bytes(5 << 20))], durable=False)
        assert [len(value) for _, value in rows(store)] == [5 << 20] * 2


def test_an_error_of_the_driver_is_one_of_ours(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors that no test can provoke are translated by their class, with the driver's as the cause."""
    from dvidkit_lmdb.failures import translate

    for kind, expected in (
        (lmdb.CorruptedError, CorruptData),
        (lmdb.PanicError, StorePoisoned),
        (lmdb.InvalidError, CorruptData),
        (lmdb.MapFullError, StoreFull),
        (lmdb.ReadersFullError, StoreBusy),
        (lmdb.MapResizedError, StoreBusy),
        (lmdb.TlsFullError, StoreError),
    ):
        assert type(translate(kind("text"), "/path")) is expected
    store = opened()
    monkeypatch.setattr(store.readers, "_env", FailingEnvironment())
    with pytest.raises(CorruptData) as caught:
        store.get(b"k")
    assert isinstance(caught.value.__cause__, lmdb.CorruptedError)
    monkeypatch.undo()


class FailingEnvironment:
    """Begins nothing."""

    def begin(self) -> object:
        """Fail."""
        raise lmdb.CorruptedError("begin")


def test_forked_child_touches_nothing(tmp_path: Path) -> None:
    """In a child every call raises, and the parent's reader slots, which lie in shared memory, stay the parent's."""
    script = """
    store = opened()
    store.write([(b"%05d" % n, bytes(3000)) for n in range(2000)], durable=False)
    store.get(b"00001")
    view, scan = store.snapshot(), store.scan(b"0", b"9")
    next(scan)
    slots = store._env.readers()
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (lambda: store.get(b"00001"), lambda: view.get(b"00001"), lambda: next(scan), store.snapshot,
                     lambda: store.write([(b"k", b"v")], durable=False), lambda: list(view.scan(b"0", b"9"))):
            try:
                call()
            except StoreClosed:
                refused += 1
        view.close()
        store.close()
        del view, scan, store
        sys.exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    assert store._env.readers() == slots
    for n in range(10):
        store.write([(b"%05d" % m, bytes([n]) * 3000) for m in range(2000)], durable=False)
    assert set(value for _, value in scan) == {bytes(3000)}
    assert view.get(b"00001") == bytes(3000)
    store.close()
    print("fine")
    """
    assert in_child(script, tmp_path / "store") == "fine\n"


def test_soft_limit_of_files_is_no_crash(tmp_path: Path) -> None:
    """No descriptors left: an error of ours, and a later opening works."""
    script = """
    store = opened()
    store.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 1, 64))
    try:
        opened()
    except StoreError as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    opened().close()
    """
    assert in_child(script, tmp_path / "store") == "StoreError\n"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64


def test_a_file_that_cannot_be_read_is_no_foreign_error(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that fails while the file is looked through: an error of ours, not of damage; later it opens."""
    opened().close()

    def fails(path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr("dvidkit_lmdb.environment.look_through", fails)
    with pytest.raises(StoreError) as caught:
        opened()
    assert not isinstance(caught.value, CorruptData)
    monkeypatch.undo()
    opened()
