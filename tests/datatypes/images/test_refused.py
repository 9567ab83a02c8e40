"""Boxes, arrays and settings that image instances refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.imagery import dump, noise
from dvidkit_images.extents import Extents

from dvidkit.errors import (
    BadConfig,
    BadPayload,
    BadType,
    DvidkitError,
    LimitError,
    OutOfBounds,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo

INT32 = 1 << 31


@pytest.mark.parametrize(
    ("offset", "shape", "error"),
    [
        ((0, 0), (1, 1, 1), BadType),
        ((0, 0, 0), (1, 1), BadType),
        ((0, 0, 0, 0), (1, 1, 1), BadType),
        ((0.0, 0, 0), (1, 1, 1), BadType),
        ((0, 0, True), (1, 1, 1), BadType),
        ("000", (1, 1, 1), BadType),
        (None, (1, 1, 1), BadType),
        (5, (1, 1, 1), BadType),
        ((0, 0, 0), (1, -1, 1), OutOfBounds),
        ((INT32, 0, 0), (1, 1, 1), OutOfBounds),
        ((0, INT32, 0), (1, 0, 1), OutOfBounds),
        ((0, 0, -INT32 - 1), (1, 1, 1), OutOfBounds),
        ((0, 0, INT32 - 1), (1, 1, 2), OutOfBounds),
        ((1 << 80, 0, 0), (1, 1, 1), OutOfBounds),
        ((0, 0, 0), (1 << 80, 1, 1), OutOfBounds),
        ((0, 0, 0), (1025, 1024, 1024), LimitError),
        ((0, 0, 0), (1 << 30, 1 << 30, 1 << 30), LimitError),
        ((0, 0, 0), (1, 1, 1 << 23), LimitError),
    ],
)
def test_boxes_that_cannot_be_are_refused(gray: Any, offset: Any, shape: Any, error: type[DvidkitError]) -> None:
    """By type, by coordinate, by size; before anything of that size is made."""
    with pytest.raises(error):
        gray.read(offset, shape)
    with pytest.raises(error):
        list(gray.stored_blocks(offset, shape))


def test_the_ends_of_space_can_be_written(gray: Any) -> None:
    """The least and the greatest 32-bit coordinate, and numpy's own integers as coordinates."""
    for corner in (-INT32, INT32 - 2):
        volume = noise(2, 2, 2, seed=corner & 7)
        gray.write(np.array([corner] * 3), volume)
        assert (gray.read([np.int64(corner)] * 3, (2, 2, 2)) == volume).all()
    least, most = -INT32, INT32 - 1
    assert gray.extents() == Extents((least, least, least), (most, most, most))
    with pytest.raises(OutOfBounds):
        list(gray.specific_blocks([(INT32 // 2, 0, 0)]))
    with pytest.raises(OutOfBounds):
        gray.read_blocks((INT32 // 2, 0, 0), 1)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((1, 1, 1), np.int8), BadType),
        (np.zeros((1, 1, 1), np.uint16), BadType),
        (np.zeros((1, 1, 1), bool), BadType),
        (np.zeros((1, 1, 1), np.float64), BadType),
        (np.zeros((1, 1, 1), object), BadType),
        ([[[1]]], BadType),
        (b"x", BadType),
        (None, BadType),
        (np.zeros((1, 1), np.uint8), BadPayload),
        (np.zeros((1, 1, 1, 1), np.uint8), BadPayload),
        (np.uint8(5), BadType),
    ],
)
def test_arrays_that_do_not_fit_are_refused(kernel: Kernel, gray: Any, array: Any, error: type[DvidkitError]) -> None:
    """By dtype and by number of axes; nothing is written."""
    before = dump(kernel)
    with pytest.raises(error):
        gray.write((0, 0, 0), array)
    assert dump(kernel) == before


def test_rgba_has_four_channels(repo: Repo) -> None:
    """An array without them, or with three, is refused."""
    repo.create_instance("rgba8blk", "rgba")
    for shape in ((1, 1, 1), (1, 1, 1, 3), (1, 1, 4)):
        with pytest.raises(BadPayload):
            repo.root["rgba"].write((0, 0, 0), np.zeros(shape, np.uint8))


def test_a_budget_can_be_set(gray: Any) -> None:
    """For one object; a box of just so many bytes is read."""
    gray.budget = 24
    assert gray.read((0, 0, 0), (2, 3, 4)).size == 24
    for act in (
        lambda: gray.read((0, 0, 0), (2, 3, 5)),
        lambda: gray.write((0, 0, 0), noise(2, 3, 5)),
        lambda: gray.read_blocks((0, 0, 0), 2),
        lambda: gray.specific_blocks([(0, 0, 0), (0, 0, 1)]),
    ):
        with pytest.raises(LimitError) as caught:
            act()
        assert (caught.value.what, caught.value.limit) == ("request bytes", 24)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BlockSize", "0,32,32"),
        ("BlockSize", "-1,-1,-1"),
        ("BlockSize", "32,32"),
        ("BlockSize", "32,32,32,32"),
        ("BlockSize", "a,b,c"),
        ("BlockSize", "1024,1024,1024"),
        ("BlockSize", (32, 32, 32.5)),
        ("VoxelSize", "0,8,8"),
        ("VoxelSize", "nan,8,8"),
        ("VoxelSize", "8,8"),
        ("VoxelUnits", "nm,nm"),
        ("Background", "256"),
        ("Background", "-1"),
        ("Background", "x"),
        ("MinPoint", "0,0,0"),
        ("MaxPoint", "0,0,0"),
        ("Compression", "zstd"),
        ("Checksum", "sha"),
        ("GridStore", "precomputed"),
        ("ScaleLevel", "1"),
        ("BlokSize", "32,32,32"),
        ("Encoding", "x"),
    ],
)
def test_settings_that_cannot_be_are_refused(repo: Repo, name: str, value: Any) -> None:
    """Named in the error; no instance is made."""
    with pytest.raises(BadConfig):
        repo.create_instance("uint8blk", "bad", None, **{name: value})
    assert "bad" not in repo.instances


def test_points_that_are_no_box_are_refused(repo: Repo) -> None:
    """Inside out, outside 32 bits, of two numbers."""
    for low, high in (("1,0,0", "0,0,0"), ("0,0,0", f"0,0,{INT32}"), ("0,0", "1,1"), ("0,0,0", "1,1")):
        with pytest.raises(BadConfig):
            repo.create_instance("uint8blk", "bad", MinPoint=low, MaxPoint=high)
