"""The oracle of repos: versions, branches, locks, names, and what instances need. Kernel-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err, OneOf

MASTER: Final = "master"
_REFERENCE: Final = re.compile(r"([0-9a-f]*)(?::([^~^]*))?((?:[~^]\d*)*)")
_UUID: Final = re.compile(r"[0-9a-f]{32}")


def uuid_of(op: Op) -> str:
    """The UUID that an operation gives to its new version: its own, or one made from the version's number."""
    return str(op.get("uuid") or uuid(op["to"]))


def uuid(v: int) -> str:
    """The UUID of the version of this number, unless its operation says another."""
    return f"{v:02x}" * 16 if v else "0" * 31 + "1"


class KernelModel:
    """What a repo must answer. Versions are numbers; the root is 0.

    Attributes:
        parents, uuids, branches: of each version.
        locked: committed versions.
    """

    def __init__(self, features: Iterable[str]) -> None:
        self.parents: dict[int, list[int]] = {0: []}
        self.uuids = {0: uuid(0)}
        self.branches = {0: MASTER}
        self.locked: set[int] = set()
        self._notes = {0: ""}
        self._instances: set[str] = set()
        self._features = frozenset(features)

    def apply(self, op: Op) -> Any:
        """Do the operation and say what it must answer; where several errors are right, any of them."""
        return getattr(self, f"_{op['op']}")(op)

    def settle(self, op: Op, got: Any) -> None:
        """Nothing is left open here."""

    def lacks(self, op: Op) -> bool:
        """Whether an operation is about versions that earlier ones did not make, or makes one that is there."""
        named = [op[name] for name in ("v",) if name in op] + list(op.get("parents", ()))
        return not set(named) <= set(self.parents) or op.get("to") in self.parents

    def ancestors(self, v: int) -> set[int]:
        """A version and all above it."""
        return {v}.union(*(self.ancestors(parent) for parent in self.parents[v]))

    # --- versions ----------------------------------------------------------------------------------------------------

    def _commit(self, op: Op) -> Any:
        if op["v"] in self.locked:
            return Err("VersionLocked")
        self.locked.add(op["v"])
        self._notes[op["v"]] = op.get("note", "")
        return None

    def _child(self, op: Op) -> Any:
        return self._add(op, [op["v"]], self.branches[op["v"]], [])

    def _branch(self, op: Op) -> Any:
        name = op["name"]
        wrong = [] if name else ["InvalidInputError"]
        taken = name in {MASTER, *self.branches.values()} and name != self.branches[op["v"]]
        return self._add(op, [op["v"]], name, [*wrong, *(["BranchExists"] if taken else [])])

    def _merge(self, op: Op) -> Any:
        parents = op["parents"]
        above = any(a != b and a in self.ancestors(b) for a in parents for b in parents)
        wrong = len(parents) < 2 or len(set(parents)) < len(parents) or above
        branch = self.branches[parents[0]] if parents else ""
        return self._add(op, parents, branch, ["InvalidInputError"] if wrong else [])

    def _add(self, op: Op, parents: Sequence[int], branch: str, errors: list[str]) -> Any:
        """A version, unless something is against it."""
        named = uuid_of(op)
        errors += ["VersionUnlocked"] if not self.locked.issuperset(parents) else []
        goes_on = any(parents[0] in self.parents[v] and self.branches[v] == branch for v in self.parents if parents)
        errors += ["BranchExists"] if goes_on else []
        errors += ["InvalidInputError"] if not _UUID.fullmatch(named) else []
        errors += ["UUIDExists"] if named in self.uuids.values() else []
        if errors:
            return _one_of(errors)
        to = op["to"]
        self.parents[to], self.uuids[to], self.branches[to] = list(parents), named, branch
        self._notes[to] = ""
        return named

    def _reopen(self, op: Op) -> Any:
        return None

    # --- what is told ------------------------------------------------------------------------------------------------

    def _told(self, op: Op) -> Any:
        """UUID, parents, branch, whether locked, note, and that the id in keys is the one it was, of each version."""
        return [
            [self.uuids[v], [self.uuids[p] for p in parents], self.branches[v], v in self.locked, self._notes[v], ""]
            for v, parents in self.parents.items()
        ]

    def _head(self, op: Op) -> Any:
        found = self._newest(op["branch"])
        return Err("NotFoundError") if found is None else self.uuids[found]

    def _newest(self, branch: str) -> int | None:
        return next((v for v in reversed(self.parents) if self.branches[v] == branch), None)

    def _resolve(self, op: Op) -> Any:
        found = _REFERENCE.fullmatch(op["text"])
        assert found is not None, op["text"]
        prefix, branch, steps = found.groups()
        named = [v for v in self.parents if self.uuids[v].startswith(prefix)]
        if prefix and len(named) != 1:
            return Err("AmbiguousUUID" if named else "UnknownUUID")
        v = named[0] if branch is None else self._newest(branch)
        for sign, count in re.findall(r"([~^])(\d*)", steps):
            v = self._above(v, sign, int(count or 1))
        return Err("UnknownUUID") if v is None else self.uuids[v]

    def _above(self, v: int | None, sign: str, count: int) -> int | None:
        """So many steps up through first parents, or the parent of this number."""
        for place in [0] * count if sign == "~" else [count - 1]:
            v = None if v is None else next(iter(self.parents[v][place:]), None)
        return v

    # --- instances ---------------------------------------------------------------------------------------------------

    def _instance(self, op: Op) -> Any:
        errors = ["UnsupportedError"] if set(op.get("requires", ())) - self._features else []
        errors += ["VersionLocked"] if op["v"] in self.locked else []
        errors += ["InstanceExists"] if op["name"] in self._instances else []
        if errors:
            return _one_of(errors)
        self._instances.add(op["name"])
        return op["name"]


def _one_of(errors: Sequence[str]) -> Any:
    found = tuple(Err(error) for error in dict.fromkeys(errors))
    return found[0] if len(found) == 1 else OneOf(found)
