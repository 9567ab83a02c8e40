"""Random and exhaustive programs, made from a seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from dvidkit_conformance.material import INSTANCES, SHAPES, TKEY_POOLS, TKEY_VALUES, VALUES, some_keys, version_ids
from dvidkit_conformance.ops import Op, Program


# --- byte programs ---------------------------------------------------------------------------------------------------
def byte_program(seed: int, *, steps: int = 14, longest: int = 256, persistent: bool = True) -> Program:
    """A program of byte operations with everything observed after every change."""
    rng = random.Random(f"bytes {seed}")
    keys = some_keys(rng, longest)
    ops: list[Op] = []
    for _ in range(steps):
        ops.append(byte_step(rng, keys, persistent=persistent))
        ops += byte_observation(rng, keys)
    return Program("bytes", tuple(ops))


def byte_step(rng: random.Random, keys: Sequence[bytes], *, persistent: bool = True) -> Op:
    """One change, or the making of a view."""
    kind = rng.choices(
        ("write", "expect", "delete_range", "snapshot", "iter_open", "snap_close", "reopen", "compact"),
        (50, 14, 5, 9, 9, 3, 7 if persistent else 0, 1),
    )[0]
    if kind in ("write", "expect"):
        return _write(rng, keys, expecting=kind == "expect")
    if kind == "delete_range":
        begin, end = _bounds(rng, keys)
        return {"op": "delete_range", "begin": begin, "end": end}
    if kind == "iter_open":
        begin, end = _bounds(rng, keys)
        return {
            "op": "iter_open",
            "it": rng.choice("ij"),
            "begin": min(begin, end),
            "end": max(begin, end),
            **_how(rng),
        }
    if kind in ("snapshot", "snap_close"):
        return {"op": kind, "to": rng.choice("st")}
    return {"op": kind}


def _write(rng: random.Random, keys: Sequence[bytes], *, expecting: bool) -> Op:
    batch = [[rng.choice(keys), rng.choice(VALUES) if rng.random() < 0.65 else None] for _ in range(rng.randint(1, 4))]
    op: Op = {"op": "write", "batch": batch}
    if rng.random() < 0.2:
        op["durable"] = True
    if expecting:
        wanted = {rng.choice(keys): rng.choice((None, None, b"", b"x", b"O")) for _ in range(rng.randint(1, 2))}
        op["expect"] = [list(pair) for pair in wanted.items()]
    return op


def byte_observation(rng: random.Random, keys: Sequence[bytes]) -> list[Op]:
    """Everything, and a few reads of every other kind."""
    everything = {"begin": b"", "end": b"\xff" * 300}
    begin, end = _bounds(rng, keys)
    ops: list[Op] = [{"op": "scan", **everything}]
    ops += [{"op": "get", "key": key} for key in keys]
    ops += [
        {"op": "scan", **everything, "reverse": True},
        {"op": "scan", **everything, "keys_only": True},
        {"op": "scan", "begin": begin, "end": end, **_how(rng)},
        {"op": "get_many", "keys": rng.choices(keys, k=4)},
        {"op": "seek_last_before", "end": end, "floor": begin},
        {"op": "seek_last_before", "end": begin, "floor": b"", "keys_only": True},
        {"op": "seek_first_from", "begin": begin, "end": end},
        {"op": "scan_pages", "begin": begin, "end": end, **_how(rng)},
        {"op": "iter_next", "it": rng.choice("ij"), "n": rng.randint(1, 3)},
    ]
    for name in "st":
        ops.append({"op": "scan", **everything, **_how(rng), "on": name})
        ops.append({"op": "get", "key": rng.choice(keys), "on": name})
    return ops


def _bounds(rng: random.Random, keys: Sequence[bytes]) -> tuple[bytes, bytes]:
    def bound() -> bytes:
        key = rng.choice(keys)
        return rng.choice((key, key, key + b"\x00", key[:-1], key + b"\xff"))

    begin, end = bound(), bound()
    return (begin, end) if begin <= end or rng.random() < 0.15 else (end, begin)


def _how(rng: random.Random) -> Op:
    return {name: True for name in ("reverse", "keys_only") if rng.random() < 0.4}


# --- store programs --------------------------------------------------------------------------------------------------
def store_program(seed: int, *, steps: int = 9, persistent: bool = True, longest: int = 400) -> Program:
    """A program over a DAG of one of the shapes, observed after every change."""
    rng = random.Random(f"store {seed}")
    parents = SHAPES[rng.choice(sorted(SHAPES))]
    ids = version_ids(rng, len(parents))
    pool = rng.choices(TKEY_POOLS, (4, 3, 3, 3, 3, 1, 1))[0]
    keys = [key for key in pool if len(key) <= longest]
    i = rng.choice(INSTANCES)
    nodes: list[Op] = [
        {"op": "version", "v": ids[n], "parents": [ids[p] for p in each]} for n, each in enumerate(parents)
    ]
    late = rng.randint(0, 2) if rng.random() < 0.3 else 0
    ops = nodes[: len(nodes) - late]
    known = [op["v"] for op in ops]
    for step in range(steps):
        if late and step >= steps // 2:
            ops.append(nodes[len(nodes) - late])
            known.append(ops[-1]["v"])
            late -= 1
        ops.append(store_step(rng, i, known, keys, persistent=persistent))
        ops.append({"op": "observe", "i": i, "keys": list(keys), "light": _light(rng, step, steps)})
    return Program("store", tuple(ops), {"integrity": rng.random() < 0.8})


def _light(rng: random.Random, step: int, steps: int) -> int:
    """Whether an observation is a light one, as most are but the last; and which turn it begins with."""
    return 1 + step % 2 if step < steps - 1 and rng.random() < 0.7 else 0


def store_step(rng: random.Random, i: int, versions: Sequence[int], keys: Sequence[bytes], *, persistent: bool) -> Op:
    """One change at one version."""
    kind = rng.choices(
        ("put", "delete", "batch", "put_range", "delete_range", "reopen", "delete_all"),
        (40, 26, 14, 6, 9, 4 if persistent else 0, 1),
    )[0]
    if kind == "reopen":
        return {"op": "reopen"}
    op: Op = {"op": kind, "i": i}
    if kind == "delete_all":
        return op
    op["v"] = rng.choice(versions)
    if kind in ("put", "delete"):
        op["key"] = rng.choice(keys)
        if kind == "put":
            op["value"] = _value(rng)
    elif kind == "delete_range":
        first, last = rng.choice(keys), rng.choice(keys)
        op["first"], op["last"] = (first, last) if first <= last or rng.random() < 0.2 else (last, first)
    else:
        op["pairs"] = [[rng.choice(keys), _value(rng)] for _ in range(rng.randint(1, 4))]
        if kind == "batch":
            op["pairs"] = [[key, value if rng.random() < 0.6 else None] for key, value in op["pairs"]]
    return op


def _value(rng: random.Random) -> bytes:
    return rng.choice(TKEY_VALUES) if rng.random() < 0.4 else b"%d" % rng.randrange(1000)


def small_programs(
    parents: Sequence[Sequence[int]], keys: Sequence[bytes], *, changes: int, ids: Sequence[int], i: int = 1
) -> Iterator[Program]:
    """Every program of at most so many puts and deletes of these TKeys at the versions of this DAG."""
    nodes: list[Op] = [
        {"op": "version", "v": ids[n], "parents": [ids[p] for p in each]} for n, each in enumerate(parents)
    ]
    choices: list[tuple[int, bytes, bool]] = list(product(ids, keys, (True, False)))
    observe: Op = {"op": "observe", "i": i, "keys": list(keys)}
    for length in range(1, changes + 1):
        for picks in product(choices, repeat=length):
            steps = [_small(i, v, key, n, put=put) for n, (v, key, put) in enumerate(picks)]
            yield Program("store", (*nodes, *steps, observe))


def _small(i: int, v: int, key: bytes, n: int, *, put: bool) -> Op:
    op: dict[str, Any] = {"op": "put" if put else "delete", "i": i, "v": v, "key": key}
    if put:
        op["value"] = b"%d" % n
    return op


def relabelled(program: Program, ids: Sequence[int]) -> Program:
    """The same program with other version ids, given in order of first use."""
    names: dict[int, int] = {}
    for op in program.ops:
        if op["op"] == "version":
            names[op["v"]] = ids[len(names)]

    def rename(op: Op) -> Op:
        op = dict(op)
        if op.get("v") is not None:
            op["v"] = names[op["v"]]
        if "parents" in op:
            op["parents"] = [names[parent] for parent in op["parents"]]
        return op

    return program.with_ops([rename(op) for op in program.ops])
