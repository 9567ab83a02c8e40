"""``dvidkit demo``: a repo to look at, made once, and served with the addresses to open."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dvidkit.cli import demo
from dvidkit.cli.tissue import smooth_noise, tissue
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadPayload
from dvidkit.kernel import Kernel

pytest.importorskip("lmdb")


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """In memory."""
    with Kernel(StoreConfig("memory")) as kernel:
        yield kernel


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A small volume in a file."""
    file = tmp_path / "mine.npy"
    np.save(file, np.random.default_rng(0).integers(0, 256, (40, 50, 70), dtype=np.uint8))
    return file


# --- the volume that is made -----------------------------------------------------------------------------------------


def test_tissue_is_the_same_each_time() -> None:
    """For one seed; another seed gives another volume, of the same dark and light."""
    first, again, other = tissue((32, 32, 32)), tissue((32, 32, 32)), tissue((32, 32, 32), seed=8)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() < 100 < 160 < first.max()


def test_noise_is_smooth() -> None:
    """Neighbours differ much less than voxels that are far apart."""
    noise = smooth_noise((24, 40, 40), 10, np.random.default_rng(1))
    assert noise.shape == (24, 40, 40)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(noise, axis=2)).mean() < 0.3 * np.abs(noise[..., 20:] - noise[..., :20]).mean()


# --- the repo --------------------------------------------------------------------------------------------------------


def test_the_repo(kernel: Kernel, volume: Path) -> None:
    """A committed volume with notes and a region, and two open branches that each changed its middle."""
    repo = demo.demo_repo(kernel, str(volume))
    assert {name: each.datatype.typename for name, each in repo.instances.items()} == {
        "grayscale": "uint8blk",
        "notes": "keyvalue",
        "region": "roi",
    }
    heads = repo.branches()
    assert set(heads) == {"master", "smoothed"}
    assert repo.root.locked
    assert not any(head.locked for head in heads.values())
    whole = np.load(volume)
    images = [version["grayscale"].read((0, 0, 0), whole.shape) for version in (repo.root, *heads.values())]
    assert np.array_equal(images[0], whole)
    assert all(not np.array_equal(one, other) for one, other in zip(images, [*images[1:], images[0]], strict=True))
    assert repo.root["notes"].keys() == ["about the volume", "about this version", "place middle"]
    assert all(b"middle" in head["notes"].get("about this version") for head in heads.values())
    assert repo.root["region"].mask((0, 0, 0), whole.shape).any()


def test_a_repo_is_made_once(kernel: Kernel, volume: Path, tmp_path: Path) -> None:
    """For a volume; another volume has its own, and what was left half made is made anew."""
    first = demo.demo_repo(kernel, str(volume))
    assert demo.demo_repo(kernel, str(volume)) is first
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((4, 4, 4), np.uint8))
    second = demo.demo_repo(kernel, str(other))
    assert second is not first
    second.set_properties({"demo": {"source": str(other), "complete": False}})
    assert demo.demo_repo(kernel, str(other)).uuid != second.uuid
    assert len(kernel.repos) == 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "float32"])
def test_types_of_volumes(kernel: Kernel, tmp_path: Path, dtype: str) -> None:
    """Each type that an image datatype holds is taken; the branches change it without overflow."""
    file = tmp_path / "v.npy"
    most = 1 if dtype == "float32" else np.iinfo(dtype).max
    np.save(file, np.full((8, 8, 8), most, dtype))
    repo = demo.demo_repo(kernel, str(file))
    assert repo.root["grayscale"].read((0, 0, 0), (8, 8, 8)).max() == most
    assert repo.head("smoothed")["grayscale"].read((0, 0, 0), (1, 1, 1)).dtype == dtype


def test_a_png(kernel: Kernel, tmp_path: Path) -> None:
    """Is a volume of one plane; one in colours is RGBA."""
    Image.fromarray(np.full((6, 5), 7, np.uint8)).save(tmp_path / "g.png")
    Image.fromarray(np.full((6, 5, 4), 7, np.uint8)).save(tmp_path / "c.png")
    gray, colour = (demo.demo_repo(kernel, str(tmp_path / name)) for name in ("g.png", "c.png"))
    assert gray.root["grayscale"].read((0, 0, 0), (1, 6, 5)).tolist() == [[[7] * 5] * 6]
    assert colour.instances["grayscale"].datatype.typename == "rgba8blk"


