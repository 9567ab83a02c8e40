"""Limits of a machine: many keys and versions, memory, descriptors, readers, sizes. Full numbers are of ``nightly``."""

from __future__ import annotations

import gc
import os
import random
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count as numbers
from itertools import filterfalse, islice
from pathlib import Path
from typing import Any, Final

from dvidkit.context import DataContext, VersionedContext
from dvidkit.errors import DvidkitError, StoreBusy
from dvidkit.store import Store
from dvidkit.versions import VersionDAG
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.session import Violation
from dvidkit_conformance.storesession import ROW, row

_KEYS: Final = (5_000, 50_000, 1_000_000)
_VERSIONS: Final = (200, 1_000, 10_000)
_OPENINGS: Final = (20, 60, 500)
_READS: Final = (500, 1_000, 5_000)
_LEAK: Final = 12 << 20
_TURN: Final = 4099
_SETTLING: Final = 250
_STREAMED: Final = (80 << 20, 128 << 20, 1 << 30)
_SNAPSHOTS: Final = (50, 300, 1_000)
_GROWTH: Final = 64 << 20
_CHUNK: Final = 10_000
_MIB: Final = 1 << 20


@contextmanager
def _opened(run: Run, path: Path | None = None) -> Iterator[Store]:
    place = path or run.harness.fresh()
    store, _ = run.harness.open_store(place)
    try:
        yield store
    finally:
        store.close()
        if path is None:
            run.harness.remove(place)


def _require(holds: bool, expected: Any, got: Any, note: str = "") -> None:
    if not holds:
        raise Violation(expected, got, note=note)


# --- many ------------------------------------------------------------------------------------------------------------
def many(run: Run) -> None:
    """LIM-3: many TKeys, and many versions of one."""
    with _opened(run) as store:
        _many_keys(run, store, _KEYS[run.profile.scale])
        _many_versions(run, store, _VERSIONS[run.profile.scale])
    run.need("keys", "versions")


def _many_keys(run: Run, store: Store, count: int) -> None:
    ctx = DataContext(1, classes=(ROW,))
    for start in range(0, count, _CHUNK):
        some = range(start, min(count, start + _CHUNK))
        store.put_range(ctx, ((row(n), b"%d" % n) for n in some), durable=False)
        run.alive()
    seen = 0
    for n, (tkey, value) in enumerate(store.iter_range(ctx, ROW.min(), ROW.max())):
        _require((tkey, value) == (row(n), b"%d" % n), (row(n), b"%d" % n), (tkey, value), f"row {n} of {count}")
        seen += 1
        if not n % _CHUNK:
            run.alive()
    _require(seen == count, count, seen, "rows of a range")
    for n in random.Random(run.seed).sample(range(count), 200):
        _require(store.get(ctx, row(n)) == b"%d" % n, b"%d" % n, store.get(ctx, row(n)))
    run.probes["keys"] += count
    run.cases += 1


