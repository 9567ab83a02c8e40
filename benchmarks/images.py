"""Image volumes on LMDB beside tensorstore's zarr with lz4, both in 64-cubed blocks on local files. Wall time."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast

import dvidkit
from benchmarks.measuring import Figure, bar_for, by_time, medians
from benchmarks.volumes import Array

PART: Final = "images"
BOX_BAR: Final = 1.2
SLICE_BAR: Final = 1.0
WRITE_BAR: Final = 0.8
_SIDE: Final = 64
_AGAINST: Final = "tensorstore zarr lz4"
Place = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often is measured.

    Attributes:
        boxes: reads of each kind, of which the median counts.
        writes: of the whole volume, likewise.
    """

    boxes: int = 101
    writes: int = 5


def figures(volume: Array, folder: str, repeats: Repeats, checks: Sequence[bool] = (False, True)) -> Iterator[Figure]:
    """Write of the whole, and reads of boxes and slices at random places, the same for both."""
    if find_spec("tensorstore") is None:
        print("images: tensorstore is not installed (pip install --group bench)")
        return
    for on in checks:
        yield _writes(volume, folder, repeats, checks=on)
        path = os.path.join(folder, f"volume-{on}")
        zarr = _new_zarr(path + "-zarr", volume)
        zarr.write(volume).result()
        with dvidkit.open(path, integrity=on) as kernel:
            grey = _new_images(kernel)
            grey.write((0, 0, 0), volume)
            _compare(zarr, grey, volume)
            yield from _reads(zarr, grey, volume.shape[0], repeats, checks=on)
        _drop(path)


def _new_zarr(path: str, volume: Array) -> Any:
    tensorstore = import_module("tensorstore")
    compressor = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 0}
    metadata = {"shape": list(volume.shape), "chunks": [_SIDE] * 3, "dtype": "|u1", "compressor": compressor}
    store = {"driver": "file", "path": path}
    opened = tensorstore.open({"driver": "zarr", "kvstore": store, "metadata": metadata, "create": True})
    return opened.result()


def _new_images(kernel: dvidkit.Kernel) -> Any:
    repo = kernel.repos.create("benchmark")
    repo.create_instance("uint8blk", "grey", BlockSize=f"{_SIDE},{_SIDE},{_SIDE}")
    return repo.root["grey"]


def _drop(path: str) -> None:
    shutil.rmtree(path)
    shutil.rmtree(path + "-zarr")


def _compare(zarr: Any, grey: Any, volume: Array) -> None:
    """Who is fast but wrong is not measured."""
    side = volume.shape[0]
    offset, shape = (1, 2, 3), (side - 1, side - 2, side - 3)
    ours, theirs = grey.read(offset, shape), _read_zarr(zarr, (offset, shape))
    if not ((ours == volume[1:, 2:, 3:]).all() and (ours == theirs).all()):
        raise SystemExit("the volumes do not read back as they were written")


def _read_zarr(zarr: Any, place: Place) -> Array:
    where = tuple(slice(begin, begin + side) for begin, side in zip(*place, strict=True))
    return cast(Array, zarr[where].read().result())


def _writes(volume: Array, folder: str, repeats: Repeats, *, checks: bool) -> Figure:
    """Each round makes a new volume; making it and dropping it are not timed."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(repeats.writes):
        path = os.path.join(folder, f"written-{number}")
        zarr = _new_zarr(path + "-zarr", volume)
        with dvidkit.open(path, integrity=checks) as kernel:
            grey = _new_images(kernel)
            for name, seconds in _write_both(zarr, grey, volume).items():
                spent[name].append(seconds)
        _drop(path)
    ours, theirs = (sorted(spent[name])[repeats.writes // 2] for name in ("ours", "theirs"))
    return _figure(f"write of {volume.shape[0]}^3", ours, theirs, WRITE_BAR, checks=checks)


def _write_both(zarr: Any, grey: Any, volume: Array) -> dict[str, float]:
    return medians(
        {"theirs": lambda _: zarr.write(volume).result(), "ours": lambda _: grey.write((0, 0, 0), volume)}, 1
    )


def _reads(zarr: Any, grey: Any, side: int, repeats: Repeats, *, checks: bool) -> Iterator[Figure]:
    for name, (bar, place) in _kinds(side).items():
        chosen = random.Random(3)
        places = [place(chosen) for _ in range(repeats.boxes)]
        spent = _read_both(zarr, grey, places)
        yield _figure(name, spent["ours"], spent["theirs"], bar, checks=checks)


def _read_both(zarr: Any, grey: Any, places: Sequence[Place]) -> dict[str, float]:
    return medians(
        {
            "theirs": lambda each: _read_zarr(zarr, places[each]),
            "ours": lambda each: grey.read(*places[each]),
        },
        len(places),
    )


def _kinds(side: int) -> dict[str, tuple[float, Callable[[random.Random], Place]]]:
    box = min(128, side // 2)
    cube = (box, box, box)
    blocks = (side - box) // _SIDE

    def aligned(chosen: random.Random) -> Place:
        z, y, x = (_SIDE * chosen.randint(0, blocks) for _ in range(3))
        return (z, y, x), cube

    def unaligned(chosen: random.Random) -> Place:
        z, y, x = (_SIDE * chosen.randint(0, blocks - 1) + chosen.randrange(1, _SIDE) for _ in range(3))
        return (z, y, x), cube

    return {
        f"read of {box}^3, aligned": (BOX_BAR, aligned),
        f"read of {box}^3, unaligned": (BOX_BAR, unaligned),
        "slice xy": (SLICE_BAR, lambda chosen: ((chosen.randrange(side), 0, 0), (1, side, side))),
        "slice xz": (SLICE_BAR, lambda chosen: ((0, chosen.randrange(side), 0), (side, 1, side))),
        "slice yz": (SLICE_BAR, lambda chosen: ((0, 0, chosen.randrange(side)), (side, side, 1))),
    }


def _figure(name: str, ours: float, theirs: float, bar: float, *, checks: bool) -> Figure:
    wanted = bar_for(bar, checks=checks)
    return by_time(PART, name, ours, theirs, engine="lmdb", checks=checks, bar=wanted, unit="ms", against=_AGAINST)


def disk_of(folder: str) -> str:
    """The file system that the volumes are on."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    real = os.path.realpath(folder)
    holding = [each for each in mounts if real == each[1] or real.startswith(each[1].rstrip("/") + "/")]
    return max(holding, key=lambda each: len(each[1]))[2] if holding else "unknown"
