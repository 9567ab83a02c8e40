"""Settings of all tests: Hypothesis runs the same examples everywhere, and prints what it would take to repeat one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.service.process import Served
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def fib25() -> Path:
    """Folder of the FIB-25 sample (FlyEM): ``grayscale.npz`` and ``supervoxels.npz``, ``volume``, 250 each of z, y, x.

    It is in the folder that ``DVIDKIT_TEST_DATA`` names, or in ``../shared/data`` beside the project.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DVIDKIT_TEST_DATA") or beside) / "fib25"
    if not folder.is_dir():
        pytest.skip("NOT TESTED with real data: no fib25 in DVIDKIT_TEST_DATA or ../shared/data")
    return folder


@pytest.fixture(scope="session")
def tissue(fib25: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Any]]:
    """A server to which FIB-25 was posted in slabs, and committed: client, URL of the instance, voxels (z, y, x)."""
    np = pytest.importorskip("numpy")
    voxels = np.load(fib25 / "grayscale.npz")["volume"]
    folder = tmp_path_factory.mktemp("fib25")
    with Served(folder / "store", log=folder / "server.log") as served:
        client = served.client()
        uuid = client.post("/api/repos", {"alias": "FIB-25"}).json()["root"]
        settings = {"typename": "uint8blk", "dataname": "grayscale", "BlockSize": "50,50,50", "VoxelSize": "10,10,10"}
        assert client.post(f"/api/repo/{uuid}/instance", settings).status == 200
        base = f"/api/node/{uuid}/grayscale"
        for z in range(0, 250, 50):
            slab = voxels[z : z + 50].tobytes()
            assert client.post(f"{base}/raw/0_1_2/250_250_50/0_0_{z}", slab).status == 200
        assert client.post(f"/api/node/{uuid}/commit").status == 200
        yield client, served.url + base, voxels
