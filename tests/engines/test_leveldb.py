"""What is special to LevelDB and plyvel: each of their known traps, through the engine."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from dvidkit.closedrecord import RECORD
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadConfig,
    CorruptData,
    StoreClosed,
    StoreError,
    StoreForked,
    StoreFull,
    StoreLocked,
    StorePoisoned,
    UnsupportedError,
)

plyvel = pytest.importorskip("plyvel")

from dvidkit_leveldb.engine import LevelDBEngine  # noqa: E402
from dvidkit_leveldb.failures import translate  # noqa: E402
from dvidkit_leveldb.logfile import crc32c, sound_length  # noqa: E402

from dvidkit.apart import LARGE  # noqa: E402

END: Final = b"\xff" * 8
PRELUDE: Final = """
import os, resource, sys, threading, time
from dvidkit.engine import StoreConfig
from dvidkit.errors import *
from dvidkit_leveldb.engine import LevelDBEngine
def opened(**settings):
    return LevelDBEngine().open(StoreConfig("leveldb", sys.argv[1], **settings))
"""


class Opener:
    """Opens stores below a folder and closes them at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[Any] = []

    def __call__(self, name: str = "store", **settings: Any) -> Any:
        """Open the store of this name."""
        store = LevelDBEngine().open(StoreConfig("leveldb", str(self.folder / name), **settings))
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
    """LevelDB's files of the store."""
    return tmp_path / "store" / "data"


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


def numbered(count: int, size: int = 100) -> list[tuple[bytes, bytes]]:
    """Rows whose values LevelDB cannot compress."""
    chance = random.Random(count)
    return [(b"%06d" % n, chance.randbytes(size)) for n in range(count)]


