"""A served store with volumes, and other people's libraries that read them in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("lmdb")

from dvidkit_conformance.service.process import Served

from dvidkit.engine import StoreConfig
from dvidkit.kernel import Kernel

OFFSET_ZYX = (-20, -10, -3)
BACKGROUND = 9
TYPES = {
    "uint8blk": ("uint8", ()),
    "uint16blk": ("uint16", ()),
    "uint32blk": ("uint32", ()),
    "uint64blk": ("uint64", ()),
    "float32blk": ("float32", ()),
    "rgba8blk": ("uint8", (4,)),
}


@dataclass
class Volumes:
    """A server of a repo with one volume of each type, ``<type>``, at a committed root and an open child.

    Attributes:
        url: of the server.
        root, child: UUIDs; the child has other voxels in one corner.
        shape_zyx: of each volume, from ``OFFSET_ZYX`` on; one block in the middle was never written.
        voxels: what each holds at the root, by type.
        changed: the same at the child.
    """

    url: str
    root: str
    child: str
    shape_zyx: tuple[int, int, int]
    voxels: dict[str, Any]
    changed: dict[str, Any]

    def base(self, name: str, uuid: str = "") -> str:
        """The URL of an instance, at the root unless it is said."""
        return f"{self.url}/api/node/{uuid or self.root}/{name}"


SHAPE_ZYX = (40, 50, 70)


def _filled(seed: int, dtype: str, channels: tuple[int, ...]) -> Any:
    voxels = np.random.default_rng(seed).integers(0, 251, (*SHAPE_ZYX, *channels)).astype(dtype)
    if voxels.dtype.itemsize > 1:
        voxels *= voxels.dtype.type(257)
    return voxels


def _write(view: Any, voxels: Any) -> None:
    """Write all but the block at (0, 0, 16), which stays background, in ``voxels`` too."""
    hole = tuple(slice(at - begin, at - begin + 16) for at, begin in zip((0, 0, 16), OFFSET_ZYX, strict=True))
    voxels[hole] = BACKGROUND
    z, y, x = OFFSET_ZYX
    for begin, end in ((0, 20), (36, 40)):
        view.write((z + begin, y, x), voxels[begin:end])
    for first, last in ((0, 10), (26, 50)):
        view.write((z + 20, y + first, x), voxels[20:36, first:last])
    for first, last in ((0, 19), (35, 70)):
        view.write((z + 20, y + 10, x + first), voxels[20:36, 10:26, first:last])


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volumes]:
    """The server."""
    folder = tmp_path_factory.mktemp("volumes")
    voxels, changed = {}, {}
    with Kernel(StoreConfig("lmdb", str(folder / "store"))) as kernel:
        repo = kernel.repos.create("volumes")
        for seed, (name, (dtype, channels)) in enumerate(TYPES.items()):
            repo.create_instance(name, name, BlockSize="16,16,16", Background=str(BACKGROUND))
            voxels[name] = _filled(seed, dtype, channels)
            _write(repo.root[name], voxels[name])
        repo.root.commit()
        child = repo.root.new_version()
        for name in TYPES:
            changed[name] = voxels[name].copy()
            changed[name][:10, :10, :10] = 1
            child[name].write(OFFSET_ZYX, changed[name][:10, :10, :10])
        uuids = repo.uuid, child.uuid
    with Served(folder / "store", log=folder / "server.log") as served:
        yield Volumes(served.url, *uuids, SHAPE_ZYX, voxels, changed)


@pytest.fixture(scope="session")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Any]]:
    """A server with an instance ``grayscale`` of 32 x 64 x 128 voxels (z, y, x) at the origin: URL, UUID, voxels."""
    folder = tmp_path_factory.mktemp("gray")
    voxels = np.random.default_rng(4).integers(0, 256, (32, 64, 128), dtype=np.uint8)
    with Kernel(StoreConfig("lmdb", str(folder / "store"))) as kernel:
        repo = kernel.repos.create("gray")
        repo.create_instance("uint8blk", "grayscale")
        repo.root["grayscale"].write((0, 0, 0), voxels)
        uuid = repo.uuid
    with Served(folder / "store", log=folder / "server.log") as served:
        yield served.url, uuid, voxels


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs Python with a file for what it finds as the last argument; what it saved there, by name.

    The test is skipped, and says so, where one of the modules is not installed.
    """

    def begin(arguments: list[str], *modules: str) -> Any:
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            pytest.skip(f"NOT TESTED: {', '.join(missing)} not installed (pip install --group clients)")
        saved = tmp_path / "found.npz"
        command = [sys.executable, *arguments, str(saved)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return np.load(saved)

    return begin


NEEDS = {
    "tensorstore_precomputed": ("tensorstore",),
    "tensorstore_zarr": ("tensorstore",),
    "zarr_group": ("zarr", "fsspec", "aiohttp"),
    "zarr_array": ("zarr", "fsspec", "aiohttp"),
    "dask_array": ("dask", "zarr", "fsspec", "aiohttp"),
    "cloudvolume_precomputed": ("cloudvolume",),
}


@pytest.fixture
def read(run: Run) -> Callable[[str, list[str]], list[Any]]:
    """Runs a reader of ``readers.py`` at some URLs; the arrays that it got."""

    def begin(reader: str, urls: list[str]) -> list[Any]:
        found = run([str(Path(__file__).with_name("readers.py")), reader, *urls], *NEEDS[reader])
        return [found[f"arr_{place}"] for place in range(len(urls))]

    return begin
