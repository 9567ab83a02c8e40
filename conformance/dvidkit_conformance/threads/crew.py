"""Threads that run freely under a watchdog: what stands still is a failure that shows where each thread is."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from dvidkit_conformance.session import Violation

PATIENCE: Final = 60.0
"""Seconds without progress after which a thread counts as hanging; machines may be slow and shared."""

_TICK: Final = 0.05
_OWN: Final = ("schedule.py", "threading.py", "session.py", "subjects.py", "history.py", "scheduled.py")


@contextmanager
def switching(seconds: float) -> Iterator[None]:
    """Have the interpreter switch between threads this often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Standstill(Violation):
    """A thread has stood still for too long. Its store may hang as well when it is closed."""


class Crew:
    """Threads with a common start.

    Args:
        bodies: each is called in a thread of its own and given a function to call when it has done something.
        alive: called now and then.
        patience: seconds that a thread may be without progress; ``PATIENCE`` unless given.
    """

    def __init__(
        self,
        bodies: Sequence[Callable[[Callable[[], None]], object]],
        alive: Callable[[], None] = lambda: None,
        *,
        patience: float | None = None,
    ) -> None:
        self._alive = alive
        self._patience = PATIENCE if patience is None else patience
        self._start = threading.Barrier(len(bodies) + 1)
        self._errors: list[BaseException] = []
        self._last = [time.monotonic()] * len(bodies)
        self._threads = [
            threading.Thread(target=self._body, args=(n, body), daemon=True) for n, body in enumerate(bodies)
        ]

    def start(self) -> None:
        """All begin at once."""
        for thread in self._threads:
            thread.start()
        self._start.wait(self._patience)

    def join(self, what: str = "the threads end") -> None:
        """Wait for all.

        Raises:
            Standstill: one stands still; the note says where.
            BaseException: what a body raised.
        """
        while any(thread.is_alive() for thread in self._threads):
            self._alive()
            time.sleep(_TICK)
            now = time.monotonic()
            for thread, last in zip(self._threads, self._last, strict=True):
                if thread.is_alive() and now - last > self._patience:
                    raise Standstill(
                        what, f"a thread stands still for {self._patience:.0f} s", note=where(thread.ident)
                    )
        for error in self._errors:
            raise error

    def _body(self, number: int, body: Callable[[Callable[[], None]], object]) -> None:
        def progress() -> None:
            self._last[number] = time.monotonic()

        try:
            self._start.wait(self._patience)
            progress()
            body(progress)
        except BaseException as error:
            self._errors.append(error)


def run(
    bodies: Sequence[Callable[[Callable[[], None]], object]], alive: Callable[[], None], *, interval: float = 1e-5
) -> None:
    """Run them to their ends, switching often."""
    crew = Crew(bodies, alive)
    with switching(interval):
        crew.start()
        crew.join()


def where(ident: int | None) -> str:
    """The innermost lines that a thread is at, the kit's own left out."""
    frame = sys._current_frames().get(ident or 0)
    stack = traceback.extract_stack(frame) if frame is not None else traceback.StackSummary()
    lines = [f"{line.filename.rsplit('/', 1)[-1]}:{line.lineno} {line.name}" for line in reversed(stack)]
    return " < ".join([line for line in lines if not line.startswith(_OWN)][:8]) or "no line"
