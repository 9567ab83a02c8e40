"""Stores with an image instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dvidkit
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo
from dvidkit.workers import Workers


@pytest.fixture(params=["memory", "lmdb"])
def kernel(request: Any, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel on each engine, with threads to share work with, however few processors there are."""
    with dvidkit.open(str(tmp_path / "store"), request.param, durability="buffered") as kernel:
        kernel.workers.close()
        kernel.workers = Workers(2)
        yield kernel


@pytest.fixture
def repo(kernel: Kernel) -> Repo:
    """A repo with an instance ``gray`` of small blocks that differ along each axis."""
    repo = kernel.repos.create("r")
    repo.create_instance("uint8blk", "gray", BlockSize="4,3,2")
    return repo


@pytest.fixture
def gray(repo: Repo) -> Any:
    """The instance at the root."""
    return repo.root["gray"]
