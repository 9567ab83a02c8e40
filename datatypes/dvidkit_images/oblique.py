"""Slices at any angle: pixels on a parallelogram in space, each interpolated from the eight voxels around its place.

Source: DVID ``datatype/imageblk/arb_image.go``; types that DVID refuses are interpolated too, 64-bit voxels not: they
are those of the nearest place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from dvidkit.deferred import deferred
from dvidkit.errors import InvalidInputError, LimitError, OutOfBounds
from dvidkit.resolve import Conflict
from dvidkit_images.boxes import in_int32
from dvidkit_images.codec import Decoder
from dvidkit_images.keys import block_tkey
from dvidkit_images.reading import conflict_error, decoded
from dvidkit_images.voxels import Array

if TYPE_CHECKING:
    import numpy as np

    from dvidkit.store import StoreSnapshot
    from dvidkit_images.datatype import Images
else:
    np = deferred("numpy")

_PIXELS: Final = 1 << 16
"""Pixels that are worked on at a time; each takes some hundred bytes meanwhile."""
_CORNERS: Final = tuple((z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1))

Point = tuple[float, float, float]


class Parallelogram(msgspec.Struct, frozen=True):
    """A rectangle, or any parallelogram, in space. Points are x, y, z in the units of the voxel size.

    Attributes:
        top_left, top_right, bottom_left: three of its corners.
        step: distance of pixels.
    """

    top_left: Point
    top_right: Point
    bottom_left: Point
    step: float

    def axis(self, corner: Point) -> tuple[int, Array]:
        """Pixels from the top left to another corner, both included, and the way from each to the next (z, y, x)."""
        way = np.subtract(corner, self.top_left)[::-1]
        steps = math.floor(float(np.linalg.norm(way)) / self.step)
        return steps + 1, way / max(steps, 1)


def read_oblique(view: Images, where: Parallelogram) -> Array:
    """The pixels (rows, columns), with a third axis for several channels.

    Raises:
        InvalidInputError: a coordinate that is no number, or a step that is not above 0.
        OutOfBounds, LimitError, VersionConflict: as in ``Images.read``.
    """
    numbers = (*where.top_left, *where.top_right, *where.bottom_left, where.step)
    if not all(map(math.isfinite, numbers)) or where.step <= 0:
        raise InvalidInputError(f"no slice can be made of {where}")
    columns, right = where.axis(where.top_right)
    rows, down = where.axis(where.bottom_left)
    _check(view, rows, columns)
    voxel_size = np.array(view.configured.voxel_size[::-1])
    origin = np.array(where.top_left[::-1])
    channels = len(view.voxel.channels)
    pixels: Array = np.empty((rows * columns, channels), view.voxel.dtype)
    with view.store.snapshot() as snapshot:
        for start in range(0, rows * columns, _PIXELS):
            row, column = np.divmod(np.arange(start, min(start + _PIXELS, rows * columns)), columns)
            places = (origin + row[:, None] * down + column[:, None] * right) / voxel_size
            pixels[start : start + len(row)] = _sample(view, snapshot, places)
    return pixels.reshape(rows, columns, *[channels] * (channels > 1))


def _check(view: Images, rows: int, columns: int) -> None:
    size = rows * columns * view.voxel.size
    if size > view.budget:
        raise LimitError(
            f"a slice of {rows} x {columns} pixels is too large", what="request bytes", limit=view.budget, got=size
        )


def _sample(view: Images, snapshot: StoreSnapshot, places: Array) -> Array:
    """Voxels at places (z, y, x in voxels), interpolated: (places, channels)."""
    nearest = view.voxel.dtype.kind == "u" and view.voxel.dtype.itemsize > 4
    if nearest:
        return _voxels_at(view, snapshot, np.floor(places + 0.5).astype(np.int64))
    low = np.floor(places)
    share = (places - low)[:, None, :]
    ends = np.array(_CORNERS)
    corners = low.astype(np.int64)[:, None, :] + ends * (share > 0)
    values = _voxels_at(view, snapshot, corners.reshape(-1, 3)).astype(np.float64)
    weights = np.where(ends == 1, share, 1 - share).prod(axis=2)
    mixed: Array = (values.reshape(len(places), len(_CORNERS), -1) * weights[:, :, None]).sum(axis=1)
    return np.floor(mixed + 0.5) if view.voxel.dtype.kind == "u" else mixed


def _voxels_at(view: Images, snapshot: StoreSnapshot, places: Array) -> Array:
    """Voxels at lattice places: (places, channels). Each block is read once."""
    if len(places) and not (in_int32(int(places.min())) and in_int32(int(places.max()))):
        raise OutOfBounds("the slice reaches outside 32-bit coordinates")
    side = np.array(view.block_zyx)
    blocks, which = np.unique(places // side, axis=0, return_inverse=True)
    order = np.argsort(which, kind="stable")
    ends = np.cumsum(np.bincount(which, minlength=len(blocks)))
    found: Array = np.empty(len(places), view.voxel.packed)
    for block, chosen, voxels in zip(blocks, np.split(order, ends[:-1]), _blocks(view, snapshot, blocks), strict=True):
        z, y, x = (places[chosen] - block * side).T
        found[chosen] = voxels[z, y, x]
    return found.view(view.voxel.dtype).reshape(len(places), -1)


def _blocks(view: Images, snapshot: StoreSnapshot, blocks: Array) -> Iterator[Array]:
    """The voxels of each block, valid until the next one."""
    decoder = Decoder(view.codec)
    absent: Array = np.full(view.block_zyx, view.codec.background)
    for z, y, x in blocks.tolist():
        conflicts: list[Conflict] = []
        tkey = block_tkey((z, y, x))
        stored = snapshot.get_many(view.ctx, [tkey], conflicts=conflicts)[0]
        if conflicts:
            raise conflict_error(conflicts)
        yield absent if stored is None else decoded(decoder, tkey, stored)
