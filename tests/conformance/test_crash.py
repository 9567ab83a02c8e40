"""The crash lane: its ground is sound, its writers can be made again, and its failures say what happened."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.kit import check
from dvidkit_conformance.lanes.crashmodel import CrashModel, brief
from dvidkit_conformance.lanes.crashops import operations
from dvidkit_conformance.planting import Fault, faults

_CLAUSES = ("DUR-4", "DUR-6", "BATCH-9", "DEL-6")
_FAULTS = {fault.__name__: fault for fault in faults(Path(__file__).parent / "faults")}


def _sound() -> type[Fault]:
    """The class that the faults derive from: nothing is wrong with it."""
    sound = _FAULTS["AcknowledgesFirst"].__bases__[0]
    assert issubclass(sound, Fault)
    return sound


def test_the_ground_is_sound() -> None:
    """The engine on which the faults of crashes are planted survives every kill, so that what fails is the fault."""
    report = _sound().caught(clauses=_CLAUSES)
    results = {result.id: result for result in report.engines[0].clauses}
    assert {name: result.status for name, result in results.items()} == dict.fromkeys(_CLAUSES, "pass")
    assert results["DUR-4"].probes["killed"] == 40
    assert results["DUR-4"].probes["recovered_in_flight"] > 10
    assert results["DUR-6"].probes["killed_opening"] >= 5


def test_engines_in_memory_have_nothing_to_survive() -> None:
    """What does not survive ``close`` is not killed: the clauses are skipped as not declared."""
    report = check("memory", datatypes=[], profile="quick", clauses=_CLAUSES, isolate=False)
    assert {result.status for result in report.engines[0].clauses} == {"skip"}


@pytest.mark.parametrize("workload", ["mixed", "batches", "deletions"])
def test_operations_are_of_the_seed(workload: str) -> None:
    """Writer and judge make the same operations of the same seed, and others of another."""

    def some(seed: int, cycle: int) -> list[Any]:
        return list(islice(operations(workload, seed, cycle), 50))

    assert some(1, 1) == some(1, 1)
    assert some(1, 1) != some(1, 2)
    assert some(1, 1) != some(2, 1)


def _after(model: CrashModel) -> list[list[bytes]]:
    return brief(model.model.dump())


def _batch(value: bytes) -> Any:
    return {"op": "batch", "i": 1, "v": 2, "pairs": [[b"k00", value], [b"k01", value]]}


def test_what_is_legal() -> None:
    """What was acknowledged, with or without all of what was in flight."""
    for taken in (False, True):
        model, later = CrashModel(in_part=False), CrashModel(in_part=False)
        for each in (model, later):
            each.acknowledged(_batch(b"1"))
        model.pending = _batch(b"2")
        if taken:
            later.acknowledged(_batch(b"2"))
        assert model.recovered(_after(later)) is None
        assert _after(model) == _after(later)
        assert model.pending is None


def test_what_is_lost_is_counted() -> None:
    """A state of earlier is named as what it is: so many acknowledged operations are lost."""
    model, earlier = CrashModel(in_part=False), CrashModel(in_part=False)
    for value in (b"1", b"2", b"3", b"4"):
        model.acknowledged(_batch(value))
        if value < b"3":
            earlier.acknowledged(_batch(value))
    found = model.recovered(_after(earlier))
    assert found is not None
    assert found[0] == "DUR-4"
    assert "the last 2 acknowledged operations are lost" in found[2]


def test_a_torn_batch_is_named() -> None:
    """Some of the batch in flight and some not: neither lost nor whole."""
    model, torn = CrashModel(in_part=False), CrashModel(in_part=False)
    model.pending = _batch(b"1")
    torn.acknowledged({**_batch(b"1"), "pairs": [[b"k00", b"1"]]})
    found = model.recovered(_after(torn))
    assert found is not None
    assert found[0] == "BATCH-9"


def test_a_deletion_in_part_goes_on_from_there() -> None:
    """Where deletions take several batches a part is legal, and is what the next is judged by."""
    model, part = CrashModel(in_part=True), CrashModel(in_part=True)
    for each in (model, part):
        each.acknowledged(_batch(b"1"))
        each.acknowledged({"op": "put", "i": 3, "v": None, "key": b"k05", "value": b"x"})
    model.pending = {"op": "delete_range", "i": 1, "v": 4, "first": b"k00", "last": b"k09"}
    part.acknowledged({"op": "delete", "i": 1, "v": 4, "key": b"k01"})
    assert model.recovered(_after(part)) is None
    assert _after(model) == _after(part)
    model.pending = {"op": "delete_all", "i": 3}
    part.acknowledged({"op": "delete_all", "i": 3})
    assert model.recovered(_after(part)) is None
    part.acknowledged(_batch(b"9"))
    assert model.recovered(_after(part)) is not None


def test_a_failure_tells_the_program() -> None:
    """What was acknowledged, where the kills fell, the cycle and the seed."""
    failure = _FAULTS["LosesTheLast"].first(_FAULTS["LosesTheLast"].caught(clauses=["DUR-4"]))
    assert "acknowledged operations are lost" in failure.got
    assert "seed 0" in failure.note
    assert any(line.startswith("killed in=") for line in failure.steps)
