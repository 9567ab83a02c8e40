"""What a run found, as data: results of clauses, failures with their programs, verdicts, levels.

Statuses, worst first: ``error`` (the kit or the reference is at fault), ``fail``, ``deviation`` (a SHOULD is broken, or
a declared deviation), ``vacuous`` (the test did not reach what it must), ``untested``, ``skip``, ``pass``. Only
``pass`` is passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dvidkit_conformance import spec

SCHEMA: Final = 1
STATUSES: Final = ("error", "fail", "deviation", "vacuous", "untested", "skip", "pass")


@dataclass(slots=True)
class Failure:
    """One thing that was otherwise than it must be.

    Attributes:
        clause: what is broken.
        check: the check or lane that found it.
        expected, got, note: for people.
        program: JSON of the smallest program that shows it; ``None`` where it takes more than operations.
        steps: the program for people.
        replay: the command that shows it again.
        status: ``fail``, or ``error`` if the reference does the same.
        minimal: the program was reduced, and fails by itself.
        rank: 0 where a directed check and the smallest program agree on the clause; greater where less sure. The
            first failure of a report is the one to mend, as others may only follow from it.
    """

    clause: str
    check: str
    expected: str
    got: str
    note: str = ""
    program: Mapping[str, Any] | None = None
    steps: list[str] = field(default_factory=list)
    replay: str = ""
    status: str = "fail"
    minimal: bool = False
    rank: int = 0

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class ClauseResult:
    """One clause for one subject."""

    id: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    cases: int = 0
    probes: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As JSON, with what the specification says of the clause."""
        clause = spec.clauses()[self.id]
        return {
            "id": self.id,
            "title": clause.title,
            "level": clause.level,
            "layer": clause.layer,
            "lane": clause.lane,
            "must": clause.must,
            "status": self.status,
            "reason": self.reason,
            "seconds": round(self.seconds, 4),
            "cases": self.cases,
            "probes": self.probes,
            "failures": [failure.to_json() for failure in self.failures],
        }


@dataclass(slots=True)
class EngineReport:
    """One engine, with every datatype that was proven on it.

    Attributes:
        engine, version: what was tested.
        capabilities: what it declares.
        clauses: results in the order of the specification; with a selection, only those chosen.
        complete: no clause was left out by a selection, and no lane by the profile.
        datatypes: for each datatype, results of its clauses.
        seconds, cpu: wall time from the first job to the last, and processor time of all.
    """

    engine: str
    version: str
    capabilities: dict[str, Any]
    clauses: list[ClauseResult]
    complete: bool = True
    datatypes: dict[str, list[ClauseResult]] = field(default_factory=dict)
    seconds: float = 0.0
    cpu: float = 0.0

    def result(self, clause: str) -> ClauseResult:
        """The result of a clause; ``KeyError`` if it was not chosen."""
        return next(result for result in self.clauses if result.id == clause)

    @property
    def everything(self) -> list[ClauseResult]:
        """Results of the engine and of its datatypes."""
        return [*self.clauses, *(result for results in self.datatypes.values() for result in results)]

    @property
    def failures(self) -> list[Failure]:
        """All of them, what is to be mended first first: the engine's own, then those that name it best."""
        found = [failure for result in self.everything for failure in result.failures]
        return sorted(found, key=lambda failure: (_layer(failure.clause), failure.rank))

    @property
    def failing(self) -> list[str]:
        """Ids of clauses that failed or could not be judged."""
        broken = [result.id for result in self.everything if result.status in ("fail", "error")]
        first = [failure.clause for failure in self.failures if failure.clause in broken]
        return list(dict.fromkeys([*first, *broken]))

    @property
    def conformant(self) -> bool:
        """Whether nothing that was run and must hold was broken, vacuous or in error."""
        return not any(_blocks(result) for result in self.everything)

    @property
    def levels(self) -> list[str]:
        """The levels that may be claimed: all MUST clauses of each, and of those below, passed or not declared."""
        claimed: list[str] = []
        for level in spec.LEVELS if self.complete else ():
            wanted = [r for r in self.everything if spec.clauses()[r.id].level == level and spec.clauses()[r.id].must]
            if wanted and all(map(_counts, wanted)) and set(spec.BELOW[level]) <= set(claimed):
                claimed.append(level)
        return claimed

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "engine": self.engine,
            "version": self.version,
            "capabilities": self.capabilities,
            "conformant": self.conformant,
            "complete": self.complete,
            "levels": self.levels,
            "counts": counts(self.everything),
            "not_verified": [f"{r.id}: {r.status}: {r.reason}" for r in self.everything if r.status != "pass"],
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu, 3),
            "clauses": [result.to_json() for result in self.clauses],
            "datatypes": {name: [r.to_json() for r in results] for name, results in self.datatypes.items()},
        }


@dataclass(slots=True)
class Report:
    """A whole run.

    Attributes:
        engines: one report an engine.
        profile, seed, workdir: how it was run.
        kit: version of the kit.
        platform, python, started: where and when.
    """

    engines: list[EngineReport]
    profile: str
    seed: int
    workdir: str
    kit: str
    platform: str
    python: str
    started: str

    @property
    def conformant(self) -> bool:
        """Whether every engine is."""
        return bool(self.engines) and all(engine.conformant for engine in self.engines)

    @property
    def failures(self) -> list[Failure]:
        """Of all engines."""
        return [failure for engine in self.engines for failure in engine.failures]

    @property
    def failing(self) -> list[str]:
        """Ids of clauses that failed on any engine."""
        return list(dict.fromkeys(clause for engine in self.engines for clause in engine.failing))

    def engine(self, name: str) -> EngineReport:
        """The report of an engine."""
        return next(each for each in self.engines if each.engine == name)

    def to_json(self) -> dict[str, Any]:
        """As JSON, by ``report.schema.json``."""
        return {
            "schema": SCHEMA,
            "spec": spec.VERSION,
            "spec_sha256": spec.digest(),
            "kit": self.kit,
            "profile": self.profile,
            "seed": self.seed,
            "workdir": self.workdir,
            "platform": self.platform,
            "python": self.python,
            "started": self.started,
            "conformant": self.conformant,
            "engines": [engine.to_json() for engine in self.engines],
        }


def counts(results: Iterable[ClauseResult]) -> dict[str, int]:
    """How many results there are of each status that occurs."""
    found = [result.status for result in results]
    return {status: found.count(status) for status in STATUSES if status in found}


def worst(statuses: Iterable[str]) -> str:
    """The worst of some statuses."""
    return min(statuses, key=STATUSES.index)


def _layer(clause: str) -> int:
    return spec.LAYERS.index(spec.clauses()[clause].layer)


def _blocks(result: ClauseResult) -> bool:
    return result.status in ("error", "fail", "vacuous")


def _counts(result: ClauseResult) -> bool:
    return result.status == "pass" or (result.status == "skip" and result.reason.startswith("not declared"))
