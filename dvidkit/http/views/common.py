"""What the views share: the geometry of a volume's grid of chunks, and how long an answer may be kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dvidkit.repo import Version
from dvidkit.volume import VolumeInfo

_FOREVER = "public, max-age=31536000, immutable"
_NOT_AT_ALL = "no-cache"


@dataclass(frozen=True, slots=True)
class Grid:
    """A scale of a volume as a grid of chunks that are its stored blocks.

    Attributes:
        scale: which.
        chunk_zyx: shape of a chunk.
        origin_zyx: first voxel of the grid, a multiple of the chunk.
        begin_zyx, end_zyx: first voxel with data, and the one behind the last.
    """

    scale: int
    chunk_zyx: tuple[int, int, int]
    origin_zyx: tuple[int, int, int]
    begin_zyx: tuple[int, int, int]
    end_zyx: tuple[int, int, int]

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Voxels from the origin to the end."""
        return _triple(end - origin for end, origin in zip(self.end_zyx, self.origin_zyx, strict=True))

    @property
    def chunks_zyx(self) -> tuple[int, int, int]:
        """Number of chunks in each direction."""
        return _triple(-(-size // chunk) for size, chunk in zip(self.shape_zyx, self.chunk_zyx, strict=True))


def grid_of(info: VolumeInfo, scale: int) -> Grid:
    """The grid of a scale; an empty volume has one of no voxels."""
    first, last = info.min_xyz or (0, 0, 0), info.max_xyz or (-1, -1, -1)
    begin = _triple(coordinate >> scale for coordinate in reversed(first))
    end = _triple((coordinate >> scale) + 1 for coordinate in reversed(last))
    chunk = info.block_zyx
    origin = _triple(b // c * c for b, c in zip(begin, chunk, strict=True))
    return Grid(scale, chunk, origin, begin, end)


def caching(version: Version, what: str) -> dict[str, str]:
    """Headers that let an answer about a committed version be kept for ever, and of an open one be asked for again."""
    if version.locked:
        return {"cache-control": _FOREVER, "etag": f'"{version.uuid}-{what}"'}
    return {"cache-control": _NOT_AT_ALL}


def _triple(values: Iterable[int]) -> tuple[int, int, int]:
    z, y, x = values
    return z, y, x
