"""Replaying one program on one engine."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dvidkit.engine import Engine
from dvidkit.plugins import Plugins
from dvidkit_conformance import lanes
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.ops import Program
from dvidkit_conformance.outcome import Failure
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.results import show


def replayed(program: Program, engine: str | Engine, *, isolate: bool = True) -> list[Failure]:
    """What the program violates: nothing, or one failure."""
    found = Plugins().engine(engine) if isinstance(engine, str) else engine
    with tempfile.TemporaryDirectory(prefix="dvidkit-replay-") as folder:
        run = Run(Harness(found, Path(folder)), PROFILES["quick"])
        violation = lanes.replay(run, program)
    if violation is None:
        return []
    done = violation.program or program
    return [
        Failure(
            violation.clause or "?",
            "replay",
            show(violation.expected),
            show(violation.got),
            violation.note,
            done.to_json(),
            done.lines(),
            minimal=True,
        )
    ]
