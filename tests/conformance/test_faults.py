"""Every planted fault is caught by the clause that names it, with a short program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from dvidkit_conformance import spec
from dvidkit_conformance.kit import check
from dvidkit_conformance.planting import Fault, faults
from dvidkit_conformance.toy import ToyEngine

_FAULTS = list(faults(Path(__file__).parent / "faults"))


def test_the_ground_is_sound() -> None:
    """The engine on which faults are planted passes everything, so that what fails is the fault."""
    report = check(ToyEngine(), datatypes=[], profile="quick", isolate=False)
    assert report.conformant, [(failure.clause, failure.expected, failure.got) for failure in report.failures]
    assert report.engine("toy").levels[:2] == ["core", "versioned"]


def test_there_are_many() -> None:
    """As many as were promised, each with clauses that exist."""
    assert len(_FAULTS) >= 110
    kinds = Counter(fault.__module__ for fault in _FAULTS)
    assert kinds["datatypes"] >= 20
    assert kinds["resolvers"] >= 10
    assert {clause for fault in _FAULTS for clause in fault.breaks} <= set(spec.clauses())
    assert all(fault.__doc__ for fault in _FAULTS)


def test_the_first_failure_names_the_fault() -> None:
    """Of all that a fault breaks at the byte level, the report begins with the clause that names it."""
    named = [fault for fault in _FAULTS if fault.__name__ in ("ReverseAscends", "SignedBytes", "KeysCut", "FirstWins")]
    assert len(named) == 4
    for fault in named:
        report = fault.caught(clauses=["ENG-GET", "ENG-SCAN", "ENG-WRITE", "ENG-SNAP"])
        assert report.failures[0].clause == fault.breaks[0]


@pytest.mark.parametrize("fault", _FAULTS, ids=lambda fault: fault.__name__)
def test_caught(fault: type[Fault], monkeypatch: pytest.MonkeyPatch) -> None:
    """By each clause it breaks; the first names it with a program of a few steps that fails by itself."""
    monkeypatch.setattr("dvidkit_conformance.threads.crew.PATIENCE", 3.0)
    report = fault.caught()
    results = {result.id: result for result in report.engines[0].everything}
    for clause in fault.breaks:
        wanted = "fail" if spec.clauses()[clause].must else "deviation"
        assert results[clause].status == wanted, (clause, results[clause].status, results[clause].reason)
    first = fault.first(report)
    assert first.expected != first.got
    if fault.steps:
        assert first.minimal
        assert 1 <= len(first.steps) <= fault.steps, first.steps
