"""Dividing a region into subvolumes for work in batches.

Source: DVID ``datatype/roi/roi.go`` (``SimplePartition``; its places are matched). That gaps along z are passed over,
that the region's bounds do not begin at 0, and the ``optimized`` division are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from dvidkit.deferred import deferred
from dvidkit.errors import LimitError
from dvidkit_roi.keys import LEAST, MOST, Spans
from dvidkit_roi.spans import Triple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = deferred("numpy")

MOST_SUBVOLUMES: Final = 1_000_000

Corner = tuple[int, int, int]


class Subvolume:
    """A box of blocks, corners x, y, z and both included, and how many of its blocks are of the region."""

    __slots__ = ("active", "last", "start")

    def __init__(self, start: Corner, last: Corner, active: int) -> None:
        self.start = start
        self.last = last
        self.active = active

    @property
    def total(self) -> int:
        """Blocks in the box."""
        x, y, z = (end - begin + 1 for begin, end in zip(self.start, self.last, strict=True))
        return x * y * z

    def to_json(self, block_xyz: Triple) -> dict[str, Any]:
        """In DVID's words."""
        return {
            "MinPoint": [place * block for place, block in zip(self.start, block_xyz, strict=True)],
            "MaxPoint": [(place + 1) * block - 1 for place, block in zip(self.last, block_xyz, strict=True)],
            "MinChunk": list(self.start),
            "MaxChunk": list(self.last),
            "TotalBlocks": self.total,
            "ActiveBlocks": self.active,
        }


def grid(spans: Spans, batch: int) -> Iterator[Subvolume]:
    """Boxes of ``batch`` blocks a side, laid over what is there layer by layer and row by row; none is empty.

    Raises:
        LimitError: more than a million boxes.
    """
    for z, layer in _slabs(spans, 0, batch):
        for y, row in _slabs(layer, 1, batch):
            low, high = int(row[:, 2].min()), int(row[:, 3].max())
            begin = low - (high - low + 1) % batch // 2
            cells, active = _cells((row[:, 2:] - begin), batch)
            for cell, blocks in zip(cells.tolist(), active.tolist(), strict=True):
                x = begin + cell * batch
                yield Subvolume((x, y, z), (x + batch - 1, y + batch - 1, z + batch - 1), blocks)


def fitted(spans: Spans, batch: int) -> Iterator[Subvolume]:
    """Boxes of at most ``batch`` blocks a side, each cut down to what is in it.

    Raises:
        LimitError: more than a million boxes.
    """
    for box in grid(spans, batch):
        (x0, y0, z0), (x1, y1, z1) = box.start, box.last
        near = spans[np.searchsorted(spans[:, 0], z0) : np.searchsorted(spans[:, 0], z1, side="right")]
        near = near[(near[:, 1] >= y0) & (near[:, 1] <= y1) & (near[:, 3] >= x0) & (near[:, 2] <= x1)]
        low, high = near.min(axis=0), near.max(axis=0)
        start = max(int(low[2]), x0), int(low[1]), int(low[0])
        last = min(int(high[3]), x1), int(high[1]), int(high[0])
        yield Subvolume(start, last, box.active)


def _slabs(spans: Spans, axis: int, batch: int) -> Iterator[tuple[int, Spans]]:
    """Slabs along an axis that hold something: where each begins, and its spans."""
    low, high = int(spans[:, axis].min()), int(spans[:, axis].max())
    begin = low - (high - low + 1) % batch // 2
    slab = (spans[:, axis] - begin) // batch
    order = np.argsort(slab, kind="stable")
    numbers, starts = np.unique(slab[order], return_index=True)
    for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        yield begin + number * batch, spans[rows]


def _cells(ends: npt.NDArray[np.int64], batch: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Cells of ``batch`` blocks along x that hold something, and how many blocks of the spans are in each."""
    first, last = ends[:, 0] // batch, ends[:, 1] // batch
    pieces = last - first + 1
    if int(pieces.sum()) > MOST_SUBVOLUMES:
        raise LimitError(
            f"a partition into boxes of {batch} blocks has too many boxes; take a larger batchsize",
            what="subvolumes",
            limit=MOST_SUBVOLUMES,
            got=int(pieces.sum()),
        )
    span = np.repeat(np.arange(len(ends)), pieces)
    cell = np.arange(len(span)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + first[span]
    blocks = np.minimum(ends[span, 1], (cell + 1) * batch - 1) - np.maximum(ends[span, 0], cell * batch) + 1
    cells, place = np.unique(cell, return_inverse=True)
    return cells, np.bincount(place.reshape(-1), weights=blocks).astype(np.int64)


def partition_json(spans: Spans, batch: int, block_xyz: Triple, *, optimized: bool) -> dict[str, Any]:
    """A partition in DVID's words."""
    boxes: list[Subvolume] = []
    for box in (fitted if optimized else grid)(spans, batch) if len(spans) else ():
        boxes.append(box)
        if len(boxes) > MOST_SUBVOLUMES:
            raise LimitError("too many boxes", what="subvolumes", limit=MOST_SUBVOLUMES, got=len(boxes))
    return {
        "NumTotalBlocks": sum(box.total for box in boxes),
        "NumActiveBlocks": sum(box.active for box in boxes),
        "NumSubvolumes": len(boxes),
        "ROI": {
            "MinChunk": spans[:, [2, 1, 0]].min(axis=0).tolist() if len(spans) else [MOST] * 3,
            "MaxChunk": spans[:, [3, 1, 0]].max(axis=0).tolist() if len(spans) else [LEAST - 1] * 3,
        },
        "Subvolumes": [box.to_json(block_xyz) for box in boxes],
    }
