"""The thread lane's own parts: the checker of histories, the schedules, the watchdog."""

from __future__ import annotations

import itertools
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.lanes import Run, replay
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.threads import crew
from dvidkit_conformance.threads.history import DONE, Call, from_program, to_program
from dvidkit_conformance.threads.judging import judge
from dvidkit_conformance.threads.linear import EMPTY, READS, after, linearize
from dvidkit_conformance.threads.programs import Author
from dvidkit_conformance.threads.schedule import Deadlock, Schedule
from dvidkit_conformance.threads.scheduled import play
from dvidkit_conformance.toy import ToyEngine

_PUT1: Op = {"op": "put", "key": b"k", "value": b"1"}
_PUT2: Op = {"op": "put", "key": b"k", "value": b"2"}
_GET: Op = {"op": "get", "key": b"k"}
_BOTH: Op = {"op": "batch", "pairs": [[b"k", b"1"], [b"l", b"1"]]}
_ALL: Op = {"op": "range", "first": b"a", "last": b"z"}


def _calls(*rows: tuple[int, Op, int, int | None, Any]) -> list[Call]:
    return [Call(*row) for row in rows]


@pytest.mark.parametrize(
    "calls",
    [
        [],
        [(0, _PUT1, 1, 2, DONE), (1, _GET, 3, 4, b"1")],
        [(0, _PUT1, 1, 5, DONE), (1, _GET, 2, 3, None), (1, _GET, 4, 6, b"1")],
        [(0, _PUT1, 1, 6, DONE), (1, _PUT2, 2, 5, DONE), (2, _GET, 3, 4, b"2"), (2, _GET, 7, 8, b"1")],
        [(0, _PUT1, 1, None, None), (1, _GET, 2, 3, None), (1, _GET, 4, 5, b"1")],
        [(0, _PUT1, 1, None, None), (1, _GET, 2, 3, None)],
        [(0, _BOTH, 1, 6, DONE), (1, _ALL, 2, 3, []), (1, _ALL, 4, 5, [[b"k", b"1"], [b"l", b"1"]])],
        [
            (0, {"op": "cas", "key": b"k", "old": None, "new": b"1"}, 1, 4, DONE),
            (1, {"op": "cas", "key": b"k", "old": None, "new": b"2"}, 2, 3, {"error": "ConflictError"}),
        ],
        [
            (0, _PUT1, 1, 2, DONE),
            (0, {"op": "delete_range", "first": b"a", "last": b"k"}, 3, 6, DONE),
            (1, {"op": "exists", "key": b"k"}, 4, 5, False),
        ],
    ],
)
def test_right_histories(calls: list[Any]) -> None:
    """Histories for which an order is known are found right."""
    assert judge(_calls(*calls)) is None


@pytest.mark.parametrize(
    "calls",
    [
        [(0, _PUT1, 1, 2, DONE), (1, _GET, 3, 4, None)],
        [(0, _PUT1, 1, 6, DONE), (1, _GET, 2, 3, b"1"), (1, _GET, 4, 5, None)],
        [(0, _PUT1, 1, 8, DONE), (1, _GET, 2, 3, b"1"), (2, _GET, 4, 5, None)],
        [(0, _GET, 1, 2, b"1")],
        [(0, _PUT1, 1, 2, DONE), (1, _PUT2, 3, 4, DONE), (0, _GET, 5, 6, b"1")],
        [(0, _BOTH, 1, 4, DONE), (1, _ALL, 2, 3, [[b"k", b"1"]])],
        [(0, _BOTH, 1, 6, DONE), (1, _GET, 2, 3, b"1"), (2, _ALL, 4, 5, [])],
        [
            (0, {"op": "cas", "key": b"k", "old": None, "new": b"1"}, 1, 4, DONE),
            (1, {"op": "cas", "key": b"k", "old": None, "new": b"2"}, 2, 3, DONE),
        ],
        [(0, _PUT1, 1, None, None), (1, _GET, 2, 3, b"1"), (1, _GET, 4, 5, None)],
        [(0, _PUT1, 1, 2, {"error": "ConflictError"})],
        [(0, _GET, 1, 2, {"error": "StoreClosed"})],
        [(0, {"op": "close"}, 1, 2, None), (1, _GET, 3, 4, None)],
        [(1, _GET, 1, 2, {"error": "StoreClosed"}), (0, {"op": "close"}, 3, 4, None)],
        [(1, _PUT1, 1, 4, {"error": "StoreClosed"}), (0, {"op": "close"}, 2, 5, None), (1, _GET, 1, 3, b"1")],
    ],
)
def test_wrong_histories(calls: list[Any]) -> None:
    """Histories that no order explains are found wrong, and the verdict says what could not come next."""
    wrong = judge(_calls(*calls))
    assert wrong is not None
    assert wrong[1]


