"""Little memory: engines that are wrong then are caught by LIM-9 and LIM-10, and a right one is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kit import check
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.lanes.cramped import little_memory, lives_on
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.session import Violation


@pytest.fixture
def run(importable: Callable[[str], Any], tmp_path: Any) -> Callable[[str], Run]:
    """A run of profile ci on an engine by the name of its store."""
    faults, ground = importable("crampedfaults"), importable("callfaults")

    def begun(name: str) -> Run:
        return Run(Harness(ground.engine(getattr(faults, name)), tmp_path), PROFILES["ci"])

    return begun


def test_the_ground_is_sound(run: Callable[[str], Run]) -> None:
    """The store from which the faults derive loses nothing, lives, and met errors: memory was short."""
    for lane in (little_memory, lives_on):
        right = run("Safe")
        lane(right)
        assert (right.untested, right.missing) == ("", [])
        assert right.probes["error"]
        assert not right.probes["died"]


@pytest.mark.parametrize(("name", "got"), [("Swallows", "another"), ("Leaves", "RuntimeError")])
def test_caught(run: Callable[[str], Run], name: str, got: str) -> None:
    """Each breaks LIM-9, and the note says how much memory there was."""
    with pytest.raises(Violation) as violation:
        little_memory(run(name))
    assert violation.value.clause == "LIM-9"
    assert got in str(violation.value.got)
    assert "KiB left" in violation.value.note


def test_what_ends_the_process_is_told_apart(run: Callable[[str], Run]) -> None:
    """LIM-10 alone is broken if nothing is lost."""
    dying = run("Dies")
    little_memory(dying)
    assert dying.probes["died"]
    with pytest.raises(Violation) as violation:
        lives_on(run("Dies"))
    assert violation.value.clause == "LIM-10"
    assert "signal" in str(violation.value.got)


def test_an_installed_engine() -> None:
    """The filesystem engine, which is written in Python, keeps both clauses, in a child of the kit."""
    report = check("filesystem", datatypes=[], profile="quick", clauses=["LIM-9", "LIM-10"])
    assert [report.engines[0].result(clause).status for clause in ("LIM-9", "LIM-10")] == ["pass", "pass"]
