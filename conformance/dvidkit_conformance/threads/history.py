"""What several threads asked of one store at the same time, what they were answered, and when.

A history is data: it is written to a failure's program as JSON, and the checker judges it again without any store.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.results import Err, Foreign

DONE: Final = "done"
"""The answer of a change that was made."""

_FRAME: Final = frozenset({"thread", "begun", "ended", "answer"})


@dataclass(slots=True, eq=False)
class Call:
    """One call of one thread.

    Attributes:
        thread: number of the thread.
        op: what was asked.
        begun, ended: ticks of a clock that all threads share; ``ended`` is ``None`` for a call that never returned.
        answer: as data; ``{"error": name}`` for an error.
    """

    thread: int
    op: Op
    begun: int
    ended: int | None = None
    answer: Any = None

    @property
    def error(self) -> str:
        """Name of the error that was raised, or nothing."""
        return self.answer.get("error", "") if isinstance(self.answer, Mapping) else ""

    def to_op(self) -> Op:
        """As an operation of a program."""
        return {**self.op, "thread": self.thread, "begun": self.begun, "ended": self.ended, "answer": self.answer}


class Recorder:
    """Notes the calls of all threads. Thread-safe."""

    def __init__(self) -> None:
        self._clock = itertools.count(1)
        self._lock = threading.Lock()
        self.calls: list[Call] = []

    def call(self, thread: int, op: Op, perform: Callable[[Op], Any]) -> Any:
        """Do it and note it; the answer."""
        noted = self.begin(thread, op)
        return self.end(noted, perform(op))

    def begin(self, thread: int, op: Op) -> Call:
        """A call begins."""
        with self._lock:
            noted = Call(thread, op, next(self._clock))
            self.calls.append(noted)
        return noted

    def end(self, call: Call, answer: Any) -> Any:
        """It has returned."""
        call.answer = as_answer(answer)
        with self._lock:
            call.ended = next(self._clock)
        return call.answer


def as_answer(value: Any) -> Any:
    """What ``session.attempt`` returned, as JSON can carry it."""
    if isinstance(value, Err):
        return {"error": value.name}
    if isinstance(value, Foreign):
        return {"error": value.what}
    return value


def to_program(calls: Iterable[Call], **options: Any) -> Program:
    """The history as a program, in the order in which the calls began."""
    ordered = sorted(calls, key=lambda call: call.begun)
    return Program("history", tuple(call.to_op() for call in ordered), options)


def from_program(program: Program) -> list[Call]:
    """The calls that ``to_program`` wrote."""
    return [
        Call(
            op["thread"],
            {name: value for name, value in op.items() if name not in _FRAME},
            op["begun"],
            op["ended"],
            op["answer"],
        )
        for op in program.ops
    ]
