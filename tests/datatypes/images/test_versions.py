"""Voxels in versions: branches, merges, unversioned instances."""

from __future__ import annotations

import numpy as np
import pytest
from dvidkit_conformance.imagery import dump, noise
from dvidkit_images.extents import Extents
from dvidkit_images.keys import block_zyx

from dvidkit.errors import (
    VersionConflict,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo, Version


def test_a_child_reads_its_parents_blocks_elsewhere(repo: Repo) -> None:
    """Partly written in a child, a volume is the parent's where the child wrote nothing, and whole blocks elsewhere."""
    volume = noise(8, 9, 10)
    repo.root["gray"].write((0, 0, 0), volume)
    repo.root.commit()
    child = repo.root.new_version()
    child["gray"].write((3, 4, 5), noise(2, 2, 2, seed=1))
    wanted = volume.copy()
    wanted[3:5, 4:6, 5:7] = noise(2, 2, 2, seed=1)
    assert (child["gray"].read((0, 0, 0), volume.shape) == wanted).all()
    assert (repo.root["gray"].read((0, 0, 0), volume.shape) == volume).all()


def test_a_committed_version_refuses_writes(kernel: Kernel, repo: Repo) -> None:
    """Also empty ones; nothing is written, and reading goes on."""
    gray = repo.root["gray"]
    gray.write((0, 0, 0), noise(2, 3, 4))
    repo.root.commit()
    before = dump(kernel)
    for act in (
        lambda: gray.write((0, 0, 0), noise(1, 1, 1)),
        lambda: gray.write((0, 0, 0), noise(0, 1, 1)),
        lambda: gray.write_blocks((0, 0, 0), noise(1, 2, 3, 4)),
    ):
        with pytest.raises(VersionLocked):
            act()
    assert dump(kernel) == before
    assert (gray.read((0, 0, 0), (2, 3, 4)) == noise(2, 3, 4)).all()


def conflicted(repo: Repo) -> Version:
    """A merge whose sides each wrote block (0, 0, 0), and blocks of their own."""
    repo.root["gray"].write((0, 0, 0), noise(4, 3, 8))
    repo.root.commit()
    left, right = repo.root.new_version(), repo.root.make_branch("right")
    left["gray"].write((0, 0, 0), np.full((1, 1, 5), 1, np.uint8))
    right["gray"].write((0, 0, 1), np.full((3, 1, 1), 2, np.uint8))
    left.commit()
    right.commit()
    return repo.merge([left, right])


def test_blocks_in_conflict_are_named_and_others_read(repo: Repo) -> None:
    """What touches them raises, with the rest as its result; what does not is read; a whole block written decides."""
    gray = conflicted(repo)["gray"]
    wanted = noise(4, 3, 8)
    wanted[0, 0, 4] = 1
    wanted[2, 0, 1] = 2
    with pytest.raises(VersionConflict, match=r"\(0, 0, 0\)") as caught:
        gray.read((0, 0, 0), (4, 3, 8))
    assert [block_zyx(conflict.tkey) for conflict in caught.value.conflicts] == [(0, 0, 0)]
    hidden = wanted.copy()
    hidden[:2, :, :4] = 0
    assert (caught.value.result == hidden).all()
    assert (gray.read((2, 0, 0), (2, 3, 8)) == wanted[2:]).all()
    assert (gray.read((0, 0, 4), (4, 3, 4)) == wanted[:, :, 4:]).all()
    with pytest.raises(VersionConflict) as caught:
        gray.read_plane("xy", (0, 0, 0), (3, 8))
    assert caught.value.result.shape == (3, 8)
    for act in (
        lambda: gray.write((0, 0, 0), noise(1, 1, 1)),
        lambda: list(gray.stored_blocks((0, 0, 0), (2, 3, 8))),
        lambda: list(gray.specific_blocks([(0, 0, 0)])),
        lambda: gray.read_blocks((0, 0, 0), 2),
    ):
        with pytest.raises(VersionConflict):
            act()
    gray.write((2, 0, 0), noise(1, 1, 1))
    gray.write((0, 0, 0), noise(2, 3, 4, seed=5))
    wanted[:2, :, :4] = noise(2, 3, 4, seed=5)
    wanted[2, 0, 0] = noise(1, 1, 1)[0, 0, 0]
    assert (gray.read((0, 0, 0), (4, 3, 8)) == wanted).all()


def test_unversioned_instances_have_one_state(repo: Repo) -> None:
    """Seen and written from every version."""
    repo.create_instance("uint8blk", "flat", versioned=False, block_size=(4, 3, 2))
    repo.root["flat"].write((1, 1, 1), noise(5, 5, 5))
    repo.root.commit()
    child = repo.root.new_version()["flat"]
    child.write((2, 2, 2), noise(1, 1, 1, seed=3))
    wanted = noise(5, 5, 5)
    wanted[1, 1, 1] = noise(1, 1, 1, seed=3)[0, 0, 0]
    for view in (child, repo.root["flat"]):
        assert (view.read((1, 1, 1), (5, 5, 5)) == wanted).all()
        assert view.extents() == Extents((1, 1, 1), (5, 5, 5))
