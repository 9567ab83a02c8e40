"""Neuroglancer as it is published renders a volume through its sources, and gets the voxels that were written."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

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
    state.dimensions = neuroglancer.CoordinateSpace(names=["x", "y", "z"], units="nm", scales=[float(sys.argv[3])] * 3)
    state.position = [float(place) for place in sys.argv[4:]]
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
def volume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the volume, at a committed version of a server."""
    folder = tmp_path_factory.mktemp("viewed")
    with Kernel(StoreConfig("lmdb", str(folder / "store"))) as kernel:
        repo = kernel.repos.create("viewed")
        repo.create_instance("uint8blk", "gray", BlockSize="64,64,64")
        repo.root["gray"].write((0, 0, 0), pattern())
        repo.root.commit()
        base = f"/api/node/{repo.uuid}/gray"
    with Served(folder / "store", log=folder / "server.log") as served:
        yield f"{served.url}{base}"


@pytest.mark.parametrize("kind", ["precomputed", "dvid", "zarr3"])
def test_the_volume_is_on_the_canvas(page: Any, volume: str, kind: str, tmp_path: Path) -> None:
    """Each quarter of the volume has its gray level, at its place, through each source."""
    picture = seen(page, volume, kind, tmp_path / "seen.npz", View(8, (64, 64, 32.5)))
    assert picture.shape[:2] == (256, 256)
    middle, half = 128, SIDE // 2
    quarters = [(y, x) for y in (middle - half, middle) for x in (middle - half, middle)]
    for level, (y, x) in zip(LEVELS, quarters, strict=True):
        inside = picture[y + 4 : y + half - 4, x + 4 : x + half - 4, :3].astype(int)
        assert abs(inside - level).max() <= 1, (level, np.unique(inside))
    beside = set(np.unique(picture[:40, :, :3]))
    assert len(beside) == 1, "beside the volume there is the viewer's own background"
    assert not beside & set(LEVELS)


@pytest.mark.parametrize("kind", ["precomputed", "dvid"])
@pytest.mark.parametrize("z", [0, 120])
def test_real_tissue(page: Any, tissue: Any, kind: str, z: int, tmp_path: Path) -> None:
    """A whole plane of FIB-25 as it was posted, each voxel a pixel at its place.

    The ``dvid`` source asks for JPEG, which is near; nearer than the planes and rows beside.
    """
    _, base, voxels = tissue
    picture = seen(page, base, kind, tmp_path / "seen.npz", View(10, (125, 125, z + 0.5)))
    drawn = picture[3:253, 3:253, 0].astype(int)
    if kind == "precomputed":
        assert abs(drawn - voxels[z]).max() <= 1
        return
    off = abs(drawn - voxels[z]).mean()
    assert off < 4
    assert off < abs(drawn - voxels[z + 1]).mean() / 2
    assert off < min(abs(drawn - np.roll(voxels[z], 1, axis)).mean() for axis in (0, 1)) / 2


class View(NamedTuple):
    """Edge of a voxel in nanometers, and what voxel (x, y, z) is in the middle."""

    edge: float
    place: tuple[float, float, float]


def seen(page: Any, base: str, kind: str, file: Path, view: View) -> Any:
    """What Neuroglancer draws of an instance, a voxel a pixel, through one of its sources: uint8 (rows, columns, RGBA).

    Within the package the ``dvid`` source takes its token from the environment, and needs one.
    """
    if find_spec("neuroglancer") is None:
        pytest.skip("NOT TESTED: neuroglancer not installed (pip install --group clients)")
    server, path = base.split("/api/node/")
    sources = {
        "precomputed": f"precomputed://{base}/precomputed",
        "dvid": f"dvid://{server}/{path}",
        "zarr3": f"zarr3://{base}/zarr/",
    }
    command = [sys.executable, "-c", VIEWER, sources[kind], str(file), str(view.edge), *map(str, view.place)]
    environment = {**os.environ, "DVID_CREDENTIALS": f"{server}=nobody asks for one"}
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
