"""The jobs of one engine, shared out as tasks: several for its own clauses, one for each datatype.

Tasks of all engines are done by one pool in order, long ones first, so that every core has work to the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Final

from dvidkit_conformance.isolation import Task, run_here, run_isolated
from dvidkit_conformance.jobs import Job
from dvidkit_conformance.nursery import Nursery
from dvidkit_conformance.running import JobResult

_MOST_CORES: Final = 8
_TOGETHER: Final = (
    ("MERGE-9",),
    ("MERGE-10",),
    ("MERGE-8",),
    ("ENG-ALL-1",),
    ("DUR", "DEL-6", "BATCH-9", "REP"),
    ("CONC",),
    ("DUR-8",),
    ("ENG-ALL-2", "ERR-7", "LIM"),
)
"""Clauses and groups whose jobs take long, or wait: each line a task, in the order in which they begin. Measured."""
_PARTS: Final = 3
"""Tasks for the rest of an engine's own clauses."""

Done = tuple[list[JobResult], float, float]
"""Results, and when the task began and ended."""


def workers() -> int:
    """How many tasks run at once: one more than there are cores, as tasks wait for processes and for each other."""
    return min(os.cpu_count() or 1, _MOST_CORES) + 1


class Share:
    """What there is to do for one engine.

    Args:
        task: with the folder of the whole, and no jobs yet.
        own, typed: jobs of the engine's own clauses, and of datatypes.
        progress: called with each result.
    """

    def __init__(
        self, task: Task, own: Sequence[Job], typed: Sequence[Job], progress: Callable[[str, JobResult], None]
    ) -> None:
        self._task = task
        self._jobs = own, typed
        self._progress = progress
        self._futures: list[Future[Done]] = []
        self._stopped = False

    def here(self) -> tuple[list[JobResult], float]:
        """Everything in this process; results, and seconds."""
        own, typed = self._jobs
        results, began, ended = self._do(self._part("all", [*own, *typed]), isolate=False, nursery=None)
        return results, ended - began

    def start(self, pool: Executor, nursery: Nursery) -> None:
        """Hand all tasks to the pool."""
        for name, jobs in self._tasks():
            self._futures.append(pool.submit(self._do, self._part(name, jobs), isolate=True, nursery=nursery))

    def _tasks(self) -> list[tuple[str, list[Job]]]:
        """Names and jobs; one task for an engine that every child has to be forked from here for."""
        own, typed = self._jobs
        if not isinstance(self._task.engine, str):
            return [("own", [*own, *typed])] if own or typed else []
        by_datatype: dict[str, list[Job]] = {}
        for job in typed:
            by_datatype.setdefault(job.name.split(":")[1], []).append(job)
        return [*_shared(own), *sorted(by_datatype.items(), key=lambda each: -sum(job.weight for job in each[1]))]

    def finished(self) -> tuple[list[JobResult], float]:
        """All results, and seconds from the first task's beginning to the last one's end."""
        done = [future.result() for future in self._futures]
        if not done:
            return [], 0.0
        results = [result for results, _, _ in done for result in results]
        return results, max(ended for _, _, ended in done) - min(began for _, began, _ in done)

    def stop(self) -> None:
        """Begin no further job; the run is given up."""
        self._stopped = True

    def _part(self, name: str, jobs: Sequence[Job]) -> Task:
        return self._task.of(str(Path(self._task.folder) / name), [job.name for job in jobs])

    def _do(self, task: Task, *, isolate: bool, nursery: Nursery | None) -> Done:
        began = time.monotonic()
        name = task.engine if isinstance(task.engine, str) else task.engine.name
        results: list[JobResult] = []
        for result in run_isolated(task, nursery) if isolate else run_here(task):
            results.append(result)
            self._progress(name, result)
            if self._stopped:
                break
        return results, began, time.monotonic()


def _shared(own: Sequence[Job]) -> list[tuple[str, list[Job]]]:
    """An engine's own jobs as named tasks: those of ``_TOGETHER``, then the rest in equal parts."""
    tasks: dict[str, list[Job]] = {names[0]: [] for names in _TOGETHER}
    rest: list[Job] = []
    for job in own:
        tasks.get(_named(job.clause), rest).append(job)
    parts = [(f"own{part}", rest[part::_PARTS]) for part in range(_PARTS)]
    return [each for each in (*tasks.items(), *parts) if each[1]]


def _named(clause: str) -> str:
    """The task of a clause: that which names it, else that which names its group, else none."""
    for name in (clause, clause.rpartition("-")[0]):
        for names in _TOGETHER:
            if name in names:
                return names[0]
    return ""
