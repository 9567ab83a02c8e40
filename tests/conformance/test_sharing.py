"""Sharing out the jobs of an engine as tasks."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from dvidkit_conformance import sharing
from dvidkit_conformance.datatypelane import datatype_jobs
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.isolation import Task
from dvidkit_conformance.jobs import Job, all_jobs
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.sharing import Share
from dvidkit_conformance.toy import ToyEngine

from dvidkit.plugins import Plugins


class _Asked(Executor):
    """Keeps the tasks that it is given, and does none."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.tasks.append(args[0])
        return Future()


def _asked(engine: Any, own: list[Job], typed: list[Job], tmp_path: Path) -> list[Task]:
    pool = _Asked()
    share = Share(Task(engine, str(tmp_path), (), "quick", 0), own, typed, lambda name, result: None)
    share.start(pool, None)  # type: ignore[arg-type]
    return pool.tasks


def _jobs(tmp_path: Path) -> tuple[list[Job], list[Job]]:
    plugins = Plugins()
    harness = Harness(plugins.engine("memory"), tmp_path, scale=PROFILES["ci"].scale, plugins=plugins)
    names = [name for name, datatype in plugins.datatypes.items() if datatype.conformance]
    return all_jobs(), datatype_jobs(harness, names, ())


def test_every_job_is_in_one_task(tmp_path: Path) -> None:
    """None is lost and none is done twice, and tasks have folders of their own."""
    own, typed = _jobs(tmp_path)
    tasks = _asked("memory", own, typed, tmp_path)
    assert sorted(name for task in tasks for name in task.jobs) == sorted(job.name for job in [*own, *typed])
    assert len({task.folder for task in tasks}) == len(tasks)
    assert all(task.jobs for task in tasks)


def test_every_named_clause_has_jobs(tmp_path: Path) -> None:
    """What is told to be a task of its own is the name of clauses that there are."""
    clauses = {job.clause for job in all_jobs()}
    for names in sharing._TOGETHER:
        assert all(clause in clauses or any(name.startswith(f"{clause}-") for name in clauses) for clause in names)


def test_variants_of_a_datatype_stay_together_and_heavy_ones_come_first(tmp_path: Path) -> None:
    """Clauses that the same programs judge are judged in one process, and tasks become shorter to the end."""
    own, typed = _jobs(tmp_path)
    tasks = [task for task in _asked("memory", own, typed, tmp_path) if task.jobs[0].startswith("DT-")]
    datatypes = [{name.split(":")[1] for name in task.jobs} for task in tasks]
    assert all(len(names) == 1 for names in datatypes)
    weights = {job.name: job.weight for job in typed}
    whole = [sum(weights[name] for name in task.jobs) for task in tasks]
    assert whole == sorted(whole, reverse=True)
    assert {"uint8blk"} in datatypes[:2]


def test_an_engine_without_a_name_is_one_task(tmp_path: Path) -> None:
    """Its children are forked from here, one after the other."""
    own, typed = _jobs(tmp_path)
    (task,) = _asked(ToyEngine(), own, typed, tmp_path)
    assert task.jobs == tuple(job.name for job in [*own, *typed])
    assert _asked(ToyEngine(), [], [], tmp_path) == []
