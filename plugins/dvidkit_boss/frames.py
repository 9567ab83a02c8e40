"""Coordinate frames: where an experiment's voxels can be, and how large they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from dvidkit.errors import InvalidInputError
from dvidkit.volume import VolumeInfo

NANOMETERS: Final[Mapping[str, float]] = {
    "nanometers": 1.0,
    "micrometers": 1e3,
    "millimeters": 1e6,
    "centimeters": 1e7,
}
_INT32: Final = 1 << 31
_UNSEEN_NM: Final = (1.0, 1.0, 1.0)

Triple = tuple[int, int, int]


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A coordinate frame, as bossDB's clients send and read it. Its ends are behind the last voxel."""

    name: str = ""
    description: str = ""
    x_start: int
    x_stop: int
    y_start: int
    y_stop: int
    z_start: int
    z_stop: int
    x_voxel_size: float
    y_voxel_size: float
    z_voxel_size: float
    voxel_unit: Literal["nanometers", "micrometers", "millimeters", "centimeters"] = "nanometers"

    @property
    def start_zyx(self) -> Triple:
        """Its first voxel."""
        return self.z_start, self.y_start, self.x_start

    @property
    def stop_zyx(self) -> Triple:
        """Behind its last voxel."""
        return self.z_stop, self.y_stop, self.x_stop

    @property
    def voxel_xyz(self) -> tuple[float, float, float]:
        """Size of a voxel in the frame's unit."""
        return self.x_voxel_size, self.y_voxel_size, self.z_voxel_size

    @property
    def voxel_nm_xyz(self) -> tuple[float, float, float]:
        """Size of a voxel in nanometres."""
        x, y, z = (size * NANOMETERS[self.voxel_unit] for size in self.voxel_xyz)
        return x, y, z

    def check(self) -> None:
        """Refuse what is no box of voxels.

        Raises:
            InvalidInputError: a side without voxels, a coordinate outside 32 bits, or a size that is not above 0.
        """
        for begin, end in zip(self.start_zyx, self.stop_zyx, strict=True):
            if not -_INT32 <= begin < end <= _INT32:
                raise InvalidInputError(f"a coordinate frame cannot reach from {begin} to {end}")
        if not all(math.isfinite(size) and size > 0 for size in self.voxel_nm_xyz):
            raise InvalidInputError(f"the size of a voxel must be above 0, not {self.voxel_xyz}")

    def as_json(self) -> dict[str, Any]:
        """Its document."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


def frame_around(name: str, infos: Iterable[VolumeInfo]) -> Frame:
    """A frame for volumes that nobody made one for: from the origin, or before it, to the last voxel of any.

    The size of a voxel is that of the first volume. Without voxels the frame is empty.
    """
    infos = list(infos)
    lows = [info.min_xyz for info in infos if info.min_xyz is not None]
    highs = [info.max_xyz for info in infos if info.max_xyz is not None]
    low = [min(0, *(corner[axis] for corner in lows)) if lows else 0 for axis in range(3)]
    high = [max(corner[axis] for corner in highs) + 1 if highs else 0 for axis in range(3)]
    x, y, z = infos[0].voxel_nm_xyz if infos else _UNSEEN_NM
    return Frame(
        name=name,
        description="around the voxels of a version",
        x_start=low[0],
        x_stop=high[0],
        y_start=low[1],
        y_stop=high[1],
        z_start=low[2],
        z_stop=high[2],
        x_voxel_size=x,
        y_voxel_size=y,
        z_voxel_size=z,
    )
