"""Slices at any angle: pixels on a parallelogram in space, each interpolated from the eight voxels around its place.

Source: DVID ``datatype/imageblk/arb_image.go``; types that DVID refuses are interpolated too, 64-bit voxels not: they
are those of the nearest place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import msgspec

from dvidkit.deferred import deferred
from dvidkit.errors import InvalidInputError, OutOfBounds
from dvidkit.resolve import Conflict
from dvidkit_images.boxes import MOST_BLOCKS, Triple, in_int32, too_large
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
_MOST_PIXELS: Final = 1 << 24
"""Pixels of a slice: each takes about a microsecond."""
_FARTHEST: Final = 1e100
"""In any units that is too far, and it can still be reckoned with."""
_NUMBERS: Final = 1 << 62
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
        """Pixels from the top left to another corner, both included, and the way from each to the next (z, y, x).

        There may be more than 2^24 of them; how many then, it does not say.
        """
        way = np.subtract(corner, self.top_left)[::-1]
        steps = math.floor(min(float(np.linalg.norm(way)) / self.step, _MOST_PIXELS))
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
    if max(map(abs, numbers)) > _FARTHEST:
        raise OutOfBounds("the slice reaches outside 32-bit coordinates")
    plane = _Plane(where, view.configured.voxel_size)
    _check(view, plane)
    channels = len(view.voxel.channels)
    pixels: Array = np.empty((plane.rows * plane.columns, channels), view.voxel.dtype)
    with view.store.snapshot() as snapshot:
        for start, places in plane.parts():
            pixels[start : start + places.shape[1]] = _sample(view, snapshot, places)
    return pixels.reshape(plane.rows, plane.columns, *[channels] * (channels > 1))


class _Plane:
    """Where the pixels of a parallelogram lie, in voxels.

    Attributes:
        rows, columns: of pixels.
    """

    def __init__(self, where: Parallelogram, voxel_size: Sequence[float]) -> None:
        self.columns, right = where.axis(where.top_right)
        self.rows, down = where.axis(where.bottom_left)
        ways = (where.top_left[::-1], right, down, voxel_size[::-1])
        self._origin, self._right, self._down, self._voxel = (np.reshape(each, (3, 1)) for each in ways)

    def _places(self, row: Array, column: Array) -> Array:
        places: Array = (self._origin + row * self._down + column * self._right) / self._voxel
        return places

    def parts(self) -> Iterator[tuple[int, Array]]:
        """The number of a pixel, and the places of it and some that follow (z, y, x; one a column)."""
        pixels = self.rows * self.columns
        for start in range(0, pixels, _PIXELS):
            row, column = np.divmod(np.arange(start, min(start + _PIXELS, pixels)), self.columns)
            yield start, self._places(row, column)

    def corners(self) -> Array:
        """The places of its corners."""
        return self._places(np.array([0, 0, 1, 1]) * (self.rows - 1), np.array([0, 1, 0, 1]) * (self.columns - 1))

    def blocks(self, block_zyx: Triple) -> Iterator[int]:
        """In how many blocks each of its parts lies, but for what lies beside them only to be interpolated."""
        side = np.reshape(block_zyx, (3, 1))
        for _, places in self.parts():
            yield len(np.unique(_numbers(np.floor_divide(places, side).astype(np.int64))))

    def most_blocks(self, block_zyx: Triple) -> float:
        """What the sum of these does not exceed by more than one a part, found without looking at each pixel."""
        steps = np.abs(self._right / self._voxel)[:, 0] / block_zyx
        return self.rows * min(float(steps.sum()) * self.columns + 3, self.columns)


def _check(view: Images, plane: _Plane) -> None:
    """Refuse what is too large, lies outside what can be named, or is strewn over too many blocks."""
    pixels = plane.rows * plane.columns
    _limit(plane, "request pixels", _MOST_PIXELS, pixels)
    _limit(plane, "request bytes", view.budget, pixels * view.voxel.size)
    with np.errstate(over="ignore", invalid="ignore"):
        corners = plane.corners()
    if not (in_int32(corners.min()) and in_int32(np.ceil(corners.max()))):
        raise OutOfBounds("the slice reaches outside 32-bit coordinates")
    if plane.most_blocks(view.block_zyx) > MOST_BLOCKS:
        for blocks in accumulate(plane.blocks(view.block_zyx)):
            _limit(plane, "request blocks", MOST_BLOCKS, blocks)


def _limit(plane: _Plane, what: str, limit: int, got: int) -> None:
    if got > limit:
        raise too_large(f"a slice of {plane.rows} x {plane.columns} pixels", what, limit, got)


def _sample(view: Images, snapshot: StoreSnapshot, places: Array) -> Array:
    """Voxels at places (z, y, x in voxels; one a column), interpolated: (places, channels)."""
    nearest = view.voxel.dtype.kind == "u" and view.voxel.dtype.itemsize > 4
    if nearest:
        return _voxels_at(view, snapshot, np.floor(places + 0.5).astype(np.int64))
    low = np.floor(places)
    share = places - low
    corners = [low.astype(np.int64) + np.reshape(corner, (3, 1)) * (share > 0) for corner in _CORNERS]
    values = _voxels_at(view, snapshot, np.concatenate(corners, axis=1)).reshape(len(_CORNERS), places.shape[1], -1)
    mixed: Array = np.zeros(values.shape[1:])
    for (z, y, x), value in zip(_CORNERS, values, strict=True):
        weights = _part(share[0], z) * _part(share[1], y) * _part(share[2], x)
        mixed += weights[:, None] * value
    return np.floor(mixed + 0.5) if view.voxel.dtype.kind == "u" else mixed


def _part(share: Array, end: int) -> Array:
    """How much the voxels at the lower (0) or upper (1) end of an axis count."""
    return share if end else 1 - share


def _voxels_at(view: Images, snapshot: StoreSnapshot, places: Array) -> Array:
    """Voxels at lattice places (one a column): (places, channels). Each block is read once."""
    side = np.array(view.block_zyx)
    blocks, (z, y, x) = np.divmod(places, side[:, None])
    numbers = _numbers(blocks)
    order = np.argsort(numbers, kind="stable")
    begins = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    found: Array = np.empty(places.shape[1], view.voxel.packed)
    chosen = np.split(order, begins[1:])
    for which, voxels in zip(chosen, _blocks(view, snapshot, blocks[:, order[begins]].T), strict=True):
        found[which] = voxels[z[which], y[which], x[which]]
    return found.view(view.voxel.dtype).reshape(places.shape[1], -1)


def _numbers(blocks: Array) -> Array:
    """A number from 0 on for each block (z, y, x; one a column): the same for the same block."""
    z, y, x = blocks - blocks.min(axis=1, keepdims=True)
    depth, height, width = (int(axis.max()) + 1 for axis in (z, y, x))
    if depth * height * width < _NUMBERS:
        numbers: Array = (z * height + y) * width + x
    else:
        numbers = np.unique(blocks, axis=1, return_inverse=True)[1].reshape(-1)
    return numbers


def _blocks(view: Images, snapshot: StoreSnapshot, blocks: Array) -> Iterator[Array]:
    """The voxels of each block (z, y, x; one a row), valid until the next one."""
    decoder = Decoder(view.codec)
    absent: Array = np.full(view.block_zyx, view.codec.background)
    for z, y, x in blocks.tolist():
        conflicts: list[Conflict] = []
        tkey = block_tkey((z, y, x))
        stored = snapshot.get_many(view.ctx, [tkey], conflicts=conflicts)[0]
        if conflicts:
            raise conflict_error(conflicts)
        yield absent if stored is None else decoded(decoder, tkey, stored)
