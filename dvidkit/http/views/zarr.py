"""Volumes as zarr (format 3): a group with OME-Zarr metadata, an array a scale, chunks as stored blocks.

The arrays begin at the first block with data, as zarr has no negative indices; the OME metadata says where that is.

Source: the zarr specification (version 3) and OME-Zarr 0.5.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dvidkit.endpoints import BINARY, JSON, Response
from dvidkit.http.status import HTTPError
from dvidkit.http.views.common import Grid, caching, grid_of
from dvidkit.repo import Version
from dvidkit.volume import Volume, VolumeInfo

_AXES: Final = ("z", "y", "x")
_BYTES: Final = {"name": "bytes"}
_LITTLE_ENDIAN: Final = {"name": "bytes", "configuration": {"endian": "little"}}


def group_response(view: Volume, version: Version, name: str) -> Response:
    """``zarr.json`` of the group."""
    info = view.volume_info()
    return _document(group_document(info, name), version, "zarr")


def array_response(view: Volume, version: Version, scale: int) -> Response:
    """``zarr.json`` of a scale."""
    info = view.volume_info()
    return _document(array_document(info, _grid(info, scale)), version, f"zarr-{scale}")


def chunk_response(view: Volume, version: Version, scale: int, indices: tuple[int, ...]) -> Response:
    """A chunk by its indices z, y, x (and 0 for the channels); whole, also where the array ends within it.

    Raises:
        HTTPError: outside the array (404).
    """
    info = view.volume_info()
    grid = _grid(info, scale)
    counts = (*grid.chunks_zyx, 1) if info.channels > 1 else grid.chunks_zyx
    if len(indices) != len(counts) or any(not 0 <= index < count for index, count in zip(indices, counts, strict=True)):
        raise HTTPError(404, f"no chunk {indices}")
    z, y, x = (
        origin + index * size for origin, index, size in zip(grid.origin_zyx, indices[:3], grid.chunk_zyx, strict=True)
    )
    voxels = view.read_scale(scale, (z, y, x), grid.chunk_zyx)
    data = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).tobytes()
    name = ".".join(map(str, indices))
    return Response(data, BINARY, headers=caching(version, f"zarr-{scale}-{name}"))


def group_document(info: VolumeInfo, name: str) -> dict[str, Any]:
    """The metadata of the group: OME-Zarr's multiscales."""
    axes: list[dict[str, str]] = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in _AXES]
    if info.channels > 1:
        axes.append({"name": "c", "type": "channel"})
    datasets = [
        {"path": str(scale), "coordinateTransformations": _place(info, grid_of(info, scale))}
        for scale in range(info.scales)
    ]
    multiscales = [{"name": name, "axes": axes, "datasets": datasets}]
    return {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {"ome": {"version": "0.5", "multiscales": multiscales}},
    }


def array_document(info: VolumeInfo, grid: Grid) -> dict[str, Any]:
    """The metadata of one scale's array."""
    several = info.channels > 1
    shape = [*grid.shape_zyx, info.channels] if several else list(grid.shape_zyx)
    chunk = [*grid.chunk_zyx, info.channels] if several else list(grid.chunk_zyx)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": info.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": info.background,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}} if info.dtype != "uint8" else {"name": "bytes"}
        ],
        "attributes": {"dvid_offset_zyx": list(grid.origin_zyx)},
        "dimension_names": [*_AXES, "c"] if several else list(_AXES),
    }


def _place(info: VolumeInfo, grid: Grid) -> list[dict[str, Any]]:
    sizes = [size * 2**grid.scale for size in reversed(info.voxel_nm_xyz)]
    offset = [origin * size for origin, size in zip(grid.origin_zyx, sizes, strict=True)]
    if info.channels > 1:
        sizes, offset = [*sizes, 1.0], [*offset, 0.0]
    return [{"type": "scale", "scale": sizes}, {"type": "translation", "translation": offset}]


def _grid(info: VolumeInfo, scale: int) -> Grid:
    if not 0 <= scale < info.scales:
        raise HTTPError(404, f"no scale {scale}")
    return grid_of(info, scale)


def _document(document: dict[str, Any], version: Version, what: str) -> Response:
    return Response(msgspec.json.encode(document), JSON, headers=caching(version, what))
