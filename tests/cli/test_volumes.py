"""``import`` and ``export``: round trips through real files, and wrong inputs that change nothing."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dvidkit.drivers import ready
from dvidkit.engine import Loss
from dvidkit.plugins import Plugins

pytest.importorskip("numpy")
pytest.importorskip("PIL")
import numpy as np
from PIL import Image

from dvidkit.cli.volumefiles import find_files, open_volume
from dvidkit.errors import BadPayload, NotFoundError

pytestmark = pytest.mark.skipif("uint8blk" not in Plugins().datatypes, reason="no image datatypes are installed")

PERSISTENT = [name for name, engine in ready(Plugins().engines).items() if engine.capabilities.durable is not Loss.NONE]
TYPES = {
    "uint8blk": np.dtype("u1"),
    "uint16blk": np.dtype("u2"),
    "uint32blk": np.dtype("u4"),
    "uint64blk": np.dtype("u8"),
    "float32blk": np.dtype("f4"),
}


def volume(dtype: Any = "u1", shape: tuple[int, ...] = (70, 45, 83)) -> Any:
    """Random voxels; no side is a multiple of a block's."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(sum(shape))
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.fixture
def at(dvidkit: Any) -> Any:
    """The command, and a store with a repo; ``at.where`` names the head of master."""
    dvidkit.repo()
    dvidkit.where = (dvidkit.store, ":master")
    return dvidkit


def exported(at: Any, instance: str, *options: object) -> Any:
    """The instance, through a file."""
    file = at.folder / f"out{time.monotonic_ns()}.npy"
    at.run("export", *at.where, instance, file, *options)
    return np.load(file)


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typename", TYPES)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays(at: Any, typename: str, suffix: str) -> None:
    """Every voxel type through .npy and .npz, at an unaligned negative offset."""
    voxels = volume(TYPES[typename])
    file = at.folder / f"in.{suffix}"
    np.save(file, voxels) if suffix == "npy" else np.savez_compressed(file, some=voxels, mapping=np.zeros((3, 2)))
    text = at.text("import", *at.where, "v", file, "--create", typename, "--offset", "-5,7,-40")
    assert text == "wrote 83 x 45 x 70 voxels (x, y, z) to v"
    out = at.folder / f"out.{suffix}"
    at.run("export", *at.where, "v", out)
    back = np.load(out) if suffix == "npy" else np.load(out)["volume"]
    assert back.dtype == voxels.dtype
    assert np.array_equal(back, voxels)
    box = exported(at, "v", "--offset", "0,10,-33", "--size", "20,30,40")
    assert np.array_equal(box, voxels[7:47, 3:33, 5:25])


def test_big_endian_and_fortran_arrays(at: Any) -> None:
    """Byte order is no difference; a Fortran array is read from .npy, and refused in .npz with what to do."""
    voxels = volume("u2")
    np.save(at.folder / "big.npy", voxels.astype(">u2"))
    at.run("import", *at.where, "big", at.folder / "big.npy", "--create", "uint16blk")
    assert np.array_equal(exported(at, "big"), voxels)
    np.save(at.folder / "f.npy", np.asfortranarray(voxels))
    at.run("import", *at.where, "f", at.folder / "f.npy", "--create", "uint16blk")
    assert np.array_equal(exported(at, "f"), voxels)
    np.savez(at.folder / "f.npz", v=np.asfortranarray(voxels))
    assert "np.ascontiguousarray" in at.fails("import", *at.where, "g", at.folder / "f.npz", "--create", "uint16blk")


@pytest.mark.parametrize(
    ("images", "dtype"), [("png", "u1"), ("png", "u2"), ("tif", "u1"), ("tif", "u2"), ("tif", "f4")]
)
def test_stacks(at: Any, images: str, dtype: str) -> None:
    """A directory of images, exported and imported again, is the same volume."""
    voxels = volume(dtype, (12, 45, 83))
    typename = next(name for name, found in TYPES.items() if found == np.dtype(dtype))
    np.save(at.folder / "in.npy", voxels)
    at.run("import", *at.where, "v", at.folder / "in.npy", "--create", typename)
    at.run("export", *at.where, "v", at.folder / "stack", "--format", images)
    files = sorted((at.folder / "stack").iterdir())
    assert [file.name for file in files] == [f"{number:04}.{images}" for number in range(12)]
    assert np.array_equal(np.asarray(Image.open(files[3])), voxels[3])
    at.run("import", *at.where, "again", at.folder / "stack", "--create", typename)
    assert np.array_equal(exported(at, "again"), voxels)


