"""One run over several engines: what there is to do, doing it, and what the results say of each clause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dvidkit.datatype import Datatype
from dvidkit.drivers import missing_driver
from dvidkit.engine import Engine
from dvidkit.plugins import Plugins
from dvidkit_conformance import spec
from dvidkit_conformance.datatypelane import datatype_jobs
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.isolation import Task
from dvidkit_conformance.jobs import Job, all_jobs
from dvidkit_conformance.nursery import Nursery
from dvidkit_conformance.outcome import ClauseResult, EngineReport, Failure, worst
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.running import JobResult
from dvidkit_conformance.sharing import Share, workers

Progress = Callable[[str, JobResult], None]
Subject = str | Engine


class Whole:
    """One run over several engines.

    Args:
        plugins: what is installed.
        root: the directory of the run.
        chosen: ids of clauses.
        nursery: where children come from; without one everything runs in this process.

    See ``kit.check`` for the others.
    """

    def __init__(
        self,
        plugins: Plugins,
        root: Path,
        profile: str,
        seed: int,
        chosen: Sequence[str],
        datatypes: Iterable[str | type[Datatype]] | None,
        store_class: Any,
        progress: Progress | None,
        nursery: Nursery | None,
    ) -> None:
        self.plugins = plugins
        self.root = root
        self.profile = profile
        self.seed = seed
        self.chosen = chosen
        self.names, self.extra = self._datatypes(datatypes)
        self.nursery = nursery
        self.store_class = store_class
        self.progress = progress or (lambda engine, result: None)

    def _datatypes(self, wanted: Iterable[str | type[Datatype]] | None) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        if wanted is None:
            return tuple(name for name, datatype in self.plugins.datatypes.items() if datatype.conformance), ()
        given = list(wanted)
        names = [self.plugins.datatype(name).typename for name in given if isinstance(name, str)]
        extra = tuple(each for each in given if not isinstance(each, str))
        return (*names, *(each.typename for each in extra)), extra

    def run(self, subjects: Sequence[Subject]) -> list[EngineReport]:
        """A report for each, in order."""
        engines = [self._named(each) if isinstance(each, str) else each for each in subjects]
        harnesses, shares = self._shares(subjects, engines)
        if self.nursery is None:
            return [self._report(harness, *share.here()) for harness, share in zip(harnesses, shares, strict=True)]
        with ThreadPoolExecutor(workers()) as pool:
            try:
                for share in shares:
                    share.start(pool, self.nursery)
                done = [share.finished() for share in shares]
            except BaseException:
                self._abort(shares, pool, self.nursery)
                raise
            return [self._report(harness, *each) for harness, each in zip(harnesses, done, strict=True)]

    @staticmethod
    def _abort(shares: Sequence[Share], pool: ThreadPoolExecutor, nursery: Nursery) -> None:
        """End what runs, so that nobody waits for it and nothing is written any more."""
        for share in shares:
            share.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        nursery.end()

    def _shares(self, subjects: Sequence[Subject], engines: Sequence[Engine]) -> tuple[list[Harness], list[Share]]:
        """What there is to do for each engine."""
        harnesses = [self._harness(engine, n) for n, engine in enumerate(engines)]
        return harnesses, [self._share(subject, harness) for subject, harness in zip(subjects, harnesses, strict=True)]

    def _named(self, name: str) -> Engine:
        engine = self.plugins.engine(name)
        missing = missing_driver(engine)
        if missing is not None:
            raise missing
        return engine

    def _harness(self, engine: Engine, n: int) -> Harness:
        scale, folder = PROFILES[self.profile].scale, self.root / f"{n}-{engine.name}"
        return Harness(engine, folder, scale=scale, plugins=self.plugins, extra=self.extra)

    def _share(self, subject: Subject, harness: Harness) -> Share:
        own = [job for job in all_jobs() if self._applies(harness, job)]
        typed = [job for job in datatype_jobs(harness, self.names, self.extra) if self._applies(harness, job)]
        folder = str(harness.folder)
        task = Task(subject, folder, (), self.profile, self.seed, self.names, self.extra, self.store_class)
        return Share(task, own, typed, self.progress)

    def _applies(self, harness: Harness, job: Job) -> bool:
        clause = spec.clauses()[job.clause]
        scale = PROFILES[self.profile].scale
        return (
            job.clause in self.chosen
            and harness.offers(clause.capability)
            and (job.check is None or job.check.scale <= scale)
        )

    # --- results of clauses ------------------------------------------------------------------------------------------

    def _report(self, harness: Harness, results: list[JobResult], seconds: float) -> EngineReport:
        engine = harness.engine
        declared = engine.capabilities
        by_clause: dict[tuple[str, str], list[JobResult]] = {}
        named: dict[str, list[Failure]] = {}
        for result in results:
            by_clause.setdefault((_datatype_of(result), result.clause), []).append(result)
            for failure in result.failures:
                if failure.clause != result.clause:
                    named.setdefault(failure.clause, []).append(failure)
        known = spec.clauses()
        own = [
            self._clause(harness, clause, by_clause.get(("", clause), []), named.get(clause, []))
            for clause in self.chosen
            if known[clause].layer != "datatype"
        ]
        typed = {
            name: [
                self._clause(harness, clause, by_clause.get((name, clause), []), [])
                for clause in self.chosen
                if known[clause].layer == "datatype" and _concerns(clause, name, by_clause)
            ]
            for name in self.names
        }
        return EngineReport(
            engine.name,
            engine.version,
            {
                "features": sorted(harness.features),
                "durable": str(declared.durable),
                "buffered": str(declared.buffered),
                "limits": {
                    name: getattr(engine.limits, name)
                    for name in ("max_key", "max_value", "max_batch_ops", "max_batch_bytes")
                },
            },
            own,
            complete=len(self.chosen) == len(known),
            datatypes=typed,
            seconds=seconds,
            cpu=sum(result.cpu for result in results),
        )

    def _clause(self, harness: Harness, clause: str, results: list[JobResult], named: list[Failure]) -> ClauseResult:
        what = spec.clauses()[clause]
        if not results and not named:
            return ClauseResult(clause, *self._why_not(harness, clause))
        failures = [f for r in results for f in r.failures if f.clause == clause] + named
        statuses = [r.status for r in results] + [f.status for f in named]
        status = worst(statuses)
        if status == "fail" and not what.must:
            status = "deviation"
        reasons = [r.reason for r in results if r.reason] + [f"expected {f.expected}, got {f.got}" for f in named]
        probes: dict[str, int] = {}
        for result in results:
            for probe, times in result.probes.items():
                probes[probe] = probes.get(probe, 0) + times
        return ClauseResult(
            clause,
            status,
            reasons[0] if reasons else "",
            sum(r.seconds for r in results),
            sum(r.cases for r in results),
            probes,
            failures,
        )

    def _why_not(self, harness: Harness, clause: str) -> tuple[str, str]:
        what = spec.clauses()[clause]
        if not harness.offers(what.capability):
            return "skip", f"not declared: {what.capability}{f' ({what.untested})' if what.untested else ''}"
        if what.untested:
            return "untested", what.untested
        if what.layer == "datatype" and clause == "DT-11":
            return "skip", "not declared: envelopes"
        return "untested", f"no lane {what.lane!r} ran in profile {self.profile!r}"


def _datatype_of(result: JobResult) -> str:
    """Jobs of datatypes are called ``clause:datatype:…``."""
    parts = result.job.split(":")
    return parts[1] if parts[0].startswith("DT-") else ""


def _concerns(clause: str, name: str, by_clause: Mapping[tuple[str, str], Any]) -> bool:
    """Clauses of single datatypes are shown for datatypes whose case names them."""
    return spec.clauses()[clause].group == "DT" or (name, clause) in by_clause
