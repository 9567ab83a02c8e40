"""Volumes as zarr (format 3): a group with OME-Zarr metadata, an array a scale, chunks as stored blocks.

An array begins with the block that the volume begins in, as zarr has no negative indices; the OME metadata says where
that is. A chunk that was never written is sent as background, which is also the array's fill value.

Source: the zarr specification (version 3) and OME-Zarr 0.5, which wants the axis of the channels first.
"""

from __future__ import annotations

import math
from typing import Any, Final

from dvidkit.http.status import HTTPError
from dvidkit.http.views.common import Grid, grid_of
from dvidkit.http.views.precomputed import Chunk
from dvidkit.volume import VolumeInfo

_AXES: Final = ("z", "y", "x")
_SPACE: Final = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in _AXES]


def find_chunk(info: VolumeInfo, scale: int, indices: tuple[int, ...]) -> Chunk:
    """The chunk of these indices z, y, x (before them 0 for the channels): whole, also where the array ends in it.

    Raises:
        HTTPError: no such scale, or outside the array (404).
    """
    grid = grid_of(info, scale)
    counts = (1, *grid.chunks_zyx) if info.channels > 1 else grid.chunks_zyx
    if len(indices) != len(counts) or any(not 0 <= index < count for index, count in zip(indices, counts, strict=True)):
        raise HTTPError(404, f"no chunk {'/'.join(map(str, indices))}")
    z, y, x = (
        origin + index * size for origin, index, size in zip(grid.origin_zyx, indices[-3:], grid.chunk_zyx, strict=True)
    )
    return Chunk(scale, (z, y, x), grid.chunk_zyx)


def group_document(info: VolumeInfo, name: str) -> dict[str, Any]:
    """``zarr.json`` of the group: OME-Zarr's multiscales, and the arrays' documents for readers that cannot list."""
    channel = [{"name": "c", "type": "channel"}] if info.channels > 1 else []
    grids = [grid_of(info, scale) for scale in range(info.scales)]
    datasets = [{"path": str(grid.scale), "coordinateTransformations": _place(info, grid)} for grid in grids]
    multiscales = [{"name": name, "axes": [*channel, *_SPACE], "datasets": datasets}]
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": {str(grid.scale): _array(info, grid) for grid in grids},
        },
    }


def array_document(info: VolumeInfo, scale: int) -> dict[str, Any]:
    """``zarr.json`` of the array of a scale.

    Raises:
        HTTPError: no such scale (404).
    """
    return _array(info, grid_of(info, scale))


def _array(info: VolumeInfo, grid: Grid) -> dict[str, Any]:
    channels, names = ([info.channels], ["c"]) if info.channels > 1 else ([], [])
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [*channels, *grid.shape_zyx],
        "data_type": info.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [*channels, *grid.chunk_zyx]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value(info),
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {"dvid_offset_zyx": list(grid.origin_zyx)},
        "dimension_names": [*names, *_AXES],
    }


def _fill_value(info: VolumeInfo) -> int | float | str:
    if isinstance(info.background, float) and not math.isfinite(info.background):
        return "NaN" if math.isnan(info.background) else "Infinity" if info.background > 0 else "-Infinity"
    return info.background


def _place(info: VolumeInfo, grid: Grid) -> list[dict[str, Any]]:
    """Where the first voxel's centre is, and how far it is to the next, in nanometres. Scale 0 begins at voxel 0."""
    sizes = [size * 2**grid.scale for size in reversed(info.voxel_nm_xyz)]
    shift = (2**grid.scale - 1) / 2 / 2**grid.scale
    offset = [(origin + shift) * size for origin, size in zip(grid.origin_zyx, sizes, strict=True)]
    if info.channels > 1:
        sizes, offset = [1.0, *sizes], [0.0, *offset]
    return [{"type": "scale", "scale": sizes}, {"type": "translation", "translation": offset}]
