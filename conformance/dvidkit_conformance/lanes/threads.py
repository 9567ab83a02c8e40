"""The thread lane: stores under several threads at once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import show
from dvidkit_conformance.session import Violation
from dvidkit_conformance.threads import crew
from dvidkit_conformance.threads.history import DONE, Call, Recorder, to_program
from dvidkit_conformance.threads.judging import judge, overlaps
from dvidkit_conformance.threads.programs import Author
from dvidkit_conformance.threads.scheduled import explore
from dvidkit_conformance.threads.subjects import HIGHEST, LOWEST, Subject, opened

LEVELS: Final = ("bytes", "store", "plain")
_SCHEDULED: Final = {"bytes": (70, 150, 6000), "store": (10, 30, 3000), "plain": (2, 10, 1000)}
_HISTORIES: Final = (1, 4, 200)
_WRITES: Final = (40, 150, 1000)
_STEPS: Final = (60, 600, 6000)
_ROUNDS: Final = (30, 100, 1000)
_LARGE: Final = 200
"""What each thread does, by scale. A number, not a time: a busy machine reaches the same."""

Progress = Callable[[], None]


def disjoint_writers(run: Run) -> None:
    """Threads that write keys of their own, by every way of writing; all must be there, also after reopening."""
    for level in LEVELS[:2]:
        with opened(level, run.harness) as store:
            _write_disjoint(run, store, _WRITES[run.profile.scale])
    run.need("rows")


def _write_disjoint(run: Run, store: Subject, writes: int) -> None:
    wrong: list[str] = []

    def body(thread: int) -> Callable[[Progress], None]:
        def work(progress: Progress) -> None:
            for n in range(writes):
                key, value = b"t%02d%06d" % (thread, n), b"%d.%d" % (thread, n)
                op = {"op": "put", "key": key, "value": value}
                answer = store.answer(op if n % 2 else {"op": "batch", "pairs": [[key, value]]})
                if answer != DONE:
                    wrong.append(f"{show(key)}: {answer}")
                progress()

        return work

    threads = 8
    crew.run([body(thread) for thread in range(threads)], run.alive)
    none_of("every write is made", wrong)
    expected = [[b"t%02d%06d" % (t, n), b"%d.%d" % (t, n)] for t in range(threads) for n in range(writes)]
    for when in ("at once", "after reopening")[: 1 + run.harness.persistent]:
        got = store.answer({"op": "range", "first": LOWEST, "last": HIGHEST})
        if got != expected:
            there = {row[0] for row in got} if isinstance(got, list) else set()
            lost = [key for key, _ in expected if key not in there]
            raise Violation(f"{len(expected)} rows {when}", f"{len(there)} rows; lost: {show(lost[:5])}")
        if run.harness.persistent and when == "at once":
            store.reopen()
    run.probes["rows"] += len(expected)
    run.cases += 1


def linearizable(run: Run) -> None:
    """Operations on single keys, under schedules and under threads that run freely."""
    for level in LEVELS:
        explore(run, level, _SCHEDULED[level][run.profile.scale], whole=False)
        for n in range(_HISTORIES[run.profile.scale]):
            _free(run, level, n, whole=False)
    run.need("switches", "overlaps")


def batches_whole(run: Run) -> None:
    """Batches over all keys, and reads of several keys: every read must fit between two batches."""
    for level in LEVELS:
        explore(run, level, _SCHEDULED[level][run.profile.scale], whole=True)
        for n in range(_HISTORIES[run.profile.scale]):
            _free(run, level, n, whole=True)
    _large(run, _ROUNDS[run.profile.scale])
    run.need("switches", "overlaps")


def _large(run: Run, rounds: int) -> None:
    """One thread puts and deletes many rows at once; two others see all of them, of one writing, or none."""
    keys = [b"n%03d" % n for n in range(_LARGE)]
    span: Op = {"first": keys[0], "last": keys[-1]}
    wrong: list[str] = []
    done = threading.Event()

    def write(store: Subject, progress: Progress) -> None:
        try:
            for n in range(rounds):
                store.answer({"op": "batch", "pairs": [[key, b"%d" % n] for key in keys]})
                if n % 3:
                    store.answer({"op": "delete_range", "among": keys, **span})
                progress()
        finally:
            done.set()

    def read(store: Subject, progress: Progress) -> None:
        while not done.is_set():
            got = store.answer({"op": "range", **span})
            if isinstance(got, list) and (len(got) not in (0, _LARGE) or len({value for _, value in got}) > 1):
                wrong.append(f"{len(got)} rows of {len({value for _, value in got})} writings")
            progress()

    with opened("bytes", run.harness) as store:
        crew.run([partial(write, store), partial(read, store), partial(read, store)], run.alive, interval=1e-4)
    none_of(f"all of {_LARGE} rows, of one writing, or none", wrong)
    run.cases += 1


def _free(run: Run, level: str, n: int, *, whole: bool) -> None:
    recorder = Recorder()

    def body(store: Subject, thread: int) -> Callable[[Progress], None]:
        author = Author(random.Random(f"{run.seed}.{n}.{thread}"), thread, whole=whole)

        def work(progress: Progress) -> None:
            for _ in range(15 if whole else 40):
                op = author.next()
                author.saw(op, recorder.call(thread, op, store.answer))
                progress()

        return work

    with opened(level, run.harness) as store:
        crew.run([body(store, thread) for thread in range(4)], run.alive, interval=1e-6)
    judged(recorder.calls, level)
    run.probes["overlaps"] += overlaps(recorder.calls)
    run.cases += 1


def judged(calls: Sequence[Call], level: str) -> None:
    """Raise ``Violation``, with the history as its program, unless the history is right."""
    wrong = judge(calls)
    if wrong is not None:
        raise Violation(*wrong, to_program(calls, level=level))


def none_of(expected: str, wrong: Sequence[str]) -> None:
    """Raise ``Violation`` if anything is wrong."""
    if wrong:
        raise Violation(expected, f"{len(wrong)} times not: {'; '.join(wrong[:3])}")


def no_deadlock(run: Run) -> None:
    """Writers, ranges, callbacks that write, snapshots and range deletions together."""
    for level in ("bytes", "store"):
        with opened(level, run.harness) as store:
            _busy(run, store, _STEPS[run.profile.scale])
    run.need("writes", "ranges", "writes from ranges")


def _busy(run: Run, store: Subject, count: int) -> None:
    wrong: list[str] = []

    def repeated(thread: int, step: Callable[[random.Random], Any], probe: str) -> Callable[[Progress], None]:
        rng = random.Random(f"{run.seed}.{thread}")

        def work(progress: Progress) -> None:
            for _ in range(count):
                answer = step(rng)
                if isinstance(answer, dict):
                    wrong.append(str(answer))
                run.probes[probe] += 1
                progress()

        return work

    def write(rng: random.Random) -> Any:
        return store.answer({"op": "batch", "pairs": [[_key(rng), rng.randbytes(20)] for _ in range(5)]})

    def delete(rng: random.Random) -> Any:
        first = _key(rng)
        return store.answer({"op": "delete_range", "first": first, "last": first + b"\xff", "among": [first]})

    def read(rng: random.Random) -> Any:
        return store.answer({"op": rng.choice(("range", "keys")), "first": LOWEST, "last": HIGHEST})

    def many(rng: random.Random) -> Any:
        return store.answer({"op": "many", "keys": [_key(rng) for _ in range(5)], "snapshot": True})

    def writes_from_range(rng: random.Random) -> Any:
        rows = store.begin_range()
        for _, _ in zip(range(4), rows, strict=False):
            answer = write(rng)
            if answer not in (DONE, {"error": "StoreBusy"}):
                return answer
        return None

    steps = [(write, "writes"), (write, "writes"), (delete, "deletions"), (read, "ranges"), (many, "snapshots")]
    steps.append((writes_from_range, "writes from ranges"))
    crew.run([repeated(n, step, probe) for n, (step, probe) in enumerate(steps)], run.alive)
    none_of("no call fails", wrong)
    run.cases += 1


def _key(rng: random.Random) -> bytes:
    return b"d%03d" % rng.randrange(300)
