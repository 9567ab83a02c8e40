"""Boxes of voxels of image instances, written and read. numpy is the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.imagery import noise
from dvidkit_images import conformance
from dvidkit_images.boxes import Box
from dvidkit_images.conformance import CASES
from dvidkit_images.extents import Extents
from dvidkit_images.kinds import DATATYPES
from dvidkit_images.voxels import Array
from hypothesis import given, settings
from hypothesis import strategies as st

from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadPayload,
    BadType,
    InvalidInputError,
    OutOfBounds,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo


def test_what_was_never_written_is_background(repo: Repo) -> None:
    """Of every type, in every channel; around and between what was written."""
    for datatype in DATATYPES:
        repo.create_instance(datatype.typename, datatype.typename, block_size=(4, 3, 2), background=9)
        view = repo.root[datatype.typename]
        found = view.read((-5, -5, -5), (7, 8, 9))
        assert found.dtype == datatype.voxel.dtype
        assert found.shape == (7, 8, 9, *([4] if datatype.typename == "rgba8blk" else []))
        assert (found == 9).all()
        one = np.full((1, 1, 1, *found.shape[3:]), 3, found.dtype)
        view.write((0, 0, 0), one)
        found = view.read((-2, -3, -4), (6, 9, 12))
        assert (found[2, 3, 4] == 3).all()
        assert (found == 9).sum() == found.size - one.size


def test_reads_are_the_callers(gray: Any) -> None:
    """A new array each time, writable, contiguous; changing it changes nothing stored."""
    gray.write((0, 0, 0), noise(4, 6, 8))
    first = gray.read((0, 0, 0), (4, 6, 8))
    assert first.flags.c_contiguous
    assert first.flags.writeable
    kept = first.copy()
    first[:] = 0
    assert (gray.read((0, 0, 0), (4, 6, 8)) == kept).all()


boxes = st.tuples(*[st.tuples(st.integers(-9, 9), st.integers(0, 9))] * 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(boxes, st.integers(0, 99)), max_size=6), st.lists(boxes, min_size=1, max_size=4), st.data())
def test_any_box_is_written_and_read(writes: list[Any], reads: list[Any], data: Any) -> None:
    """Unaligned, negative, empty, a single voxel, across blocks: what is read is what numpy has."""
    typename = data.draw(st.sampled_from(sorted(CASES)))
    block = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    case = CASES[typename]()
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance(typename, "x", block_size=block, background=5)
        view = repo.root["x"]
        channels = [case.channels] if case.channels > 1 else []
        volume: Array = np.full((40, 40, 40, *channels), 5, case.dtype)
        for box, seed in writes:
            offset, shape = [low for low, _ in box], [side for _, side in box]
            array = case.voxels(shape, seed)
            view.write(offset, array)
            volume[tuple(slice(low + 20, low + 20 + side) for low, side in box)] = array
        for box in reads:
            found = view.read([low for low, _ in box], [side for _, side in box])
            assert conformance.same(found, volume[tuple(slice(low + 20, low + 20 + side) for low, side in box)])
        whole = [box for box, _ in writes if all(side for _, side in box)]
        extents = view.extents()
        if not whole:
            assert extents is None
        else:
            low = tuple(min(box[axis][0] for box in whole) for axis in range(3))
            high = tuple(max(box[axis][0] + box[axis][1] - 1 for box in whole) for axis in range(3))
            assert extents == Extents(low, high)  # type: ignore[arg-type]


def test_a_write_keeps_the_other_voxels_of_its_blocks(gray: Any) -> None:
    """Every single voxel of a volume can be changed alone."""
    volume = noise(4, 6, 8)
    gray.write((-2, -3, -4), volume)
    for z, y, x in ((0, 0, 0), (1, 2, 3), (2, 3, 4), (3, 5, 7), (0, 5, 4)):
        volume[z, y, x] ^= 0xFF
        gray.write((z - 2, y - 3, x - 4), volume[z : z + 1, y : y + 1, x : x + 1])
        assert (gray.read((-2, -3, -4), volume.shape) == volume).all()


def test_arrays_of_any_layout_are_written(gray: Any) -> None:
    """Fortran order, steps, negative steps, transposed, read-only, broadcast."""
    source = noise(8, 9, 10)
    frozen = source[:3, :4, :5].copy()
    frozen.flags.writeable = False
    for array in (
        np.asfortranarray(source),
        source[::2, ::3, ::2],
        source[::-1, :, ::-1],
        source.transpose(2, 0, 1),
        frozen,
        np.broadcast_to(np.uint8(7), (4, 5, 6)),
    ):
        gray.write((1, 1, 1), array)
        assert (gray.read((1, 1, 1), array.shape) == array).all()


def test_planes_are_slices(gray: Any) -> None:
    """Rows and columns: y and x, z and x, z and y."""
    volume = noise(7, 8, 9)
    gray.write((-3, -2, -1), volume)
    assert (gray.read_plane("xy", (0, -2, -1), (8, 9)) == volume[3]).all()
    assert (gray.read_plane("xz", (-3, 0, -1), (7, 9)) == volume[:, 2]).all()
    assert (gray.read_plane("yz", (-3, -2, 0), (7, 8)) == volume[:, :, 1]).all()
    assert gray.read_plane("xy", (0, 0, 0), (0, 5)).shape == (0, 5)
    for plane in ("zy", "XY", "", None, 5):
        with pytest.raises(InvalidInputError):
            gray.read_plane(plane, (0, 0, 0), (1, 1))
    for shape in ((1,), (1, 2, 3), (1.5, 2), None):
        with pytest.raises((BadType, TypeError)):
            gray.read_plane("xy", (0, 0, 0), shape)


def test_blocks_are_rows_along_x(gray: Any) -> None:
    """Whole blocks, each by itself; written as they are read."""
    volume = noise(2, 3, 20)
    gray.write((-2, 3, -8), volume)
    row = gray.read_blocks((-1, 1, -2), 5)
    assert row.shape == (5, 2, 3, 4)
    for n in range(5):
        assert (row[n] == volume[:, :, 4 * n : 4 * n + 4]).all()
    gray.write_blocks((5, 5, -1), row)
    assert (gray.read((10, 15, -4), (2, 3, 20)) == volume).all()
    assert gray.read_blocks((0, 0, 0), 0).shape == (0, 2, 3, 4)
    gray.write_blocks((0, 0, 0), row[:0])
    for bad in (row[:, :1], row[0], np.zeros((2, 4, 3, 2), np.uint8)):
        with pytest.raises(BadPayload):
            gray.write_blocks((0, 0, 0), bad)
    for bad_type in (row.astype(np.int8), row.tolist(), None):
        with pytest.raises(BadType):
            gray.write_blocks((0, 0, 0), bad_type)


def test_stored_blocks_are_those_that_were_written(gray: Any) -> None:
    """In order of z, y, x, or as they are named; the box must lie between blocks."""
    for block in ((1, 0, 0), (0, 0, 1), (-1, -1, -1)):
        z, y, x = block
        gray.write((2 * z, 3 * y, 4 * x), noise(1, 1, 1, seed=abs(z)))
    listed = list(gray.stored_blocks((-2, -3, -4), (6, 6, 12)))
    assert [block for block, _ in listed] == [(-1, -1, -1), (0, 0, 1), (1, 0, 0)]
    named = list(gray.specific_blocks([(1, 0, 0), (5, 5, 5), (-1, -1, -1), (1, 0, 0)]))
    assert [block for block, _ in named] == [(1, 0, 0), (-1, -1, -1), (1, 0, 0)]
    assert dict(named).items() <= dict(listed).items()
    for offset, shape in (((-1, 0, 0), (2, 3, 4)), ((0, 0, 0), (2, 3, 5)), ((0, 1, 0), (2, 3, 4))):
        with pytest.raises(OutOfBounds):
            gray.stored_blocks(offset, shape)


def test_a_box_counts_its_blocks() -> None:
    """As many as it has patches; aligned or not."""
    for offset, shape in (
        ((0, 0, 0), (2, 3, 4)),
        ((-1, -1, -1), (2, 3, 4)),
        ((5, 5, 5), (1, 1, 1)),
        ((0, 0, 0), (0, 1, 1)),
    ):
        box = Box.of(offset, shape)
        patches = list(box.patches((2, 3, 4)))
        assert len(patches) == box.blocks((2, 3, 4))
        assert len({patch.tkey for patch in patches}) == len(patches)
        assert [patch.tkey for patch in patches] == sorted(patch.tkey for patch in patches)
        covered = sum(np.zeros(shape)[patch.box].size for patch in patches)
        assert covered == np.prod(shape)
