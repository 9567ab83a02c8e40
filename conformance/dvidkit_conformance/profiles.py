"""How much a run does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """Numbers of a profile.

    Attributes:
        scale: what checks may do: 0, 1, 2.
        byte_programs, store_programs: random programs of each kind.
        exhaustive_keys: TKeys of the exhaustive programs.
        machine_examples, machine_steps: of each Hypothesis machine; 0 for none.
        datatype_programs: random programs per datatype and settings.
        derandomize: Hypothesis takes its choices from the seed alone.
        crash_cycles: kills of a writer, for each engine.
        stall: seconds without a sign of life after which a run counts as hanging, see ``Patience``.
    """

    name: str
    scale: int
    byte_programs: int
    store_programs: int
    exhaustive_keys: int
    machine_examples: int
    machine_steps: int
    datatype_programs: int
    derandomize: bool = True
    crash_cycles: int = 6
    stall: float = 30.0


PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile("quick", 0, 50, 25, 1, 4, 10, 1),
        Profile("ci", 1, 600, 300, 2, 40, 20, 4, crash_cycles=40, stall=60.0),
        Profile("nightly", 2, 10_000, 5000, 2, 500, 60, 100, derandomize=False, crash_cycles=2000, stall=300.0),
    )
}
