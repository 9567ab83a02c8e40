"""Arithmetic of spans, with numpy over all of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dvidkit.deferred import deferred
from dvidkit.errors import BadPayload, OutOfBounds
from dvidkit_roi.keys import LEAST, MOST, Spans

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = deferred("numpy")

Triple = tuple[int, int, int]

_ROW: Final = 1 << 33
"""More than any two x differ: rows that are this far apart never touch."""


def as_spans(values: npt.ArrayLike) -> Spans:
    """Spans from anything that makes an (n, 4) array of whole numbers.

    Raises:
        BadPayload: another shape, or no whole numbers.
        OutOfBounds: a coordinate out of range, or a span that ends before it begins.
    """
    try:
        array = np.asarray(values)
        if array.size == 0:
            array = np.empty((0, 4), np.int64)
    except (ValueError, OverflowError) as error:
        raise BadPayload(f"spans must be rows of z, y, x0, x1: {error}") from None
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iu":
        raise BadPayload(f"spans must be whole numbers in rows of z, y, x0, x1, not {array.dtype}{array.shape}")
    if array.size and (array.min() < LEAST or array.max() > MOST):
        raise OutOfBounds(f"block coordinates of an roi are {LEAST} to {MOST}")
    spans = array.astype(np.int64)
    wrong = np.flatnonzero(spans[:, 3] < spans[:, 2])
    if len(wrong):
        raise OutOfBounds(f"span {wrong[0]} ends before it begins: {spans[wrong[0]].tolist()}")
    return spans


def normalised(spans: Spans) -> Spans:
    """The same blocks in the fewest spans, sorted by z, y, x: what overlaps or touches along x is one."""
    if not len(spans):
        return spans
    spans = spans[np.lexsort((spans[:, 2], spans[:, 1], spans[:, 0]))]
    fresh = np.ones(len(spans), bool)
    fresh[1:] = (spans[1:, :2] != spans[:-1, :2]).any(axis=1)
    row = np.cumsum(fresh) * _ROW
    reach = np.maximum.accumulate(spans[:, 3] + row)
    fresh[1:] = spans[1:, 2] + row[1:] > reach[:-1] + 1
    starts = np.flatnonzero(fresh)
    merged = spans[starts]
    merged[:, 3] = np.maximum.reduceat(spans[:, 3], starts)
    return merged


def block_mask(spans: Spans, first_zyx: Triple, shape_zyx: Triple) -> npt.NDArray[np.bool_]:
    """Which blocks of a box of blocks are in normalised spans."""
    z, y, x = first_zyx
    depth, height, width = shape_zyx
    near = (
        (spans[:, 0] >= z)
        & (spans[:, 0] < z + depth)
        & (spans[:, 1] >= y)
        & (spans[:, 1] < y + height)
        & (spans[:, 3] >= x)
        & (spans[:, 2] < x + width)
    )
    inside = spans[near]
    steps = np.zeros((depth, height, width + 1), np.int8)
    rows = inside[:, 0] - z, inside[:, 1] - y
    np.add.at(steps, (*rows, np.maximum(inside[:, 2] - x, 0)), 1)
    np.add.at(steps, (*rows, np.minimum(inside[:, 3] - x + 1, width)), -1)
    found: npt.NDArray[np.bool_] = np.cumsum(steps, axis=2, dtype=np.int8)[:, :, :width] > 0
    return found


def voxel_mask(spans: Spans, block_zyx: Triple, offset_zyx: Triple, shape_zyx: Triple) -> npt.NDArray[np.bool_]:
    """Which voxels of a box are in normalised spans of blocks of this size."""
    first = [offset // block for offset, block in zip(offset_zyx, block_zyx, strict=True)]
    last = [(offset + side - 1) // block for offset, side, block in zip(offset_zyx, shape_zyx, block_zyx, strict=True)]
    if 0 in shape_zyx:
        return np.zeros(shape_zyx, bool)
    shape = [end - begin + 1 for begin, end in zip(first, last, strict=True)]
    blocks = block_mask(spans, (first[0], first[1], first[2]), (shape[0], shape[1], shape[2]))
    places = [
        np.arange(offset, offset + side) // block - begin
        for offset, side, block, begin in zip(offset_zyx, shape_zyx, block_zyx, first, strict=True)
    ]
    rows = blocks.take(places[2], axis=2)  # the fewest voxels first, then whole rows and planes at a time
    mask: npt.NDArray[np.bool_] = rows.take(places[1], axis=1).take(places[0], axis=0)
    return mask


def contains(spans: Spans, blocks_zyx: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of the blocks (n, 3) are in normalised spans."""
    if not len(spans) or not len(blocks_zyx):
        return np.zeros(len(blocks_zyx), bool)
    rows, row_of_span = np.unique(spans[:, :2], axis=0, return_inverse=True)
    joined = _joined(rows[:, 0], rows[:, 1])
    wanted = _joined(blocks_zyx[:, 0], blocks_zyx[:, 1])
    row = np.minimum(np.searchsorted(joined, wanted), len(joined) - 1)
    in_row = joined[row] == wanted
    starts = row_of_span.reshape(-1).astype(np.int64) * _ROW + spans[:, 2]
    place = np.searchsorted(starts, row.astype(np.int64) * _ROW + blocks_zyx[:, 2], side="right") - 1
    at = np.maximum(place, 0)
    found: npt.NDArray[np.bool_] = (
        in_row & (place >= 0) & (row_of_span.reshape(-1)[at] == row) & (spans[at, 3] >= blocks_zyx[:, 2])
    )
    return found


def _joined(z: npt.NDArray[np.int64], y: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One number for each pair, in the same order."""
    return (z << 32) + y
