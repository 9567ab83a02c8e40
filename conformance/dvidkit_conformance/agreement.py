"""A datatype beside the model of its case, for a datatype's own tests: what the kit does at length, in a few lines."""

from __future__ import annotations

import random
from typing import Any

from dvidkit import errors
from dvidkit_conformance.case import Refused

_REFUSED = 0.2
"""Of the operations, those that are to be refused."""


def agree(case: Any, view: Any, model: Any, rng: random.Random, steps: int) -> None:
    """Do random operations to an object of the datatype and to the model, and compare what both say.

    Args:
        case: of the datatype, a ``DatatypeCase``.
        view, model: the same before this as after it.
        rng: where the operations come from.
        steps: how many.

    Raises:
        AssertionError: they differ, or what was to be refused was not.
    """
    for _ in range(steps):
        refused = rng.random() < _REFUSED
        op = (case.refused(rng) if refused else None) or case.op(rng)
        _compare(case, view, model, op)
        shown, wanted = case.observe(view), model.observe()
        assert shown == wanted, f"after {op!r}: {shown!r}, not {wanted!r}"
    for name, (stored, recomputed) in case.recompute(view).items():
        assert stored == recomputed, f"{name}: {stored!r} is stored, {recomputed!r} follows from the rest"


def _compare(case: Any, view: Any, model: Any, op: Any) -> None:
    try:
        wanted = model.apply(op)
    except Refused as refusal:
        try:
            found = case.apply(view, op)
        except getattr(errors, refusal.error):
            return
        raise AssertionError(f"{op!r}: {found!r}, not refused as {refusal.error}") from None
    found = case.apply(view, op)
    assert found == wanted, f"{op!r}: {found!r}, not {wanted!r}"
