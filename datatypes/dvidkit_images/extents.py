"""Extents: the box around every voxel that was ever written, as a version sees it."""

from __future__ import annotations

from typing import Self

import msgspec

from dvidkit import envelope
from dvidkit.errors import BadPayload, CorruptData, OutOfBounds
from dvidkit_images.boxes import Triple, in_int32


class _Points(msgspec.Struct):
    """The JSON form: x, y, z."""

    MinPoint: tuple[int, int, int]
    MaxPoint: tuple[int, int, int]


class Extents(msgspec.Struct, frozen=True):
    """A box in voxels; both corners are included.

    Attributes:
        min_zyx, max_zyx: the least and the greatest coordinate along each axis.
    """

    min_zyx: Triple
    max_zyx: Triple

    @classmethod
    def of(cls, min_zyx: Triple, max_zyx: Triple) -> Self:
        """Extents with these corners.

        Raises:
            OutOfBounds: a coordinate outside 32 bits, or a least one above the greatest.
        """
        for low, high in zip(min_zyx, max_zyx, strict=True):
            if not (in_int32(low) and in_int32(high)) or low > high:
                raise OutOfBounds(f"extents from {min_zyx} to {max_zyx} are no box of 32-bit coordinates")
        return cls(min_zyx, max_zyx)

    def union(self, other: Extents | None) -> Extents:
        """The box around both."""
        if other is None:
            return self
        low = tuple(map(min, self.min_zyx, other.min_zyx))
        high = tuple(map(max, self.max_zyx, other.max_zyx))
        return Extents((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def points(self) -> dict[str, list[int]]:
        """DVID's JSON form: corners as x, y, z."""
        return {"MinPoint": list(self.min_zyx[::-1]), "MaxPoint": list(self.max_zyx[::-1])}

    def encode(self) -> bytes:
        """The stored form."""
        return envelope.pack(msgspec.json.encode(self.points()), "none")

    @classmethod
    def decode(cls, stored: bytes) -> Extents:
        """From the stored form.

        Raises:
            CorruptData: not extents.
        """
        try:
            return cls.from_json(envelope.unpack(stored))
        except (BadPayload, OutOfBounds) as error:
            raise CorruptData(f"stored extents cannot be read: {error}") from error

    @classmethod
    def from_json(cls, text: bytes) -> Extents:
        """From DVID's JSON form.

        Raises:
            BadPayload: of another form.
            OutOfBounds: see ``of``.
        """
        try:
            points = msgspec.json.decode(text, type=_Points)
        except msgspec.MsgspecError as error:
            raise BadPayload(f"extents are MinPoint and MaxPoint: {error}") from None
        low, high = points.MinPoint, points.MaxPoint
        return cls.of((low[2], low[1], low[0]), (high[2], high[1], high[0]))
