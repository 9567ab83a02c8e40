"""What the conformance kit does with my-datatype: operations, what is seen, and a model that says what should be."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dvidkit_conformance.case import DatatypeCase, Model, Observation, Op, Refused

_NAMES = ("a", "b", "ab", "ü", "x" * 200)


class MyDatatypeCase(DatatypeCase):
    """Adds, forgets and refusals over a few names, so that operations meet."""

    typename: ClassVar[str] = "my-datatype"
    settings: ClassVar[Sequence[Mapping[str, Any]]] = ({}, {"most": 5})

    def op(self, rng: random.Random) -> Op:
        """Mostly adds; what would leave the bounds is refused, and changes nothing."""
        name = rng.choice(_NAMES)
        if rng.random() < 0.25:
            return {"op": "forget", "name": name}
        return {"op": "add", "name": name, "number": rng.randint(-2, 3)}

    def refused(self, rng: random.Random) -> Op | None:
        """Names that are none."""
        return {"op": "add", "name": rng.choice(["", "a\0b", "x" * 201]), "number": 1}

    def apply(self, view: Any, op: Op) -> Any:
        """Do it."""
        if op["op"] == "forget":
            return view.forget(op["name"])
        return view.add(op["name"], op["number"])

    def observe(self, view: Any) -> Observation:
        """All counts, by both methods that read them."""
        return {"counts": view.counts(), "each": [view.count(name) for name in _NAMES]}

    def model(self, settings: Mapping[str, Any]) -> Model:
        """An empty one."""
        return _Counts(settings.get("most", 1_000_000))


class _Counts(Model):
    """A dictionary."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: dict[str, int] = {}

    def apply(self, op: Op) -> Any:
        """What the operation should do and answer."""
        name = op["name"]
        if not name or "\0" in name or len(name.encode()) > 200:
            raise Refused("InvalidInputError")
        if op["op"] == "forget":
            self.counts.pop(name, None)
            return None
        total = self.counts.get(name, 0) + op["number"]
        if not 0 <= total <= self.most:
            raise Refused("OutOfBounds")
        self.counts[name] = total
        return total

    def observe(self) -> Observation:
        """What a reader should see."""
        ordered = dict(sorted(self.counts.items(), key=lambda item: item[0].encode()))
        return {"counts": ordered, "each": [self.counts.get(name, 0) for name in _NAMES]}
