"""Opening, closing, crashing, forking and threads, for every installed engine."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pytest

from dvidkit.engine import Capability, Engine
from dvidkit.errors import (
    ConflictError,
    StoreClosed,
    StoreError,
    StoreLocked,
    StoreMismatch,
    StoreMissing,
)
from dvidkit.storedir import MARKER

END: Final = b"\xff" * 8
PRELUDE: Final = """
import os, sys, threading, time
from dvidkit.engine import StoreConfig
from dvidkit.plugins import Plugins
engine = Plugins().engine(sys.argv[1])
config = StoreConfig(engine.name, sys.argv[2], durability=sys.argv[3])
"""


def rows(store: Any, begin: bytes = b"\x00", end: bytes = END, **how: Any) -> list[Any]:
    """All rows of a range."""
    return list(store.scan(begin, end, **how))


@contextmanager
def running(
    script: str, engine: Engine, path: str, durability: str = "durable"
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Another process that runs the script, with ``engine`` and ``config`` at hand, and what it prints."""
    program = PRELUDE + textwrap.dedent(script)
    command = [sys.executable, "-c", program, engine.name, path, durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def said(script: str, engine: Engine, path: str) -> str:
    """What the process printed, once it has ended."""
    with running(script, engine, path) as (process, _):
        return process.communicate(timeout=120)[0]


def every_call(store: Any, snapshot: Any, features: frozenset[Capability]) -> list[Callable[[], object]]:
    """One call of everything there is to call."""
    calls: list[Callable[[], object]] = [
        lambda: store.write([(b"k", b"v")], durable=False),
        lambda: store.write([], durable=True),
        store.snapshot,
    ]
    for reader in (store, snapshot):
        calls += [
            lambda reader=reader: reader.get(b"k"),
            lambda reader=reader: rows(reader),
            lambda reader=reader: rows(reader, keys_only=True, reverse=True),
        ]
        if Capability.GET_MANY in features:
            calls.append(lambda reader=reader: reader.get_many([b"k"]))
        if Capability.SEEK in features:
            calls.append(lambda reader=reader: reader.seek_last_before(END, b"\x00"))
            calls.append(lambda reader=reader: reader.seek_first_from(b"\x00", END))
        if Capability.PAGES in features:
            calls.append(lambda reader=reader: list(reader.scan_pages(b"\x00", END)))
        if Capability.LAST in features:
            calls.append(lambda reader=reader: list(reader.scan_last_before(b"\x00", END, b"\xff")))
    if Capability.DELETE_RANGE in features:
        calls.append(lambda: store.delete_range(b"a", b"b", durable=False))
    if Capability.SIZES in features:
        calls.append(lambda: store.approximate_sizes([(b"a", b"b")]))
    if Capability.COMPACT in features:
        calls.append(lambda: store.compact(b"a", b"b"))
    if Capability.BACKUP in features:
        calls.append(lambda: store.backup("/nonexistent/backup"))
    return calls


class TestClose:
    def test_afterwards_everything_raises(self, stores: Any) -> None:
        """Every call of the store and of its snapshots, and the next step of every iterator: ``StoreClosed``."""
        store = stores.of([(b"%04d" % n, b"v") for n in range(3000)])
        snapshot = store.snapshot()
        iterators = [
            reader.scan(b"\x00", END, reverse=reverse, keys_only=keys_only)
            for reader in (store, snapshot)
            for reverse in (False, True)
            for keys_only in (False, True)
        ]
        for steps, iterator in enumerate(iterators):
            for _ in range(50 * steps):
                next(iterator)
        store.close()
        for call in every_call(store, snapshot, stores.engine.capabilities.features):
            with pytest.raises(StoreClosed):
                call()
        for iterator in iterators:
            with pytest.raises(StoreClosed):
                next(iterator)
        snapshot.close()

    def test_is_idempotent(self, stores: Any) -> None:
        """Closing twice, and from several threads, is no error."""
        store = stores.of([(b"k", b"v")])
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: store.close(), range(8))) == [None] * 8
        store.close()

    def test_snapshot_close(self, stores: Any) -> None:
        """A closed snapshot and its iterators raise ``StoreClosed``; closing again is no error; the store goes on."""
        store = stores.of([(b"%04d" % n, b"v") for n in range(3000)])
        snapshot = store.snapshot()
        scan = snapshot.scan(b"\x00", END)
        next(scan)
        snapshot.close()
        snapshot.close()
        with pytest.raises(StoreClosed):
            snapshot.get(b"0001")
        with pytest.raises(StoreClosed):
            next(scan)
        with pytest.raises(StoreClosed):
            rows(snapshot)
        assert len(rows(store)) == 3000

    def test_under_load(self, stores: Any) -> None:
        """Close while threads read, scan, write and take snapshots: they finish or get ``StoreClosed``; no crash."""
        for round_ in range(8):
            store = stores.of([(b"%05d" % n, b"v" * 100) for n in range(3000)], f"store{round_}")
            unexpected: list[BaseException] = []
            errors: list[StoreClosed] = []

            def work(step: Callable[[int], object], unexpected: list[BaseException], errors: list[StoreClosed]) -> None:
                try:
                    for n in range(10**9):
                        step(n)
                except StoreClosed as error:
                    errors.append(error)
                except BaseException as error:
                    unexpected.append(error)

            steps: list[Callable[[int], object]] = [
                lambda n, store=store: store.get(b"%05d" % (n % 3000)),
                lambda n, store=store: rows(store, b"00100", b"00900"),
                lambda n, store=store: store.write([(b"new%05d" % n, b"v")], durable=False),
                lambda n, store=store: store.snapshot().get(b"00001"),
                lambda n, store=store: sum(1 for _ in store.scan(b"\x00", END, reverse=True)),
            ]
            threads = [threading.Thread(target=work, args=(step, unexpected, errors)) for step in steps]
            for thread in threads:
                thread.start()
            time.sleep(0.02 + 0.02 * round_)
            store.close()
            for thread in threads:
                thread.join(20)
            assert not any(thread.is_alive() for thread in threads)
            assert unexpected == []
            assert len(errors) == len(threads)


