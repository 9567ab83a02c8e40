"""Programs of several threads under a schedule: run, judged, made small, and run again from their JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.session import Violation
from dvidkit_conformance.threads.history import Call, Recorder, from_program
from dvidkit_conformance.threads.judging import judge, overlaps
from dvidkit_conformance.threads.linear import keys_of
from dvidkit_conformance.threads.programs import around, scheduled, seeds
from dvidkit_conformance.threads.schedule import Deadlock, Schedule
from dvidkit_conformance.threads.subjects import Subject, subject

if TYPE_CHECKING:
    from dvidkit_conformance.lanes.run import Run

KIND: Final = "threads"
KINDS: Final = (KIND, "history")
_TRIES: Final = 25
_REDUCING: Final = 8.0
"""Seconds of processor time, so that a busy machine makes programs as small."""
_TOY: Final = "dvidkit_conformance.toy"


def explore(
    run: Run, level: str, count: int, *, whole: bool = False, closing: bool = False, beside: bool = False
) -> None:
    """Run this many programs, each under a schedule of its own.

    Args:
        whole: batches and reads of several keys.
        closing: with a thread that closes the store.
        beside: ranges are written, and what is judged is the keys beside them.

    Raises:
        Violation: by the smallest program and schedule that could be found.
    """
    for seed in seeds(run.seed, count):
        ops = around(seed) if beside else scheduled(seed, whole=whole)
        ops += [{"op": "close", "thread": 9}] if closing else []
        program = Program(KIND, tuple(ops), {"level": level, "seed": seed, **({"beside": True} if beside else {})})
        violation = play(run, program)
        if violation is not None:
            raise reduced(run, violation)
        run.cases += 1


def play(run: Run, program: Program) -> Violation | None:
    """Run one program under its schedule; what is wrong."""
    schedule = Schedule(int(program.options["seed"]), _watched, alive=run.alive)
    recorder = Recorder()
    with schedule.locks():
        store = subject(str(program.options["level"]), run.harness)
        try:
            late = schedule.run(_bodies(store, recorder, program.ops))
        except Deadlock as error:
            return Violation("every thread ends", f"a deadlock: {error}", program)
        finally:
            if all(call.ended for call in recorder.calls):
                store.remove()
    if late:
        return Violation("every thread ends", f"threads {late} do not, and make no step for 20 s", program)
    run.probes["switches"] += schedule.switches
    run.probes["overlaps"] += overlaps(recorder.calls)
    return _judged(recorder.calls, program)


def replay(run: Run, program: Program) -> Violation | None:
    """Run a program again, or, of a history that was recorded, judge it again."""
    return _judged(from_program(program), program) if program.kind == "history" else play(run, program)


def _judged(calls: Sequence[Call], program: Program) -> Violation | None:
    if program.options.get("beside"):
        calls = [call for call in calls if call.error or "key" in call.op]
    wrong = judge(calls)
    return None if wrong is None else Violation(*wrong, program, note=_told(calls))


def _told(calls: Sequence[Call]) -> str:
    """Beginnings and ends in order: enough to see who overtook whom."""
    return "" if len(calls) > 20 else f"beginnings: {[(call.thread, call.begun, call.ended) for call in calls]}"


def _bodies(store: Subject, recorder: Recorder, ops: Sequence[Op]) -> list[Callable[[], None]]:
    by_thread: dict[int, list[Op]] = {}
    for op in ops:
        by_thread.setdefault(int(op["thread"]), []).append({k: v for k, v in op.items() if k != "thread"})
    return [partial(_body, store, recorder, thread, some) for thread, some in sorted(by_thread.items())]


def _body(store: Subject, recorder: Recorder, thread: int, ops: Sequence[Op]) -> None:
    for op in ops:
        recorder.call(thread, op, store.answer)


def _watched(namespace: dict[str, Any]) -> bool:
    """Lines of the kernel, the engine and its driver's Python; not of the standard library or of the kit."""
    name = str(namespace.get("__name__", ""))
    root = name.partition(".")[0]
    return name == _TOY or (root != "dvidkit_conformance" and root not in sys.stdlib_module_names)


def reduced(run: Run, violation: Violation) -> Violation:
    """The same kind of failure by fewer operations, under whatever schedule shows it."""
    end = time.process_time() + _REDUCING
    smaller: Violation | None = violation
    while smaller is not None:
        violation = smaller
        assert violation.program is not None
        smaller = next((found for found in map(partial(play, run), _smaller(violation.program, end)) if found), None)
    return violation


def _smaller(program: Program, end: float) -> Iterator[Program]:
    """Smaller programs, the much smaller ones first, under several schedules each, until the time is up."""
    ops = program.ops
    keys = sorted(frozenset[bytes]().union(*map(keys_of, ops)))
    fewer = [[op for op in ops if key in keys_of(op)] for key in keys]
    fewer += [[op for op in ops if op["thread"] != thread] for thread in sorted({op["thread"] for op in ops})]
    fewer += [[*ops[:n], *ops[n + 1 :]] for n in range(len(ops))]
    for some in fewer:
        for n in range(_TRIES if 1 < len(some) < len(ops) else 0):
            if time.process_time() > end:
                return
            yield Program(KIND, tuple(some), {**program.options, "seed": int(program.options["seed"]) + n * 7919})
