"""Extents and other metadata of image instances."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.imagery import dump, noise
from dvidkit_images.extents import Extents
from dvidkit_images.keys import EXTENTS

from dvidkit.errors import (
    BadConfig,
    BadType,
    OutOfBounds,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo

INT32 = 1 << 31


def test_extents_only_grow(gray: Any) -> None:
    """Around every voxel written, both corners included; a write inside them changes nothing."""
    assert gray.extents() is None
    gray.write((0, 0, 0), noise(1, 1, 1))
    assert gray.extents() == Extents((0, 0, 0), (0, 0, 0))
    gray.write((5, -7, 2), noise(2, 3, 4))
    assert gray.extents() == Extents((0, -7, 0), (6, 0, 5))
    gray.write((1, -1, 1), noise(1, 1, 1))
    gray.write((100, 100, 100), noise(0, 5, 5))
    assert gray.extents() == Extents((0, -7, 0), (6, 0, 5))


def test_a_write_inside_the_extents_does_not_write_them(kernel: Kernel, gray: Any) -> None:
    """Nor wait for those who grow them."""
    gray.write((0, 0, 0), noise(9, 9, 9))
    gray.node.commit()
    child = gray.node.new_version()["gray"]
    child.write((1, 1, 1), noise(3, 3, 3))
    assert EXTENTS.key() + child.node.id.to_bytes(4, "big") not in dump(kernel)
    child.write((8, 8, 8), noise(3, 3, 3))
    assert EXTENTS.key() + child.node.id.to_bytes(4, "big") in dump(kernel)


def test_extents_are_those_of_the_version(repo: Repo) -> None:
    """A child has its parent's and its own; a sibling's are not seen; a merge has those of both."""
    root = repo.root
    root["gray"].write((0, 0, 0), noise(1, 1, 1))
    root.commit()
    left, right = root.new_version(), root.make_branch("right")
    left["gray"].write((-9, 0, 0), noise(1, 1, 1))
    right["gray"].write((0, 0, 9), noise(1, 1, 1))
    assert left["gray"].extents() == Extents((-9, 0, 0), (0, 0, 0))
    assert right["gray"].extents() == Extents((0, 0, 0), (0, 0, 9))
    assert root["gray"].extents() == Extents((0, 0, 0), (0, 0, 0))
    left.commit()
    right.commit()
    merged = repo.merge([left, right])
    both = Extents((-9, 0, 0), (0, 0, 9))
    assert merged["gray"].extents() == both
    assert merged["gray"].extended()["MinPoint"] == [0, 0, -9]
    merged["gray"].write((-1, 0, 0), noise(1, 1, 1))
    assert merged["gray"].extents() == both
    merged.commit()
    below = merged.new_version()["gray"]
    below.write((20, 0, 0), noise(1, 1, 1))
    assert below.extents() == Extents((-9, 0, 0), (20, 0, 9))


def test_extents_can_be_set_and_grow_on(gray: Any) -> None:
    """Set to anything that is a box; a committed version refuses it."""
    gray.write((0, 0, 0), noise(9, 9, 9))
    gray.set_extents((1, 2, 3), (4, 5, 6))
    assert gray.extents() == Extents((1, 2, 3), (4, 5, 6))
    gray.write((0, 3, 4), noise(1, 1, 1))
    assert gray.extents() == Extents((0, 2, 3), (4, 5, 6))
    for low, high, error in (
        ((0, 0, 1), (0, 0, 0), OutOfBounds),
        ((0, 0, 0), (0, 0, INT32), OutOfBounds),
        ((0, 0), (0, 0, 0), BadType),
        ((0, 0, 0.5), (1, 1, 1), BadType),
    ):
        with pytest.raises(error):
            gray.set_extents(low, high)
    gray.node.commit()
    with pytest.raises(VersionLocked):
        gray.set_extents((0, 0, 0), (1, 1, 1))


def test_first_extents_come_from_the_settings(repo: Repo) -> None:
    """``MinPoint`` and ``MaxPoint`` hold until something is written, and then are grown."""
    repo.create_instance("uint8blk", "x", MinPoint="1,2,3", MaxPoint="10,20,30")
    view = repo.root["x"]
    assert view.extents() == Extents((3, 2, 1), (30, 20, 10))
    view.write((0, 5, 5), noise(1, 1, 1))
    assert view.extents() == Extents((0, 2, 1), (30, 20, 10))


def test_threads_lose_no_growth_and_no_voxel(gray: Any) -> None:
    """Writers of neighbouring voxels, in the same blocks, at the same time: all voxels and the whole box are there."""
    places = [(z, y, x) for z in range(-3, 3) for y in range(-2, 2) for x in range(-4, 4)]

    def write(part: list[Any]) -> None:
        for z, y, x in part:
            gray.write((z, y, x), np.full((1, 1, 1), 100 + z + y + x, np.uint8))

    random.Random(1).shuffle(places)
    threads = [threading.Thread(target=write, args=(places[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gray.extents() == Extents((-3, -2, -4), (2, 1, 3))
    z, y, x = np.mgrid[-3:3, -2:2, -4:4]
    assert (gray.read((-3, -2, -4), (6, 4, 8)) == 100 + z + y + x).all()


def test_extended_is_dvids(repo: Repo) -> None:
    """Names, order x, y, z, and nulls as DVID has them."""
    repo.create_instance(
        "rgba8blk", "rgba", BlockSize="8,4,2", VoxelSize="3.5,4,40", VoxelUnits="nm, nm,um", Background="7"
    )
    view = repo.root["rgba"]
    assert view.extended() == {
        "Values": [{"DataType": "uint8", "Label": label} for label in ("red", "green", "blue", "alpha")],
        "Interpolable": True,
        "BlockSize": [8, 4, 2],
        "VoxelSize": [3.5, 4.0, 40.0],
        "VoxelUnits": ["nm", "nm", "um"],
        "MinPoint": None,
        "MaxPoint": None,
        "MinIndex": None,
        "MaxIndex": None,
        "Background": 7,
        "GridStore": "",
        "ScaleLevel": 0,
    }
    view.write((-1, 0, 9), np.zeros((2, 5, 3, 4), np.uint8))
    shown = view.extended()
    assert [shown[name] for name in ("MinPoint", "MaxPoint", "MinIndex", "MaxIndex")] == [
        [9, 0, -1],
        [11, 4, 0],
        [1, 0, -1],
        [1, 1, 0],
    ]
    repo.create_instance("uint8blk", "plain")
    assert repo.root["plain"].extended()["BlockSize"] == [32, 32, 32]
    assert repo.root["plain"].extended()["VoxelSize"] == [8.0, 8.0, 8.0]


def test_resolution_can_be_set(gray: Any) -> None:
    """For all versions; sizes that cannot be are refused and change nothing."""
    gray.set_resolution((4, 4, 40.5))
    assert gray.extended()["VoxelSize"] == [4.0, 4.0, 40.5]
    for bad in ((0, 1, 1), (1, 1), (1, 1, float("inf")), "8,8", (1, 1, None)):
        with pytest.raises((BadConfig, TypeError)):
            gray.set_resolution(bad)
    assert gray.instance.at(gray.node).extended()["VoxelSize"] == [4.0, 4.0, 40.5]
