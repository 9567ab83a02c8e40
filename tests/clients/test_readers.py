"""Unmodified libraries read volumes from a real server: every type, negative coordinates, background, two versions."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.service.process import Served

PRECOMPUTED = ("tensorstore_precomputed", "cloudvolume_precomputed")
ZARR = ("tensorstore_zarr", "zarr_group", "zarr_array", "dask_array")
TYPENAMES = ("uint8blk", "uint16blk", "uint32blk", "uint64blk", "float32blk", "rgba8blk")


def from_zarr(url: str, shape_zyx: tuple[int, int, int], array: Any) -> Any:
    """An array of zarr as z, y, x (and channels), without the blocks' rests before and behind the volume."""
    with urllib.request.urlopen(f"{url}/zarr/0/zarr.json") as answer:
        offset = json.loads(answer.read())["attributes"]["dvid_offset_zyx"]
    array = np.moveaxis(array, 0, -1) if array.ndim == 4 else array
    begins = [begin - origin for begin, origin in zip((-20, -10, -3), offset, strict=True)]
    rest = np.full(array.shape, 9, array.dtype)
    box = tuple(slice(begin, begin + side) for begin, side in zip(begins, shape_zyx, strict=True))
    inside = array[box].copy()
    rest[box] = inside
    assert np.array_equal(rest, array), "around the volume there is only background"
    return inside


def from_precomputed(array: Any) -> Any:
    """An array of precomputed (x, y, z, channels) as z, y, x (and channels, if there are several)."""
    array = np.moveaxis(array, (0, 1, 2), (2, 1, 0))
    return array[..., 0] if array.shape[-1] == 1 else array


@pytest.mark.parametrize("reader", [*PRECOMPUTED, *ZARR])
def test_whole_volumes(volumes: Any, read: Any, reader: str) -> None:
    """Come as they were written: each type at a committed version, and one at its open child, which is another."""
    urls = [*map(volumes.base, TYPENAMES), volumes.base("uint8blk", volumes.child)]
    wanted = [*(volumes.voxels[name] for name in TYPENAMES), volumes.changed["uint8blk"]]
    for url, expected, array in zip(urls, wanted, read(reader, urls), strict=True):
        voxels = from_precomputed(array) if reader in PRECOMPUTED else from_zarr(url, volumes.shape_zyx, array)
        assert voxels.dtype == expected.dtype, url
        assert np.array_equal(voxels, expected), url


CACHING = """
import sys
import numpy as np
import tensorstore as ts

url, post = sys.argv[1:3]
context = ts.Context({"cache_pool": {"total_bytes_limit": 1 << 24}})
spec = {"driver": "neuroglancer_precomputed", "kvstore": f"{url}/precomputed/", "recheck_cached_data": True}
store = ts.open(spec, context=context).result()
before = store.read().result()
again = store.read().result()
import urllib.request
urllib.request.urlopen(urllib.request.Request(post, np.full(4096, 3, np.uint8).tobytes(), method="POST")).close()
after = store.read().result()
np.savez(sys.argv[-1], before, again, after)
"""


def test_a_cache_that_asks_again(run: Any, tmp_path: Path) -> None:
    """Tensorstore's cache of an open version is told by the tag that a chunk is another."""
    with Served(tmp_path / "store", log=tmp_path / "server.log") as served:
        client = served.client()
        uuid = client.post("/api/repos", {}).json()["root"]
        client.post(f"/api/repo/{uuid}/instance", {"typename": "uint8blk", "dataname": "v", "BlockSize": "16,16,16"})
        base = f"{served.url}/api/node/{uuid}/v"
        post = f"/api/node/{uuid}/v/raw/0_1_2/16_16_16/16_0_0"
        assert client.post(f"/api/node/{uuid}/v/raw/0_1_2/32_16_16/0_0_0", bytes(8192)).status == 200
        found = run(["-c", CACHING, base, served.url + post], "tensorstore")
    assert not found["arr_0"].any()
    assert not found["arr_1"].any()
    assert (found["arr_2"][16:] == 3).all()
    assert not found["arr_2"][:16].any()
