"""What a datatype offers to be read as a volume by tools that never heard of DVID.

A datatype whose objects have ``volume_info`` and ``read`` is served as neuroglancer *precomputed* and as *zarr*, at any
version, with no further line. Nothing is stored for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeGuard

import msgspec

if TYPE_CHECKING:
    from numpy.typing import NDArray


class VolumeInfo(msgspec.Struct, frozen=True):
    """A volume as one version sees it.

    Attributes:
        dtype: numpy name of the voxels' type, such as ``uint8``.
        channels: values of a voxel; arrays have a last axis of this length if it is more than 1.
        kind: grey values, or labels whose numbers are names.
        block_zyx: shape of a stored block in voxels; reads of whole blocks cost least.
        voxel_nm_xyz: size of a voxel in nanometres at scale 0.
        min_xyz, max_xyz: first and last voxel with data, both included; ``None`` while there is none.
        background: what voxels without data are.
        scales: number of resolutions; scale *s* has voxels 2^s times as large in each direction.
    """

    dtype: str
    channels: int
    kind: Literal["image", "segmentation"]
    block_zyx: tuple[int, int, int]
    voxel_nm_xyz: tuple[float, float, float]
    min_xyz: tuple[int, int, int] | None
    max_xyz: tuple[int, int, int] | None
    background: int | float = 0
    scales: int = 1


class Volume(Protocol):
    """A data instance at a version that is a volume."""

    def volume_info(self) -> VolumeInfo:
        """What the volume is."""
        ...

    def read_scale(self, scale: int, offset_zyx: tuple[int, int, int], shape_zyx: tuple[int, int, int]) -> NDArray[Any]:
        """Any box at a scale, in voxels of that scale: an array of shape z, y, x (and channels, if several)."""
        ...


def is_volume(view: object) -> TypeGuard[Volume]:
    """Whether an object of a datatype is a volume."""
    return hasattr(view, "volume_info") and hasattr(view, "read_scale")