def test_colours(at: Any) -> None:
    """RGBA has a fourth axis in arrays, and goes through PNG."""
    voxels = volume("u1", (3, 20, 30, 4))
    np.save(at.folder / "in.npy", voxels)
    at.run("import", *at.where, "v", at.folder / "in.npy", "--create", "rgba8blk")
    at.run("export", *at.where, "v", at.folder / "stack")
    at.run("import", *at.where, "again", at.folder / "stack", "--create", "rgba8blk")
    assert np.array_equal(exported(at, "again"), voxels)


def test_stacks_are_in_natural_order(at: Any) -> None:
    """Slice 2 comes before slice 10; patterns, file lists and directories are the same."""
    voxels = volume("u1", (12, 8, 9))
    (at.folder / "slices").mkdir()
    for number, plane in enumerate(voxels):
        Image.fromarray(plane).save(at.folder / "slices" / f"s{number}.png")
    (at.folder / "slices" / "notes.txt").write_text("not an image")
    names = [str(at.folder / "slices" / f"s{number}.png") for number in (3, 11, 0, 2, 1, 10, 4, 5, 6, 7, 8, 9)]
    for number, files in enumerate(([str(at.folder / "slices")], [str(at.folder / "slices" / "s*.png")], names)):
        at.run("import", *at.where, f"v{number}", *files, "--create", "uint8blk")
        assert np.array_equal(exported(at, f"v{number}"), voxels)


def test_a_tiff_of_many_frames(at: Any) -> None:
    """Each frame is a plane."""
    voxels = volume("u1", (5, 8, 9))
    frames = [Image.fromarray(plane) for plane in voxels]
    frames[0].save(at.folder / "all.tif", save_all=True, append_images=frames[1:])
    at.run("import", *at.where, "v", at.folder / "all.tif", "--create", "uint8blk")
    assert np.array_equal(exported(at, "v"), voxels)


