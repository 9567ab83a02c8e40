"""Programs over instances of a datatype in a repo, from its case alone: random ones, and a tour of everything."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from dvidkit_conformance.case import DatatypeCase, Model, Op, Refused
from dvidkit_conformance.datatypemodel import NAMES
from dvidkit_conformance.datatypesession import DatatypeSession
from dvidkit_conformance.results import matches, plain

_STEPS: Final = 14
_DRAWS: Final = 30
_FULL: Final = 4
_KINDS: Final = ("do", "child", "merge", "reopen", "refuse", "forbidden")
_WEIGHTS: Final = (60, 16, 8, 4, 7, 5)


class Author:
    """Programs of one datatype with one variant of settings.

    Args:
        case: of the datatype.
        follows: another datatype of the same implementation is given the many programs.
        number: of the variant.
    """

    def __init__(self, case: DatatypeCase, *, follows: bool, number: int) -> None:
        self.case = case
        self.follows = follows
        self.number = number

    def program(self, s: DatatypeSession, rng: random.Random, *, steps: int = _STEPS, watched: bool = True) -> None:
        """One random program; watched, what is touched and something else is observed after each step."""
        for _ in range(steps):
            self.step(s, rng)
            if watched:
                self._watch(s, rng)

    def tour(self, s: DatatypeSession, rng: random.Random) -> None:
        """A program that leaves nothing out: both instances, refusals, branches that merge and that are in conflict."""
        self._apart(s, rng)
        self._changes(s, rng, ("data", "other"), (0,))
        for v in (1, 2):
            s.do({"op": "child", "v": 0, "to": v})
        self._changes(s, rng, ("data", "other", "data", "data", "other", "data", "data", "data"), (1, 2))
        self._merged(s, (1, 2), 3)
        if 3 not in s.model.unknown:
            self._changes(s, rng, ("data", "other", "data"), (3,))
        self._both_sides(s, rng)

    def _apart(self, s: DatatypeSession, rng: random.Random) -> None:
        """What is seen is seen again; then of each kind one change of an instance that in the other would show."""
        for name in ("other", "data") * 2:
            s.do({"op": "do", "name": name, "v": 0, "do": self._changing(s, rng, ((name, 0),))})
            _glance(s, name, 0)
        s.do({"op": "again", "name": "data", "v": 0, **(light(s) if self.follows or self.number else {})})
        drawn = [self.case.op(rng) for _ in range(_DRAWS)]
        kinds = {op["op"]: op for op in drawn if _changes(s.model.models["other", 0], op)}
        for op in kinds.values():
            s.do({"op": "do", "name": "data", "v": 0, "do": op})
            _glance(s, "other", 0)
        _glance(s, "data", 0)

    @staticmethod
    def _merged(s: DatatypeSession, parents: tuple[int, int], to: int) -> None:
        s.do({"op": "merge", "parents": list(parents), "to": to})
        for name in NAMES if to in s.model.unknown else ():
            s.do({"op": "conflicting", "name": name, "v": to})

    def _both_sides(self, s: DatatypeSession, rng: random.Random) -> None:
        """The same change below both branches, and their merge, which a datatype may not settle by itself."""
        for v, to in ((1, 4), (2, 5)):
            s.do({"op": "child", "v": v, "to": to})
        change = self._changing(s, rng, (("data", 4), ("data", 5)))
        for v in (4, 5):
            s.do({"op": "do", "name": "data", "v": v, "do": change})
            self._watch(s, rng)
            s.do({"op": "commit", "v": v})
        self._merged(s, (4, 5), 6)

    def _changing(self, s: DatatypeSession, rng: random.Random, places: Sequence[tuple[str, int]]) -> Op:
        """An operation that changes what is seen of each instance and version, if one comes up."""
        op = self.case.op(rng)
        for _ in range(_DRAWS):
            if all(_changes(s.model.models[place], op) for place in places):
                break
            op = self.case.op(rng)
        return op

    def _changes(self, s: DatatypeSession, rng: random.Random, names: Sequence[str], versions: Sequence[int]) -> None:
        """Changes of these instances, at the versions in turn; then of each version a refusal, and its commit."""
        for n, name in enumerate(names):
            self._change(s, rng, name, versions[n % len(versions)])
            self._watch(s, rng)
        for v in versions:
            self._refused(s, rng, v)
            s.do({"op": "commit", "v": v})
            self._forbidden(s, rng, v)

    def _watch(self, s: DatatypeSession, rng: random.Random) -> None:
        """What was touched is observed, and something else, often the version above; that less often if quick.

        Quick, what was touched is mostly glanced at by a later variant and by a datatype like another.
        """
        name, v = s.touched
        if v not in s.model.unknown:
            full = not (self.follows or self.number) or len(s.ops) % _FULL == 0
            s.do({"op": "observe", "name": name or "data", "v": v, **({} if full else light(s))})
        if s.harness.scale or rng.random() < (0.2 if self.follows else 0.5):
            above = [parent for parent in s.model.parents[v] if parent not in s.model.unknown]
            if name and above and rng.random() < 0.5:
                _glance(s, name, rng.choice(above))
            else:
                _glance(s, rng.choice(NAMES), rng.choice(s.model.known()))

    def _change(self, s: DatatypeSession, rng: random.Random, name: str, v: int) -> None:
        s.do({"op": "do", "name": name, "v": v, "do": self.case.op(rng)})

    def _refused(self, s: DatatypeSession, rng: random.Random, v: int) -> None:
        bad = self.case.refused(rng)
        if bad is not None:
            s.do({"op": "refuse", "name": "data", "v": v, "do": bad})

    def _forbidden(self, s: DatatypeSession, rng: random.Random, v: int) -> None:
        if s.model.versioned:
            s.do({"op": "forbidden", "name": "data", "v": v, "do": self.case.op(rng)})

    def ending(self, s: DatatypeSession, rng: random.Random) -> None:
        """Everything observed, before and after reopening; what is derived, and what the raw bytes hold."""
        for name in NAMES:
            for v in s.model.known():
                _glance(s, name, v)
        s.do({"op": "reopen"})
        for v in s.model.known():
            for op in ("observe", "again", "derived"):
                last = v == s.model.known()[-1]
                if op != "again" or s.harness.scale or last:
                    more = light(s) if op == "observe" and self.follows and not last else {}
                    s.do({"op": op, "name": "data", "v": v, **more})
        s.do({"op": "tkeys", "name": "data"})
        if self.case.envelopes:
            s.do({"op": "envelopes", "name": "data"})
            few = {"most": 1} if self.follows and not s.harness.scale else {}
            s.do({"op": "damage", "name": "data", "place": rng.randrange(1 << 16), **few, **light(s)})

    def step(self, s: DatatypeSession, rng: random.Random) -> None:
        """A change, or something that happens to versions."""
        model = s.model
        kind = rng.choices(_KINDS, _WEIGHTS)[0]
        locked = sorted(model.locked - model.unknown)
        if kind == "child" or not model.open():
            self.child(s, rng)
        elif kind == "merge":
            self._merge(s, rng)
        elif kind == "reopen":
            s.do({"op": "reopen"})
        elif kind == "refuse":
            self._refused(s, rng, rng.choice(model.open()))
        elif kind == "forbidden" and locked:
            self._forbidden(s, rng, rng.choice(locked))
        else:
            self._change(s, rng, rng.choice(("data", "data", "data", "other")), rng.choice(model.open()))

    def child(self, s: DatatypeSession, rng: random.Random) -> None:
        """A child of any version, which is committed for it."""
        v = rng.choice(list(s.model.parents))
        if v not in s.model.locked:
            s.do({"op": "commit", "v": v})
        s.do({"op": "child", "v": v, "to": len(s.model.parents)})

    def _merge(self, s: DatatypeSession, rng: random.Random) -> None:
        model = s.model
        leaves = [v for v in model.known() if not any(v in parents for parents in model.parents.values())]
        if len(leaves) < 2:
            self.child(s, rng)
            return
        left, right = rng.sample(leaves, 2)
        for v in (left, right):
            if v not in model.locked:
                s.do({"op": "commit", "v": v})
        to = len(model.parents)
        s.do({"op": "merge", "parents": [left, right], "to": to})
        if to in model.unknown:
            s.do({"op": "conflicting", "name": "data", "v": to})


def light(s: DatatypeSession) -> dict[str, bool]:
    """In the quick profile, a glance is enough where the same was or will be observed in full."""
    return {} if s.harness.scale else {"light": True}


def _glance(s: DatatypeSession, name: str, v: int) -> None:
    s.do({"op": "observe", "name": name, "v": v, **light(s)})


def _changes(model: Model, op: Op) -> bool:
    """Whether an operation would change what is seen."""
    changed = model.fork()
    try:
        changed.apply(op)
    except Refused:
        return False
    return not matches(plain(model.observe()), plain(changed.observe()))
