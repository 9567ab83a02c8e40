"""What the conformance kit proves of ``roi``: DT-ROI-1 to DT-ROI-5.

PYTEST_DONT_REWRITE: where dvidkit is installed as a wheel, pytest would else tell for minutes how two volumes differ.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from dvidkit_conformance.case import DatatypeCase, Model, Op, Refused

_SIDE = 5
_LOW = -2
_BLOCK = (4, 3, 2)

Block = tuple[int, int, int]


class RoiCase(DatatypeCase):
    """Programs of posts and deletes over a few blocks about the origin, seen through every endpoint."""

    typename: ClassVar[str] = "roi"
    settings: ClassVar[Sequence[Mapping[str, Any]]] = (
        {"block_size": _BLOCK},
        {"block_size": _BLOCK, "versioned": False},
    )
    proves: ClassVar[tuple[str, ...]] = ("DT-ROI-1", "DT-ROI-2", "DT-ROI-3", "DT-ROI-4", "DT-ROI-5")
    shown: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "spans": ("DT-ROI-1", "DT-ROI-4", "DT-ROI-5"),
        "mask": ("DT-ROI-2",),
    }

    def op(self, rng: random.Random) -> Op:
        """Post some spans, which may overlap and repeat; or delete all."""
        if rng.random() < 0.2:
            return {"op": "clear"}
        spans = [_span(rng) for _ in range(rng.choice((0, 1, 2, 5, 12)))]
        return {"op": "replace", "spans": spans + spans[: rng.randrange(2)]}

    def refused(self, rng: random.Random) -> Op | None:
        """Spans that end before they begin, or lie outside of what can be addressed."""
        z, y, x, _ = _span(rng)
        bad = rng.choice(([z, y, x, x - 1], [z, y, x, 1 << 31], [-(1 << 31), y, x, x]))
        return {"op": "replace", "spans": [_span(rng), bad]}

    def apply(self, view: Any, op: Op) -> Any:
        """See ``DatatypeCase.apply``."""
        if op["op"] == "clear":
            view.clear()
        else:
            view.replace(op["spans"])

    def observe(self, view: Any) -> Any:
        """Spans, every voxel by mask and by points, bounds, and both partitions, all compared with each other."""
        offset, shape = _offset(), _voxels()
        mask = view.mask(offset, shape)
        points = np.argwhere(np.ones(shape, bool)) + offset
        assert mask.reshape(-1).tolist() == view.contains(points).tolist(), "DT-ROI-2: points and mask differ"
        spans = view.spans().tolist()
        for optimized in (False, True):
            _check_partition(view.partition(2, optimized=optimized), spans)
        return {"spans": spans, "mask": mask.tobytes().hex(), "z": list(view.bounds_z() or ())}

    def glance(self, view: Any) -> Any:
        """See ``DatatypeCase.glance``: spans, mask and bounds."""
        mask = view.mask(_offset(), _voxels())
        return {"spans": view.spans().tolist(), "mask": mask.tobytes().hex(), "z": list(view.bounds_z() or ())}

    def model(self, settings: Mapping[str, Any]) -> Model:
        """See ``DatatypeCase.model``."""
        return _RoiModel()


def _span(rng: random.Random) -> list[int]:
    z, y, x = (rng.randrange(_LOW, _LOW + _SIDE) for _ in range(3))
    return [z, y, x, rng.randrange(x, _LOW + _SIDE)]


def _offset() -> tuple[int, int, int]:
    """Where the box of ``_voxels`` begins."""
    bx, by, bz = _BLOCK
    return (_LOW - 1) * bz, (_LOW - 1) * by, (_LOW - 1) * bx


def _voxels() -> tuple[int, int, int]:
    """A box about everything that operations touch, one block wider on each side."""
    bx, by, bz = _BLOCK
    return (_SIDE + 2) * bz, (_SIDE + 2) * by, (_SIDE + 2) * bx


def _check_partition(shown: dict[str, Any], spans: Sequence[Sequence[int]]) -> None:
    """Every block of the region is in exactly one subvolume, and the counts are right."""
    text = "DT-ROI-3: a partition"
    left = {(x, y, z) for z, y, x0, x1 in spans for x in range(x0, x1 + 1)}
    assert shown["NumActiveBlocks"] == len(left), text
    assert shown["NumSubvolumes"] == len(shown["Subvolumes"]), text
    for box in shown["Subvolumes"]:
        low, high = box["MinChunk"], box["MaxChunk"]
        inside = {block for block in left if all(a <= b <= c for a, b, c in zip(low, block, high, strict=True))}
        assert inside, text
        assert len(inside) == box["ActiveBlocks"], text
        left -= inside
    assert not left, text


class _RoiModel(Model):
    """A set of blocks."""

    def __init__(self) -> None:
        self.blocks: set[Block] = set()

    def apply(self, op: Op) -> Any:
        """See ``Model.apply``."""
        blocks: set[Block] = set()
        for z, y, first, last in op.get("spans", ()):
            if last < first or min(z, y, first) <= -(1 << 31) or max(z, y, last) >= 1 << 31:
                raise Refused("OutOfBounds")
            blocks |= {(z, y, x) for x in range(first, last + 1)}
        self.blocks = blocks

    def observe(self) -> Any:
        """See ``Model.observe``."""
        bx, by, bz = _BLOCK
        low, count = _LOW - 1, range(_SIDE + 2)
        inside = [[[(z + low, y + low, x + low) in self.blocks for x in count] for y in count] for z in count]
        mask = np.array(inside).repeat(bz, 0).repeat(by, 1).repeat(bx, 2).tobytes()
        levels = [z for z, _, _ in self.blocks]
        return {"spans": self._spans(), "mask": mask.hex(), "z": [min(levels), max(levels)] if levels else []}

    def _spans(self) -> list[list[int]]:
        spans: list[list[int]] = []
        for z, y, x in sorted(self.blocks):
            if spans and spans[-1][:2] == [z, y] and spans[-1][3] == x - 1:
                spans[-1][3] = x
            else:
                spans.append([z, y, x, x])
        return spans
