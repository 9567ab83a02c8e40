"""Running jobs one after the other, and making of each failure what a person can act on."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from dvidkit_conformance import byteblame, lanes, spec
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.jobs import Job
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.ops import Program
from dvidkit_conformance.outcome import Failure
from dvidkit_conformance.profiles import Profile
from dvidkit_conformance.reduce import Reducer
from dvidkit_conformance.results import Err, show
from dvidkit_conformance.session import Journal, NoJournal, Violation
from dvidkit_conformance.threads import scheduled

_ALIKE: Final = {
    "ENG-GET": "values",
    "ENG-OPEN": "reopening",
    "ENG-DUR": "reopening",
    "ENG-SCAN-2": "bounds",
    "ENG-SCAN-3": "bounds",
}
_SURE, _SECOND, _UNSURE, _FOLLOWS, _LANE = range(5)
REDUCING: Final = {"quick": 8.0, "ci": 15.0, "nightly": 60.0}
"""Seconds of processor time for making a program small, by profile."""


@dataclass(slots=True)
class JobResult:
    """What one job found.

    Attributes:
        job, clause: which.
        status: ``pass``, ``fail``, ``vacuous`` or ``error``.
        reason: in one line, unless it passed.
        seconds, cpu: of wall time, and of processor time of this process and of children that it forked and that ended.
    """

    job: str
    clause: str
    status: str = "pass"
    reason: str = ""
    seconds: float = 0.0
    cpu: float = 0.0
    cases: int = 0
    probes: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


def processor_time() -> float:
    """Seconds, of this process and of its children that have ended."""
    return sum(os.times()[:4])


class Runner:
    """Runs jobs on one engine.

    Args:
        harness: the engine under test.
        reference: the reference engine, which must pass what the engine fails; ``None`` if it is under test itself.
    """

    def __init__(
        self,
        harness: Harness,
        profile: Profile,
        seed: int,
        *,
        reference: Harness | None = None,
        journal: Journal | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.harness = harness
        self.profile = profile
        self.seed = seed
        self.reference = reference
        self._journal = journal or NoJournal()
        self._alive = alive
        self._small: tuple[Violation, tuple[Violation, bool]] | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[JobResult]:
        """The result of each job, as it comes."""
        for job in jobs:
            yield self.one(job)

    def one(self, job: Job) -> JobResult:
        """The result of one job."""
        run = self._run(self.harness)
        result = JobResult(job.name, job.clause)
        began, spent = time.monotonic(), processor_time()
        try:
            job.run(run)
        except Violation as violation:
            self._failed(result, job, violation)
        except Exception as error:
            self._broke(result, job, error)
        else:
            if run.untested:
                result.status, result.reason = "untested", run.untested
            elif run.missing:
                result.status, result.reason = "vacuous", f"never reached: {', '.join(run.missing)}"
        result.seconds, result.cpu = time.monotonic() - began, processor_time() - spent
        result.cases, result.probes = run.cases, dict(run.probes)
        return result

    def _run(self, harness: Harness) -> Run:
        return Run(harness, self.profile, self.seed, self._journal, self._alive)

    # --- failures ----------------------------------------------------------------------------------------------------

    def _failed(self, result: JobResult, job: Job, violation: Violation) -> None:
        found, minimal = self._reduced(violation)
        own = spec.clauses()[job.clause].layer == "datatype"
        if minimal and found is not violation and not own and self._reference_fails(job, found.program):
            # Made small, it may have become a program that nothing passes; as it was, it tells who is at fault.
            found, minimal = violation, False
        rank = _SURE if violation.sure else _rank(job, found)
        failure = self._failure(job, found, minimal=minimal, rank=rank)
        if self._reference_fails(job, found.program if minimal else None):
            failure.status = "fail" if own else "error"
            fault = "the datatype" if own else "the kit or the kernel"
            failure.note = f"{failure.note}; the reference fails too: {fault} is at fault".lstrip("; ")
        result.status, result.reason = failure.status, f"expected {failure.expected}, got {failure.got}"
        result.failures = [failure, *self._also(job, found, failure)]

    def _broke(self, result: JobResult, job: Job, error: Exception) -> None:
        """An exception that is no ``Violation``: the engine's, if the reference passes the same job."""
        at = traceback.extract_tb(error.__traceback__)[-1]
        text = f"raises {type(error).__module__}.{type(error).__qualname__}: {str(error)[:300]}"
        where = f"in {at.name} ({at.filename.rsplit('/', 1)[-1]}:{at.lineno})"
        fault = self.reference is None or self._reference_fails(job, None)
        status = "error" if fault else "fail"
        result.status, result.reason = status, text
        result.failures = [Failure(job.clause, job.name, "no exception", text, where, status=status)]

    def _reduced(self, violation: Violation) -> tuple[Violation, bool]:
        """The same violation by the smallest program, if the program alone shows it; done once for all clauses."""
        if self._small is None or self._small[0] is not violation:
            self._small = violation, self._smallest(violation)
        return self._small[1]

    def _smallest(self, violation: Violation) -> tuple[Violation, bool]:
        program = violation.program
        if violation.minimal or (program is not None and program.kind == scheduled.KIND):
            return violation, True
        if program is None or program.kind not in lanes.SESSIONS or not program.ops:
            return violation, False
        again = self._replay(program, violation)
        if again is None:
            return violation, False
        if len(again.program.ops if again.program else ()) <= 1:
            return _with(again, violation), True
        reducer = Reducer(program, again, lambda p: self._replay(p, violation), seconds=REDUCING[self.profile.name])
        with suppress(Exception):
            reducer.reduce()
        return _with(reducer.failure, violation), True

    def _replay(self, program: Program, first: Violation) -> Violation | None:
        """What the program violates; of a datatype or a repo, only if it is the clause that was violated first.

        Of a store, only if the same sides raise: a program whose keys were made simpler may be refused for its keys.
        """
        self._alive()
        found = lanes.replay(self._run(self.harness), program)
        if found is None:
            return None
        if program.kind in ("bytes", "store"):
            return found if _errors(found) == _errors(first) else None
        return found if found.clause == first.clause else None

    def _reference_fails(self, job: Job, program: Program | None) -> bool:
        if self.reference is None or not self.reference.offers(spec.clauses()[job.clause].capability):
            return False
        run = self._run(self.reference)
        if program is not None:
            return lanes.replay(run, program) is not None
        try:
            job.run(run)
        except Exception:
            return True
        return False

    def _failure(self, job: Job, violation: Violation, *, minimal: bool, rank: int) -> Failure:
        program = violation.program
        return Failure(
            clause=job.clause,
            check=job.name,
            expected=show(violation.expected),
            got=show(violation.got),
            note=violation.note,
            program=program.to_json() if program is not None and program.ops else None,
            steps=program.lines() if program is not None else [],
            replay=f"dvidkit conform {self.harness.engine.name} --clause {job.clause} --seed {self.seed}",
            minimal=minimal,
            rank=rank,
        )

    def _also(self, job: Job, violation: Violation, failure: Failure) -> list[Failure]:
        """The same failure under the clause that names it better: of a lane always, of a check for foreign errors."""
        named = violation.clause
        if spec.clauses()[job.clause].layer == "datatype":
            return []
        if not named or named == job.clause or (job.check is not None and named not in ("ENG-ERR-1", "ERR-2", "DAG-2")):
            return []
        values = {name: getattr(failure, name) for name in Failure.__slots__}
        rank = _SECOND if job.check is None else _FOLLOWS
        return [Failure(**{**values, "clause": named, "rank": rank})]


