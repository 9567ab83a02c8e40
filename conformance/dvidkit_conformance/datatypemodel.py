"""The oracle of data instances in a repo: the case's model at each version, branched and merged. Kernel-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dvidkit_conformance.case import DatatypeCase, Model, Refused
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err, plain

NAMES = ("data", "other")
"""Two instances of the datatype in one repo."""


class RepoModel:
    """What two instances of a datatype must show at each version.

    Attributes:
        parents: of each version; version 0 is the root.
        locked: committed versions.
        conflicts: instances and versions whose reading must be a conflict.
        unknown: versions whose merge the case does not model; nothing is said of them or of their descendants.
    """

    def __init__(self, case: DatatypeCase, settings: Mapping[str, Any]) -> None:
        self.versioned = bool(settings.get("versioned", True))
        self.parents: dict[int, list[int]] = {0: []}
        self.locked: set[int] = set()
        self.unknown: set[int] = set()
        self.conflicts: set[tuple[str, int]] = set()
        self.models: dict[tuple[str, int], Model] = {(name, 0): case.model(settings) for name in NAMES}

    def apply(self, op: Op) -> Any:
        """Do the operation and say what it must answer: nothing where the session says itself what it expects."""
        does = getattr(self, f"_{op['op']}", None)
        return None if does is None else does(op)

    def settle(self, op: Op, got: Any) -> None:
        """Nothing is left open here."""

    def lacks(self, op: Op) -> bool:
        """Whether an operation is about what earlier ones did not make, as happens where programs are cut small."""
        kind, v = op["op"], op.get("v", 0)
        if kind == "merge":
            return op["to"] in self.parents or not set(op["parents"]) <= self.locked or len(set(op["parents"])) < 2
        if v not in self.parents or (v in self.unknown) is not (kind == "conflicting"):
            return kind not in ("commit", "child") or v not in self.parents
        if kind == "child":
            return op["to"] in self.parents or v not in self.locked
        return (kind == "commit" and v in self.locked) or (kind == "refuse" and v in self.locked and self.versioned)

    def _do(self, op: Op) -> Any:
        if op["v"] in self.locked and self.versioned:
            return Err("VersionLocked")
        try:
            return plain(self.models[op["name"], op["v"]].apply(op["do"]))
        except Refused as refused:
            return Err(refused.error)

    def _observe(self, op: Op) -> Any:
        return plain(self.models[op["name"], op["v"]].observe())

    def _commit(self, op: Op) -> Any:
        self.locked.add(op["v"])

    def _child(self, op: Op) -> Any:
        self.parents[op["to"]] = [op["v"]]
        self.unknown |= {op["to"]} if op["v"] in self.unknown else set()
        for name in NAMES:
            if (name, op["v"]) in self.models:
                model = self.models[name, op["v"]]
                self.models[name, op["to"]] = model.fork() if self.versioned else model

    def _merge(self, op: Op) -> Any:
        to, (left, right) = op["to"], op["parents"]
        self.parents[to] = [left, right]
        base = self._common(left, right)
        for name in NAMES:
            merged: Model | None = None
            modelled = False
            if not self.versioned:
                merged = self.models[name, 0]
            elif base is not None and not {left, right, base} & self.unknown:
                modelled = self.models[name, left].merges
                merged = self.models[name, left].merge(self.models[name, base], self.models[name, right])
            if merged is None:
                self.unknown.add(to)
                self.conflicts |= {(name, to)} if modelled else set()
            else:
                self.models[name, to] = merged

    def ancestors(self, v: int) -> set[int]:
        """A version and all above it."""
        return {v}.union(*(self.ancestors(parent) for parent in self.parents[v]))

    def _common(self, left: int, right: int) -> int | None:
        """The one last common ancestor, if there is just one."""
        both = self.ancestors(left) & self.ancestors(right)
        last = [v for v in both if not any(v != other and v in self.ancestors(other) for other in both)]
        return last[0] if len(last) == 1 else None

    def known(self) -> list[int]:
        """Versions of which the model speaks."""
        return [v for v in self.parents if v not in self.unknown]

    def open(self) -> list[int]:
        """Versions that take changes and of which the model speaks."""
        return [v for v in self.known() if v not in self.locked]
