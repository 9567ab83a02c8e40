"""Volumes as neuroglancer *precomputed*: an ``info`` document and unsharded chunks, raw encoded.

Source: the format is neuroglancer's ``src/datasource/precomputed/volume.md``.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from dvidkit.endpoints import BINARY, JSON, Response, integer
from dvidkit.http.status import HTTPError
from dvidkit.http.views.common import Grid, caching, grid_of
from dvidkit.repo import Version
from dvidkit.volume import Volume, VolumeInfo

_CHUNK: Final = re.compile(r"(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)_(-?\d+)-(-?\d+)", re.ASCII)
_PREVIEW_TYPES: Final = {"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float32"}


def info_response(view: Volume, version: Version) -> Response:
    """The ``info`` document.

    Raises:
        HTTPError: a type of voxel that the format does not have (404).
    """
    info = view.volume_info()
    if info.dtype not in _PREVIEW_TYPES:
        raise HTTPError(404, f"the precomputed format has no {info.dtype}")
    document = {
        "@type": "neuroglancer_multiscale_volume",
        "type": info.kind,
        "data_type": info.dtype,
        "num_channels": info.channels,
        "scales": [_scale(info, grid_of(info, scale)) for scale in range(info.scales)],
    }
    return Response(msgspec.json.encode(document), JSON, headers=caching(version, "precomputed-info"))


def _scale(info: VolumeInfo, grid: Grid) -> dict[str, Any]:
    return {
        "key": f"s{grid.scale}",
        "size": [end - begin for begin, end in zip(reversed(grid.begin_zyx), reversed(grid.end_zyx), strict=True)],
        "voxel_offset": list(reversed(grid.begin_zyx)),
        "chunk_sizes": [list(reversed(grid.chunk_zyx))],
        "resolution": [size * 2**grid.scale for size in info.voxel_nm_xyz],
        "encoding": "raw",
    }


def chunk_response(view: Volume, version: Version, key: str, name: str) -> Response:
    """A chunk, named by its first and last voxels in each direction: x fastest, channels slowest, little-endian.

    Raises:
        HTTPError: no such scale, not a name of a chunk, or one outside the volume (404).
    """
    info = view.volume_info()
    scale = integer(key[1:], "scale") if key[:1] == "s" else -1
    if not 0 <= scale < info.scales:
        raise HTTPError(404, f"no scale {key!r}")
    match = _CHUNK.fullmatch(name)
    if match is None:
        raise HTTPError(404, f"no chunk {name!r}")
    x0, x1, y0, y1, z0, z1 = map(int, match.groups())
    grid = grid_of(info, scale)
    _check((z0, y0, x0), (z1, y1, x1), grid, name)
    voxels = view.read_scale(scale, (z0, y0, x0), (z1 - z0, y1 - y0, x1 - x0))
    if info.channels > 1:
        voxels = voxels.transpose(3, 0, 1, 2)
    data = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()
    return Response(data, BINARY, headers=caching(version, f"s{scale}-{name}"))


def _check(begin: tuple[int, ...], end: tuple[int, ...], grid: Grid, name: str) -> None:
    """A chunk begins at the volume's first voxel plus a multiple of the chunk and is cut at the volume's end."""
    for low, high, first, stop, size in zip(begin, end, grid.begin_zyx, grid.end_zyx, grid.chunk_zyx, strict=True):
        if (low - first) % size or not first <= low < high or high != min(low + size, stop):
            raise HTTPError(404, f"no chunk {name!r}: it is not of the grid that the info document describes")
