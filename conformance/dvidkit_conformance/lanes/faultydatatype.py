"""A datatype over an engine whose n-th call fails, for every n, from the datatype's case alone."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import Any, Final

from dvidkit.errors import StorePoisoned
from dvidkit_conformance.case import Model, Refused
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.failing import Faults
from dvidkit_conformance.lanes.faulty import LEAST_TRIES, PATIENCE, WAYS
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.results import Err, Foreign, difference, matches, plain
from dvidkit_conformance.session import Violation, attempt

_NAME: Final = "data"
_OPERATIONS: Final = (1, 1, 20)
"""Operations for each way of failing, by scale."""
_MOST_CALLS: Final = 400
_TRIES: Final = 200
_READ_CALLS: Final = (4, 6, 400)
"""Calls of an observation that fail, one after the other; beyond, some."""


def faulted(run: Run, session: DatatypeSession, faults: Faults) -> None:
    """Operations of the case, each with every call failing once, and observations likewise."""
    rng = random.Random(f"faulty {session.case.typename} {run.seed}")
    trial = _Trial(run, session, faults)
    for error, after in WAYS[run.profile.scale]:
        for _ in range(_OPERATIONS[run.profile.scale]):
            trial.operation(trial.allowed(rng), error, after=after)
        trial.observation(rng, error)
    for _ in range(_TRIES):
        if run.probes["failed"]:
            break
        trial.operation(trial.allowed(rng), WAYS[0][0][0], after=False)
    session.do({"op": "reopen"})
    session.do({"op": "observe", "name": _NAME, "v": 0})
    run.need("failed", "changed")


class _Trial:
    """One session and its faults."""

    def __init__(self, run: Run, session: DatatypeSession, faults: Faults) -> None:
        self._run = run
        self._session = session
        self._faults = faults
        self._where = ""

    @property
    def _model(self) -> Model:
        model: Model = self._session.model.models[_NAME, 0]
        return model

    def allowed(self, rng: random.Random) -> Any:
        """An operation that the datatype does not refuse."""
        for _ in range(_TRIES):
            op = self._session.case.op(rng)
            with suppress(Refused):
                self._model.fork().apply(op)
                return op
        raise self._violation("an operation that is not refused", f"{_TRIES} that are")

    def operation(self, op: Any, error: str, *, after: bool) -> None:
        """Fail the first call, the second and so on, until the operation makes fewer."""
        for n in range(1, _MOST_CALLS):
            later = self._model.fork()
            expected = plain(later.apply(op))
            self._faults.arm(n, error, after=after)
            got = attempt(lambda: self._session.case.apply(self._session.view(_NAME, 0), op))
            self._faults.disarm()
            fired = self._faults.fired
            self._where = f"call {n} ({', '.join(fired) or 'none'}) fails {'after' if after else 'before'} its effect"
            self._done(op, expected, got, later)
            if not fired:
                return

    def _done(self, op: Any, expected: Any, got: Any, later: Model) -> None:
        session = self._session
        session.ops.append({"op": "do", "name": _NAME, "v": 0, "do": op})
        self._run.cases += 1
        self._run.alive()
        failed = isinstance(got, (Err, Foreign))
        self._run.probes["failed" if failed else "changed"] += 1
        if (not failed or not self._faults.fired) and not matches(expected, got):
            raise self._violation(*difference(expected, got))
        self._recover()
        look = session.case.observe if self._run.profile.scale else session.case.glance
        seen = attempt(lambda: look(session.view(_NAME, 0)))
        if matches(plain(later.observe()), seen):
            session.model.models[_NAME, 0] = later
        elif not failed or not matches(plain(self._model.observe()), seen):
            raise self._violation(*difference(plain(later.observe()), seen))
        self._derived()

    def _derived(self) -> None:
        for name, (stored, again) in self._session.case.recompute(self._session.view(_NAME, 0)).items():
            if not matches(plain(again), plain(stored)):
                raise self._violation(plain(again), plain(stored), f"derived state {name!r}")

    def _recover(self) -> None:
        """Wait until the store has opened itself again."""
        store = self._session.kernel.stores["default"]
        until, tries = time.monotonic() + PATIENCE, 0
        while store.suspect is not None:
            try:
                store.raw_delete(b"\x00nothing")
            except StorePoisoned as error:
                tries += 1
                if time.monotonic() > until and tries >= LEAST_TRIES:
                    raise self._violation("a store that opens itself again", f"poisoned for {PATIENCE} s") from error
                time.sleep(min(error.retry_after, 0.1) + 0.001)

    def observation(self, rng: random.Random, error: str) -> None:
        """What is observed while a call fails is right, or an error."""
        session, most = self._session, _READ_CALLS[self._run.profile.scale]
        expected = plain(self._model.observe())
        for n in range(1, _MOST_CALLS):
            if n > most:
                n += rng.randrange(_MOST_CALLS)
            self._faults.arm(n, error)
            got = attempt(lambda: session.case.observe(session.view(_NAME, 0)))
            self._faults.disarm()
            fired = bool(self._faults.fired)
            self._where = f"call {n} of an observation fails"
            if not isinstance(got, (Err, Foreign)) and not matches(expected, got):
                raise self._violation(*difference(expected, got))
            self._run.probes["failed"] += fired
            if n > most or not fired:
                return

    def _violation(self, expected: Any, got: Any, note: str = "") -> Violation:
        where = f"{self._where}; {note}".rstrip("; ")
        return self._session.violation(expected, got, clause="DT-15", note=where)
