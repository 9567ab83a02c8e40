"""Datatypes beside their models, step by step: what differs is told."""

from __future__ import annotations

import random
from typing import Any

import pytest
from dvidkit_conformance.agreement import agree
from dvidkit_keyvalue.conformance import KeyValueCase

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadPayload
from dvidkit.kernel import Kernel


class Forgetful(KeyValueCase):
    """A case whose datatype has a fault."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def apply(self, view: Any, op: Any) -> Any:
        """Without effect, with another answer, or with another error, or without one."""
        if self.fault == "nothing is done":
            return None
        try:
            answer = super().apply(view, op)
        except Exception:
            if self.fault == "nothing is refused":
                return None
            if self.fault == "another error":
                raise BadPayload("no") from None
            raise
        return "more" if self.fault == "another answer" else answer

    def recompute(self, view: Any) -> Any:
        """Something that does not follow from the rest."""
        return {"count": (1, 2)} if self.fault == "derived" else {}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("nothing is done", "not"),
        ("nothing is refused", "not refused as"),
        ("another answer", "not"),
        ("derived", "count: 1 is stored, 2 follows"),
        ("", ""),
    ],
)
def test_what_differs_is_told(fault: str, told: str) -> None:
    """Effects, answers, refusals and what is derived."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        case = Forgetful(fault)
        repo.create_instance("keyvalue", "x")
        view, model, rng = repo.root["x"], case.model({}), random.Random(3)
        if not fault:
            agree(case, view, model, rng, 60)
            return
        with pytest.raises(AssertionError, match=told):
            agree(case, view, model, rng, 60)


def test_another_error_is_the_tests_own() -> None:
    """It is not swallowed."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        case = Forgetful("another error")
        repo.create_instance("keyvalue", "x")
        with pytest.raises(BadPayload):
            agree(case, repo.root["x"], case.model({}), random.Random(3), 60)
