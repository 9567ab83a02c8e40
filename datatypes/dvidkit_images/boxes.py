"""Boxes of voxels, and how they lie across blocks. Everything is in the order z, y, x."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from itertools import islice, product
from typing import Any, Final, NamedTuple, Self, SupportsIndex

import msgspec

from dvidkit.errors import BadType, LimitError, OutOfBounds, shown
from dvidkit_images.keys import BLOCK_HEAD

Triple = tuple[int, int, int]
Slices = tuple[slice, slice, slice]

_INT32: Final = 1 << 31
MOST_BLOCKS: Final = 1 << 20
"""Blocks that one request may touch."""
REQUEST_BUDGET: Final = 1 << 30
"""Bytes of voxels that one request may read or write, unless the caller sets another budget."""


class Patch(NamedTuple):
    """What a box and a block have in common.

    Attributes:
        tkey: of the block.
        box, block: where it lies in the box, and in the block.
        whole: it is all of the block.
    """

    tkey: bytes
    box: Slices
    block: Slices
    whole: bool


class _Span(NamedTuple):
    """The same along one axis; ``key`` is the block's coordinate as it stands in keys."""

    key: bytes
    box: slice
    block: slice
    whole: bool


class Box(msgspec.Struct, frozen=True):
    """A box of voxels with 32-bit coordinates. A side of 0 makes it empty.

    Attributes:
        offset_zyx: its first voxel.
        shape_zyx: its sides.
    """

    offset_zyx: Triple
    shape_zyx: Triple

    @classmethod
    def of(cls, offset_zyx: object, shape_zyx: object) -> Self:
        """A box with this first voxel and these sides.

        Raises:
            BadType: not three whole numbers.
            OutOfBounds: a negative side, or a voxel outside 32 bits.
        """
        offset, shape = triple(offset_zyx, "offset"), triple(shape_zyx, "shape")
        for begin, side in zip(offset, shape, strict=True):
            if side < 0 or not -_INT32 <= begin <= _INT32 - (side or 1):
                raise OutOfBounds(f"a box at {offset} of shape {shape} (z, y, x) is not within 32-bit coordinates")
        return cls(offset, shape)

    @property
    def last_zyx(self) -> Triple:
        """Its last voxel."""
        z, y, x = (begin + side - 1 for begin, side in zip(self.offset_zyx, self.shape_zyx, strict=True))
        return z, y, x

    @property
    def empty(self) -> bool:
        """Whether there is no voxel in it."""
        return 0 in self.shape_zyx

    def aligned(self, block_zyx: Triple) -> bool:
        """Whether it begins and ends between blocks of this shape."""
        sides = zip(self.offset_zyx, self.shape_zyx, block_zyx, strict=True)
        return not any(begin % step or side % step for begin, side, step in sides)

    def blocks(self, block_zyx: Triple) -> int:
        """Number of blocks of this shape that it touches."""
        if self.empty:
            return 0
        (z, y, x), (depth, height, width), (bz, by, bx) = self.offset_zyx, self.shape_zyx, block_zyx
        return (
            ((z + depth - 1) // bz - z // bz + 1)
            * ((y + height - 1) // by - y // by + 1)
            * ((x + width - 1) // bx - x // bx + 1)
        )

    def check(self, voxel_size: int, block_zyx: Triple, budget: int) -> None:
        """Refuse a box that is too large for one request.

        Raises:
            LimitError: more bytes than the budget, or more than 2^20 blocks.
        """
        size = math.prod(self.shape_zyx) * voxel_size
        if size > budget:
            raise too_large(self._described, "request bytes", budget, size)
        blocks = self.blocks(block_zyx)
        if blocks > MOST_BLOCKS:
            raise too_large(self._described, "request blocks", MOST_BLOCKS, blocks)

    @property
    def _described(self) -> str:
        return f"a box of shape {self.shape_zyx} (z, y, x)"

    def patches(self, block_zyx: Triple) -> Iterator[Patch]:
        """Its patches on blocks of this shape, in the order of their keys."""
        if self.empty:
            return
        for z, y, x in product(*map(_spans, self.offset_zyx, self.shape_zyx, block_zyx)):
            yield Patch(
                BLOCK_HEAD + z.key + y.key + x.key,
                (z.box, y.box, x.box),
                (z.block, y.block, x.block),
                z.whole and y.whole and x.whole,
            )

    def windows(self, block_zyx: Triple, most: int) -> Iterator[list[Patch]]:
        """Its patches in lists of at most so many."""
        patches = self.patches(block_zyx)
        while window := list(islice(patches, most)):
            yield window


def _spans(begin: int, side: int, step: int) -> list[_Span]:
    end = begin + side
    spans = []
    for block in range(begin // step, (end - 1) // step + 1):
        origin = block * step
        first, last = max(begin, origin), min(end, origin + step)
        spans.append(
            _Span(
                (block + _INT32).to_bytes(4, "big"),
                slice(first - begin, last - begin),
                slice(first - origin, last - origin),
                last - first == step,
            )
        )
    return spans


def too_large(subject: str, what: str, limit: int, got: int) -> LimitError:
    """The error for what asks for more than one request may."""
    return LimitError(f"{subject} is too large: {got} {what}, at most {limit}", what=what, limit=limit, got=got)


def in_int32(value: int) -> bool:
    """Whether a coordinate fits into 32 bits."""
    return -_INT32 <= value < _INT32


def triple(value: object, what: str) -> Triple:
    """Three whole numbers, from any sequence of numbers that are exactly that.

    Raises:
        BadType: anything else; truth values are not numbers.
    """
    given: Any = value
    try:
        z, y, x = given
        if type(z) is type(y) is type(x) is int:
            return z, y, x
        z, y, x = whole(z), whole(y), whole(x)
    except (TypeError, ValueError):
        raise BadType(f"{what} must be three whole numbers (z, y, x), not {shown(value)}") from None
    return z, y, x


def whole(value: SupportsIndex) -> int:
    """A whole number as ``int``; a truth value is none.

    Raises:
        TypeError: anything else.
    """
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)
