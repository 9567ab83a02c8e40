"""Sessions on instances of a datatype: which clause a difference is blamed on."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.case import DatatypeCase, Model, Op, Refused, load_case
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kit import check
from dvidkit_conformance.planting import faults
from dvidkit_conformance.session import Violation
from dvidkit_keyvalue.conformance import KeyValueCase

from dvidkit.errors import OutOfBounds
from dvidkit.plugins import Plugins


class _Late(KeyValueCase):
    """A put marked ``late`` must be refused; it is, but only after it was made."""

    def apply(self, view: Any, op: Op) -> Any:
        answer = super().apply(view, op)
        if "late" in op:
            raise OutOfBounds("too late")
        return answer

    def model(self, settings: Any) -> Model:
        model = super().model(settings)
        apply = model.apply

        def refusing(op: Op) -> Any:
            if "late" in op:
                raise Refused("OutOfBounds")
            return apply(op)

        model.apply = refusing  # type: ignore[method-assign]
        return model


def test_what_a_refused_operation_left_is_a_refusal_that_changed_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A difference seen at once where an operation was refused is DT-12, not the operation's own clause."""
    monkeypatch.setattr("dvidkit_conformance.datatypesession.load_case", lambda named: _Late())
    plugins = Plugins()
    harness = Harness(plugins.engine("memory"), tmp_path, plugins=plugins)
    observe = {"op": "observe", "name": "data", "v": 0}
    with DatatypeSession(harness, typename="keyvalue", settings={}) as s:
        s.do({"op": "do", "name": "data", "v": 0, "do": {"op": "put", "key": "a", "value": [3, 1]}})
        s.do(observe)
        s.do({"op": "do", "name": "data", "v": 0, "do": {"op": "put", "key": "b", "value": [3, 1], "late": True}})
        with pytest.raises(Violation) as raised:
            s.do(observe)
    assert raised.value.clause == "DT-12"


@pytest.mark.parametrize("typename", ["keyvalue", "roi", "uint8blk", "rgba8blk", "float32blk"])
def test_a_glance_says_what_an_observation_says(tmp_path: Path, typename: str) -> None:
    """For every case that glances: the same, whatever was done, and it is what the model says."""
    plugins, rng = Plugins(), random.Random(typename)
    harness = Harness(plugins.engine("memory"), tmp_path, plugins=plugins)
    settings = load_case(str(harness.datatype(typename).conformance)).settings[0]
    with DatatypeSession(harness, typename=typename, settings=settings) as s:
        for _ in range(12):
            s.do({"op": "do", "name": "data", "v": 0, "do": s.case.op(rng)})
            glanced = s.do({"op": "observe", "name": "data", "v": 0, "light": True})
            assert glanced == s.do({"op": "observe", "name": "data", "v": 0})


def test_a_glance_is_an_observation_unless_a_case_says_how() -> None:
    """A case that says nothing of glances is observed in full."""

    class Case(DatatypeCase):
        def observe(self, view: Any) -> Any:
            return ["in full", view]

    assert Case().glance(1) == ["in full", 1]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("name", ["AnswersWearOut", "InstancesShare"])
def test_what_is_asked_for_is_not_left_to_chance(name: str, seed: int) -> None:
    """An instance that another's change shows in (DT-9), and an answer that wears out (DT-13), with any seed."""
    fault = next(each for each in faults(Path(__file__).parent / "faults") if each.__name__ == name)
    (clause,) = fault.breaks
    report = check(
        fault.engine(), datatypes=[fault.datatype], profile="quick", clauses=[clause], seed=seed, isolate=False
    )
    assert {result.status for result in report.engines[0].everything if result.id == clause} == {"fail"}