def _errors(violation: Violation) -> tuple[bool, bool]:
    """Whether an error was expected, and whether one of the tree came."""
    return isinstance(violation.expected, Err), isinstance(violation.got, Err)


def _rank(job: Job, violation: Violation) -> int:
    """How sure it is that the job's own clause names the fault."""
    if job.check is None:
        return _LANE
    program = violation.program
    named = violation.clause
    if program is not None and program.kind == "bytes" and program.ops and not violation.note:
        named = byteblame.blame(program, violation.expected, violation.got)
    if named in ("", "ENG-ERR-1", "ERR-2"):
        return _SURE
    return _SURE if _alike(named) == _alike(job.clause) else _UNSURE


def _alike(clause: str) -> str:
    """The clause, or the group where the program alone does not tell its clauses apart."""
    return _ALIKE.get(clause, _ALIKE.get(spec.clauses()[clause].group, clause))


def _with(found: Violation, first: Violation) -> Violation:
    found.note = found.note or first.note
    if found.program is not None and first.program is not None and found.program.kind == "bytes":
        found.clause = byteblame.blame(found.program, found.expected, found.got)
    return found


def as_data(result: JobResult) -> dict[str, Any]:
    """For the pipe between processes."""
    data = {name: getattr(result, name) for name in JobResult.__slots__}
    return {**data, "failures": [failure.to_json() for failure in result.failures]}


def from_data(data: dict[str, Any]) -> JobResult:
    """The reverse of ``as_data``."""
    return JobResult(**{**data, "failures": [Failure(**failure) for failure in data["failures"]]})