@pytest.mark.persistent
class TestOpen:
    def test_everything_is_there_again(self, stores: Any) -> None:
        """Durable and buffered writes, overwrites and deletes, over several lives; ``report.created`` only once."""
        store = stores.open()
        assert store.report.created
        expected: dict[bytes, bytes] = {}
        for life in range(4):
            for n in range(40):
                batch = {b"%04d" % (n * 7 % 100): b"%d" % life * (n * 50), b"life%d" % life: b""}
                store.write(list(batch.items()), durable=n % 5 == 0)
                expected |= batch
            store.write([(b"%04d" % life, None)], durable=False)
            expected.pop(b"%04d" % life, None)
            store = stores.reopened(store)
            assert not store.report.created
            assert rows(store) == sorted(expected.items())

    @pytest.mark.parametrize("durability", ["durable", "buffered", "volatile"])
    def test_every_durability(self, stores: Any, durability: str) -> None:
        """Whatever the store is opened as, an orderly close keeps everything."""
        store = stores.open(durability=durability)
        for n in range(50):
            store.write([(b"%02d" % n, b"v")], durable=n % 2 == 0)
        assert len(rows(stores.reopened(store))) == 50

    def test_missing_store(self, stores: Any, tmp_path: Path) -> None:
        """``create=False`` where there is none: ``StoreMissing``, and nothing was made."""
        with pytest.raises(StoreMissing):
            stores.open("nothing", create=False)
        with pytest.raises(StoreMissing):
            stores.open("no/parent")
        assert list(tmp_path.iterdir()) == []

    def test_second_opener(self, stores: Any, tmp_path: Path) -> None:
        """Same process, by the same path, another spelling of it or a symlink: ``StoreLocked``; the first goes on."""
        store = stores.of([(b"k", b"v")])
        (tmp_path / "link").symlink_to(stores.path)
        for name in ("store", "../" + tmp_path.name + "/store", "link"):
            with pytest.raises(StoreLocked):
                stores.open(name)
        store.write([(b"l", b"w")], durable=True)
        assert rows(stores.reopened(store)) == [(b"k", b"v"), (b"l", b"w")]

    def test_second_process(self, stores: Any) -> None:
        """Another process gets ``StoreLocked`` until the store is closed here."""
        store = stores.of([(b"k", b"v")])
        script = """
        try:
            store = engine.open(config)
            print(store.get(b"k"))
            store.close()
        except Exception as error:
            print(type(error).__name__)
        """
        assert said(script, stores.engine, stores.path) == "StoreLocked\n"
        store.close()
        assert said(script, stores.engine, stores.path) == "b'v'\n"

    def test_another_engines_store(self, stores: Any) -> None:
        """A directory whose marker names another engine is refused, and left as it was."""
        stores.of([(b"k", b"v")]).close()
        marker = Path(stores.path, MARKER)
        text = marker.read_text().replace(stores.engine.name, "other")
        marker.write_text(text)
        with pytest.raises(StoreMismatch, match="other"):
            stores.open()
        assert marker.read_text() == text

    def test_lost_files_are_no_new_store(self, stores: Any) -> None:
        """With the engine's files gone but the marker there, opening fails; it never answers with an empty store."""
        stores.of([(b"%04d" % n, b"v" * 100) for n in range(2000)]).close()
        for file in sorted(Path(stores.path, "data").rglob("*")):
            if file.is_file():
                file.unlink()
        with pytest.raises(StoreError):
            stores.open()

    def test_destroy(self, stores: Any, tmp_path: Path) -> None:
        """An open store is not destroyed; a closed one goes with all its files; a missing one is no error."""
        store = stores.of([(b"k", b"v")])
        with pytest.raises(StoreLocked):
            stores.engine.destroy(stores.config())
        assert store.get(b"k") == b"v"
        store.close()
        stores.engine.destroy(stores.config())
        assert list(tmp_path.iterdir()) == []
        stores.engine.destroy(stores.config())
        (tmp_path / "store").mkdir()
        (tmp_path / "store" / "thesis.tex").write_text("precious")
        with pytest.raises(StoreError):
            stores.engine.destroy(stores.config())
        assert (tmp_path / "store" / "thesis.tex").exists()

    def test_a_hundred_lives(self, stores: Any) -> None:
        """Opening and closing a hundred times leaves no descriptor and no thread behind."""
        stores.of([(b"k", b"v")]).close()
        descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        for n in range(100):
            store = stores.open(create=False)
            store.write([(b"k", b"%d" % n)], durable=False)
            assert next(store.scan(b"\x00", END)) == (b"k", b"%d" % n)
            store.close()
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 2
        assert threading.active_count() == threads

    def test_descriptors_stay_in_this_process(self, stores: Any) -> None:
        """A program started while the store is open has none of its files."""
        store = stores.of([(b"k", b"v")])
        command = "ls -l /proc/self/fd"
        listing = subprocess.run(command.split(), capture_output=True, text=True, close_fds=False)
        assert listing.returncode == 0
        assert stores.path not in listing.stdout
        assert store.get(b"k") == b"v"


