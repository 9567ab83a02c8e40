"""Settings of image instances, under DVID's names."""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec

from dvidkit.errors import BadConfig
from dvidkit.settings import Settings

_MOST_VOXELS: Final = 1 << 27
_JPEG_SIDE: Final = 65_500
_INT32: Final = 1 << 31


class ImageSettings(Settings, frozen=True, kw_only=True):
    """What an image instance can be given at its creation. Triples are x, y, z, as in DVID.

    Attributes:
        block_size: voxels of a block along x, y and z.
        voxel_size: of one voxel along x, y and z, in ``voxel_units``; the only setting that can be changed later.
        voxel_units: unit of each axis.
        min_point, max_point: extents before anything is written; both or neither.
        background: value of every channel of a voxel that was never written.
        grid_store, scale_level: DVID's read-only proxies, which dvidkit does not have; only their defaults are taken.
    """

    block_size: tuple[int, int, int] = (32, 32, 32)
    voxel_size: tuple[float, float, float] = (8.0, 8.0, 8.0)
    voxel_units: tuple[str, str, str] = ("nanometers", "nanometers", "nanometers")
    min_point: tuple[int, ...] = ()
    max_point: tuple[int, ...] = ()
    background: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0
    grid_store: str = ""
    scale_level: int = 0

    def check(self) -> None:
        """See ``Settings.check``."""
        if min(self.block_size) < 1 or math.prod(self.block_size) > _MOST_VOXELS:
            raise BadConfig(
                f"a block has 1 to {_MOST_VOXELS} voxels, so BlockSize cannot be {self.block_size}", setting="BlockSize"
            )
        if not all(math.isfinite(size) and size > 0 for size in self.voxel_size):
            raise BadConfig(f"VoxelSize must be above 0, not {self.voxel_size}", setting="VoxelSize")
        if self.grid_store or self.scale_level:
            raise BadConfig("there are no grid stores here", setting="GridStore")
        self._check_points()
        if self.compression == "jpeg" and max(self.jpeg_shape) > _JPEG_SIDE:
            raise BadConfig(f"a block of {self.block_size} is too large for JPEG", setting="Compression")

    def _check_points(self) -> None:
        if not self.min_point and not self.max_point:
            return
        fits = len(self.min_point) == len(self.max_point) == 3
        if not fits or not all(
            -_INT32 <= low <= high < _INT32 for low, high in zip(self.min_point, self.max_point, strict=True)
        ):
            raise BadConfig(
                f"MinPoint {self.min_point} and MaxPoint {self.max_point} are no two corners of a box",
                setting="MinPoint",
            )

    @property
    def jpeg_shape(self) -> tuple[int, int]:
        """Rows and columns of the JPEG that a block is stored as, under that compression."""
        x, y, z = self.block_size
        return y * z, x
