"""Schedules that replay: threads take turns, and a seed says where the turn goes over.

Only one thread runs at a time. At every line of the code under test, and at every lock, the schedule may pass the turn
to another thread; it draws from its seed, so the same seed gives the same interleaving. Locks that the code makes
through ``threading`` while a schedule is set up know about turns: who has to wait for one gives the turn away, and if
all wait, that is a deadlock.

What blocks below Python (a lock inside a driver) cannot know about turns. If nothing happens for a while, the turn goes
to another thread, and the blocked one comes back when it can; such a schedule is then repeatable only as far as the
driver is.
"""

from __future__ import annotations

import _thread
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Literal, Protocol

from dvidkit_conformance.threads.crew import where

_POLL: Final = 0.01
_PATIENCE: Final = 20
"""Polls without a step after which a thread counts as blocked below Python. A process that gets no time polls not."""

_POLLS: Final = 300


class Deadlock(BaseException):
    """Every thread waits for another."""


class _Lock(Protocol):
    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool: ...

    def release(self) -> None: ...

    def locked(self) -> bool: ...


class _Worker:
    """A thread of a schedule."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ident = 0
        self.turn: _Lock = _thread.allocate_lock()
        self.turn.acquire()
        self.waits_for: TurnLock | None = None
        self.impatient = False
        self.ended = False
        self.away = False
        self.error: BaseException | None = None


class TurnLock:
    """A lock whose waiters give their turn away. Outside a schedule's threads it is an ordinary lock."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = weakref.ref(schedule)  # The lock may outlive it, in a store that is collected later.
        self._real: _Lock = _thread.allocate_lock()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """See ``threading.Lock``."""
        schedule = self._schedule()
        worker = schedule.current() if schedule is not None else None
        if schedule is None or worker is None:
            return self._real.acquire(blocking, timeout) if blocking else self._real.acquire(False)
        schedule.point()
        while not self._real.acquire(False):
            if not blocking or not schedule.wait(worker, self, impatient=timeout >= 0):
                return False
        return True

    def release(self) -> None:
        """See ``threading.Lock``."""
        self._real.release()
        schedule = self._schedule()
        if schedule is not None:
            schedule.point()

    def locked(self) -> bool:
        """See ``threading.Lock``."""
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real = _thread.allocate_lock()