@pytest.mark.persistent
class TestCrash:
    WRITER: Final = """
    store = engine.open(config)
    print("open", flush=True)
    for n in range(10**9):
        batch = [(b"%03d" % (n * 7 % 200 + i), b"%09d" % n * (1 + (n + i) % 300)) for i in range(4)]
        store.write(batch + [(b"count", b"%d" % n), (b"%03d" % (n % 200), None)], durable=n % 7 == 0)
        print(n, flush=True)
    """

    @staticmethod
    def state_after(count: int) -> dict[bytes, bytes]:
        """What the writer has stored after its batches below ``count``."""
        state: dict[bytes, bytes] = {}
        for n in range(count):
            for i in range(4):
                state[b"%03d" % (n * 7 % 200 + i)] = b"%09d" % n * (1 + (n + i) % 300)
            state[b"count"] = b"%d" % n
            state.pop(b"%03d" % (n % 200), None)
        return state

    @pytest.mark.parametrize("durability", ["durable", "buffered"])
    def test_kill(self, stores: Any, durability: str) -> None:
        """After kill -9 there is everything acknowledged, and of the batch under way all or nothing."""
        for seed in range(6):
            name = f"store{seed}"
            path = str(stores.folder / name)
            with running(self.WRITER, stores.engine, path, durability) as (process, output):
                assert output.readline() == "open\n"
                time.sleep(random.Random(seed).uniform(0.0, 0.25))
                process.kill()
                count = len(output.read().splitlines())
            store = stores.open(name, create=False)
            found = dict(rows(store))
            assert found in (self.state_after(count), self.state_after(count + 1))
            store.write([(b"after", b"1")], durable=True)
            assert dict(rows(stores.reopened(store, name))) == {**found, b"after": b"1"}

    def test_crash_in_every_life(self, stores: Any) -> None:
        """A store that is only ever killed, twelve times over, never closed: it goes on where it was."""
        script = """
        store = engine.open(config)
        before = store.get(b"count")
        n = int(before or -1)
        assert sum(1 for _ in store.scan(b"row", b"rox")) == n + 1, (n, sum(1 for _ in store.scan(b"row", b"rox")))
        while True:
            n += 1
            store.write([(b"row%06d" % n, b"x" * (n % 3000)), (b"count", b"%d" % n)], durable=False)
            print(n, flush=True)
        """
        reached = -1
        for seed in range(12):
            with running(script, stores.engine, stores.path) as (process, output):
                first = output.readline()
                assert first.strip().isdigit(), first + output.read()
                assert int(first) in (reached + 1, reached + 2)
                time.sleep(random.Random(seed).uniform(0.0, 0.08))
                process.kill()
                reached = int((output.read().splitlines() or [first])[-1])


