"""What the views share: the geometry of a volume's grid of chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dvidkit.http.status import HTTPError
from dvidkit.volume import VolumeInfo

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Grid:
    """A scale of a volume as a grid of chunks of the size of its stored blocks.

    Attributes:
        scale: which.
        chunk_zyx: shape of a chunk.
        begin_zyx, end_zyx: first voxel of the volume, and the one behind the last.
    """

    scale: int
    chunk_zyx: Triple
    begin_zyx: Triple
    end_zyx: Triple

    @property
    def origin_zyx(self) -> Triple:
        """First voxel of the block that the volume begins in."""
        return _triple(b // c * c for b, c in zip(self.begin_zyx, self.chunk_zyx, strict=True))

    @property
    def shape_zyx(self) -> Triple:
        """Voxels from the origin to the end."""
        return _triple(end - origin for end, origin in zip(self.end_zyx, self.origin_zyx, strict=True))

    @property
    def chunks_zyx(self) -> Triple:
        """Number of chunks in each direction, from the origin."""
        return _triple(-(-size // chunk) for size, chunk in zip(self.shape_zyx, self.chunk_zyx, strict=True))


def grid_of(info: VolumeInfo, scale: int) -> Grid:
    """The grid of a scale; a volume without voxels has one of none.

    Raises:
        HTTPError: no such scale (404).
    """
    if not 0 <= scale < info.scales:
        raise HTTPError(404, f"no scale {scale}")
    first, last = info.min_xyz or (0, 0, 0), info.max_xyz or (-1, -1, -1)
    begin = _triple(coordinate >> scale for coordinate in reversed(first))
    end = _triple((coordinate >> scale) + 1 for coordinate in reversed(last))
    return Grid(scale, info.block_zyx, begin, end)


def _triple(values: Iterable[int]) -> Triple:
    z, y, x = values
    return z, y, x
