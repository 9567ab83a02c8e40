"""Any datatype on any engine, from the datatype's conformance case alone.

Programs of the case's operations run on two instances in a repo with commits, branches, merges and reopening between.
Most clauses of a datatype are judged by the same programs: what differs says which clause is broken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from dvidkit.datatype import Datatype
from dvidkit_conformance import spec
from dvidkit_conformance.case import DatatypeCase, load_case
from dvidkit_conformance.datatypeprograms import Author, light
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.failing import Faults, failing
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.jobs import Job
from dvidkit_conformance.lanes import Run, replay
from dvidkit_conformance.lanes.faultydatatype import faulted
from dvidkit_conformance.ops import Program
from dvidkit_conformance.reduce import Reducer
from dvidkit_conformance.running import REDUCING
from dvidkit_conformance.session import Violation

_FOLLOWER: Final = 0.5
"""What a datatype like another takes of the other's time."""
_PLACED: Final = frozenset({"DT-1", "DT-2", "DT-3", "DT-5", "DT-9"})
"""Clauses told apart by where a difference is seen, which the smallest program tells best."""
BY_PROGRAMS: Final = ("DT-1", "DT-2", "DT-3", "DT-4", "DT-5", "DT-9", "DT-10", "DT-11", "DT-12", "DT-13", "DT-14")


def datatype_jobs(harness: Harness, names: Sequence[str], extra: Sequence[type[Datatype]]) -> list[Job]:
    """The jobs of these datatypes: of every clause and every variant of settings."""
    own = {each.typename: each for each in extra}
    jobs: list[Job] = []
    for name in names:
        datatype = own.get(name) or harness.plugins.datatype(name)
        if not datatype.conformance or datatype.requires - harness.engine.capabilities.features:
            continue
        case = load_case(datatype.conformance)
        follows = case.like in names
        for n, settings in enumerate(case.settings):
            if not follows or n == 0 or harness.scale:
                subject = _Subject(datatype, case, dict(settings), n, follows=follows)
                weight = _FOLLOWER if follows else 1.0
                jobs += [Job(f"{clause}:{name}:{n}", clause, run, weight=weight) for clause, run in subject.jobs()]
    order = {clause: n for n, clause in enumerate(spec.clauses())}
    return sorted(jobs, key=lambda job: (job.name.split(":")[1], order[job.clause]))


@dataclass(slots=True)
class _Judged:
    """What the programs of one subject showed on one engine."""

    violation: Violation | None = None
    cases: int = 0
    probes: Counter[str] = field(default_factory=Counter)


