"""Making a failing program small: fewer operations, then fewer changes, simpler keys, values and version ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from dvidkit_conformance.ops import Op, Program

_PARTS = 16

Fails = Callable[[Program], Any]
"""Runs a program from nothing; what it violated, or ``None``."""


class Reducer:
    """Shrinks a program as long as it fails, within a number of runs and seconds of processor time.

    Attributes:
        best: the smallest failing program so far.
        failure: what it violated.
    """

    def __init__(self, program: Program, failure: Any, fails: Fails, *, runs: int = 400, seconds: float = 10.0) -> None:
        self.best = program
        self.failure = failure
        self._fails = fails
        self._runs = runs
        self._until = time.process_time() + seconds

    def reduce(self) -> Program:
        """The smallest program found."""
        for ops in _joined(list(self.best.ops)):
            if self._try(self.best.with_ops(ops)):
                break
        self._drop()
        while self._runs > 0 and any(self._try(self.best.with_ops(ops)) for ops in self._simpler()):
            pass
        self._drop()
        return self.best

    def _try(self, program: Program) -> bool:
        if self._runs <= 0 or time.process_time() > self._until:
            self._runs = 0
            return False
        self._runs -= 1
        failure = self._fails(program)
        if failure is None:
            return False
        done = getattr(failure, "program", None)
        self.best = done if done is not None and len(done.ops) <= len(program.ops) else program
        self.failure = failure
        return True

    def _drop(self) -> None:
        """Delta debugging: leave out ever smaller stretches."""
        size = max(1, len(self.best.ops) // 2)
        while True:
            start = 0
            while start < len(self.best.ops):
                ops = list(self.best.ops)
                if not self._try(self.best.with_ops(ops[:start] + ops[start + size :])):
                    start += size
            if size == 1 or self._runs <= 0:
                return
            size //= 2

    def _simpler(self) -> Iterator[list[Op]]:
        ops = list(self.best.ops)
        yield from _joined(ops)
        for n, op in enumerate(ops):
            for other in _simpler_ops(op):
                yield [*ops[:n], other, *ops[n + 1 :]]
        yield from _moved(ops)
        for old, new in _renamings(ops):
            yield [_renamed(op, old, new) for op in ops]


def _moved(ops: list[Op]) -> Iterator[list[Op]]:
    """Of a datatype's program: what is done at a version done at its parent, and the version never made."""
    for made in ops:
        for parent in made["parents"] if made["op"] == "merge" else [made["v"]] if made["op"] == "child" else ():
            rest = [op for op in ops if op is not made and (op["op"], op.get("v")) != ("commit", parent)]
            yield [_at(op, made["to"], parent) for op in rest]


def _at(op: Op, old: int, new: int) -> Op:
    """The operation with one version for another."""
    op = {**op, "v": new} if op.get("v") == old else op
    return {**op, "parents": [new if v == old else v for v in op["parents"]]} if "parents" in op else op


def _joined(ops: list[Op]) -> Iterator[list[Op]]:
    """All plain writes as one, then neighbours as one."""
    writes = [n for n, op in enumerate(ops) if op["op"] == "write" and "expect" not in op]
    for some in (writes, *([a, b] for a, b in pairwise(writes) if b == a + 1)):
        if len(some) > 1:
            batch = [row for n in some for row in ops[n]["batch"]]
            rest = [op for n, op in enumerate(ops) if n not in some[1:]]
            rest[some[0]] = {"op": "write", "batch": batch}
            yield rest


def _simpler_ops(op: Op) -> Iterator[Op]:
    for name in ("batch", "pairs", "expect", "keys"):
        rows: list[Any] = op.get(name) or []
        if len(rows) > 1:
            size = len(rows) // 2
            while size:
                if len(rows) // size <= _PARTS:
                    for start in range(0, len(rows), size):
                        yield {**op, name: rows[:start] + rows[start + size :]}
                size //= 2
    for name in ("durable", "expect", "reverse", "keys_only", "on"):
        if name in op:
            yield {key: value for key, value in op.items() if key != name}
    yield from _simpler_deeds(op)
    if op.get("value") not in (None, b"", b"x"):
        yield {**op, "value": b"x"}
    for name in ("batch", "pairs"):
        rows = list(op.get(name) or ())
        for n, (key, value) in enumerate(rows if len(rows) <= _PARTS else []):
            if value not in (None, b"", b"x"):
                yield {**op, name: [*rows[:n], [key, b"x"], *rows[n + 1 :]]}


def _simpler_deeds(op: Op) -> Iterator[Op]:
    """A datatype's own operation with one row less in a list of rows."""
    for name, value in op.get("do", {}).items():
        if isinstance(value, list) and len(value) > 1 and isinstance(value[0], list):
            for n in range(min(len(value), _PARTS)):
                yield {**op, "do": {**op["do"], name: value[:n] + value[n + 1 :]}}


def _renamings(ops: list[Op]) -> Iterator[tuple[bytes, bytes]]:
    """Keys longer than a byte, each with a shorter one that is not in use."""
    used = sorted({key for op in ops for key in _keys(op)}, key=len, reverse=True)
    for key in used:
        for new in (key[:2], key[:1], b"a", b"b"):
            if len(new) < len(key) and new and new not in used:
                yield key, new


def _keys(op: Op) -> Iterator[bytes]:
    if op["op"].startswith("raw"):
        return
    for name in ("key", "begin", "end", "first", "last", "floor"):
        if op.get(name):
            yield op[name]
    yield from (key for key in op.get("keys") or () if key)
    for name in ("batch", "pairs", "expect"):
        yield from (row[0] for row in op.get(name) or () if row[0])


def _renamed(op: Op, old: bytes, new: bytes) -> Op:
    def swap(key: Any) -> Any:
        return new if key == old else key

    out: Op = {
        name: swap(value) if isinstance(value, bytes) and name != "value" else value for name, value in op.items()
    }
    if "keys" in out:
        out["keys"] = [swap(key) for key in out["keys"]]
    for name in ("batch", "pairs", "expect"):
        if out.get(name):
            out[name] = [[swap(key), value] for key, value in out[name]]
    return out
