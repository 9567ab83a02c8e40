"""Real tissue over HTTP: posted, read back in boxes and slices, and by other people's libraries.

The FIB-25 sample (250 x 250 x 250 voxels of FIB-SEM, FlyEM) is read from ``fib25/grayscale.npz`` in the folder that
``DVIDKIT_TEST_DATA`` names, or in ``../shared/data`` beside the project.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.service.process import Served
from PIL import Image

DATA = Path(os.environ.get("DVIDKIT_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
SLAB = 50


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Any]]:
    """A server to which the volume was posted in slabs, and committed: client, URL of the instance, voxels."""
    file = DATA / "fib25" / "grayscale.npz"
    if not file.exists():
        pytest.skip(f"NOT TESTED with real data: no {file.name} in DVIDKIT_TEST_DATA or ../shared/data")
    voxels = np.load(file)["volume"]
    folder = tmp_path_factory.mktemp("fib25")
    with Served(folder / "store", log=folder / "server.log") as served:
        client = served.client()
        uuid = client.post("/api/repos", {"alias": "FIB-25"}).json()["root"]
        settings = {"typename": "uint8blk", "dataname": "grayscale", "BlockSize": f"{SLAB},{SLAB},{SLAB}"}
        assert client.post(f"/api/repo/{uuid}/instance", {**settings, "VoxelSize": "10,10,10"}).status == 200
        base = f"/api/node/{uuid}/grayscale"
        for z in range(0, 250, SLAB):
            slab = voxels[z : z + SLAB].tobytes()
            assert client.post(f"{base}/raw/0_1_2/250_250_{SLAB}/0_0_{z}", slab).status == 200
        assert client.post(f"/api/node/{uuid}/commit").status == 200
        yield client, served.url + base, voxels


def test_boxes(tissue: Any) -> None:
    """Any box comes as it was posted; what reaches beyond the volume is background there."""
    client, base, voxels = tissue
    path = base[base.index("/api/") :]
    for x, y, z, width, height, depth in ((0, 0, 0, 250, 250, 250), (31, 97, 3, 64, 50, 77), (249, 0, 128, 1, 1, 1)):
        answer = client.get(f"{path}/raw/0_1_2/{width}_{height}_{depth}/{x}_{y}_{z}")
        assert answer.body == voxels[z : z + depth, y : y + height, x : x + width].tobytes()
    beyond = np.frombuffer(client.get(f"{path}/raw/0_1_2/20_20_20/-10_-10_-10").body, np.uint8).reshape(20, 20, 20)
    assert np.array_equal(beyond[10:, 10:, 10:], voxels[:10, :10, :10])
    assert not beyond[:10].any()


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
def test_slices(tissue: Any, plane: str) -> None:
    """A PNG of each plane has the voxels as pixels."""
    client, base, voxels = tissue
    corner, wanted = {
        "xy": ("0_0_120", voxels[120]),
        "xz": ("0_120_0", voxels[:, 120]),
        "yz": ("120_0_0", voxels[:, :, 120]),
    }[plane]
    answer = client.get(f"{base[base.index('/api/') :]}/raw/{plane}/250_250/{corner}/png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.body))), wanted)


@pytest.mark.parametrize(
    "reader", ["tensorstore_precomputed", "tensorstore_zarr", "zarr_group", "cloudvolume_precomputed"]
)
def test_readers(tissue: Any, read: Any, reader: str) -> None:
    """The whole volume comes as it was posted."""
    _, base, voxels = tissue
    (array,) = read(reader, [base])
    assert np.array_equal(array[..., 0].transpose(2, 1, 0) if array.ndim == 4 else array, voxels)
