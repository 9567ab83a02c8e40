"""A repo with an image instance that was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dvidkit_conformance.imagery import volume

from dvidkit.engine import StoreConfig
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo


@pytest.fixture
def repo() -> Iterator[Repo]:
    """A repo in memory with an instance ``gray`` of small blocks."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("uint8blk", "gray", BlockSize="4,3,2", Background="9", VoxelSize="4,8,40")
        yield repo


@pytest.fixture
def gray(repo: Repo) -> Any:
    """The instance at the root, with 8 x 9 x 12 voxels from the origin."""
    view = repo.root["gray"]
    view.write((0, 0, 0), volume())
    return view