def _many_versions(run: Run, store: Store, count: int) -> None:
    dag = VersionDAG()
    for v in range(1, count + 1):
        dag.add(v, (v - 1,) if v > 1 else ())
    for v in range(1, count + 1):
        store.put(VersionedContext(2, v, dag, (ROW,)), row(0), b"%d" % v, durable=False)
        if not v % 500:
            run.alive()
    for v in sorted({1, 2, count // 2, count - 1, count, *random.Random(run.seed).sample(range(1, count), 50)}):
        ctx = VersionedContext(2, v, dag, (ROW,))
        _require(store.get(ctx, row(0)) == b"%d" % v, b"%d" % v, store.get(ctx, row(0)), f"version {v} of {count}")
        rows = store.get_range(ctx, ROW.min(), ROW.max())
        _require(rows == [(row(0), b"%d" % v)], [(row(0), b"%d" % v)], rows, f"a range at version {v} of {count}")
    run.probes["versions"] += count
    run.cases += 1


def range_cost(run: Run) -> None:
    """VER-12: what a range costs is counted in calls of functions, in a DAG of few versions and in one of many."""
    with _opened(run) as store:
        costs = [_cost(store, versions) for versions in (4, 1000)]
    run.cases += 2
    run.probes["counted"] += min(costs)
    _require(costs[1] <= 2 * costs[0] + 50, f"about {costs[0]} calls", f"{costs[1]} calls", "4 and 1000 versions")
    run.need("counted")


def _cost(store: Store, versions: int) -> int:
    dag = VersionDAG()
    for v in range(1, versions + 1):
        dag.add(v, (v - 1,) if v > 1 else ())
    store.put_range(VersionedContext(versions, 1, dag, (ROW,)), ((row(n), b"x") for n in range(200)))
    leaf = VersionedContext(versions, versions, dag, (ROW,))
    store.get_range(leaf, ROW.min(), ROW.max())
    calls = [0]

    def count(frame: Any, event: str, arg: Any) -> None:
        calls[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        rows = store.get_range(leaf, ROW.min(), ROW.max())
    finally:
        sys.setprofile(before)
    _require(len(rows) == 200, 200, len(rows))
    return calls[0]


# --- memory and descriptors ------------------------------------------------------------------------------------------
def openings(run: Run) -> None:
    """LIM-5: opening and closing again and again holds nothing."""
    count, path = _OPENINGS[run.profile.scale], run.harness.fresh()

    def cycle() -> None:
        with _opened(run, path) as store:
            store.put(DataContext(1), b"k", b"v")
        run.alive()

    for _ in range(count // 4):
        cycle()
    before = _held()
    for _ in range(count):
        cycle()
    after = _settled(before)
    run.harness.remove(path)
    run.cases += count
    run.probes["opened"] += count
    _require(after[0] <= before[0] + 2, f"{before[0]} descriptors", after[0], f"after {count} openings")
    _require(after[1] <= before[1] + 2, f"{before[1]} threads", after[1], f"after {count} openings")
    _require(after[2] - before[2] < _GROWTH, "memory that grows by less than 64 MiB", f"{after[2] - before[2]} bytes")
    reads(run)


def reads(run: Run) -> None:
    """LIM-5: reading again and again, to the end or not, holds nothing either."""
    count, path = _READS[run.profile.scale], run.harness.fresh()
    store = run.harness.open(path)
    try:
        store.write([(b"%03d" % n, b"v" * 100) for n in range(200)], durable=False)
        for _ in range(count // 4):
            _read(run, store)
        before = _held()
        for _ in range(count):
            _read(run, store)
        run.alive()
        store.write([(b"after", b"all of that")], durable=False)
        after = _settled(before)
    finally:
        store.close()
        run.harness.remove(path)
    run.cases += 1
    run.probes["read"] += count
    _require(after[0] <= before[0] + 2, f"{before[0]} descriptors", after[0], f"after {count} rounds of reads")
    _require(after[1] <= before[1] + 2, f"{before[1]} threads", after[1], f"after {count} rounds of reads")
    grown = after[2] - before[2]
    _require(grown < _LEAK, f"memory that grows by less than {_LEAK >> 20} MiB", f"{grown} bytes after {count} rounds")


def _read(run: Run, store: Any) -> None:
    """Values that are there and not, whole ranges and the beginnings of some, of the store and of a snapshot."""
    view = store.snapshot()
    for reader in (store, view):
        for n in range(0, 400, 50):
            reader.get(b"%03d" % n)
        for reverse in (False, True):
            list(reader.scan(b"000", b"010", reverse=reverse))
            next(reader.scan(b"000", b"9", keys_only=reverse))
            if run.harness.offers("pages"):
                next(reader.scan_pages(b"000", b"9", reverse=reverse))
    view.close()


def _settled(before: tuple[int, int, int]) -> tuple[int, int, int]:
    """What is held now, once threads that are about to end have ended: on a busy machine that takes a while."""
    after = _held()
    for _ in range(_SETTLING):
        if after[0] <= before[0] + 2 and after[1] <= before[1] + 2:
            break
        time.sleep(0.02)
        after = _held()
    return after


def _held() -> tuple[int, int, int]:
    """Descriptors, threads of the process, anonymous memory in bytes."""
    gc.collect()
    threads = Path("/proc/self/task")
    count = len(list(threads.iterdir())) if threads.exists() else threading.active_count()
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0, count, _memory()


def _memory() -> int:
    """Memory that is not a file's: what is mapped may be given back at any time."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def streaming(run: Run) -> None:
    """LIM-6: a range larger than memory would have to be is not held in it."""
    total, ctx = _STREAMED[run.profile.scale], DataContext(1, classes=(ROW,))
    path = run.harness.fresh()
    drawn = random.Random(run.seed).randbytes(_MIB)
    with _opened(run, path) as store:
        for n in range(total // _MIB):
            turn = n * _TURN % _MIB  # Other bytes at every place, without drawing each.
            store.put(ctx, row(n), drawn[turn:] + drawn[:turn], durable=False)
            run.alive()
        if not run.harness.persistent:
            _stream(run, store, ctx, total)
    if run.harness.persistent:
        with _opened(run, path) as store:
            _stream(run, store, ctx, total)
    run.harness.remove(path)
    run.need("streamed")


def _stream(run: Run, store: Store, ctx: DataContext, total: int) -> None:
    before, peak, seen = _memory(), [0], [0]

    def take(tkey: bytes, value: bytes) -> None:
        seen[0] += len(value)
        peak[0] = max(peak[0], _memory())
        run.alive()

    store.process_range(ctx, ROW.min(), ROW.max(), take)
    grown = peak[0] - before
    _require(seen[0] == total, total, seen[0], "bytes of values")
    _require(grown < _GROWTH, "growth of less than 64 MiB", f"{grown >> 20} MiB over {total >> 20} MiB of values")
    run.probes["streamed"] += seen[0]
    run.cases += 1


def descriptors(run: Run) -> None:
    """LIM-7: without descriptors left opening is an error, reading goes on; with them it works again."""
    path, other = run.harness.fresh(), run.harness.fresh()
    with _opened(run, other) as made:
        made.put(DataContext(1), b"k", b"v")
    with _opened(run, path) as store:
        store.put(DataContext(1), b"k", b"v")
        for spare in range(1, 14, 2):
            with _few_descriptors(spare):
                _opens_or_says_why(run, other)
                got = store.get(DataContext(1), b"k")
            _require(got == b"v", b"v", got, f"with {spare} descriptors to spare")
        store.put(DataContext(1), b"n", b"v2")
    with _opened(run, other) as again:
        _require(again.get(DataContext(1), b"k") == b"v", b"v", again.get(DataContext(1), b"k"))
    for each in (path, other):
        run.harness.remove(each)
    run.need("refused")


@contextmanager
def _few_descriptors(spare: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/proc/self/fd")}
    free = filterfalse(used.__contains__, numbers())
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(islice(free, spare - 1, None)) + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _opens_or_says_why(run: Run, path: Path) -> None:
    run.cases += 1
    try:
        store, _ = run.harness.open_store(path)
    except DvidkitError:
        run.probes["refused"] += 1
        return
    except Exception as error:
        raise Violation("an error of the tree, or a store", f"raises {type(error).__name__}: {error}") from error
    run.probes["opened"] += 1
    store.close()


def readers(run: Run) -> None:
    """LIM-8: many snapshots at once, and many iterators that nobody ends."""
    count, ctx = _SNAPSHOTS[run.profile.scale], DataContext(1)
    with _opened(run) as store:
        store.put_range(ctx, ((b"k%d" % n, b"v") for n in range(10)))
        held: list[Any] = []
        with suppress(StoreBusy):
            held.extend(store.snapshot() for _ in range(count))
        _require(len(held) >= min(count, 100), "100 snapshots at once", len(held))
        store.put(ctx, b"k0", b"new")
        _require(held[0].get(ctx, b"k0") == b"v", b"v", "another", "of the first snapshot")
        for snapshot in held:
            snapshot.close()
        for _ in range(4 * count):
            next(store.iter_range(ctx, b"k", b"l"))
        run.alive()
        _require(store.get(ctx, b"k0") == b"new", b"new", store.get(ctx, b"k0"), "after all were given back")
        run.probes["snapshots"] += len(held)
        run.cases += 1


# --- sizes -----------------------------------------------------------------------------------------------------------
def sizes_near(run: Run) -> None:
    """SIZE-2: within a factor of four, for a mebibyte of what cannot be compressed, after reopening."""
    _sized(run, _near)


def _near(size: Callable[[int, int], int]) -> None:
    got = size(0, 256)
    _require(_MIB // 4 <= got <= 4 * _MIB, f"{_MIB // 4} to {4 * _MIB}", got)


def sizes_monotone(run: Run) -> None:
    """SIZE-3: a part is not larger than the whole."""
    _sized(run, _monotone)


def _monotone(size: Callable[[int, int], int]) -> None:
    for parts in ((0, 64, 256), (0, 1, 255), (100, 150, 200)):
        first, middle, last = parts
        whole = size(first, last)
        _require(size(first, middle) <= whole, f"at most {whole}", size(first, middle), f"rows {first} to {middle}")
        _require(size(middle, last) <= whole, f"at most {whole}", size(middle, last), f"rows {middle} to {last}")


def _sized(run: Run, judge: Callable[[Callable[[int, int], int]], None]) -> None:
    path, ctx, rng = run.harness.fresh(), DataContext(1, classes=(ROW,)), random.Random(run.seed)
    with _opened(run, path) as store:
        store.put_range(ctx, ((row(n), rng.randbytes(4096)) for n in range(256)))
        if not run.harness.persistent:
            judge(_sizer(store))
    if run.harness.persistent:
        with _opened(run, path) as store:
            judge(_sizer(store))
    run.harness.remove(path)
    run.cases += 1


def _sizer(store: Store) -> Callable[[int, int], int]:
    def size(first: int, last: int) -> int:
        bounds = [b"\x01\x00\x00\x00\x01" + (row(n) if n < 256 else b"\xff") for n in (first, last)]
        return store.approximate_sizes([(bounds[0], bounds[1])])[0]

    return size