@pytest.mark.parametrize(("sample_format", "dtype"), [(1, "u4"), (2, "i4")])
def test_32_bit_tiffs_keep_their_sign(tmp_path: Path, sample_format: int, dtype: str) -> None:
    """Unsigned numbers are read as such, whatever the image library calls them."""
    values = np.array([[0, 1, 2**31, 2**32 - 1]], "u4").view(dtype)
    tags = {256: 4, 257: 1, 258: 32, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 16, 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    tiff = b"II*\0" + struct.pack("<I", 24) + values.tobytes() + struct.pack("<H", len(tags)) + entries + bytes(4)
    (tmp_path / "x.tif").write_bytes(tiff)
    with open_volume([str(tmp_path / "x.tif")]) as found:
        assert found.dtype == np.dtype(dtype)
        assert np.array_equal(found.read(1)[0], values)


def test_into_an_instance_that_is_there(at: Any) -> None:
    """Without ``--create``; the rest of the volume stays, and a smaller type is taken with ``--cast``."""
    at.run("repo", ":master", "new", "uint32blk", "v", "BlockSize=16,8,4", "-s", at.store)
    voxels = volume("u4")
    np.save(at.folder / "in.npy", voxels)
    at.run("import", *at.where, "v", at.folder / "in.npy")
    small = volume("u2", (3, 4, 5))
    np.save(at.folder / "small.npy", small)
    assert "--cast takes it" in at.fails("import", *at.where, "v", at.folder / "small.npy")
    at.run("import", *at.where, "v", at.folder / "small.npy", "--cast", "--offset", "1,2,3")
    voxels[3:6, 2:6, 1:6] = small
    assert np.array_equal(exported(at, "v"), voxels)


def test_settings_of_a_new_instance(at: Any) -> None:
    """``-c`` gives them."""
    np.save(at.folder / "in.npy", volume("u1", (4, 4, 4)))
    at.run("import", *at.where, "v", at.folder / "in.npy", "--create", "uint8blk", "-c", "BlockSize=8,8,8")
    assert "block_size=[8, 8, 8]" in at.text("info", at.store)
    line = at.fails("import", *at.where, "w", at.folder / "in.npy", "-c", "BlockSize=8,8,8", code=2)
    assert "needs --create" in line


# --- memory and interruption -----------------------------------------------------------------------------------------


def test_memory_is_bounded_by_slabs(at: Any) -> None:
    """A volume of 256 MiB goes in and out in a process that may not take 200 MiB more than it starts with."""
    voxels = np.lib.format.open_memmap(at.folder / "in.npy", "w+", np.uint8, (512, 512, 1024))
    for z in range(0, 512, 64):
        voxels[z : z + 64] = z // 64
    voxels.flush()
    with zipfile.ZipFile(at.folder / "in.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(at.folder / "in.npy", "volume.npy")
    code = (
        "import resource, sys, numpy, PIL.Image, dvidkit.cli.volumes, dvidkit.cli.volumefiles, dvidkit_images.kinds\n"
        "from dvidkit.cli import main\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    where = [at.store, ":master", "v"]
    for arguments in (
        ["import", *where, str(at.folder / "in.npz"), "--create", "uint8blk", "-c", "BlockSize=64,64,64"],
        ["export", *where, str(at.folder / "out.npy")],
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True, text=True)
        assert int(done.stdout.split()[-1]) < 200, done.stdout
    assert np.array_equal(np.load(at.folder / "out.npy", mmap_mode="r"), voxels)


def test_an_import_that_was_killed_is_done_again(at: Any) -> None:
    """The same command after kill -9, but for ``--create``, gives the whole volume; the store is sound."""
    voxels = volume("u1", (600, 300, 300))
    np.save(at.folder / "in.npy", voxels)
    arguments = ["import", at.store, ":master", "v", str(at.folder / "in.npy")]
    at.run("repo", ":master", "new", "uint8blk", "v", "-s", at.store)
    for after in (0.5, 0.9):
        child = subprocess.Popen([sys.executable, "-m", "dvidkit.cli", *arguments], stdout=subprocess.DEVNULL)
        time.sleep(after)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert "all is well" in at.text("verify", at.store)
    at.run(*arguments)
    assert np.array_equal(exported(at, "v"), voxels)


def test_an_export_that_fails_leaves_nothing(at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the file nor a part of it."""
    np.save(at.folder / "in.npy", volume())
    at.run("import", *at.where, "v", at.folder / "in.npy", "--create", "uint8blk")

    def fail(self: object, planes: object) -> None:
        raise OSError(28, "No space left on device")

    from dvidkit.cli import volumewriters

    for name, kind in (("out.npy", "ArrayWriter"), ("out.npz", "ArrayWriter"), ("out", "StackWriter")):
        with monkeypatch.context() as patch:
            patch.setattr(getattr(volumewriters, kind), "write", fail)
            assert "No space left" in at.fails("export", *at.where, "v", at.folder / name)
    assert sorted(path.name for path in at.folder.iterdir()) == ["in.npy", "store"]


# --- wrong inputs ----------------------------------------------------------------------------------------------------


def test_wrong_files_change_nothing(at: Any) -> None:
    """Each is told in one line, no instance is made, nothing is written."""
    before = at.text("info", at.store, "--json")
    folder = at.folder / "files"
    folder.mkdir()
    np.save(folder / "flat.npy", np.zeros((3, 4), "u1"))
    np.save(folder / "empty.npy", np.zeros((3, 0, 4), "u1"))
    np.save(folder / "complex.npy", np.zeros((3, 3, 3), "c8"))
    np.save(folder / "wide.npy", np.zeros((3, 3, 3), "u2"))
    np.save(folder / "colour.npy", np.zeros((3, 3, 3, 4), "u1"))
    np.savez(folder / "two.npz", a=np.zeros((3, 3, 3), "u1"), b=np.zeros((3, 3, 3), "u1"))
    (folder / "text.npy").write_text("no array")
    (folder / "text.npz").write_text("no archive")
    (folder / "text.png").write_text("no image")
    (folder / "nothing").mkdir()
    (folder / "mixed").mkdir()
    Image.new("L", (4, 4)).save(folder / "mixed" / "0.png")
    Image.new("L", (4, 5)).save(folder / "mixed" / "1.png")
    (folder / "modes").mkdir()
    Image.new("L", (4, 4)).save(folder / "modes" / "0.png")
    Image.new("I;16", (4, 4)).save(folder / "modes" / "1.png")
    Image.new("RGB", (4, 4)).save(folder / "rgb.png")

    def told(*files: str, options: tuple[str, ...] = (), typename: str = "uint8blk") -> str:
        names = [folder / file for file in files]
        line: str = at.fails("import", *at.where, "v", *names, "--create", typename, *options)
        return line

    assert "no volume (z, y, x)" in told("flat.npy")
    assert "no volume (z, y, x)" in told("empty.npy")
    assert "no volume (z, y, x)" in told("complex.npy")
    assert "holds uint16, but the instance uint8" in told("wide.npy")
    assert "has 4 channels, but the instance 1" in told("colour.npy")
    assert "holds 2 volumes; name one: a, b" in told("two.npz")
    assert "holds no array 'c', only a, b" in told("two.npz", options=("--array", "c"))
    assert "an array is named in .npz files" in told("wide.npy", options=("--array", "c"))
    assert "is no array" in told("text.npy")
    assert "is no archive of arrays" in told("text.npz")
    assert "no image that can be read" in told("text.png")
    assert "there are no images in" in told("nothing")
    assert "there is no file" in told("*.gif")
    assert "there is no file" in told("none.npy")
    assert "is 4 by 5 pixels of uint8, but" in told("mixed")
    assert "is 4 by 4 pixels of uint16, but" in told("modes")
    assert "mode RGB, whose pixels are no voxels" in told("rgb.png")
    assert "a volume is one .npy or .npz file or a stack" in told("wide.npy", "flat.npy")
    assert "did you mean 'block_size'" in told("wide.npy", options=("-c", "BlockSiz=8,8,8"), typename="uint16blk")
    assert "no datatype 'nonsense'" in told("wide.npy", typename="nonsense")
    assert "which has no 'read'" in told("wide.npy", typename="keyvalue")
    assert "32-bit coordinates" in told("wide.npy", typename="uint16blk", options=("--offset", "0,0,2147483646"))
    assert at.text("info", at.store, "--json") == before


def test_wrong_targets(at: Any) -> None:
    """Committed versions, existing instances and files, boxes of nothing, types that images cannot hold."""
    np.save(at.folder / "in.npy", volume("u4", (3, 3, 3)))
    at.run("import", *at.where, "v", at.folder / "in.npy", "--create", "uint32blk")
    assert "has a data instance 'v'" in at.fails(
        "import", *at.where, "v", at.folder / "in.npy", "--create", "uint32blk"
    )
    assert "there is something at" in at.fails("export", *at.where, "v", at.folder / "in.npy")
    assert "write a .npy file" in at.fails("export", *at.where, "v", at.folder / "stack")
    assert not (at.folder / "stack").exists()
    at.run("repo", ":master", "new", "uint8blk", "empty", "-s", at.store)
    assert "nothing was ever written" in at.fails("export", *at.where, "empty", at.folder / "x.npy")
    assert exported(at, "empty", "--offset", "0,0,0", "--size", "2,3,4").shape == (4, 3, 2)
    assert "there is nothing from" in at.fails("export", *at.where, "v", at.folder / "x.npy", "--offset", "9,9,9")
    assert "three whole numbers" in at.fails("export", *at.where, "v", "x.npy", "--offset", "1,2", code=2)
    assert "a size below 1" in at.fails("export", *at.where, "v", "x.npy", "--size", "0,2,3", code=2)
    at.run("node", ":master", "commit", "-s", at.store)
    assert "takes no writes" in at.fails("import", *at.where, "v", at.folder / "in.npy")


def test_files_cut_short(at: Any) -> None:
    """Found while reading: the planes before stay, the error names the file."""
    np.save(at.folder / "in.npy", volume("u1", (64, 64, 64)))
    data = (at.folder / "in.npy").read_bytes()
    with zipfile.ZipFile(at.folder / "in.npz", "w") as archive:
        archive.writestr("volume.npy", data[: len(data) // 2])
    assert "ends too early" in at.fails("import", *at.where, "v", at.folder / "in.npz", "--create", "uint8blk")
    (at.folder / "in.npy").write_bytes(data[: len(data) // 2])
    assert "is no array" in at.fails("import", *at.where, "w", at.folder / "in.npy", "--create", "uint8blk")


def test_finding_files(tmp_path: Path) -> None:
    """Names with pattern signs that exist are names; patterns may span directories."""
    for name in ("a[1].png", "d1/x10.tif", "d1/x9.tif", "d2/x1.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_files([str(tmp_path / "a[1].png")]) == [tmp_path / "a[1].png"]
    found = find_files([str(tmp_path / "d*" / "x*.tif")])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["d1/x9.tif", "d1/x10.tif", "d2/x1.tif"]
    with pytest.raises(NotFoundError):
        find_files([str(tmp_path / "d*" / "y*.tif")])
    with pytest.raises(BadPayload):
        open_volume([str(tmp_path / "a[1].png")])


# --- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", PERSISTENT)
def test_fib25_on_every_engine(dvidkit: Any, fib25: Path, engine: str) -> None:
    """A cube of fly brain and its supervoxels, by the command, on every engine that keeps data."""
    dvidkit.repo(engine)
    for name, typename, voxels in (("grayscale", "uint8blk", "u1"), ("supervoxels", "uint32blk", "u4")):
        file = fib25 / f"{name}.npz"
        dvidkit.run("import", dvidkit.store, ":master", name, file, "--create", typename, "-c", "BlockSize=64,64,64")
        dvidkit.run("export", dvidkit.store, ":master", name, dvidkit.folder / f"{name}.npy")
        back = np.load(dvidkit.folder / f"{name}.npy")
        assert back.dtype == np.dtype(voxels)
        assert np.array_equal(back, np.load(file)["volume"])
    assert "all is well" in dvidkit.text("verify", dvidkit.store)