def test_what_is_no_volume(kernel: Kernel, tmp_path: Path) -> None:
    """Is said, and may be tried again: nothing half made is taken for a demonstration."""
    file = tmp_path / "v.npy"
    np.save(file, np.zeros((4, 4, 4), np.int64))
    with pytest.raises(BadPayload, match="int64"):
        demo.demo_repo(kernel, str(file))
    np.save(file, np.zeros((4, 4, 4), np.uint8))
    assert demo.demo_repo(kernel, str(file)).root["grayscale"].extents().max_zyx == (3, 3, 3)
    assert len(kernel.repos) == 1


def test_an_ellipsoid() -> None:
    """Touches all six faces of its box, none of its corners, and has no overlapping spans."""
    spans = demo.ellipsoid((9, 9, 9))
    blocks = {(z, y, x) for z, y, first, last in spans for x in range(first, last + 1)}
    assert len(blocks) == sum(last - first + 1 for _, _, first, last in spans)
    assert {min(b[axis] for b in blocks) for axis in range(3)} == {0}
    assert {max(b[axis] for b in blocks) for axis in range(3)} == {8}
    assert (0, 0, 0) not in blocks
    assert demo.ellipsoid((1, 1, 1)) == [(0, 0, 0, 0)]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command(dvidkit: Any, volume: Path) -> None:
    """Says which repo it made; a second run says the same one; it stays on the engine it was made on."""
    first = dvidkit.text("demo", dvidkit.store, "--volume", volume)
    again = dvidkit.text("demo", dvidkit.store, "--volume", volume, "--engine", "filesystem")
    assert re.fullmatch(r"repo [0-9a-f]{32} in \S+\ndvidkit serve \S+", first)
    assert again == first
    assert "smoothed" in dvidkit.text("log", dvidkit.store)


def test_a_volume_that_is_not_there(dvidkit: Any) -> None:
    """Is an error of the command line, and no store is made."""
    dvidkit.fails("demo", dvidkit.store, "--volume", "nowhere.npy", code=2)
    assert not Path(dvidkit.store).exists()


@contextmanager
def served(store: str, volume: Path) -> Iterator[str]:
    """The command with ``--serve`` in a process of its own; what it prints until all addresses are there."""
    command = [sys.executable, "-m", "dvidkit.cli", "demo", store, "--serve", "--port", "0", "--volume", str(volume)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not (lines and "dvid:" in lines[-1]):
                line = process.stdout.readline()
                assert line, lines
                lines.append(line)
            yield "".join(lines)
        finally:
            timer.cancel()
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(30) == 0
            finally:
                process.kill()


def test_serving(tmp_path: Path, volume: Path) -> None:
    """Every address that is printed answers; a second start serves the same repo, with what was changed since."""
    store = str(tmp_path / "store")
    with served(store, volume) as said:
        uuid = re.findall(r"^repo ([0-9a-f]{32}) in", said, re.M)
        addresses = re.findall(r"(?<= )http://localhost:\d+/\S*$", said, re.M)
        assert len(addresses) == 9
        for address in addresses:
            with urllib.request.urlopen(address) as answer:
                assert answer.status == 200, address
        slices = [urllib.request.urlopen(each).read() for each in addresses if each.endswith("/png")]
        assert len(set(slices)) == 3
        note = next(each for each in addresses if each.endswith("/keys")).replace(
            "/notes/keys", ":master/notes/key/mine"
        )
        urllib.request.urlopen(urllib.request.Request(note, b"still here", method="POST")).close()
    with served(store, volume) as said:
        assert re.findall(r"^repo ([0-9a-f]{32}) in", said, re.M) == uuid
        url = re.findall(r"^serving at (\S+)$", said, re.M)[0]
        kept = url + note[note.index("/api/") :]
        with urllib.request.urlopen(kept) as answer:
            assert answer.read() == b"still here"
        neuroglancer = re.findall(r"^  neuroglancer +(\S+)$", said, re.M)
        assert [f"{kind}://" in each for kind, each in zip(("precomputed", "dvid"), neuroglancer, strict=True)] == [
            True
        ] * 2