def in_child(script: str, path: Path | str) -> str:
    """Run the script in another process, with ``opened()`` at hand; what it printed, and how it died if it did."""
    command = [sys.executable, "-X", "faulthandler", "-c", PRELUDE + textwrap.dedent(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.stdout + (f"exit {done.returncode}: {done.stderr[-2000:]}" if done.returncode else "")


def tabled(opened: Opener, batch: list[tuple[bytes, bytes]], data: Path) -> Path:
    """Make a closed store of these rows, all of them in one table, and return the table."""
    store = opened()
    store.write(batch, durable=False)
    store.compact(b"\x00", END)
    store.close()
    opened(create=False).close()
    (table,) = data.glob("*.ldb")
    return table


class TestClose:
    def test_under_load(self, tmp_path: Path) -> None:
        """Closed under a running call, plyvel crashes the process; 20 closes under load here: no crash."""
        script = """
        sys.setswitchinterval(1e-6)
        rows = [(b"%05d" % n, b"v" * (5000 if n % 10 == 0 else 100)) for n in range(2000)]
        for life in range(20):
            store = opened()
            store.write(rows, durable=False)
            def work(number):
                try:
                    view = store.snapshot()
                    for n in range(10**9):
                        store.get(b"%05d" % (n % 2000))
                        store.seek_last_before(b"%05d" % (n % 2000), b"0")
                        view.get(b"%05d" % (n % 2000))
                        next(store.scan(b"0", b"9"))
                        if number == 0:
                            store.write([(b"%05d" % (n % 2000), b"w")], durable=False)
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
        assert in_child(script, tmp_path / "store") == "done\n"

    def test_waits_for_upkeep(self, opened: Opener) -> None:
        """A compaction and a backup under way are finished before the store closes; later ones are refused."""
        store = opened()
        store.write(numbered(20_000), durable=False)
        outcomes: list[object] = []

        def work(call: Any) -> None:
            try:
                call()
                outcomes.append("done")
            except StoreClosed:
                outcomes.append("closed")

        calls = [lambda: store.compact(b"\x00", END), lambda: store.backup(str(opened.folder / "copy"))]
        threads = [threading.Thread(target=work, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        store.close()
        for thread in threads:
            thread.join()
        assert set(outcomes) <= {"done", "closed"}
        with pytest.raises(StoreClosed):
            store.compact(b"\x00", END)

    def test_dropped_cursor_is_not_waited_for(self, opened: Opener) -> None:
        """A cursor that a thread lost (an interrupt between two steps) does not keep the store open."""
        store = opened()
        store.write(numbered(10), durable=False)
        store.cursors.take()
        gc.collect()
        store.close()

    def test_iterators_hold_nothing_open(self, opened: Opener) -> None:
        """With snapshots, scans and half-read pages alive the store closes, and opens again at once."""
        store = opened()
        store.write(numbered(3000), durable=False)
        held = [store.snapshot(), store.scan(b"\x00", END), store.snapshot().scan_pages(b"\x00", END)]
        next(held[1])
        next(held[2])
        store.close()
        assert len(rows(opened(create=False))) == 3000


class TestBatches:
    def test_bad_value_writes_nothing(self, opened: Opener) -> None:
        """A batch of plyvel's writes the part before an exception; here nothing is written, and the store goes on."""
        store = opened()
        for bad in ((b"c", 7), (7, b"c"), ("c", b"c"), (b"c", "text")):
            with pytest.raises(TypeError):
                store.write([(b"a", b"1"), (b"b", b"2"), bad, (b"d", b"4")], durable=True)
        assert rows(store) == []
        store.write([(b"a", b"1")], durable=True)
        assert rows(store) == [(b"a", b"1")]


class TestOpen:
    def test_current_gone(self, opened: Opener, data: Path) -> None:
        """Without CURRENT LevelDB would make a new, empty store and delete tables; here it is damage."""
        tabled(opened, numbered(3000), data)
        (data / "CURRENT").unlink()
        before = {file.name: file.stat().st_size for file in data.glob("*.ldb")}
        with pytest.raises(CorruptData):
            opened()
        assert {file.name: file.stat().st_size for file in data.glob("*.ldb")} == before
        LevelDBEngine().repair(str(data.parent))
        assert rows(opened(create=False)) == numbered(3000)

    @pytest.mark.parametrize("name", ["MANIFEST-*", "*.ldb"])
    def test_file_gone(self, opened: Opener, data: Path, name: str) -> None:
        """A missing table or list of tables is damage, when opening or at the latest when reading."""
        tabled(opened, numbered(3000), data)
        for file in data.glob(name):
            file.unlink()
        with pytest.raises(CorruptData):
            rows(opened())

    def test_twice_through_a_link(self, opened: Opener, tmp_path: Path) -> None:
        """LevelDB's own lock lets a symlink through, and both would write."""
        opened()
        (tmp_path / "link").symlink_to(tmp_path / "store")
        with pytest.raises(StoreLocked):
            opened("link")

    def test_lock_survives_a_copy(self, opened: Opener, tmp_path: Path) -> None:
        """Reading LevelDB's LOCK in this process gives LevelDB's lock up; ours still keeps others out."""
        store = opened()
        store.write([(b"k", b"v")], durable=True)
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        script = """
        try:
            opened()
        except StoreLocked:
            print("locked")
        """
        assert in_child(script, tmp_path / "store") == "locked\n"
        (tmp_path / "store" / "data" / "LOCK").unlink()
        assert in_child(script, tmp_path / "store") == "locked\n"

    def test_read_only_is_not_promised(self, opened: Opener, tmp_path: Path) -> None:
        """LevelDB writes to whatever it opens."""
        with pytest.raises(UnsupportedError):
            opened(read_only=True)
        assert not (tmp_path / "store").exists()

    @pytest.mark.parametrize(
        "options", [{"cache": 1}, {"cache_size": "1"}, {"cache_size": -1}, {"write_buffer_size": True}]
    )
    def test_bad_options(self, opened: Opener, tmp_path: Path, options: dict[str, Any]) -> None:
        """An unknown option, or one of the wrong type or size, is refused."""
        with pytest.raises(BadConfig):
            opened(options=options)
        assert opened(options={"cache_size": 0, "write_buffer_size": 1 << 20}).get(b"k") is None

    def test_no_file_reaches_other_programs(self, opened: Opener, data: Path) -> None:
        """What LevelDB keeps open is closed on exec, also the logs it began long after the store was opened."""
        store = opened(options={"write_buffer_size": 1 << 16})
        for n in range(40):
            store.write([(b"%02d-%06d" % (n, m), os.urandom(900)) for m in range(60)], durable=False)
            kept = {file: fd for fd, file in descriptors(data).items() if not file.endswith(("ldb", "(deleted)"))}
            assert {file.rstrip("0123456789-").lstrip("0123456789") for file in kept} == {
                ".log",
                "MANIFEST",
                "LOCK",
                "LOG",
            }
            assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in kept.values())


def descriptors(folder: Path) -> dict[int, str]:
    """The files below a folder that this process has open."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            file = Path(os.readlink(f"/proc/self/fd/{fd}"))
            if file.parent == folder:
                found[int(fd)] = file.name
    return found


class TestFailedWrites:
    def test_nothing_acknowledged_is_lost(self, tmp_path: Path) -> None:
        """After a write for which there was no room LevelDB takes others, and loses them; here they are refused."""
        script = """
        store = opened()
        acknowledged, n = {}, 0
        def put():
            key, value = b"%06d" % n, os.urandom(1500)
            store.write([(key, value)], durable=True)
            acknowledged[key] = value
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        try:
            while True:
                put()
                n += 1
        except StoreFull:
            print("full", len(acknowledged) > 100)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for n in range(n + 1, n + 200):
            try:
                put()
            except StorePoisoned:
                continue
        print(all(store.get(key) == value for key, value in acknowledged.items()))
        store.close()
        store = opened(create=False)
        put()
        store.close()
        print(dict(opened(create=False).scan(b"0", b"9")) == acknowledged)
        """
        assert in_child(script, tmp_path / "store") == "full True\nTrue\nTrue\n"

    def test_the_store_above_opens_it_again(self, tmp_path: Path) -> None:
        """With room again, the kernel's store goes on after the failure, and everything it acknowledged stays."""
        script = """
        from dvidkit.context import MetadataContext
        from dvidkit.store import Store
        store = Store(LevelDBEngine(), StoreConfig("leveldb", sys.argv[1]))
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
        store = Store(LevelDBEngine(), StoreConfig("leveldb", sys.argv[1]))
        print(dict(store.get_range(ctx, b"0", b"z")) == acknowledged)
        """
        assert in_child(script, tmp_path / "store") == "['StoreFull', 'StorePoisoned'] True\nTrue\nTrue\n"

    def test_poisoned_until_opened_again(self, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
        """After any failure of the driver: reads go on, writes of every kind are refused, and say why."""
        store = opened()
        store.write([(b"k", b"v")], durable=True)

        class Failing:
            def put(self, key: bytes, value: bytes) -> None: ...

            def delete(self, key: bytes) -> None: ...

            def write(self) -> None:
                raise plyvel.IOError(b"IO error: 000003.log: Input/output error")

        database = store._database
        monkeypatch.setattr(database, "db", Wrapped(database.db, write_batch=lambda **how: Failing()))
        with pytest.raises(StoreError, match="Input/output error") as caught:
            store.write([(b"k", b"w")], durable=True)
        assert isinstance(caught.value.__cause__, plyvel.Error)
        monkeypatch.undo()
        for call in (
            lambda: store.write([(b"k", b"w")], durable=False),
            lambda: store.delete_range(b"a", b"z", durable=False),
        ):
            with pytest.raises(StorePoisoned):
                call()
        assert rows(store) == [(b"k", b"v")]
        store.close()
        opened(create=False).write([(b"k", b"w")], durable=True)


class Wrapped:
    """An object some of whose attributes are others."""

    def __init__(self, inner: Any, **other: Any) -> None:
        self._inner = inner
        self.__dict__.update(other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TestDamage:
    """By default plyvel checks nothing, and its iterator does not say that it could not read on."""

    def test_every_piece_of_a_table(self, opened: Opener, data: Path) -> None:
        """A flipped byte anywhere, last block, filter, index and footer included: never a wrong, missing or odd row."""
        batch = numbered(600, 150) + [(b"a%03d" % n, os.urandom(LARGE + n)) for n in range(20)]
        table = tabled(opened, batch, data)
        whole = table.read_bytes()
        found = 0
        places = sorted({*range(0, len(whole), len(whole) // 60), *range(len(whole) - 12_000, len(whole), 250)})
        for place in places:
            table.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
            for read in (self.scanned, self.scanned_back, self.got, self.sought, self.listed):
                try:
                    store = opened(create=False)
                    try:
                        assert read(store, batch) == sorted(batch), place
                    finally:
                        store.close()
                except CorruptData:
                    found += 1
        assert found > len(places)

    @staticmethod
    def scanned(store: Any, batch: list[tuple[bytes, bytes]]) -> Any:
        return rows(store)

    @staticmethod
    def scanned_back(store: Any, batch: list[tuple[bytes, bytes]]) -> Any:
        return rows(store, reverse=True)[::-1]

    @staticmethod
    def got(store: Any, batch: list[tuple[bytes, bytes]]) -> Any:
        return [(key, store.get(key)) for key, _ in sorted(batch)]

    @staticmethod
    def sought(store: Any, batch: list[tuple[bytes, bytes]]) -> Any:
        return [store.seek_last_before(key + b"\x00", key) for key, _ in sorted(batch)]

    @staticmethod
    def listed(store: Any, batch: list[tuple[bytes, bytes]]) -> Any:
        values = dict(batch)
        return [(key, values[key]) for key in rows(store, keys_only=True)]

    def test_zeroed_and_cut(self, opened: Opener, data: Path) -> None:
        """The same for a zeroed page and a cut table, without the record of the close, which would miss it sooner."""
        batch = numbered(2000)
        table = tabled(opened, batch, data)
        whole = table.read_bytes()
        for place in range(0, len(whole), 16_000):
            for broken in (whole[:place] + bytes(4096) + whole[place + 4096 :], whole[:place]):
                table.write_bytes(broken)
                (data / RECORD).unlink(missing_ok=True)
                with pytest.raises(CorruptData):
                    rows(opened(create=False))
                opened.opened.pop().close()

    def test_other_rows_stay_readable(self, opened: Opener, data: Path) -> None:
        """Damage in one place leaves rows elsewhere to be read, by the same store and the same snapshot."""
        batch = numbered(3000)
        table = tabled(opened, batch, data)
        whole = table.read_bytes()
        table.write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])
        store = opened(create=False)
        for reader in (store, store.snapshot()):
            for _ in range(3):
                with pytest.raises(CorruptData):
                    rows(reader)
                with pytest.raises(CorruptData):
                    reader.seek_last_before(batch[12][0] + b"\x00", b"0")
                assert rows(reader, b"001000", b"002000") == batch[1000:2000]
                assert reader.seek_last_before(b"002500\x00", b"0") == batch[2500]

    @pytest.mark.parametrize("place", [20, 5000, 40_000])
    def test_log(self, opened: Opener, data: Path, place: int) -> None:
        """A damaged log is found when the store is opened; plyvel would drop what is behind it and say nothing."""
        store = opened()
        for row in numbered(500):
            store.write([row], durable=True)
        store.close()
        (log,) = data.glob("*.log")
        whole = log.read_bytes()
        log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CorruptData):
            opened(create=False)
        report = LevelDBEngine().repair(str(data.parent))
        assert report.dropped_bytes > 0
        assert report.notes
        kept = rows(opened(create=False))
        assert kept == numbered(500)[: len(kept)]
        assert len(kept) in range(place * 500 // len(whole) - 2, place * 500 // len(whole) + 1)
        assert len((data / "lost" / log.name).read_bytes()) == len(whole)

    def test_value_set_apart(self, opened: Opener, data: Path) -> None:
        """LevelDB does not check large values, for we do; and a repair drops the rows that have lost theirs."""
        batch = [(b"%02d" % n, os.urandom(20_000)) for n in range(20)]
        table = tabled(opened, batch, data)
        whole = table.read_bytes()
        place = whole.index(batch[7][1]) + 10_000
        table.write_bytes(whole[:place] + b"damage" + whole[place + 6 :])
        store = opened(create=False)
        with pytest.raises(CorruptData) as caught:
            store.get(b"07")
        assert caught.value.key == b"07"
        with pytest.raises(CorruptData):
            rows(store)
        assert rows(store, keys_only=True) == [key for key, _ in batch]
        assert rows(store, b"08") == batch[8:]
        with pytest.raises(CorruptData):
            store.backup(str(opened.folder / "copy"))
        assert not (opened.folder / "copy").exists()
        store.close()
        assert LevelDBEngine().repair(str(data.parent)).notes
        assert rows(opened(create=False)) == batch[:7] + batch[8:]


class TestRepair:
    def test_table(self, opened: Opener, data: Path) -> None:
        """A damaged piece of a table is set aside; all rows of other pieces are kept, and none is changed."""
        batch = numbered(3000)
        table = tabled(opened, batch, data)
        whole = table.read_bytes()
        table.write_bytes(whole[:100_000] + bytes(300) + whole[100_300:])
        report = LevelDBEngine().repair(str(data.parent))
        assert report.notes
        kept = rows(opened(create=False))
        assert set(kept) < set(batch)
        assert len(kept) > 2900

    def test_open_or_missing_store(self, opened: Opener, tmp_path: Path) -> None:
        """A store in use is not repaired, nor is one that does not exist."""
        opened()
        with pytest.raises(StoreLocked):
            LevelDBEngine().repair(str(tmp_path / "store"))
        with pytest.raises(StoreError):
            LevelDBEngine().repair(str(tmp_path / "nothing"))

    def test_sound_length(self, tmp_path: Path) -> None:
        """A log's sound part ends before the first record a byte of which is changed, and a cut tail is no damage."""
        database = plyvel.DB(str(tmp_path / "plain"), create_if_missing=True)
        for n in range(60):
            database.put(b"%02d" % n, os.urandom(n * 60))
        database.close()
        (file,) = (tmp_path / "plain").glob("*.log")
        log = file.read_bytes()
        assert len(log) > 3 * 32_768
        assert sound_length(log) == len(log)
        assert sound_length(b"") == 0
        ends = [0]
        for place in range(0, len(log), 1511):
            sound = sound_length(log[:place] + bytes([log[place] ^ 8]) + log[place + 1 :])
            assert sound <= place or place % 32_768 > 32_761
            if sound <= place:
                assert sound >= ends[-1]
                ends.append(sound)
            assert sound_length(log[:place]) == place
        assert crc32c(b"123456789") == 0xE3069283


class TestScans:
    def test_descending_to_the_begin(self, opened: Opener) -> None:
        """Descending, plyvel's iterator loses a row that is the begin of its range and the last before its end."""
        store = opened()
        store.write([(b"a", b"1"), (b"b", b"2")], durable=False)
        assert rows(store, b"a", b"b", reverse=True) == [(b"a", b"1")]
        assert rows(store, b"a", b"bb", reverse=True) == [(b"b", b"2"), (b"a", b"1")]


class TestFork:
    def test_child_has_no_store(self, tmp_path: Path) -> None:
        """In a forked child every object raises ``StoreForked`` and none is touched; the parent loses nothing."""
        script = """
        store = opened()
        store.write([(b"%05d" % n, b"v" * (5000 if n % 9 == 0 else 50)) for n in range(3000)], durable=False)
        stop = False
        def work():
            while not stop:
                store.get(b"00001")
                sum(1 for _ in store.scan(b"0", b"9"))
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        view, scan, pages = store.snapshot(), store.scan(b"0", b"9"), store.scan_pages(b"0", b"9")
        next(scan), next(pages)
        for number in range(10):
            child = os.fork()
            if child == 0:
                refused = 0
                calls = [
                    lambda: store.get(b"00001"), lambda: store.write([(b"x", b"y")], durable=True), store.snapshot,
                    lambda: view.get(b"00001"), lambda: list(scan), lambda: next(pages),
                    lambda: next(view.scan(b"0", b"9")), lambda: store.compact(b"0", b"9"),
                    lambda: store.seek_last_before(b"9", b"0"),
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
                    os._exit(0)
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0, number
            store.write([(b"parent%d" % number, b"1")], durable=True)
        stop = True
        for thread in threads: thread.join()
        assert view.get(b"00001") is not None
        store.close()
        print(len(list(opened().scan(b"0", b"z"))))
        """
        assert in_child(script, tmp_path / "store") == "3010\n"

    def test_error_is_of_its_own_kind(self) -> None:
        """A forked child is told apart from a closed store."""
        assert issubclass(StoreForked, StoreClosed)


@pytest.mark.parametrize(
    ("kind", "text", "opening", "expected"),
    [
        ("CorruptionError", "Corruption: block checksum mismatch", False, CorruptData),
        ("CorruptionError", "Corruption: 1 missing files; e.g.: x/000005.ldb", True, CorruptData),
        ("Error", "Invalid argument: x: does not exist (create_if_missing is false)", True, CorruptData),
        ("Error", "Invalid argument: something", False, StoreError),
        ("Error", "Not implemented: something", False, StoreError),
        ("IOError", "IO error: x/000003.log: " + os.strerror(errno.ENOSPC), False, StoreFull),
        ("IOError", "IO error: x/000003.log: " + os.strerror(errno.EDQUOT), False, StoreFull),
        ("IOError", "IO error: x/000003.log: " + os.strerror(errno.EFBIG), True, StoreFull),
        ("IOError", "IO error: x/000005.ldb: " + os.strerror(errno.ENOENT), False, CorruptData),
        ("IOError", "IO error: x/MANIFEST-000002: " + os.strerror(errno.ENOENT), True, CorruptData),
        ("IOError", "IO error: lock x/LOCK: " + os.strerror(errno.EAGAIN), True, StoreLocked),
        ("IOError", "IO error: lock x/LOCK: already held by process", True, StoreLocked),
        ("IOError", "IO error: x/000003.log: " + os.strerror(errno.EIO), False, StoreError),
        ("IOError", "IO error: x/000003.log: " + os.strerror(errno.EMFILE), False, StoreError),
    ],
)
def test_translation(kind: str, text: str, opening: bool, expected: type[StoreError]) -> None:
    """What each of LevelDB's errors becomes."""
    error = translate(getattr(plyvel, kind)(text.encode()), "x", opening=opening)
    assert type(error) is expected
    assert (error.engine, error.path) == ("leveldb", "x")
    assert "LevelDB" in str(error)