def _by_definition(calls: list[Call]) -> bool:
    """Whether one of all orders explains the history, tried one after the other."""
    for order in itertools.permutations(calls):
        rows = EMPTY
        for n, call in enumerate(order):
            if any(later.ended is not None and later.ended < call.begun for later in order[n + 1 :]):
                break
            answer, rows = after(rows, call.op)
            if answer != call.answer:
                break
        else:
            return True
    return False


@pytest.mark.parametrize("whole", [False, True])
def test_the_search_is_the_definition(whole: bool) -> None:
    """On random histories of five calls, some with a wrong answer, the search says what trying every order says."""
    found = set()
    for seed in range(400):
        rng = random.Random(seed)
        authors = [Author(rng, thread, (b"k", b"l"), whole=whole) for thread in range(3)]
        rows, calls = EMPTY, []
        for n in range(5):
            thread = rng.randrange(3)
            op = authors[thread].next()
            answer, rows = after(rows, op)
            calls.append(Call(thread, op, 4 * n + 2, 4 * n + 3, answer))
        for call in calls:
            call.begun -= rng.choice((0, 5, 9))
            call.ended = (call.ended or 0) + rng.choice((0, 5, 9))
        if rng.random() < 0.6:
            reads = [call for call in calls if call.op["op"] in READS] or calls
            rng.choice(reads).answer = rng.choice((None, b"0.1", b"1.1", DONE, [], False))
        right = _by_definition(calls)
        assert (linearize(calls).order is not None) == right, [call.to_op() for call in calls]
        found.add(right)
    assert found == {True, False}


def test_an_order_that_is_found_explains_the_answers() -> None:
    """The witness is checked step by step."""
    calls = _calls((0, _PUT1, 1, 6, DONE), (1, _PUT2, 2, 5, DONE), (2, _GET, 3, 4, b"2"), (2, _GET, 7, 8, b"1"))
    order = linearize(calls).order
    assert order is not None
    rows = EMPTY
    for call in order:
        answer, rows = after(rows, call.op)
        assert answer == call.answer
    assert len(order) == 4


def test_histories_are_json() -> None:
    """A history is written, read, and judged alike."""
    calls = _calls((0, _PUT1, 1, 2, DONE), (1, _GET, 3, 4, {"error": "StoreClosed"}), (1, _GET, 5, None, None))
    program = Program.from_json(to_program(calls, level="bytes").to_json())
    again = from_program(program)
    assert [each.to_op() for each in again] == [each.to_op() for each in calls]
    assert judge(again) == judge(calls)


def _run(folder: Path) -> Run:
    return Run(Harness(ToyEngine(), folder), PROFILES["quick"])


def test_a_recorded_history_is_judged_again(tmp_path: Path) -> None:
    """Replaying a history needs no store: the checker judges what was recorded."""
    assert replay(_run(tmp_path), to_program(_calls((0, _GET, 1, 2, b"1")))) is not None
    assert replay(_run(tmp_path), to_program(_calls((0, _PUT1, 1, 2, DONE), (1, _GET, 3, 4, b"1")))) is None
    assert list(tmp_path.iterdir()) == []


