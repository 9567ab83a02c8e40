"""What a writer does until it is killed: operations of ``store`` programs, from a seed alone.

The writer and the one who judges it make the same operations of the same seed, so only their numbers are told.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from dvidkit_conformance.ops import Op
from dvidkit_conformance.storemodel import META

VERSIONS: Final = ((1, ()), (2, (1,)), (3, (1,)), (4, (2,)))
"""The DAG: a line and a branch."""

BUFFERED: Final = frozenset({"put", "delete", "batch", "put_range"})
"""What may be written without waiting for the disk: these carry ``durable`` if they are not to wait."""

_KEYS: Final = tuple(b"k%02d" % n for n in range(30))
_MANY: Final = tuple(b"r%03d" % n for n in range(120))
_SOME: Final = 40
_SIZES: Final = (0, 8, 8, 30, 30, 100, 100, 900, 900, 5000, 5000, 30_000)


def operations(workload: str, seed: int, cycle: int) -> Iterator[Op]:
    """The operations of one life of the writer, without end."""
    rng = random.Random(f"crash {workload} {seed} {cycle}")
    make = _unwaited if workload == "buffered" and cycle % 2 else _WORKLOADS[workload]
    while True:
        yield make(rng)


def _mixed(rng: random.Random) -> Op:
    """Everything that is one batch."""
    kind = rng.choices(("put", "delete", "batch", "put_range", "delete_range", "compact"), (36, 20, 24, 10, 8, 2))[0]
    if kind == "compact":
        return {"op": kind}
    op: Op = {"op": kind, **_place(rng)}
    if kind in ("put", "delete"):
        op["key"] = rng.choice(_KEYS)
        if kind == "put":
            op["value"] = _value(rng)
    elif kind == "delete_range":
        op["first"], op["last"] = sorted(rng.choices(_KEYS, k=2))
    else:
        op["pairs"] = _pairs(rng, rng.choice((1, 2, 5, 30)), deletes=kind == "batch")
    return op


def _power(rng: random.Random) -> Op:
    """The same, half of it buffered."""
    op = _mixed(rng)
    return {**op, "durable": False} if op["op"] in BUFFERED and rng.random() < 0.5 else op


def _unwaited(rng: random.Random) -> Op:
    """What may be buffered, and all of it is: no durable write comes after it and takes it to the disk."""
    op = _mixed(rng)
    while op["op"] not in BUFFERED:
        op = _mixed(rng)
    return {**op, "durable": False}


def _batches(rng: random.Random) -> Op:
    """Large batches, each of which changes every key of a place: a torn one cannot be mistaken for a whole one."""
    place = rng.choice(({"i": 1, "v": 2}, {"i": 2, "v": 1}, {"i": 3, "v": None}))
    name = b"%08x" % rng.getrandbits(32)
    gone = rng.random() < 0.2
    size = rng.choice((1, 10, 200))
    return {"op": "batch", **place, "pairs": [[key, None if gone else name * size] for key in _KEYS]}


def _deletions(rng: random.Random) -> Op:
    """Ranges put and deleted; with small limits a deletion takes several batches."""
    place = rng.choice(({"i": 1, "v": 2}, {"i": 1, "v": 1}, {"i": 3, "v": None}))
    kind = rng.choices(("put_range", "delete_range", "delete_all", "put"), (40, 40, 12, 8))[0]
    if kind == "put":
        return {"op": "put", "i": 2, "v": 1, "key": rng.choice(_KEYS), "value": _value(rng)}
    if kind == "delete_all":
        return {"op": kind, "i": place["i"]}
    if kind == "delete_range":
        first, last = sorted(rng.choices((_MANY[0], _MANY[30], _MANY[90], _MANY[-1]), k=2))
        return {"op": kind, **place, "first": first, "last": last}
    start = rng.randrange(0, len(_MANY), _SOME)
    some = _MANY[start : start + _SOME]
    return {"op": kind, **place, "pairs": [[key, b"v%d" % rng.randrange(9)] for key in some]}


def _place(rng: random.Random) -> Mapping[str, Any]:
    i = rng.choices((1, 2, 3, META), (5, 3, 2, 1))[0]
    return {"i": i, "v": rng.choice((1, 2, 3, 4)) if i in (1, 2) else None}


def _pairs(rng: random.Random, count: int, *, deletes: bool) -> list[list[Any]]:
    keys = rng.choices(_KEYS, k=count)
    return [[key, None if deletes and rng.random() < 0.3 else _value(rng)] for key in keys]


def _value(rng: random.Random) -> bytes:
    return (b"%08x" % rng.getrandbits(32)) * (rng.choice(_SIZES) // 8)


_WORKLOADS: Final[Mapping[str, Callable[[random.Random], Op]]] = {
    "mixed": _mixed,
    "buffered": _power,
    "power": _power,
    "batches": _batches,
    "deletions": _deletions,
}