class Schedule:
    """One interleaving of a few threads.

    Args:
        seed: of every choice.
        watched: whether lines of the code with these globals are places where the turn may go over.
        alive: called now and then.
        limit: seconds without a step, or of processor time in all, after which threads that have not ended are given
            up. On a busy machine a turn takes long to go over, and steps are what tells slow from standing still.
            Seconds are counted in polls: a process that gets no time polls not.

    Attributes:
        steps: places passed so far.
        switches: turns that went over.
    """

    def __init__(
        self,
        seed: int,
        watched: Callable[[dict[str, Any]], bool],
        *,
        alive: Callable[[], None] = lambda: None,
        limit: float = 20.0,
    ) -> None:
        self._rng = random.Random(seed)
        self._often = self._rng.choice((0.5, 0.3, 0.15, 0.05))
        self._watched = watched
        self._alive = alive
        self._limit = limit
        self._by_ident: dict[int, _Worker] = {}
        self._workers: list[_Worker] = []
        self._running: _Worker | None = None
        self._known: dict[Any, bool] = {}
        self._over: _Lock = _thread.allocate_lock()
        self._over.acquire()
        self.steps = 0
        self.switches = 0

    # --- setting up --------------------------------------------------------------------------------------------------

    @contextmanager
    def locks(self) -> Iterator[None]:
        """Locks made inside the block know about turns."""
        names = ("Lock", "RLock", "_allocate_lock")
        before = {name: getattr(threading, name) for name in names}
        made: dict[str, Any] = {"Lock": lambda: TurnLock(self), "_allocate_lock": lambda: TurnLock(self)}
        made["RLock"] = getattr(threading, "_PyRLock", before["RLock"])
        for name in names:
            setattr(threading, name, made[name])
        try:
            yield
        finally:
            for name in names:
                setattr(threading, name, before[name])

    def run(self, bodies: Sequence[Callable[[], object]]) -> list[int]:
        """Run each body in a thread, by turns.

        Returns:
            Numbers of the threads that have not ended in time; none if all is well.

        Raises:
            Deadlock: they wait for one another.
            BaseException: what a body raised.
        """
        self._workers = [_Worker(number) for number in range(len(bodies))]
        for worker, body in zip(self._workers, bodies, strict=True):
            threading.Thread(target=self._body, args=(worker, body), daemon=True).start()
        self._give(self._rng.choice(self._workers))
        self._wait_for_all()
        for worker in self._workers:
            if worker.error is not None:
                raise worker.error
        return [worker.number for worker in self._workers if not worker.ended]

    def _body(self, worker: _Worker, body: Callable[[], object]) -> None:
        self._until_its_turn(worker)
        worker.ident = _thread.get_ident()
        self._by_ident[worker.ident] = worker
        sys.settrace(self._trace)
        try:
            body()
        except BaseException as error:
            worker.error = error
        finally:
            sys.settrace(None)
            del self._by_ident[worker.ident]
            worker.ended = True
            if self._running is worker:
                self._pass_on(worker)
            if all(each.ended for each in self._workers) and self._over.locked():
                self._over.release()

    def _wait_for_all(self) -> None:
        """Until all have ended; who blocks below Python is taken its turn."""
        spent = time.process_time() + self._limit
        left, seen, idle = self._limit / _POLL, -1, 0
        while not all(worker.ended for worker in self._workers) and left > 0:
            self._over.acquire(timeout=_POLL)
            idle += 1
            left -= 1
            if self.steps != seen and time.process_time() < spent:
                left, seen, idle = self._limit / _POLL, self.steps, 0
                self._alive()
            elif idle >= _PATIENCE:
                idle = 0
                self._take_turn_away()
            if any(isinstance(worker.error, Deadlock) for worker in self._workers):
                return

    def _take_turn_away(self) -> None:
        """From who blocks below Python; or from who was given it in the instant of ending, and passed nothing on."""
        stuck = self._running
        if stuck is not None:
            others = self._ready(stuck)
            if others:
                stuck.away = True
                self._give(self._rng.choice(others))

    # --- turns -------------------------------------------------------------------------------------------------------

    def current(self) -> _Worker | None:
        """The thread of this schedule that is calling, if it is one."""
        return self._by_ident.get(_thread.get_ident())

    def point(self) -> None:
        """A place where the turn may go over."""
        worker = self.current()
        if worker is None:
            return
        self._until_its_turn(worker)
        self.steps += 1
        if self._rng.random() < self._often:
            others = self._ready(worker)
            if others:
                self._switch(worker, self._rng.choice(others))

    def wait(self, worker: _Worker, lock: TurnLock, *, impatient: bool) -> bool:
        """Give the turn away until the lock may be free; false if it is given up.

        Raises:
            Deadlock: every other thread waits too.
        """
        self._until_its_turn(worker)
        worker.waits_for, worker.impatient = lock, impatient
        try:
            others = self._ready(worker)
            if not others:
                return self._alone(worker, lock, impatient=impatient)
            self.steps += 1
            self._switch(worker, self._rng.choice(others))
            return True
        finally:
            worker.waits_for = None

    def _alone(self, worker: _Worker, lock: TurnLock, *, impatient: bool) -> bool:
        """Nobody can go on: a time runs out, or a thread that is none of ours, or that is away, holds the lock."""
        if impatient:
            return False
        for _ in range(_POLLS):
            if not lock.locked() or self._ready(worker):
                return True
            time.sleep(_POLL)
        told = "; ".join(f"thread {each.number} at {where(each.ident)}" for each in self._workers if not each.ended)
        raise Deadlock(f"every thread waits for another: {told}")

    def _ready(self, but: _Worker) -> list[_Worker]:
        """Other threads that could go on."""
        return [
            each
            for each in self._workers
            if each is not but
            and not (each.ended or each.away)
            and (each.waits_for is None or each.impatient or not each.waits_for.locked())
        ]

    def _switch(self, worker: _Worker, other: _Worker) -> None:
        self.switches += 1
        self._give(other)
        self._until_its_turn(worker)

    def _until_its_turn(self, worker: _Worker) -> None:
        worker.away = False
        while self._running is not worker:
            # It may have been called away just now, as it was giving its turn to another: it is back all the same.
            worker.turn.acquire(timeout=_POLL)
            worker.away = False

    def _give(self, worker: _Worker) -> None:
        self._running = worker
        if worker.turn.locked():
            worker.turn.release()

    def _pass_on(self, worker: _Worker) -> None:
        others = self._ready(worker) or [each for each in self._workers if not each.ended]
        if others:
            self._give(self._rng.choice(others))

    # --- lines -------------------------------------------------------------------------------------------------------

    def _trace(
        self, frame: FrameType, event: Literal["call", "line", "return", "exception", "opcode"], arg: Any
    ) -> Any:
        code = frame.f_code
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = self._watched(frame.f_globals)
        return self._line if known else None

    def _line(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "line":
            self.point()
        return self._line
