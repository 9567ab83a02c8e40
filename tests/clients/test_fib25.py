"""Real tissue over HTTP: posted, read back in boxes and slices, and by other people's libraries."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image


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