class _Subject:
    """One datatype with one variant of settings.

    Args:
        number: of the variant.
        follows: another datatype of the same implementation is given the many programs.
    """

    def __init__(
        self, datatype: type[Datatype], case: DatatypeCase, settings: dict[str, Any], number: int, *, follows: bool
    ) -> None:
        self.datatype = datatype
        self.case = case
        self.settings = settings
        self.number = number
        self.follows = follows
        self.author = Author(case, follows=follows, number=number)
        self._judged: dict[str, _Judged] = {}
        self._compared: dict[str, Violation | None] = {}

    def jobs(self) -> list[tuple[str, Callable[[Run], None]]]:
        """A job for each clause."""
        clauses = [clause for clause in BY_PROGRAMS if clause != "DT-11" or self.case.envelopes]
        by_programs = [(clause, partial(self.programs, clause)) for clause in (*clauses, *self.case.proves)]
        by_dumps = [(clause, partial(self.by_dumps, clause)) for clause in ("DT-6", "DT-7", "DT-8")]
        return [*by_programs, *by_dumps, ("DT-15", self.faulted)]

    def session(self, run: Run) -> DatatypeSession:
        """A session on fresh instances."""
        return DatatypeSession(run.harness, run.journal, typename=self.datatype.typename, settings=self.settings)

    # --- programs ----------------------------------------------------------------------------------------------------

    def programs(self, clause: str, run: Run) -> None:
        """What the programs say of one clause; they run once for all."""
        judged = self._judged.get(run.harness.engine.name)
        if judged is None:
            judged = self._judged[run.harness.engine.name] = self._judge(run)
        run.cases, run.probes = judged.cases, judged.probes
        found = judged.violation
        if found is None:
            run.need("changed", "observe", *(("envelope",) if clause == "DT-11" else ()))
            return
        named = found.clause or "DT-1"
        proven = self._proven(found)
        if clause == named or clause in proven:
            found.sure = clause in proven and len(proven) < len(self.case.proves)
            raise found
        run.missing = [f"what comes after the failure of {named}"]

    def _proven(self, found: Violation) -> tuple[str, ...]:
        """The datatype's own clauses that a violation breaks: those of its observations and answers."""
        last: Mapping[str, Any] = (
            found.program.ops[-1] if found.program is not None and found.program.ops else {"op": ""}
        )
        if last["op"] == "do":
            return self.case.answers.get(last["do"]["op"], ())
        return self.case.blame(found.expected, found.got) if last["op"] == "observe" else ()

    def _judge(self, run: Run) -> _Judged:
        judged = _Judged()
        count = run.profile.datatype_programs
        for n in range(max(1, count // 4) if self.follows else count):
            rng = random.Random(f"{self.datatype.typename} {self.settings} {run.seed} {n}")
            try:
                with self.session(run) as session:
                    if n == 0:
                        self.author.tour(session, rng)
                    else:
                        self.author.program(session, rng)
                    self.author.ending(session, rng)
                    judged.probes.update(session.probes)
            except Violation as violation:
                judged.violation = _smallest(run, violation)
                break
            judged.cases += 1
            run.alive()
        return judged

    # --- engines -----------------------------------------------------------------------------------------------------

    def by_dumps(self, clause: str, run: Run) -> None:
        """DT-6, DT-7 and DT-8; in the quick profile by one program for all, unless that fails."""
        own = {"DT-6": self.same_everywhere, "DT-7": self.copied, "DT-8": self.deleted}
        if run.harness.scale:
            own[clause](run)
            return
        found = self._together(run)
        if found is not None and found.clause in own and found.clause != clause:
            own[clause](run)
        elif found is not None:
            raise found
        run.cases += 1

    def _together(self, run: Run) -> Violation | None:
        """What a program violates whose end is compared, copied and deleted; it runs once for all clauses."""
        name = run.harness.engine.name
        if name not in self._compared:
            self._compared[name] = None
            try:
                with self.session(run) as session:
                    rng = random.Random(f"same {run.seed} 0")
                    self.author.program(session, rng, watched=False)
                    session.do({"op": "same"})
                    self._copied(session, run)
                    self._deleted(session, rng)
            except Violation as violation:
                self._compared[name] = violation
        return self._compared[name]

    def same_everywhere(self, run: Run) -> None:
        """Programs here and on the reference: the same dump."""
        for n in range(max(1, run.profile.datatype_programs // 2)):
            with self.session(run) as session:
                self.author.program(session, random.Random(f"same {run.seed} {n}"), watched=False)
                session.do({"op": "same"})
            run.cases += 1
            run.alive()

    def copied(self, run: Run) -> None:
        """To every other engine and back, and read there."""
        with self.session(run) as session:
            self.author.program(session, random.Random(f"copy {run.seed}"), steps=10, watched=False)
            run.cases += self._copied(session, run)

    def _copied(self, s: DatatypeSession, run: Run) -> int:
        """To how many engines: in the quick profile later variants, and datatypes like others, to one each."""
        engines = [name for name in run.harness.plugins.engines if name != run.harness.engine.name] or ["memory"]
        if not run.harness.scale and (self.follows or self.number):
            engines = [engines[self.number % len(engines)]]
        for name in engines:
            s.do({"op": "copied", "engine": name, **light(s)})
            run.alive()
        return len(engines)

    def deleted(self, run: Run) -> None:
        """Everything of the instance, and nothing of the other."""
        with self.session(run) as session:
            rng = random.Random(f"delete {run.seed}")
            self.author.program(session, rng, steps=8, watched=False)
            self._deleted(session, rng)
            run.cases += 1

    def _deleted(self, s: DatatypeSession, rng: random.Random) -> None:
        while not s.model.open():
            self.author.child(s, rng)
        s.do({"op": "delete_all", **light(s)})

    def faulted(self, run: Run) -> None:
        """On an engine whose n-th call fails."""
        faults = Faults()
        engine = failing(run.harness.engine, faults)
        harness = Harness(
            engine, run.harness.fresh_folder(), plugins=run.harness.plugins, extra=tuple(run.harness.extra.values())
        )
        with DatatypeSession(harness, run.journal, typename=self.datatype.typename, settings=self.settings) as session:
            faulted(run, session, faults)


def _smallest(run: Run, first: Violation) -> Violation:
    """The violation by its smallest program."""
    if first.program is None or not first.program.ops:
        return first

    def fails(program: Program) -> Violation | None:
        found = replay(run, program)
        if found is None or found.clause == first.clause:
            return found
        better = found.clause in _PLACED and first.clause in {*_PLACED, "DT-4"}
        return found if better else None

    again = fails(first.program)
    if again is None:
        return first
    reducer = Reducer(first.program, again, fails, seconds=REDUCING[run.profile.name])
    reducer.reduce()
    found: Violation = reducer.failure
    found.minimal = True
    return found
