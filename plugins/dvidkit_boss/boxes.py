"""Boxes as bossDB writes them in URLs: a range ``first:end`` for each of x, y and z, and perhaps one of times."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from dvidkit.endpoints import integer
from dvidkit.errors import InvalidInputError, LimitError, NotFoundError, OutOfBounds, shown
from dvidkit_boss.frames import Frame, Triple

_RANGE: Final = re.compile(r"(-?\d{1,10}):(-?\d{1,10})", re.ASCII)
_INT32: Final = 1 << 31
_AXES: Final = ("z", "y", "x")
_TIMES: Final = ("0", "0:1")
"""There is one time sample."""
_DEEP: Final[Mapping[str, str]] = {"xy": "z", "xz": "y", "yz": "x"}
"""Of each orientation of a slice, the axis that it is one voxel thick in."""
_LONGEST_TILE: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Box:
    """A box of voxels of one resolution.

    Attributes:
        offset_zyx, shape_zyx: its first voxel and its sides.
        timed: the request has a range of times, so the answer has an axis for it.
    """

    offset_zyx: Triple
    shape_zyx: Triple
    timed: bool = False

    @classmethod
    def of(cls, path: Mapping[str, str]) -> Self:
        """The box of a cutout's path.

        Raises:
            InvalidInputError: a range is none, or there is no such time.
        """
        return cls._of({axis: _range(path[axis], axis) for axis in _AXES}, path)

    @classmethod
    def slice(cls, path: Mapping[str, str]) -> Self:
        """The box of a slice: of one axis there is a number in place of a range.

        Raises:
            InvalidInputError: an unknown orientation, or see ``of``.
        """
        deep = _depth(path)
        ranges = {axis: _range(path[axis], axis) for axis in _AXES if axis != deep}
        at = integer(path[deep], deep)
        return cls._of({**ranges, deep: (at, at + 1)}, path)

    @classmethod
    def tile(cls, path: Mapping[str, str]) -> Self:
        """The box of a tile: numbers of tiles along two axes, and of a voxel along the third.

        Raises:
            InvalidInputError: a size that cannot be, or see ``slice``.
        """
        deep, side = _depth(path), integer(path["tile_size"], "size of a tile")
        if not 1 <= side <= _LONGEST_TILE:
            raise InvalidInputError(f"a tile has 1 to {_LONGEST_TILE} voxels along a side, not {side}")
        numbers = {axis: integer(path[axis], axis) for axis in _AXES}
        sides = {axis: 1 if axis == deep else side for axis in _AXES}
        return cls._of({axis: (at * sides[axis], (at + 1) * sides[axis]) for axis, at in numbers.items()}, path)

    @classmethod
    def _of(cls, ranges: Mapping[str, tuple[int, int]], path: Mapping[str, str]) -> Self:
        if path.get("t", "0") not in _TIMES:
            raise InvalidInputError(f"there is one time sample, 0:1, not {shown(path['t'])}")
        if any(not -_INT32 <= low < high <= _INT32 for low, high in ranges.values()):
            raise OutOfBounds(f"a box from {[ranges[axis] for axis in _AXES]} (z, y, x) has no voxels of 32 bits")
        z, y, x = (ranges[axis] for axis in _AXES)
        shape = (z[1] - z[0], y[1] - y[0], x[1] - x[0])
        return cls((z[0], y[0], x[0]), shape, "t" in path)

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape_zyx)

    def check(self, voxel_size: int, limit: int) -> None:
        """Refuse a box that is too large for one request.

        Raises:
            LimitError: more bytes of voxels than the limit.
        """
        size = self.voxels * voxel_size
        if size > limit:
            raise LimitError(
                f"a box of shape {self.shape_zyx} (z, y, x) has {size} bytes of voxels, at most {limit} are taken",
                what="request bytes",
                limit=limit,
                got=size,
            )

    def check_within(self, frame: Frame) -> None:
        """Refuse what is outside a frame of resolution 0.

        Raises:
            OutOfBounds: a voxel is.
        """
        sides = zip(self.offset_zyx, self.shape_zyx, frame.start_zyx, frame.stop_zyx, strict=True)
        if any(not low <= begin <= begin + side <= high for begin, side, low, high in sides):
            raise OutOfBounds(
                f"a box at {self.offset_zyx} of shape {self.shape_zyx} is not within the coordinate frame "
                f"{frame.name!r}, from {frame.start_zyx} to {frame.stop_zyx} (z, y, x)"
            )


def resolution_of(path: Mapping[str, str], scales: int) -> int:
    """The resolution that a path names.

    Raises:
        InvalidInputError: not a number.
        NotFoundError: there is none of this number.
    """
    number = integer(path["resolution"], "resolution")
    if not 0 <= number < scales:
        raise NotFoundError(f"there is no resolution {number}: the channel has {scales}")
    return number


def _range(text: str, axis: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"the range of {axis} is two numbers like 0:64, not {shown(text)}")
    return int(match[1]), int(match[2])


def _depth(path: Mapping[str, str]) -> str:
    deep = _DEEP.get(path["orientation"])
    if deep is None:
        raise InvalidInputError(f"a slice is xy, xz or yz, not {shown(path['orientation'])}")
    return deep