class TestThreads:
    def test_writers_lose_nothing(self, stores: Any) -> None:
        """Eight threads write keys of their own; all are there."""
        store = stores.open()

        def work(thread: int) -> None:
            for n in range(60):
                store.write([(b"%d-%03d" % (thread, n), b"%d" % n), (b"last%d" % thread, b"%d" % n)], durable=n == 59)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert len(rows(store)) == 8 * 60 + 8

    def test_counter(self, stores: Any) -> None:
        """Threads that count up with ``expect`` lose no step."""
        store = stores.of([(b"n", b"0")])
        refused = []

        def work(_: int) -> None:
            done = 0
            while done < 50:
                old = store.get(b"n")
                try:
                    store.write([(b"n", b"%d" % (int(old) + 1))], durable=False, expect={b"n": old})
                    done += 1
                except ConflictError as error:
                    refused.append(error)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))
        assert store.get(b"n") == b"300"

    def test_batches_are_seen_whole(self, stores: Any) -> None:
        """Readers beside two writers: in every scan and snapshot all rows of a group are of the same write."""
        keys = [b"%04d" % n for n in range(400)]
        store = stores.of([(key, b"0") for key in keys])
        stop = threading.Event()
        torn: list[object] = []

        def writer(name: bytes) -> None:
            n = 0
            while not stop.is_set():
                n += 1
                store.write([(key, name + b"%d" % n * (n % 900)) for key in keys], durable=False)

        def scanner(reverse: bool) -> None:
            while not stop.is_set():
                found = rows(store, reverse=reverse)
                if len({value for _, value in found}) != 1 or len(found) != len(keys):
                    torn.append(found)

        def pointer() -> None:
            while not stop.is_set():
                view = store.snapshot()
                if len({view.get(key) for key in keys[::40]}) != 1:
                    torn.append(view)
                view.close()

        targets: list[Any] = [
            (writer, (b"a",)),
            (writer, (b"b",)),
            (scanner, (False,)),
            (scanner, (True,)),
            (pointer, ()),
        ]
        threads = [threading.Thread(target=target, args=args) for target, args in targets]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        stop.set()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert torn == []

    def test_reads_see_what_was_written(self, stores: Any) -> None:
        """A read that begins after a write returned sees it, in whichever thread."""
        store = stores.open()
        for n in range(300):
            store.write([(b"k", b"%d" % n)], durable=False)
            with_thread: list[Any] = []
            thread = threading.Thread(target=lambda found=with_thread: found.append(store.get(b"k")))
            thread.start()
            thread.join()
            assert with_thread == [b"%d" % n]
            assert rows(store) == [(b"k", b"%d" % n)]


class TestFork:
    SCRIPT: Final = """
    import warnings
    from dvidkit.context import MetadataContext
    from dvidkit.errors import StoreClosed, StoreForked
    from dvidkit.store import Store
    warnings.simplefilter("ignore")
    meta = MetadataContext()
    store = Store(engine, config)
    store.put_range(meta, [(b"%04d" % n, b"v") for n in range(2000)])
    snapshot = store.snapshot()
    scan = store.iter_range(meta, b"0", b"9")
    next(scan)
    pid = os.fork()
    if pid == 0:
        refused = 0
        for call in (
            lambda: store.get(meta, b"0000"),
            lambda: store.put(meta, b"k", b"child"),
            lambda: store.keys_in_range(meta, b"0", b"9"),
            store.snapshot,
            lambda: snapshot.get(meta, b"0000"),
        ):
            try:
                call()
            except StoreForked:
                refused += 1
        del scan, snapshot
        store.close()
        sys.exit(0 if refused == 5 else 10 + refused)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.put_range(meta, [(b"%04d" % n, b"w") for n in range(2000)])
    assert [value for _, value in scan] == [b"v"] * 1999
    assert snapshot.get(meta, b"0000") == b"v"
    store.put(meta, b"k", b"parent")
    assert store.get(meta, b"k") == b"parent"
    snapshot.close()
    store.close()
    print("fine")
    """

    def test_the_child_has_no_store(self, stores: Any) -> None:
        """In a forked child everything raises ``StoreForked``; nothing there, even its end, touches the parent's."""
        stores.open("probe").close()
        assert said(self.SCRIPT, stores.engine, stores.path) == "fine\n"

    @pytest.mark.persistent
    def test_the_lock_stays_with_the_parent(self, stores: Any) -> None:
        """A child that outlives its parent does not keep the store locked."""
        script = """
        import warnings
        warnings.simplefilter("ignore")
        store = engine.open(config)
        store.write([(b"k", b"v")], durable=True)
        pid = os.fork()
        if pid == 0:
            os.close(1); os.close(2)
            time.sleep(20)
            os._exit(0)
        print(pid, flush=True)
        os._exit(0)
        """
        child = int(said(script, stores.engine, stores.path))
        try:
            assert rows(stores.open(create=False)) == [(b"k", b"v")]
        finally:
            os.kill(child, 9)
