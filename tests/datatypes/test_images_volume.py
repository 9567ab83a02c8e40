"""A volume of micrographs through a history of versions, on disk, voxel for voxel.

The volume is made here. Where the FIB-25 sample is found, the same is done with that.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from dvidkit_images.extents import Extents
from dvidkit_images.voxels import Array

import dvidkit
from dvidkit.errors import VersionConflict
from dvidkit.repo import Version

SIDE: Final = 40
"""Voxels of a box that is edited: more than a block's, and of nothing's size."""


def micrograph(side: int) -> Array:
    """Something like an electron micrograph: smooth cells, dark membranes, shot noise."""
    rng = np.random.default_rng(11)
    z, y, x = np.mgrid[:side, :side, :side] / np.float32(17)
    field: Any = sum(np.sin(a * z + b * y + c * x) for a, b, c in rng.normal(size=(7, 3)))
    tissue = np.where(np.abs(field) < 0.4, 60, 150 + 8 * field)
    noisy = np.clip(tissue + rng.normal(scale=9, size=field.shape), 0, 255)
    volume: Array = noisy.astype(np.uint8)
    return volume


@pytest.fixture(params=["made", "fib25"], scope="module")
def volume(request: Any) -> Array:
    """The volume."""
    if request.param == "made":
        return micrograph(150)
    with np.load(request.getfixturevalue("fib25") / "grayscale.npz") as data:
        found: Array = data["volume"]
    return found


class History:
    """Versions with the volume that each should hold."""

    def __init__(self) -> None:
        self.volumes: dict[str, Array] = {}
        self.extents: dict[str, Extents] = {}

    def edit(
        self, version: Version, base: Array, boxes: list[tuple[int, int, int]], offset: tuple[int, int, int]
    ) -> None:
        """Invert boxes at these places (within the volume), in the version and in what it should hold."""
        wanted = base.copy()
        for place in boxes:
            box = tuple(slice(begin, begin + SIDE) for begin in place)
            wanted[box] = 255 - wanted[box]
            where = [begin + first for begin, first in zip(place, offset, strict=True)]
            version["gray"].write(where, wanted[box])
        self.volumes[version.uuid] = wanted


@pytest.mark.parametrize("block", [64, 50])
def test_a_history_is_read_back_voxel_for_voxel(volume: Array, block: int, tmp_path: Path) -> None:
    """Import, commit, branch, edit unaligned boxes, merge what is disjoint, reopen: every version is as it was made."""
    path, offset, history, rng = str(tmp_path / "store"), (-33, 7, 1000), History(), random.Random(3)
    side = volume.shape[0]

    def place(low: int, high: int) -> tuple[int, int, int]:
        return rng.randrange(low, high - SIDE), rng.randrange(side - SIDE), rng.randrange(side - SIDE)

    with dvidkit.open(path, durability="buffered") as kernel:
        repo = kernel.repos.create("em")
        repo.create_instance("uint8blk", "gray", block_size=(block,) * 3)
        for begin in range(0, side, 70):
            repo.root["gray"].write((offset[0] + begin, *offset[1:]), volume[begin : begin + 70])
        history.volumes[repo.root.uuid] = volume
        repo.root.commit("imported")
        left, right = repo.root.new_version(), repo.root.make_branch("right")
        middle = -(-(side // 2 + offset[0]) // block) * block - offset[0]
        history.edit(left, volume, [place(0, middle) for _ in range(3)], offset)
        history.edit(right, volume, [place(middle, side) for _ in range(3)], offset)
        left.commit()
        right.commit()
        merged = repo.merge([left, right])
        both = np.where(history.volumes[left.uuid] != volume, history.volumes[left.uuid], history.volumes[right.uuid])
        history.edit(merged, both, [place(0, side)], offset)
        merged.commit()
        last = merged.new_version()
        history.edit(last, history.volumes[merged.uuid], [place(0, side)], offset)
        outside = left.make_branch("outside")
        outside["gray"].write((offset[0] - 100, 0, 0), volume[:3, :4, :5])
        history.volumes[outside.uuid] = history.volumes[left.uuid]
    corner = (offset[0] + side - 1, offset[1] + side - 1, offset[2] + side - 1)
    with dvidkit.open(path, create=False) as kernel:
        repo = next(iter(kernel.repos))
        assert len(history.volumes) == len(repo.versions) == 6
        for version in repo.versions:
            view, wanted = version["gray"], history.volumes[version.uuid]
            assert (view.read(offset, wanted.shape) == wanted).all()
            low = (offset[0] - 100, 0, 0) if version.branch == "outside" else offset
            assert view.extents() == Extents(low, corner)
            z, y, x = (rng.randrange(side) for _ in range(3))
            at = (offset[0] + z, offset[1] + y, offset[2] + x)
            assert (view.read_plane("xy", (at[0], *offset[1:]), (side, side)) == wanted[z]).all()
            assert (view.read_plane("xz", (offset[0], at[1], offset[2]), (side, side)) == wanted[:, y]).all()
            assert (view.read_plane("yz", (*offset[:2], at[2]), (side, side)) == wanted[:, :, x]).all()
            assert (view.read((at[0] - 9, at[1] - 9, at[2] - 9), (1, 1, 1)) == _around(wanted, z, y, x)).all()


def _around(volume: Array, z: int, y: int, x: int) -> Array:
    """The voxel nine before this one along each axis, background outside."""
    padded = np.pad(volume, ((9, 0), (9, 0), (9, 0)))
    return padded[z : z + 1, y : y + 1, x : x + 1]


def test_edits_that_meet_are_a_conflict_of_their_blocks(tmp_path: Path) -> None:
    """Only those; the rest of the merge is read, and writing the blocks decides."""
    volume = micrograph(96)
    with dvidkit.open(str(tmp_path / "store"), durability="buffered") as kernel:
        repo = kernel.repos.create("em")
        repo.create_instance("uint8blk", "gray", block_size=(32, 32, 32))
        repo.root["gray"].write((0, 0, 0), volume)
        repo.root.commit()
        left, right = repo.root.new_version(), repo.root.make_branch("right")
        left["gray"].write((20, 20, 20), volume[:SIDE, :SIDE, :SIDE])
        right["gray"].write((50, 50, 50), volume[:SIDE, :SIDE, :SIDE])
        left.commit()
        right.commit()
        merged = repo.merge([left, right])["gray"]
        with pytest.raises(VersionConflict, match=r"\(1, 1, 1\) in versions") as caught:
            merged.read((0, 0, 0), volume.shape)
        assert len(caught.value.conflicts) == 1
        wanted = volume.copy()
        wanted[20:60, 20:60, 20:60] = volume[:SIDE, :SIDE, :SIDE]
        wanted[50:90, 50:90, 50:90] = volume[:SIDE, :SIDE, :SIDE]
        wanted[32:64, 32:64, 32:64] = caught.value.result[32:64, 32:64, 32:64]
        assert (caught.value.result[32:64, 32:64, 32:64] == 0).all()
        assert (caught.value.result == wanted)[:32].all()
        wanted[32:64, 32:64, 32:64] = volume[32:64, 32:64, 32:64]
        merged.write((32, 32, 32), volume[32:64, 32:64, 32:64])
        found = merged.read((0, 0, 0), volume.shape)
        assert (found[32:64, 32:64, 32:64] == volume[32:64, 32:64, 32:64]).all()
