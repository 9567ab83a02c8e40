"""What the threads do: few keys, every value written once, so that what a read answers names its writer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

from dvidkit_conformance.ops import Op

KEYS: Final = (b"k0", b"k1", b"k2")
_POINTS: Final = ("put", "put", "put", "delete", "get", "get", "get", "exists", "cas", "cas")
_WHOLE: Final = ("batch", "batch", "batch", "range", "range", "many", "keys", "get", "put")


class Author:
    """Writes the operations of one thread.

    Args:
        rng: of every choice.
        thread: its number, part of every value it writes.
        keys: what it works on.
        whole: batches and reads of several keys, rather than operations on one.
    """

    def __init__(self, rng: random.Random, thread: int, keys: Sequence[bytes] = KEYS, *, whole: bool = False) -> None:
        self._rng = rng
        self._thread = thread
        self._keys = keys
        self._names = _WHOLE if whole else _POINTS
        self._count = 0
        self._seen: dict[bytes, list[bytes | None]] = {key: [None] for key in keys}

    def next(self) -> Op:
        """The next operation."""
        name, key = self._rng.choice(self._names), self._rng.choice(self._keys)
        if name == "put":
            return {"op": name, "key": key, "value": self._value(key)}
        if name == "cas":
            old = self._rng.choice(self._seen[key][-3:])
            return {"op": name, "key": key, "old": old, "new": self._value(key)}
        if name == "batch":
            return {"op": name, "pairs": self._pairs()}
        if name == "many":
            return {"op": name, "keys": list(self._keys), "snapshot": self._rng.random() < 0.5}
        if name in ("range", "keys"):
            return {"op": name, "first": self._keys[0], "last": self._keys[-1], "reverse": self._rng.random() < 0.3}
        return {"op": name, "key": key}

    def saw(self, op: Op, answer: Any) -> None:
        """What a read answered: a later ``cas`` may expect it."""
        if op["op"] == "get" and not isinstance(answer, dict):
            self._seen[op["key"]].append(answer)

    def _value(self, key: bytes) -> bytes:
        self._count += 1
        value = b"%d.%d" % (self._thread, self._count)
        self._seen[key].append(value)
        return value

    def _pairs(self) -> list[list[bytes | None]]:
        """The same value, or none, for every key; sometimes for all but one."""
        self._count += 1
        value = b"%d.%d" % (self._thread, self._count)
        deletes = self._rng.random() < 0.15
        keys = list(self._keys)
        if self._rng.random() < 0.2:
            keys.remove(self._rng.choice(keys))
        return [[key, None if deletes else value] for key in keys]


def scheduled(seed: int, *, whole: bool) -> list[Op]:
    """Operations of two or three threads, each marked with its thread; of some programs only one thread writes."""
    rng = random.Random(seed)
    keys = KEYS[: rng.choice((2, 3) if whole else (1, 2))]
    if not whole and seed % 3 == 0:
        return _one_writer(rng, keys[0])
    ops: list[Op] = []
    for thread in range(rng.choice((2, 3))):
        author = Author(rng, thread, keys, whole=whole)
        ops += [{**author.next(), "thread": thread} for _ in range(rng.randint(2, 4))]
    return ops


def _one_writer(rng: random.Random, key: bytes) -> list[Op]:
    """What two readers see of one key must never go back."""
    ops: list[Op] = [{"op": "put", "key": key, "value": b"0.%d" % n, "thread": 0} for n in range(rng.randint(2, 3))]
    return ops + [{"op": "get", "key": key, "thread": thread} for thread in (1, 2) for _ in range(rng.randint(3, 4))]


def around(seed: int) -> list[Op]:
    """One thread writes and deletes a range; two others write and read, each one key beside it."""
    rng = random.Random(f"around {seed}")
    inside = [b"p0", b"p1"]
    span: Op = {"op": "delete_range", "first": inside[0], "last": inside[-1], "among": inside}
    ops: list[Op] = []
    for n in range(rng.randint(1, 2)):
        ops += [{"op": "batch", "pairs": [[key, b"%d" % n] for key in inside], "thread": 0}, {**span, "thread": 0}]
    for thread, key in ((1, b"o"), (2, b"q")):
        for n in range(rng.randint(2, 3)):
            ops.append({"op": "put", "key": key, "value": b"%d.%d" % (thread, n), "thread": thread})
            ops.append({"op": "get", "key": key, "thread": thread})
    return ops


def seeds(seed: int, count: int) -> Iterator[int]:
    """A seed for each of ``count`` programs."""
    yield from (seed * 1_000_003 + n for n in range(count))
