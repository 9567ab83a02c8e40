"""What random programs are made of: few keys and values, chosen to hurt; shapes of version DAGs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

KEYS: Final = (
    b"a",
    b"b",
    b"ab",
    b"a\x00",
    b"a\xff",
    b"\x00",
    b"\x00\x00",
    b"\xff",
    b"\xff\xff",
    b"\x7f",
    b"\x80",
    b"\x03",
    b"O",
    b"aO",
    b"a\x03",
    b"k" * 127,
    b"k" * 128,
    b"k" * 254,
    b"k" * 255,
    b"k" * 256,
)
"""Byte keys: prefixes of one another, the ends of the byte range, marks, lengths at borders."""

VALUES: Final = (b"", b"x", b"O", b"\x03", b"\x00\x00", b"y" * 40, b"z" * 300, b"w" * 5000)

TKEY_POOLS: Final[Sequence[Sequence[bytes]]] = (
    (b"a0", b"a1", b"b0", b"b1"),
    (b"\x00\x00", b"\x00\xff", b"\xff\x00", b"\xff\xff"),
    (b"k\x03", b"kO", b"k\x00", b"k\xff"),
    (b"\x7f", b"\x80", b"\x81", b"\xff"),
    (b"a\x00", b"aa\x00", b"aaa\x00", b"b\x00"),
    (b"t" * 200 + b"\x00", b"t" * 200 + b"\x01", b"t" * 199 + b"\xff\xff", b"u"),
    (b"a", b"ab", b"b", b"bc\x00"),
)
"""TKeys; all but the last pool are prefix-free. The last breaks the contract and must be refused."""

TKEY_VALUES: Final = (b"", b"O", b"\x03", b"x")

SHAPES: Final[Mapping[str, Sequence[Sequence[int]]]] = {
    "line": ((), (0,), (1,), (2,)),
    "branch": ((), (0,), (0,), (1,), (2,)),
    "diamond": ((), (0,), (0,), (1, 2)),
    "diamond reversed": ((), (0,), (0,), (2, 1), (3,)),
    "long diamond": ((), (0,), (1,), (0,), (2, 3), (4,)),
    "criss-cross": ((), (0,), (0,), (1, 2), (2, 1), (3, 4)),
    "three-way": ((), (0,), (0,), (0,), (1, 2, 3), (4,)),
    "nested": ((), (0,), (0,), (1, 2), (0,), (3, 4)),
    "ladder": ((), (0,), (0,), (1, 2), (2,), (3, 4), (5,)),
    "two roots": ((), (), (0,), (1,), (2, 3)),
}
"""Parents of each version by index, parents first."""

_IDS: Final[tuple[int, ...]] = (
    0,
    1,
    2,
    3,
    7,
    254,
    255,
    256,
    257,
    65535,
    65536,
    (1 << 31) - 1,
    1 << 31,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
INSTANCES: Final = (1, 2, 255, 256, 65537, 0x01000000, 0xFFFFFFFE)


def some_keys(rng: random.Random, longest: int) -> list[bytes]:
    """A handful of byte keys: some from the list, with a prefix, an extension or a neighbour of one of them."""
    pool = [key for key in KEYS if len(key) <= longest]
    keys = rng.sample(pool, 5)
    near = keys[0]
    keys += [near[:-1] or b"\x01", (near + rng.choice((b"\x00", b"\xff", b"a")))[:longest]]
    return list(dict.fromkeys(keys))


def version_ids(rng: random.Random, count: int) -> list[int]:
    """Version ids for a DAG: in order of descent, near one another or at borders, or in no order at all."""
    style = rng.randrange(4)
    if style == 0:
        return list(range(1, count + 1))
    ids: list[int] = rng.sample(_IDS, count) if style < 3 else rng.sample(range(1, 40), count)
    return sorted(ids) if style == 1 else ids
