"""Volumes as neuroglancer *precomputed*: an ``info`` document and unsharded chunks, raw encoded.

The grid begins at the volume's first voxel, wherever that is within a block, as the format has it. A chunk that was
never written is sent as background: readers take a missing one for zeros.

Source: the format is neuroglancer's ``src/datasource/precomputed/volume.md``.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from dvidkit.http.status import HTTPError
from dvidkit.http.views.common import Grid, Triple, grid_of
from dvidkit.volume import Volume, VolumeInfo

_CHUNK: Final = re.compile("_".join([r"(-?\d{1,10})-(-?\d{1,10})"] * 3), re.ASCII)
_SCALE: Final = re.compile(r"s(0|[1-9]\d?)", re.ASCII)
_TYPES: Final = {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float32"}


class Chunk(NamedTuple):
    """A box of a scale that the ``info`` document says is a chunk."""

    scale: int
    offset_zyx: Triple
    shape_zyx: Triple


def info_document(info: VolumeInfo) -> dict[str, Any]:
    """The ``info`` document.

    Raises:
        HTTPError: a type of voxel that the format does not have (404).
    """
    if info.dtype not in _TYPES:
        raise HTTPError(404, f"the precomputed format has no {info.dtype}")
    return {
        "@type": "neuroglancer_multiscale_volume",
        "type": info.kind,
        "data_type": info.dtype,
        "num_channels": info.channels,
        "scales": [_scale(info, grid_of(info, scale)) for scale in range(info.scales)],
    }


def _scale(info: VolumeInfo, grid: Grid) -> dict[str, Any]:
    return {
        "key": f"s{grid.scale}",
        "size": [end - begin for begin, end in zip(reversed(grid.begin_zyx), reversed(grid.end_zyx), strict=True)],
        "voxel_offset": list(reversed(grid.begin_zyx)),
        "chunk_sizes": [list(reversed(grid.chunk_zyx))],
        "resolution": [size * 2**grid.scale for size in info.voxel_nm_xyz],
        "encoding": "raw",
    }


def find_chunk(info: VolumeInfo, key: str, name: str) -> Chunk:
    """The chunk of a scale's key and a name ``x0-x1_y0-y1_z0-z1``, whose ends are excluded.

    Raises:
        HTTPError: no such scale, not a name of a chunk, or of none that the ``info`` document describes (404).
    """
    scale, match = _SCALE.fullmatch(key), _CHUNK.fullmatch(name)
    if scale is None or match is None:
        raise HTTPError(404, f"no chunk {key}/{name}")
    grid = grid_of(info, int(scale[1]))
    x0, x1, y0, y1, z0, z1 = map(int, match.groups())
    _check((z0, y0, x0), (z1, y1, x1), grid, name)
    return Chunk(grid.scale, (z0, y0, x0), (z1 - z0, y1 - y0, x1 - x0))


def read_chunk(view: Volume, chunk: Chunk) -> bytes:
    """The voxels of a chunk: x fastest, channels slowest, little-endian."""
    voxels = view.read_scale(*chunk)
    if voxels.ndim > 3:
        voxels = voxels.transpose(3, 0, 1, 2)
    return voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()


def _check(begin: Triple, end: Triple, grid: Grid, name: str) -> None:
    """A chunk begins at the volume's first voxel plus a multiple of the chunk and is cut at the volume's end."""
    for low, high, first, stop, size in zip(begin, end, grid.begin_zyx, grid.end_zyx, grid.chunk_zyx, strict=True):
        if (low - first) % size or not first <= low < high or high != min(low + size, stop):
            raise HTTPError(404, f"no chunk {name!r}: it is not of the grid that the info document describes")
