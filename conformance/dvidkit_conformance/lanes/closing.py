"""The thread lane, second part: closing under load, range writes against readers, forks."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

from dvidkit.errors import DvidkitError
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.lanes.threads import LEVELS, Progress, judged, none_of
from dvidkit_conformance.results import Err, Foreign, show
from dvidkit_conformance.session import Violation, attempt
from dvidkit_conformance.threads import crew
from dvidkit_conformance.threads.history import Call, Recorder, to_program
from dvidkit_conformance.threads.linear import EMPTY, after
from dvidkit_conformance.threads.programs import Author
from dvidkit_conformance.threads.scheduled import explore
from dvidkit_conformance.threads.subjects import HIGHEST, LOWEST, StoreSubject, Subject, opened

_SCHEDULED: Final = (4, 10, 1000)
_ROUNDS: Final = (2, 5, 200)
_RANGES: Final = (30, 100, 2000)
_BESIDE: Final = {"bytes": (12, 100, 2000), "store": (3, 15, 500)}
_FORKS: Final = (1, 3, 30)


# --- closing ---------------------------------------------------------------------------------------------------------
def closing(run: Run) -> None:
    """``close`` while threads read, write, scan and hold snapshots, at a random instant; under schedules too."""
    for level in LEVELS[:2]:
        explore(run, level, _SCHEDULED[run.profile.scale], whole=False, closing=True)
        for n in range(_ROUNDS[run.profile.scale]):
            _close_once(run, level, n)
    run.need("switches", "refused", "answered", "iterators refused")


def _close_once(run: Run, level: str, n: int) -> None:
    recorder = Recorder()
    with opened(level, run.harness) as store:
        store.answer({"op": "batch", "pairs": [[b"s%04d" % n, b"x" * 50] for n in range(2500)]})
        busy = _Closing(run, store, recorder, n)
        crew.run([*(busy.worker(thread) for thread in range(3)), busy.scan, busy.end], run.alive)
        judged(recorder.calls, level)
        none_of("ranges end with StoreClosed, and give nothing after it", busy.wrong)
        _kept(run, store, recorder.calls)
    run.probes["refused"] += sum(call.error == "StoreClosed" for call in recorder.calls)
    run.probes["answered"] += sum(not call.error for call in recorder.calls)
    run.cases += 1


class _Closing:
    """What the threads do while one of them closes the store."""

    def __init__(self, run: Run, store: Subject, recorder: Recorder, n: int) -> None:
        self.run = run
        self.store = store
        self.recorder = recorder
        self.name = f"{run.seed}.{n}"
        self.wrong: list[str] = []
        self.closed = threading.Event()

    def worker(self, thread: int) -> Callable[[Progress], None]:
        """Operations on a key of its own, until two were refused."""
        author = Author(random.Random(f"{self.name}.{thread}"), thread, (b"t%d" % thread,))

        def body(progress: Progress) -> None:
            refused = 0
            while refused < 2:
                op = author.next()
                answer = self.recorder.call(thread, op, self.store.answer)
                author.saw(op, answer)
                refused += answer == {"error": "StoreClosed"}
                progress()

        return body

    def scan(self, progress: Progress) -> None:
        """One iterator after the other, until a step is refused."""
        rows, rng = None, random.Random(f"{self.name}.scan")
        while True:
            over = self.closed.is_set()
            if rows is None:
                rows = attempt_range(self.store)
            answer = rows if isinstance(rows, Err) else attempt(partial(_step, rows))
            progress()
            if answer == Err("StoreClosed"):
                self.run.probes["iterators refused"] += 1
                return
            if over or isinstance(answer, (Err, Foreign)):
                when = "after close had returned, " if over else ""
                self.wrong.append(f"{when}an iterator gives {show(answer)}")
                return
            rows = None if answer is None or rng.random() < 0.001 else rows

    def end(self, progress: Progress) -> None:
        """Close, at a random instant."""
        time.sleep(random.Random(self.name).random() * 0.02)
        self.recorder.call(99, {"op": "close"}, lambda op: attempt(self.store.close))
        self.closed.set()


def _step(rows: Iterator[Any]) -> Any:
    return next(rows, None)


def attempt_range(store: Subject) -> Any:
    """An iterator over everything, or the error."""
    try:
        return store.begin_range()
    except DvidkitError as error:
        return Err(type(error).__name__)


def _kept(run: Run, store: Subject, calls: list[Call]) -> None:
    """What was acknowledged is there after reopening, and nothing else: what was refused has had no effect."""
    if not run.harness.persistent:
        return
    store.reopen()
    by_thread: dict[int, list[Call]] = {}
    for call in calls:
        by_thread.setdefault(call.thread, []).append(call)
    for thread, some in by_thread.items():
        rows = EMPTY
        for call in some:
            if not call.error and call.op["op"] != "close":
                rows = after(rows, call.op)[1]
        key = b"t%d" % thread
        expected, got = dict(rows).get(key), store.answer({"op": "get", "key": key})
        if thread != 99 and got != expected:
            told = to_program([call for call in calls if call.thread == thread])
            raise Violation(expected, got, told, note=f"after reopening, key {show(key)}")


# --- range writes ----------------------------------------------------------------------------------------------------
def range_writes(run: Run) -> None:
    """``put_range`` and ``delete_range`` inside a range, while others use what is around it; first under schedules."""
    for level in LEVELS[:2]:
        explore(run, level, _BESIDE[level][run.profile.scale], beside=True)
        with opened(level, run.harness) as store:
            _range_writes(run, store, _RANGES[run.profile.scale])
    run.need("switches", "range writes", "outside reads", "inside reads")


def _range_writes(run: Run, store: Subject, times: int) -> None:
    outside = [[b"o%02d" % n, b"%d" % n] for n in range(20)] + [[b"q%02d" % n, b"%d" % n] for n in range(20)]
    inside = [b"p%02d" % n for n in range(20)]
    store.answer({"op": "batch", "pairs": outside})
    wrong: list[str] = []
    ended = threading.Event()

    def writer(progress: Progress) -> None:
        for n in range(times):
            pairs = [[key, b"%d" % n] for key in inside]
            span = {"first": inside[0], "last": inside[-1], "among": inside}
            for op in ({"op": "batch", "pairs": pairs}, {"op": "delete_range", **span}):
                answer = store.answer(op)
                if answer != "done":
                    wrong.append(f"{op['op']} answers {show(answer)}")
            run.probes["range writes"] += 2
            progress()
        ended.set()

    def reader(progress: Progress) -> None:
        while not ended.is_set():
            rows = store.answer({"op": "range", "first": LOWEST, "last": HIGHEST})
            seen = [row for row in rows if row[0][:1] in b"oq"] if isinstance(rows, list) else rows
            if seen != outside:
                wrong.append(f"outside there is {show(seen)[:200]}")
            run.probes["inside reads"] += isinstance(rows, list) and len(rows) > len(outside)
            run.probes["outside reads"] += 1
            progress()

    def neighbour(progress: Progress) -> None:
        n = 0
        while not ended.is_set():
            n += 1
            key = (b"oz", b"pz")[n % 2]
            store.answer({"op": "put", "key": b"r" + key, "value": b"%d" % n})
            got = store.answer({"op": "get", "key": b"r" + key})
            if got != b"%d" % n:
                wrong.append(f"a key outside that only one thread writes: {show(got)}, not {n}")
            progress()

    crew.run([writer, reader, reader, neighbour], run.alive)
    none_of("what lies outside is as it was", wrong)
    run.cases += 1


# --- forks -----------------------------------------------------------------------------------------------------------
def forked(run: Run) -> None:
    """A child forked while threads work: each of its calls is refused at once; the parent goes on and loses nothing."""
    for _ in range(_FORKS[run.profile.scale]):
        with opened("store", run.harness) as store:
            _fork_once(run, store)
    run.need("refused in the child", "writes of the parent")


def _fork_once(run: Run, store: Subject) -> None:
    assert isinstance(store, StoreSubject)
    store.answer({"op": "batch", "pairs": [[b"s%04d" % n, b"x" * 50] for n in range(2500)]})
    snapshot, rows = store.store.snapshot(), store.begin_range()
    next(rows)
    stop, written = threading.Event(), [0]

    def work(progress: Progress) -> None:
        while not stop.is_set():
            store.answer({"op": "put", "key": b"w%06d" % written[0], "value": b"%d" % written[0]})
            written[0] += 1
            progress()

    several = crew.Crew([work], run.alive)
    several.start()
    try:
        time.sleep(0.02)
        answers = _in_child(partial(_calls, store, snapshot, rows))
    finally:
        stop.set()
        several.join()
    wrong = {name: answer for name, answer in answers.items() if answer != "StoreForked"}
    if wrong:
        raise Violation("StoreForked to every call of the child", wrong)
    run.probes["refused in the child"] += len(answers)
    run.probes["writes of the parent"] += written[0]
    snapshot.close()
    rows = iter(())
    _nothing_lost(run, store, written[0])
    run.cases += 1


def _calls(store: StoreSubject, snapshot: Any, rows: Iterator[Any]) -> dict[str, str]:
    """What each call answers, by name."""
    context, one = store.context, b"s0001"
    calls: dict[str, Callable[[], Any]] = {
        "get": lambda: store.store.get(context, one),
        "exists": lambda: store.store.exists(context, one),
        "get_range": lambda: store.store.get_range(context, LOWEST, HIGHEST),
        "keys_in_range": lambda: store.store.keys_in_range(context, LOWEST, HIGHEST),
        "raw_range_query": lambda: list(store.store.raw_range_query(b"\x00", b"\x02")),
        "snapshot": lambda: store.store.snapshot().get(context, one),
        "put": lambda: store.store.put(context, b"s9999", b"child"),
        "delete": lambda: store.store.delete(context, one),
        "put_range": lambda: store.store.put_range(context, [(b"s9999", b"child")]),
        "delete_range": lambda: store.store.delete_range(context, LOWEST, HIGHEST),
        "a snapshot of before": lambda: snapshot.get(context, one),
        "a range begun before": lambda: list(rows),
    }
    return {name: _name_of(attempt(call)) for name, call in calls.items()}


def _name_of(answer: Any) -> str:
    return str(getattr(answer, "name", "") or show(answer)[:100])


def _nothing_lost(run: Run, store: StoreSubject, written: int) -> None:
    expected = [[b"s%04d" % n, b"x" * 50] for n in range(2500)] + [[b"w%06d" % n, b"%d" % n] for n in range(written)]
    for when in ("after the fork", "after reopening")[: 1 + run.harness.persistent]:
        got = store.answer({"op": "range", "first": LOWEST, "last": HIGHEST})
        if got != expected:
            count = len(got) if isinstance(got, list) else got
            raise Violation(f"the parent's {len(expected)} rows {when}", f"{count} rows, or others")
        if run.harness.persistent and when == "after the fork":
            store.reopen()


def _in_child(call: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What the call answers in a forked child.

    Raises:
        Violation: the child dies or hangs.
    """
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        with suppress(BaseException):
            os.write(write, json.dumps(call()).encode())
        os._exit(0)
    os.close(write)
    data = b""
    end = time.monotonic() + crew.PATIENCE
    while select.select([read], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(read, 1 << 16)
        if not part:
            break
        data += part
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if not data:
        raise Violation("answers of the forked child", f"none; it ended with {status} ({crew.PATIENCE:.0f} s at most)")
    answers: dict[str, str] = json.loads(data)
    return answers
