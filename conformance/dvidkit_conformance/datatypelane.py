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
from dvidkit_conformance.case import DatatypeCase, Model, Op, Refused, load_case
from dvidkit_conformance.datatypemodel import NAMES
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.failing import Faults, failing
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.jobs import Job
from dvidkit_conformance.lanes import Run, replay
from dvidkit_conformance.lanes.faultydatatype import faulted
from dvidkit_conformance.ops import Program
from dvidkit_conformance.reduce import Reducer
from dvidkit_conformance.results import matches, plain
from dvidkit_conformance.running import REDUCING
from dvidkit_conformance.session import Violation

_STEPS: Final = 14
_DRAWS: Final = 30
_FULL: Final = 4
_FOLLOWER: Final = 0.5
"""What a datatype like another takes of the other's time."""
_KINDS: Final = ("do", "child", "merge", "reopen", "refuse", "forbidden")
_WEIGHTS: Final = (60, 16, 8, 4, 7, 5)
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
        self._judged: dict[str, _Judged] = {}

    def jobs(self) -> list[tuple[str, Callable[[Run], None]]]:
        """A job for each clause."""
        clauses = [clause for clause in BY_PROGRAMS if clause != "DT-11" or self.case.envelopes]
        by_programs = [(clause, partial(self.programs, clause)) for clause in (*clauses, *self.case.proves)]
        more = (self.same_everywhere, self.copied, self.deleted, self.faulted)
        return [*by_programs, *zip(("DT-6", "DT-7", "DT-8", "DT-15"), more, strict=True)]

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
                        self.tour(session, rng)
                    else:
                        self.program(session, rng)
                    self.ending(session, rng)
                    judged.probes.update(session.probes)
            except Violation as violation:
                judged.violation = _smallest(run, violation)
                break
            judged.cases += 1
            run.alive()
        return judged

    def program(self, s: DatatypeSession, rng: random.Random, *, steps: int = _STEPS, watched: bool = True) -> None:
        """One random program; watched, what is touched and something else is observed after each step."""
        for _ in range(steps):
            self.step(s, rng)
            if watched:
                self._watch(s, rng)

    def tour(self, s: DatatypeSession, rng: random.Random) -> None:
        """A program that leaves nothing out: both instances, refusals, branches that merge and that are in conflict."""
        self._changes(s, rng, ("data", "data", "other", "data", "data"), (0,))
        for v in (1, 2):
            s.do({"op": "child", "v": 0, "to": v})
        self._changes(s, rng, ("data", "other", "data", "data", "other", "data", "data", "data"), (1, 2))
        self._merged(s, (1, 2), 3)
        if 3 not in s.model.unknown:
            self._changes(s, rng, ("data", "other", "data"), (3,))
        self._both_sides(s, rng)

    @staticmethod
    def _merged(s: DatatypeSession, parents: tuple[int, int], to: int) -> None:
        s.do({"op": "merge", "parents": list(parents), "to": to})
        for name in NAMES if to in s.model.unknown else ():
            s.do({"op": "conflicting", "name": name, "v": to})

    def _both_sides(self, s: DatatypeSession, rng: random.Random) -> None:
        """The same change below both branches, and their merge, which a datatype may not settle by itself."""
        for v, to in ((1, 4), (2, 5)):
            s.do({"op": "child", "v": v, "to": to})
        change = self._changing(s, rng)
        for v in (4, 5):
            s.do({"op": "do", "name": "data", "v": v, "do": change})
            self._watch(s, rng)
            s.do({"op": "commit", "v": v})
        self._merged(s, (4, 5), 6)

    def _changing(self, s: DatatypeSession, rng: random.Random) -> Op:
        """An operation that changes what is seen below either branch, if one comes up."""
        op = self.case.op(rng)
        for _ in range(_DRAWS):
            if all(_changes(s.model.models["data", v], op) for v in (4, 5)):
                break
            op = self.case.op(rng)
        return op

    def _changes(self, s: DatatypeSession, rng: random.Random, names: Sequence[str], versions: Sequence[int]) -> None:
        """Changes of these instances, at the versions in turn; then of each version a refusal, and its commit."""
        for n, name in enumerate(names):
            self._change(s, rng, name, versions[n % len(versions)])
            self._watch(s, rng)
        for v in versions:
            self._refused(s, rng, v)
            s.do({"op": "commit", "v": v})
            self._forbidden(s, rng, v)

    def _watch(self, s: DatatypeSession, rng: random.Random) -> None:
        """What was touched is observed, and something else, often the version above; that less often if quick.

        Quick and for a datatype like another, what was touched is mostly glanced at.
        """
        name, v = s.touched
        if v not in s.model.unknown:
            full = not self.follows or len(s.ops) % _FULL == 0
            s.do({"op": "observe", "name": name or "data", "v": v, **({} if full else _light(s))})
        if s.harness.scale or rng.random() < (0.2 if self.follows else 0.5):
            above = [parent for parent in s.model.parents[v] if parent not in s.model.unknown]
            if name and above and rng.random() < 0.5:
                _glance(s, name, rng.choice(above))
            else:
                _glance(s, rng.choice(NAMES), rng.choice(s.model.known()))

    def _change(self, s: DatatypeSession, rng: random.Random, name: str, v: int) -> None:
        s.do({"op": "do", "name": name, "v": v, "do": self.case.op(rng)})

    def _refused(self, s: DatatypeSession, rng: random.Random, v: int) -> None:
        bad = self.case.refused(rng)
        if bad is not None:
            s.do({"op": "refuse", "name": "data", "v": v, "do": bad})

    def _forbidden(self, s: DatatypeSession, rng: random.Random, v: int) -> None:
        if s.model.versioned:
            s.do({"op": "forbidden", "name": "data", "v": v, "do": self.case.op(rng)})

    def ending(self, s: DatatypeSession, rng: random.Random) -> None:
        """Everything observed, before and after reopening; what is derived, and what the raw bytes hold."""
        for name in NAMES:
            for v in s.model.known():
                _glance(s, name, v)
        s.do({"op": "reopen"})
        for v in s.model.known():
            for op in ("observe", "again", "derived"):
                if op != "again" or s.harness.scale or v == s.model.known()[-1]:
                    s.do({"op": op, "name": "data", "v": v})
        s.do({"op": "tkeys", "name": "data"})
        if self.case.envelopes:
            s.do({"op": "envelopes", "name": "data"})
            s.do({"op": "damage", "name": "data", "place": rng.randrange(1 << 16), **_light(s)})

    def step(self, s: DatatypeSession, rng: random.Random) -> None:
        """A change, or something that happens to versions."""
        model = s.model
        kind = rng.choices(_KINDS, _WEIGHTS)[0]
        locked = sorted(model.locked - model.unknown)
        if kind == "child" or not model.open():
            self._child(s, rng)
        elif kind == "merge":
            self._merge(s, rng)
        elif kind == "reopen":
            s.do({"op": "reopen"})
        elif kind == "refuse":
            self._refused(s, rng, rng.choice(model.open()))
        elif kind == "forbidden" and locked:
            self._forbidden(s, rng, rng.choice(locked))
        else:
            self._change(s, rng, rng.choice(("data", "data", "data", "other")), rng.choice(model.open()))

    def _child(self, s: DatatypeSession, rng: random.Random) -> None:
        v = rng.choice(list(s.model.parents))
        if v not in s.model.locked:
            s.do({"op": "commit", "v": v})
        s.do({"op": "child", "v": v, "to": len(s.model.parents)})

    def _merge(self, s: DatatypeSession, rng: random.Random) -> None:
        model = s.model
        leaves = [v for v in model.known() if not any(v in parents for parents in model.parents.values())]
        if len(leaves) < 2:
            self._child(s, rng)
            return
        left, right = rng.sample(leaves, 2)
        for v in (left, right):
            if v not in model.locked:
                s.do({"op": "commit", "v": v})
        to = len(model.parents)
        s.do({"op": "merge", "parents": [left, right], "to": to})
        if to in model.unknown:
            s.do({"op": "conflicting", "name": "data", "v": to})

    # --- engines -----------------------------------------------------------------------------------------------------

    def same_everywhere(self, run: Run) -> None:
        """Programs here and on the reference: the same dump."""
        for n in range(max(1, run.profile.datatype_programs // 2)):
            with self.session(run) as session:
                self.program(session, random.Random(f"same {run.seed} {n}"), watched=False)
                session.do({"op": "same"})
            run.cases += 1
            run.alive()

    def copied(self, run: Run) -> None:
        """To every other engine and back, and read there; in the quick profile, later variants to one engine each."""
        engines = [name for name in run.harness.plugins.engines if name != run.harness.engine.name] or ["memory"]
        if not run.harness.scale and (self.follows or self.number):
            engines = [engines[self.number % len(engines)]]
        with self.session(run) as session:
            self.program(session, random.Random(f"copy {run.seed}"), steps=10, watched=False)
            for name in engines:
                session.do({"op": "copied", "engine": name, **_light(session)})
                run.cases += 1
                run.alive()

    def deleted(self, run: Run) -> None:
        """Everything of the instance, and nothing of the other."""
        with self.session(run) as session:
            rng = random.Random(f"delete {run.seed}")
            self.program(session, rng, steps=8, watched=False)
            while not session.model.open():
                self._child(session, rng)
            session.do({"op": "delete_all", **_light(session)})
            run.cases += 1

    def faulted(self, run: Run) -> None:
        """On an engine whose n-th call fails."""
        faults = Faults()
        engine = failing(run.harness.engine, faults)
        harness = Harness(
            engine, run.harness.fresh_folder(), plugins=run.harness.plugins, extra=tuple(run.harness.extra.values())
        )
        with DatatypeSession(harness, run.journal, typename=self.datatype.typename, settings=self.settings) as session:
            faulted(run, session, faults)


def _light(s: DatatypeSession) -> dict[str, bool]:
    """In the quick profile, a glance is enough where the same was or will be observed in full."""
    return {} if s.harness.scale else {"light": True}


def _glance(s: DatatypeSession, name: str, v: int) -> None:
    s.do({"op": "observe", "name": name, "v": v, **_light(s)})


def _changes(model: Model, op: Op) -> bool:
    """Whether an operation would change what is seen."""
    changed = model.fork()
    try:
        changed.apply(op)
    except Refused:
        return False
    return not matches(plain(model.observe()), plain(changed.observe()))


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
