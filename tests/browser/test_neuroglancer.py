"""Neuroglancer as it is published renders a volume through its sources, and gets the voxels that were written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.service.process import Served

from dvidkit.engine import StoreConfig
from dvidkit.kernel import Kernel

SIDE = 128
LEVELS = (40, 90, 150, 230)


def pattern() -> Any:
    """A volume whose four quarters in the plane have a gray level each: no other picture looks like it."""
    voxels = np.empty((64, SIDE, SIDE), np.uint8)
    half = SIDE // 2
    for level, (y, x) in zip(LEVELS, ((0, 0), (0, half), (half, 0), (half, half)), strict=True):
        voxels[:, y : y + half, x : x + half] = level
    return voxels


VIEWER = """
import sys
import neuroglancer
import numpy as np

viewer = neuroglancer.Viewer()
with viewer.txn() as state:
    state.dimensions = neuroglancer.CoordinateSpace(names=["x", "y", "z"], units="nm", scales=[8, 8, 8])
    state.position = [64, 64, 32.5]
    state.cross_section_scale = 1
    shader = "void main() { emitGrayscale(toNormalized(getDataValue())); }"
    state.layers["gray"] = neuroglancer.ImageLayer(source=sys.argv[1], shader=shader)
    state.layout = "xy"
    state.show_axis_lines = False
    state.show_scale_bar = False
    state.show_default_annotations = False
with viewer.config_state.txn() as config:
    config.show_ui_controls = False
    config.show_panel_borders = False
print(viewer.get_viewer_url(), flush=True)
picture = viewer.screenshot(size=[256, 256]).screenshot
np.savez(sys.argv[2], pixels=picture.image_pixels)
"""
"""The package shows a source in a browser that opens its URL, and sends what is on the canvas once all chunks came."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server with the volume at a committed version: URL, UUID."""
    folder = tmp_path_factory.mktemp("viewed")
    with Kernel(StoreConfig("lmdb", str(folder / "store"))) as kernel:
        repo = kernel.repos.create("viewed")
        repo.create_instance("uint8blk", "gray", BlockSize="64,64,64")
        repo.root["gray"].write((0, 0, 0), pattern())
        repo.root.commit()
        uuid = repo.uuid
    with Served(folder / "store", log=folder / "server.log") as served:
        yield served.url, uuid


@pytest.mark.parametrize("kind", ["precomputed", "dvid", "zarr3"])
def test_the_volume_is_on_the_canvas(page: Any, volume: tuple[str, str], kind: str, tmp_path: Path) -> None:
    """Each quarter of the volume has its gray level, at its place, through each source."""
    if find_spec("neuroglancer") is None:
        pytest.skip("NOT TESTED: neuroglancer not installed (pip install --group clients)")
    url, uuid = volume
    sources = {
        "precomputed": f"precomputed://{url}/api/node/{uuid}/gray/precomputed",
        "dvid": f"dvid://{url}/{uuid}/gray",
        "zarr3": f"zarr3://{url}/api/node/{uuid}/gray/zarr/",
    }
    picture = seen(page, sources[kind], tmp_path / "seen.npz", f"{url}=nobody asks for one")
    assert picture.shape[:2] == (256, 256)
    middle, half = 128, SIDE // 2
    quarters = [(y, x) for y in (middle - half, middle) for x in (middle - half, middle)]
    for level, (y, x) in zip(LEVELS, quarters, strict=True):
        inside = picture[y + 4 : y + half - 4, x + 4 : x + half - 4, :3].astype(int)
        assert abs(inside - level).max() <= 1, (level, np.unique(inside))
    beside = set(np.unique(picture[:40, :, :3]))
    assert len(beside) == 1, "beside the volume there is the viewer's own background"
    assert not beside & set(LEVELS)


def seen(page: Any, source: str, file: Path, credentials: str) -> Any:
    """What Neuroglancer draws of a source: uint8 (rows, columns, RGBA).

    Within the package the ``dvid`` source takes its token from the environment, and needs one.
    """
    command = [sys.executable, "-c", VIEWER, source, str(file)]
    environment = {**os.environ, "DVID_CREDENTIALS": credentials}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        timer = threading.Timer(100, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            page.open(process.stdout.readline().strip())
            assert process.wait(100) == 0, page.messages
        finally:
            timer.cancel()
            process.kill()
    return np.load(file)["pixels"]
