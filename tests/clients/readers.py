"""Reads whole volumes with a library as its users do: ``python readers.py READER URL… OUT``."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def tensorstore_precomputed(url: str) -> Any:
    """Axes x, y, z, channel."""
    import tensorstore as ts

    return ts.open({"driver": "neuroglancer_precomputed", "kvstore": f"{url}/precomputed/"}).result().read().result()


def tensorstore_zarr(url: str) -> Any:
    """Axes (channel,) z, y, x."""
    import tensorstore as ts

    return ts.open({"driver": "zarr3", "kvstore": f"{url}/zarr/0/"}).result().read().result()


def zarr_group(url: str) -> Any:
    """Axes (channel,) z, y, x; found by the group's OME metadata."""
    import zarr

    group = zarr.open_group(f"{url}/zarr", mode="r")
    ome: Any = group.attrs["ome"]
    path = ome["multiscales"][0]["datasets"][0]["path"]
    assert [name for name, _ in group.members()] == [path]
    array: Any = group[path]
    return array[:]


def zarr_array(url: str) -> Any:
    """The same, opened without saying which format or kind it is."""
    import zarr

    array: Any = zarr.open(f"{url}/zarr/0", mode="r")
    return array[:]


def dask_array(url: str) -> Any:
    """Axes (channel,) z, y, x; one task a chunk."""
    import dask.array as da

    array: Any = da.from_zarr(f"{url}/zarr/0")
    return array.compute()


def cloudvolume_precomputed(url: str) -> Any:
    """Axes x, y, z, channel."""
    from cloudvolume import CloudVolume  # pyright: ignore[reportMissingImports] - not for every Python

    volume: Any = CloudVolume(f"precomputed://{url}/precomputed", progress=False)
    return np.asarray(volume[:])


if __name__ == "__main__":
    read = globals()[sys.argv[1]]
    np.savez(sys.argv[-1], *(np.asarray(read(url)) for url in sys.argv[2:-1]))
