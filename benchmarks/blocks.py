"""Image blocks on each engine, beside lz4 and the raw driver. CPU time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Final

import lz4.block
import numpy as np

import dvidkit
from benchmarks.engines import Size
from benchmarks.measuring import Figure, best, by_time
from benchmarks.rawdrivers import RAW, Raw
from benchmarks.volumes import Array, em_like

PART: Final = "blocks"
_SIDE: Final = 64
_ACROSS: Final = 3
_OFFSET: Final = (17, 23, 31)
_BOX: Final = 96
_AGAINST: Final = "lz4 and the raw driver"


def figures(engine: str, folder: str, size: Size, checks: Sequence[bool] = (False, True)) -> Iterator[Figure]:
    """Write and read of a 64-cubed block, and read of a box of 96 cubed that is not aligned."""
    volume = em_like(_SIDE * _ACROSS)
    for on in checks:
        path = os.path.join(folder, f"{engine}-blocks-{on}")
        raw = RAW[engine](path + "-raw")
        with dvidkit.open(path, engine, durability="buffered", integrity=on) as kernel:
            repo = kernel.repos.create("benchmark")
            repo.create_instance("uint8blk", "grey", BlockSize=f"{_SIDE},{_SIDE},{_SIDE}")
            grey = repo.root["grey"]
            grey.write((0, 0, 0), volume)
            _write_raw(raw, volume)
            yield from _measured(engine, grey, raw, volume, size.rounds, checks=on)
        raw.close()


def _measured(engine: str, grey: Any, raw: Raw, volume: Array, rounds: int, *, checks: bool) -> Iterator[Figure]:
    block = np.ascontiguousarray(volume[:_SIDE, :_SIDE, :_SIDE])
    shape = (_BOX,) * 3
    spent = best(
        {
            "ours write": lambda: grey.write((0, 0, 0), block),
            "base write": lambda: raw.write([(_key(0, 0, 0), _packed(block))]),
            "ours read": lambda: grey.read((0, 0, 0), block.shape),
            "base read": lambda: _block(raw, 0, 0, 0).copy(),
            "ours box": lambda: grey.read(_OFFSET, shape),
            "base box": lambda: _read_raw(raw),
        },
        3 * rounds,
    )
    names = {"write": "write of a 64^3 block", "read": "read of a 64^3 block", "box": "read of an unaligned 96^3 box"}
    for what, name in names.items():
        ours, base = spent[f"ours {what}"], spent[f"base {what}"]
        yield by_time(PART, name, ours, base, engine=engine, checks=checks, against=_AGAINST)


def _key(z: int, y: int, x: int) -> bytes:
    return b"block" + bytes((z, y, x))


def _packed(block: Array) -> bytes:
    packed: bytes = lz4.block.compress(np.ascontiguousarray(block), store_size=False)
    return packed


def _write_raw(raw: Raw, volume: Array) -> None:
    step = _SIDE
    for z, y, x in np.ndindex(_ACROSS, _ACROSS, _ACROSS):
        part = volume[z * step : (z + 1) * step, y * step : (y + 1) * step, x * step : (x + 1) * step]
        raw.write([(_key(z, y, x), _packed(part))])


def _block(raw: Raw, z: int, y: int, x: int) -> Array:
    stored = raw.get(_key(z, y, x))
    assert stored is not None
    plain = lz4.block.decompress(stored, uncompressed_size=_SIDE**3)
    return np.frombuffer(plain, np.uint8).reshape(_SIDE, _SIDE, _SIDE)


def _read_raw(raw: Raw) -> Array:
    """The box, by the plainest program that does it."""
    box = np.empty((_BOX,) * 3, np.uint8)
    spans = [_spans(begin) for begin in _OFFSET]
    for z, to_z, from_z in spans[0]:
        for y, to_y, from_y in spans[1]:
            for x, to_x, from_x in spans[2]:
                box[to_z, to_y, to_x] = _block(raw, z, y, x)[from_z, from_y, from_x]
    return box


def _spans(begin: int) -> list[tuple[int, slice, slice]]:
    spans = []
    for number in range(begin // _SIDE, -(-(begin + _BOX) // _SIDE)):
        first, last = max(begin, number * _SIDE), min(begin + _BOX, (number + 1) * _SIDE)
        spans.append((number, slice(first - begin, last - begin), slice(first - number * _SIDE, last - number * _SIDE)))
    return spans