def _counted(seed: int) -> tuple[list[int], int]:
    order: list[int] = []
    schedule = Schedule(seed, lambda namespace: namespace.get("__name__") == __name__)

    def body(number: int) -> None:
        for _ in range(5):
            order.append(number)  # noqa: PERF401 - each is a step

    schedule.run([lambda: body(0), lambda: body(1), lambda: body(2)])
    return order, schedule.switches


def test_the_same_seed_is_the_same_schedule() -> None:
    """Twenty seeds, each twice; and different seeds give different ones."""
    first, second = [_counted(seed) for seed in range(20)], [_counted(seed) for seed in range(20)]
    assert first == second
    assert len({tuple(order) for order, _ in first}) > 10


def test_programs_replay_on_a_store(tmp_path: Path) -> None:
    """The same program and seed give the same switches on the kernel's ``Store``."""
    ops = [{**op, "thread": n % 2} for n, op in enumerate((_PUT1, _GET, _PUT2, _GET, _BOTH, _ALL))]
    counts = set()
    for n in range(3):
        run = _run(tmp_path)
        assert play(run, Program("threads", tuple(ops), {"level": "store", "seed": 5})) is None
        counts.add((run.probes["switches"], n >= 0))
    assert len(counts) == 1


def test_slow_is_not_standing_still() -> None:
    """Threads that take longer than the limit are waited for as long as they make steps."""
    schedule = Schedule(1, lambda namespace: namespace.get("__name__") == __name__, limit=2.0)

    def body() -> None:
        for _ in range(7):
            time.sleep(0.2)

    assert schedule.run([body, body]) == []
    told = threading.Event()
    assert schedule.run([told.wait]) == [0]
    told.set()


def test_a_turn_that_was_lost_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is given the turn in the instant of ending passes nothing on; the others go on all the same."""
    schedule = Schedule(1, lambda namespace: namespace.get("__name__") == __name__, limit=10.0)
    monkeypatch.setattr(schedule, "_pass_on", lambda worker: None)
    ended: list[int] = []
    assert schedule.run([lambda: ended.append(0), lambda: ended.append(1), lambda: ended.append(2)]) == []
    assert sorted(ended) == [0, 1, 2]


def test_a_deadlock_is_told() -> None:
    """Two locks taken in two orders: some schedule finds it, and says where each thread waits."""
    with pytest.raises(Deadlock, match="waits for another: thread"):
        _two_orders()


def _two_orders() -> None:
    for seed in range(50):
        _run_two_orders(seed)


def _run_two_orders(seed: int) -> None:
    schedule = Schedule(seed, lambda namespace: namespace.get("__name__") == __name__)
    with schedule.locks():
        one, two = threading.Lock(), threading.Lock()

    def body(first: threading.Lock, second: threading.Lock) -> None:
        with first, second:
            pass

    schedule.run([lambda: body(one, two), lambda: body(two, one)])


def test_waiting_with_a_condition() -> None:
    """Conditions, events and reentrant locks made under a schedule work in its threads and outside."""
    for seed in range(10):
        schedule = Schedule(seed, lambda namespace: namespace.get("__name__") == __name__)
        with schedule.locks():
            ready, seen, lock = threading.Event(), list[bool](), threading.RLock()

        def wait(ready: threading.Event = ready, seen: list[bool] = seen) -> None:
            seen.append(ready.wait(10))

        def tell(ready: threading.Event = ready, lock: Any = lock) -> None:
            with lock, lock:
                ready.set()

        assert schedule.run([wait, tell]) == []
        assert seen == [True]
        assert ready.wait(0)


def test_what_stands_still_is_told() -> None:
    """A thread without progress is a failure that names the line it is at."""
    stop = threading.Event()
    several = crew.Crew([lambda progress: stop.wait(20)], patience=0.2)
    several.start()
    with pytest.raises(crew.Standstill) as told:
        several.join()
    stop.set()
    assert "test_threads.py" in told.value.note


def test_errors_of_threads_are_not_lost() -> None:
    """What a thread raises comes out of ``join``."""
    with pytest.raises(ZeroDivisionError):
        crew.run([lambda progress: time.sleep(1 // 0)], lambda: None)
