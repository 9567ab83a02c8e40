"""Boxes that are one whole block, which are sent from where the store has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.imagery import noise
from dvidkit_images.keys import block_tkey

from dvidkit.errors import CorruptData, VersionConflict
from dvidkit.repo import Repo

TYPES = ("uint8blk", "uint16blk", "uint64blk", "float32blk", "rgba8blk")
BLOCK = "raw/0_1_2/4_3_2"


@pytest.mark.parametrize("typename", TYPES)
@pytest.mark.parametrize("compression", ["none", "lz4", "gzip", "snappy"])
@pytest.mark.parametrize("high", [2, 200])
def test_a_block_is_what_the_box_is(repo: Repo, typename: str, compression: str, high: int) -> None:
    """Whether or not it could be made smaller; one voxel further along no longer begins between blocks."""
    repo.create_instance(typename, "x", BlockSize="4,3,2", Compression=compression)
    view = repo.root["x"]
    shape = (6, 9, 12, 4) if typename == "rgba8blk" else (6, 9, 12)
    voxels = np.random.default_rng(high).integers(0, high, shape).astype(view.voxel.dtype)
    view.write((-2, 3, -4), voxels)
    for x, y, z in ((-4, 3, -2), (4, 9, 2), (-3, 3, -2), (-4, 4, -2), (-4, 3, -1), (8, 3, 0), (400, 3, 0)):
        wanted = view.read((z, y, x), (2, 3, 4)).tobytes()
        assert body_of(call(view, "GET", f"{BLOCK}/{x}_{y}_{z}")) == wanted
        assert body_of(call(view, "GET", f"{BLOCK}/{x}_{y}_{z}?throttle=on")) == wanted


def test_a_block_in_conflict_is_named(repo: Repo) -> None:
    """As for every other box, with the voxels that are not in conflict beside it."""
    repo.root.commit()
    sides = [repo.root.new_version(), repo.root.make_branch("side")]
    for number, side in enumerate(sides):
        side["gray"].write((0, 0, 0), noise(2, 3, 4, seed=number))
        side.commit()
    view = repo.merge(sides)["gray"]
    with pytest.raises(VersionConflict, match=r"\(0, 0, 0\)") as conflict:
        call(view, "GET", f"{BLOCK}/0_0_0")
    assert len(conflict.value.conflicts) == 1
    assert (conflict.value.result == 9).all()
    assert body_of(call(view, "GET", f"{BLOCK}/4_0_0")) == bytes([9]) * 24


def test_a_damaged_block_is_named(repo: Repo) -> None:
    """What is stored is no block."""
    view: Any = repo.root["gray"]
    view.write((0, 0, 0), noise(2, 3, 4))
    store = repo.repos.kernel.stores["default"]
    store.put(view.ctx, block_tkey((0, 0, 0)), b"\x30nothing")
    with pytest.raises(CorruptData, match=r"block \(0, 0, 0\)"):
        call(view, "GET", f"{BLOCK}/0_0_0")
