"""The ways of testing: each runs in a ``Run``, raises ``Violation``, and says what it reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dvidkit_conformance.lanes import closing, cramped, crash, damage, resources, threads
from dvidkit_conformance.lanes.calls import failing_calls
from dvidkit_conformance.lanes.faulty import faulty
from dvidkit_conformance.lanes.fulldisk import full_disk
from dvidkit_conformance.lanes.power import power
from dvidkit_conformance.lanes.programs import byte_programs, directed, replay, small_programs, store_programs
from dvidkit_conformance.lanes.run import SESSIONS, Run
from dvidkit_conformance.machines import byte_machine, store_machine

LANES: Final[Mapping[str, Callable[[Run], None]]] = {
    "ENG-ALL-1": byte_programs,
    "ENG-ALL-2": byte_machine,
    "DEL-6": crash.deletions,
    "BATCH-9": crash.batches,
    "DUR-4": crash.kills,
    "DUR-5": power,
    "DUR-6": crash.recoveries,
    "DUR-7": full_disk,
    "DUR-8": failing_calls,
    "ERR-7": faulty,
    "VER-12": resources.range_cost,
    "LIM-3": resources.many,
    "LIM-5": resources.openings,
    "LIM-6": resources.streaming,
    "LIM-7": resources.descriptors,
    "LIM-8": resources.readers,
    "LIM-9": cramped.little_memory,
    "LIM-10": cramped.lives_on,
    "SIZE-2": resources.sizes_near,
    "SIZE-3": resources.sizes_monotone,
    "MERGE-8": small_programs,
    "MERGE-9": store_programs,
    "MERGE-10": store_machine,
    "REP-1": damage.repair_leaves_alone,
    "REP-2": damage.repaired,
    "REP-4": damage.damaged,
    "CONC-1": threads.disjoint_writers,
    "CONC-2": threads.linearizable,
    "CONC-3": threads.batches_whole,
    "CONC-4": closing.closing,
    "CONC-5": threads.no_deadlock,
    "CONC-6": closing.range_writes,
    "CONC-7": closing.forked,
}
"""The lanes of engines and stores, by the clause that each stands for. New lanes are added here."""

__all__ = ["LANES", "SESSIONS", "Run", "directed", "replay"]
