"""Any datatype on any engine, from the datatype's conformance case alone.

Programs of the case's operations run on two instances in a repo with commits, branches, merges and reopening between.
All clauses of a datatype are judged by the same programs: what differs says which clause is broken.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Final

from dvidkit.datatype import Datatype
from dvidkit.errors import DvidkitError
from dvidkit.store import Store
from dvidkit_conformance import codec, spec
from dvidkit_conformance.case import DatatypeCase
from dvidkit_conformance.datatypemodel import NAMES
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.jobs import Job
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.results import Err, Foreign, difference, matches, plain
from dvidkit_conformance.session import Violation, attempt

_STEPS: Final = 12
BY_PROGRAMS: Final = ("DT-1", "DT-2", "DT-3", "DT-4", "DT-5", "DT-9", "DT-10", "DT-12", "DT-13", "DT-14")


def datatype_jobs(harness: Harness, names: Sequence[str], extra: Sequence[type[Datatype]]) -> list[Job]:
    """The jobs of these datatypes: of every clause and every variant of settings."""
    own = {each.typename: each for each in extra}
    jobs: list[Job] = []
    for name in names:
        datatype = own.get(name) or harness.plugins.datatype(name)
        if not datatype.conformance or datatype.requires - harness.engine.capabilities.features:
            continue
        case = load_case(datatype)
        for n, settings in enumerate(case.settings):
            subject = _Subject(datatype, case, dict(settings))
            jobs += [Job(f"{clause}:{name}:{n}", clause, run) for clause, run in subject.jobs()]
    order = {clause: n for n, clause in enumerate(spec.clauses())}
    return sorted(jobs, key=lambda job: (job.name.split(":")[1], order[job.clause]))


def load_case(datatype: type[Datatype]) -> DatatypeCase:
    """The case that a datatype names.

    Raises:
        ImportError, AttributeError: it names none that there is.
    """
    module, _, name = datatype.conformance.partition(":")
    case: DatatypeCase = getattr(import_module(module), name)()
    return case


@dataclass(slots=True)
class _Judged:
    """What the programs of one subject showed, once."""

    violation: Violation | None = None
    cases: int = 0
    probes: Counter[str] = field(default_factory=Counter)


class _Subject:
    """One datatype with one variant of settings."""

    def __init__(self, datatype: type[Datatype], case: DatatypeCase, settings: dict[str, Any]) -> None:
        self.datatype = datatype
        self.case = case
        self.settings = settings
        self._judged: _Judged | None = None

    def jobs(self) -> list[tuple[str, Callable[[Run], None]]]:
        """A job for each clause."""
        by_programs = [(clause, partial(self.programs, clause)) for clause in (*BY_PROGRAMS, *self.case.proves)]
        return [*by_programs, ("DT-6", self.same_everywhere), ("DT-7", self.copied), ("DT-8", self.deleted)]

    def session(self, run: Run, harness: Harness | None = None) -> DatatypeSession:
        """A session on fresh instances."""
        return DatatypeSession(harness or run.harness, self.datatype, self.case, self.settings, run.journal)

    # --- programs ----------------------------------------------------------------------------------------------------

    def programs(self, clause: str, run: Run) -> None:
        """What the programs say of one clause; they run once for all."""
        if self._judged is None:
            self._judged = self._judge(run)
        judged = self._judged
        run.cases, run.probes = judged.cases, judged.probes
        found = judged.violation
        if (found is not None and (found.clause or "DT-1") in (clause, "ERR-2")) or (
            found and clause in self.case.proves
        ):
            raise found
        if found is not None:
            run.missing = [f"the programs ended with the failure of {found.clause}"]
        else:
            run.need("changed", "observe")

    def _judge(self, run: Run) -> _Judged:
        judged = _Judged()
        for n in range(run.profile.datatype_programs):
            seed = f"{self.datatype.typename} {run.seed} {n}"
            try:
                with self.session(run) as session:
                    self.program(session, random.Random(seed))
                    judged.probes.update(session.probes)
            except Violation as violation:
                judged.violation = violation
                break
            judged.cases += 1
            run.alive()
        return judged

    def program(self, s: DatatypeSession, rng: random.Random, steps: int = _STEPS) -> None:
        """One random program, and everything observed at its end."""
        for _ in range(steps):
            self.step(s, rng)
        for name in NAMES:
            for v in s.model.known():
                s.do({"op": "observe", "name": name, "v": v})
        s.do({"op": "reopen"})
        for v in s.model.known():
            s.do({"op": "observe", "name": "data", "v": v})
            self._derived(s, v)
        self._tkeys(s)

    def step(self, s: DatatypeSession, rng: random.Random) -> None:
        """A change, or something that happens to versions; then what was touched and something else is observed."""
        model = s.model
        kind = rng.choices(("do", "child", "merge", "reopen", "refuse", "locked"), (60, 16, 8, 4, 7, 5))[0]
        if kind == "child" or not model.open():
            self._child(s, rng)
        elif kind == "merge":
            self._merge(s, rng)
        elif kind == "reopen":
            s.do({"op": "reopen"})
        elif kind == "refuse":
            self._refused(s, rng)
        elif kind == "locked":
            self._locked(s, rng)
        else:
            self._change(s, rng)
        for v in {s.touched[1], rng.choice(model.known())} - model.unknown:
            s.do({"op": "observe", "name": rng.choice(NAMES), "v": v})

    def _change(self, s: DatatypeSession, rng: random.Random) -> None:
        name, v = rng.choice(("data", "data", "data", "other")), rng.choice(s.model.open())
        s.do({"op": "do", "name": name, "v": v, "do": self.case.op(rng)})
        s.do({"op": "observe", "name": name, "v": v})

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
            self._conflicting(s, to)

    def _conflicting(self, s: DatatypeSession, v: int) -> None:
        """A merge that the case does not model is read, or is a conflict; nothing else."""
        got = attempt(lambda: s.case.observe(s.view("data", v)))
        bad = isinstance(got, Foreign) or (isinstance(got, Err) and got.name != "VersionConflict")
        s.require(not bad, "an observation, or raises VersionConflict", got, clause="DT-4")

    def _refused(self, s: DatatypeSession, rng: random.Random) -> None:
        op = self.case.refused(rng)
        if op is None or not s.model.open():
            return
        v = rng.choice(s.model.open())
        before = s.dump("data")
        got = attempt(lambda: s.case.apply(s.view("data", v), op))
        s.ops.append({"op": "do", "name": "data", "v": v, "do": op})
        s.require(isinstance(got, Err), "an error of the tree", got, clause="DT-12", note="an operation to be refused")
        s.require(s.dump("data") == before, "the dump as it was", "another", clause="DT-12", note="a refused operation")
        s.probes["refused"] += 1

    def _locked(self, s: DatatypeSession, rng: random.Random) -> None:
        """A change of a committed version is refused and leaves no trace."""
        locked = sorted(s.model.locked - s.model.unknown)
        if not locked or not s.model.versioned:
            return
        v, op = rng.choice(locked), self.case.op(rng)
        before = s.dump("data")
        got = attempt(lambda: s.case.apply(s.view("data", v), op))
        s.ops.append({"op": "do", "name": "data", "v": v, "do": op})
        same = s.dump("data") == before
        s.require(
            same, "the dump as it was", f"another; the operation answered {got!r}", clause="DT-12", note="committed"
        )

    def _derived(self, s: DatatypeSession, v: int) -> None:
        view = s.view("data", v)
        first, second = plain(s.case.observe(view)), plain(s.case.observe(view))
        if not matches(first, second):
            raise s.violation(*difference(first, second), clause="DT-13", note="observed twice")
        for name, (stored, again) in s.case.recompute(view).items():
            stored, again = plain(stored), plain(again)
            if not matches(again, stored):
                raise s.violation(*difference(again, stored), clause="DT-14", note=f"derived state {name!r} at v{v}")

    def _tkeys(self, s: DatatypeSession) -> None:
        """Every TKey, as the raw bytes have it, is of a declared class and its layout."""
        for key, _ in s.dump("data"):
            tkey = codec.entry(key).tkey
            good = False
            for declared in self.datatype.tkey_classes:
                try:
                    declared.check(tkey)
                    good = True
                except DvidkitError:
                    continue
            s.require(good, "a TKey of a declared class", tkey, clause="DT-10")

    # --- engines -----------------------------------------------------------------------------------------------------

    def same_everywhere(self, run: Run) -> None:
        """One program here and on the reference: the same dump."""
        reference = run.harness.plugins.engine("memory")
        other = Harness(reference, run.harness.fresh_folder(), plugins=run.harness.plugins)
        for n in range(max(1, run.profile.datatype_programs // 2)):
            dumps = []
            for harness in (other, run.harness):
                with self.session(run, harness) as session:
                    self.program(session, random.Random(f"same {run.seed} {n}"), steps=8)
                    dumps.append({name: session.dump(name) for name in NAMES})
                    program = session.program()
            run.cases += 1
            if dumps[0] != dumps[1]:
                raise Violation(
                    *difference(plain(dumps[0]), plain(dumps[1])), program, note="dump on the reference, here"
                )

    def copied(self, run: Run) -> None:
        """To every other engine and back, and read there."""
        engines = run.harness.plugins.engines
        names = [name for name in engines if name != run.harness.engine.name]
        with self.session(run) as session:
            self.program(session, random.Random(f"copy {run.seed}"), steps=10)
            for name in names or [run.harness.engine.name]:
                self._copy(
                    run, session, Harness(engines[name], run.harness.fresh_folder(), plugins=run.harness.plugins)
                )
                run.cases += 1

    def _copy(self, run: Run, session: DatatypeSession, there: Harness) -> None:
        try:
            with Store(there.engine, there.config(there.fresh())) as middle, self.session(run) as back:
                _raw_copy(session.kernel.stores["default"], middle)
                _raw_copy(middle, back.kernel.stores["default"])
                back.kernel.repos.reload()
                for v in session.model.known():
                    expected = plain(session.case.observe(session.view("data", v)))
                    got = attempt(lambda v=v: back.case.observe(back.view("data", v)))  # type: ignore[misc]
                    note = f"copied to engine {there.engine.name!r} and back"
                    if not matches(expected, got):
                        raise session.violation(*difference(expected, got), note=note)
        except ImportError:
            return

    def deleted(self, run: Run) -> None:
        """Everything of the instance, and nothing of the other."""
        with self.session(run) as session:
            self.program(session, random.Random(f"delete {run.seed}"), steps=8)
            kept = session.dump("other")
            view = session.view("data", 0)
            view.store.delete_all(view.ctx)
            session.require(session.dump("data") == [], [], session.dump("data"), note="the dump after delete_all")
            session.require(session.dump("other") == kept, kept, session.dump("other"), note="the other instance")
            run.cases += 1


def _raw_copy(source: Store, target: Store) -> None:
    for key, _ in list(target.raw_range_query(b"\x00", b"\x02\xff")):
        target.raw_delete(key)
    for key, value in source.raw_range_query(b"\x00", b"\x02" + b"\xff" * 20):
        assert value is not None
        target.raw_put(key, value)
