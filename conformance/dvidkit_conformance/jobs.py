"""What a run consists of: directed checks and lanes, each a job with a name, in the order in which they are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dvidkit_conformance import lanes, spec
from dvidkit_conformance.checking import Check, gather
from dvidkit_conformance.checks import (
    dag,
    engine_life,
    engine_options,
    engine_reads,
    engine_upkeep,
    engine_views,
    engine_writes,
    kernel_asks,
    keyspace,
    store_batches,
    store_copies,
    store_errors,
    store_life,
    store_more,
    store_points,
    store_ranges,
    store_verify,
    versions,
)
from dvidkit_conformance.lanes import Run

MODULES = (
    engine_reads,
    engine_views,
    engine_writes,
    engine_options,
    engine_upkeep,
    engine_life,
    keyspace,
    store_points,
    store_ranges,
    store_batches,
    store_more,
    kernel_asks,
    versions,
    dag,
    store_life,
    store_errors,
    store_copies,
    store_verify,
)


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to run.

    Attributes:
        name: unique; names the check or lane.
        clause: the clause it stands for.
        run: does it.
        check: the directed check, if it is one.
        weight: how long it takes, beside other jobs of datatypes.
    """

    name: str
    clause: str
    run: Callable[[Run], None]
    check: Check | None = None
    weight: float = 1.0


def checks() -> list[Check]:
    """Every directed check."""
    return gather(MODULES)


def _directed(check: Check, run: Run) -> None:
    lanes.directed(run, check)


def all_jobs() -> list[Job]:
    """Every job that is about an engine and its stores, in the order of the specification."""
    order = {clause: n for n, clause in enumerate(spec.clauses())}
    jobs = [Job(f"{check.clause}:{check.name}", check.clause, partial(_directed, check), check) for check in checks()]
    jobs += [Job(f"{clause}:{lane.__name__}", clause, lane) for clause, lane in lanes.LANES.items()]
    return sorted(jobs, key=lambda job: order[job.clause])
