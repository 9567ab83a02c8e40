"""Slices and volumes as pictures."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.imagery import picture, volume
from dvidkit_images.formats import Format, encode_picture, stretched
from PIL import Image

from dvidkit.errors import (
    InvalidInputError,
    LimitError,
    OutOfBounds,
    UnsupportedError,
)
from dvidkit.repo import Repo

TYPES = {"uint8blk": "<u1", "uint16blk": "<u2", "uint32blk": "<u4", "uint64blk": "<u8", "float32blk": "<f4"}


@pytest.mark.parametrize("form", ["", "/png", "/tif", "/tiff", "/bmp", "/PNG"])
def test_slices_are_pictures(gray: Any, form: str) -> None:
    """Of each plane by each of its names, with background where nothing was written."""
    padded = np.pad(volume(), 2, constant_values=9)
    for names, columns_rows, offset, wanted in (
        (("xy", "0_1", "0,1", "XY"), "14_11", "-2_-2_3", padded[5, :11, :14]),
        (("xz", "0_2", "0,2"), "14_10", "-2_4_-2", padded[:10, 6, :14]),
        (("yz", "1_2", "1,2"), "11_10", "7_-2_-2", padded[:10, :11, 9]),
    ):
        for name in names:
            image = picture(call(gray, "GET", f"raw/{name}/{columns_rows}/{offset}{form}"))
            assert (np.asarray(image) == wanted).all()


def test_jpegs_have_a_quality(gray: Any) -> None:
    """A higher one is larger and nearer; 80 unless it is said."""
    sizes = {form: len(body_of(call(gray, "GET", f"raw/xy/12_9/0_0_0/{form}"))) for form in ("jpg:20", "jpg:80", "jpg")}
    assert sizes["jpg:20"] < sizes["jpg:80"] == sizes["jpg"]
    image = picture(call(gray, "GET", "raw/xy/12_9/0_0_0/jpeg:100"))
    assert np.abs(np.asarray(image).astype(int) - volume()[0]).mean() < 4


def test_a_volume_as_one_jpeg(gray: Any) -> None:
    """As wide as x, the slices below each other, as Neuroglancer asks for it."""
    image = picture(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0/jpeg"))
    assert image.size == (12, 72)
    found = np.asarray(picture(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0/jpg:100")))
    assert np.abs(found.reshape(8, 9, 12).astype(int) - volume()).mean() < 4


@pytest.mark.parametrize(
    "url",
    [
        "raw/xy/12_9/0_0_0/gif",
        "raw/xy/12_9/0_0_0/jpg:0",
        "raw/xy/12_9/0_0_0/jpg:101",
        "raw/xy/12_9/0_0_0/jpg:x",
        "raw/xy/12_9/0_0_0/octet-stream",
        "raw/xy/12_9_8/0_0_0",
        "raw/xy/0_9/0_0_0",
        "raw/xy/12_-9/0_0_0",
        "raw/xy/12_9/0_0",
        "raw/zx/12_9/0_0_0",
        "raw/0_1_2/12_9_8/0_0_0/png",
        "raw/xy/40000_40000/0_0_0",
        "isotropic/xz/40000_40000/0_0_0",
    ],
)
def test_pictures_that_cannot_be_are_refused(gray: Any, url: str) -> None:
    """Unknown formats, qualities, planes and sizes; more than the budget; a mask that would be dropped."""
    with pytest.raises((InvalidInputError, UnsupportedError)):
        call(gray, "GET", url)


@pytest.mark.parametrize("typename", sorted(TYPES))
def test_pictures_of_every_type(repo: Repo, typename: str) -> None:
    """One byte or two are gray, four are the bytes of RGBA, eight the bytes of RGBA with 16 bits each."""
    kind = np.dtype(TYPES[typename])
    repo.create_instance(typename, "x")
    rng = np.random.default_rng(5)
    plane = rng.integers(0, 255, (7, 5, kind.itemsize), dtype=np.uint8).view(kind)[..., 0]
    view = repo.root["x"]
    view.write((3, 0, 0), plane[None])
    sent = body_of(call(view, "GET", "raw/xy/5_7/0_0_3"))
    image = Image.open(io.BytesIO(sent))
    if kind.itemsize < 4:
        assert (np.asarray(image) == plane).all()
    elif kind.itemsize == 4:
        assert image.mode == "RGBA"
        assert np.asarray(image).tobytes() == plane.tobytes()
    else:
        assert _png_rows(sent) == [row.tobytes() for row in plane]
        with pytest.raises(UnsupportedError):
            call(view, "GET", "raw/xy/5_7/0_0_3/jpg")
        return
    for form in ("tiff", "bmp", "jpg"):
        assert picture(call(view, "GET", f"raw/xy/5_7/0_0_3/{form}")).size == (5, 7)


def _png_rows(png: bytes) -> list[bytes]:
    """Rows of a PNG of 16-bit RGBA without filters, which Pillow reads as 8 bits only."""
    import zlib

    assert png[12:29] == b"IHDR" + struct.pack(">IIBBBBB", 5, 7, 16, 6, 0, 0, 0)
    size = struct.unpack_from(">I", png, 33)[0]
    assert zlib.crc32(png[37 : 41 + size]) == struct.unpack_from(">I", png, 41 + size)[0]
    lines = zlib.decompress(png[41 : 41 + size])
    assert all(lines[at] == 0 for at in range(0, len(lines), 41))
    return [lines[at + 1 : at + 41] for at in range(0, len(lines), 41)]


def test_rgba_pictures(repo: Repo) -> None:
    """Lossless with alpha as PNG; as JPEG on black."""
    repo.create_instance("rgba8blk", "rgba")
    colours = np.zeros((1, 32, 32, 4), np.uint8)
    colours[..., :3] = 200
    colours[..., 3] = 128
    view = repo.root["rgba"]
    view.write((0, 0, 0), colours)
    image = picture(call(view, "GET", "raw/xy/32_32/0_0_0"))
    assert image.mode == "RGBA"
    assert (np.asarray(image) == colours[0]).all()
    jpeg = np.asarray(picture(call(view, "GET", "raw/xy/32_32/0_0_0/jpg")))
    assert np.abs(jpeg.astype(int) - 100).max() <= 2
    assert picture(call(view, "GET", "raw/0_1_2/32_32_1/0_0_0/jpg")).size == (32, 32)


def test_isotropic_slices_have_square_pixels(gray: Any) -> None:
    """Of voxels of 4 x 8 x 40: along the coarser axis fewer voxels are read, and stretched."""
    for plane, url, rows, columns in (
        ("xy", "isotropic/xy/12_18/0_0_0", 9, 12),
        ("xz", "isotropic/xz/12_80/0_0_0", 8, 12),
        ("yz", "isotropic/yz/9_40/0_0_0", 8, 9),
    ):
        found = np.asarray(picture(call(gray, "GET", url)))
        source = gray.read_plane(plane, (0, 0, 0), (rows, columns))
        assert found.shape == (int(url.split("/")[2].split("_")[1]), columns)
        assert (found == stretched(source, found.shape)).all()
    gray.set_resolution((8, 8, 8))
    assert (np.asarray(picture(call(gray, "GET", "isotropic/xz/12_8/0_0_0"))) == volume()[:, 0]).all()
    gray.set_resolution((40, 8, 8))
    assert np.asarray(picture(call(gray, "GET", "isotropic/xy/50_9/0_0_0"))).shape == (9, 50)


def test_stretching_is_linear_and_keeps_what_is_level() -> None:
    """Numbers up to 32 bits and floats are mixed, 64-bit ones are not; no value leaves the range of its neighbours."""
    ramp = np.array([[0, 10], [100, 110]], np.uint8)
    assert stretched(ramp, (2, 2)).tolist() == ramp.tolist()
    assert stretched(ramp, (4, 2))[:, 0].tolist() == [0, 25, 75, 100]
    assert stretched(ramp, (2, 4))[0].tolist() == [0, 2, 8, 10]
    assert stretched(ramp, (1, 1)).tolist() == [[55]]
    big = np.array([[1], [1 << 63]], np.uint64)
    assert set(stretched(big, (9, 1)).ravel().tolist()) == {1, 1 << 63}
    colours = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert stretched(colours, (6, 3)).shape == (6, 3, 4)
    assert stretched(np.array([[0.0], [1.0]], np.float32), (4, 1)).ravel().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_a_jpeg_cannot_be_larger_than_jpegs_are() -> None:
    """An error with the limit, not a driver's."""
    with pytest.raises(LimitError):
        encode_picture(np.zeros((65_501, 1), np.uint8), Format.parse("jpg"))


def test_an_upright_slice_at_any_angle_is_the_slice(gray: Any) -> None:
    """Corners are in nanometers; along the axes the pixels are the voxels."""
    found = np.asarray(picture(call(gray, "GET", "arb/0_0_80/40_0_80/0_64_80/8")))
    assert (found == volume()[2, :9, 0:11:2]).all()
    gray.set_resolution((1, 1, 1))
    found = np.asarray(picture(call(gray, "GET", "arb/0_3_0/11_3_0/0_3_7/1")))
    assert (found == volume()[:, 3, :]).all()


def test_an_oblique_slice_is_interpolated(repo: Repo) -> None:
    """A linear ramp stays linear, between voxels and between blocks, for one channel and several."""
    for typename, step in (("uint16blk", 100), ("float32blk", 0.5), ("rgba8blk", 5), ("uint64blk", 100)):
        repo.create_instance(typename, typename, block_size=(4, 3, 2), voxel_size=(1, 1, 1))
        view = repo.root[typename]
        z, y, x = np.mgrid[:8, :9, :12]
        ramp = ((z + y + x) * step).astype(view.voxel.dtype)
        ramp = np.stack([ramp] * 4, axis=-1) if typename == "rgba8blk" else ramp
        view.write((0, 0, 0), ramp)
        from dvidkit_images.oblique import Parallelogram, read_oblique

        found = read_oblique(view, Parallelogram((0.5, 1.25, 2.0), (6.5, 4.25, 5.0), (1.5, 3.25, 4.0), 0.5))
        rows, columns = found.shape[:2]
        assert (rows, columns) == (7, 15)
        along = np.add.outer(np.arange(rows) * 5 / 6, np.arange(columns) * 12 / 14) + 3.75
        flat = found[..., 0] if typename == "rgba8blk" else found
        tolerance = {"uint64blk": 1.5 * step, "float32blk": 1e-3}.get(typename, 1)
        assert np.abs(flat.astype(float) - along * step).max() <= tolerance


def test_outside_is_background_at_any_angle(gray: Any) -> None:
    """Half of it outside, and a slice of a single pixel."""
    gray.set_resolution((1, 1, 1))
    found = np.asarray(picture(call(gray, "GET", "arb/-50_0_0/-40_5_0/-50_0_10/1")))
    assert (found == 9).all()
    one = np.asarray(picture(call(gray, "GET", "arb/3_2_1/3_2_1/3_2_1/5/png")))
    assert one.tolist() == [[volume()[1, 2, 3]]]


def test_a_slice_across_all_of_space(gray: Any) -> None:
    """From one end of it to the other, a pixel at a time; the one in the middle was written."""
    gray.set_resolution((1, 1, 1))
    far = 2_000_000_000
    slice_ = f"arb/-{far}_-{far}_-{far}/{far}_{far}_{far}/-{far}_-{far}_-{far}/{far * 3**0.5 / 2 - 1}"
    found = np.asarray(picture(call(gray, "GET", f"{slice_}/png")))
    assert found.tolist() == [[9, 9, volume()[0, 0, 0], 9, 9]]


@pytest.mark.parametrize(
    "where",
    ["0_0/1_0_0/0_1_0/1", "a_0_0/1_0_0/0_1_0/1", "0_0_0/1_0_0/0_1_0/0", "0_0_0/1_0_0/0_1_0/-1", "0_0_0/nan_0_0/0_1_0/1",
     "0_0_0/inf_0_0/0_1_0/1", "0_0_0/1_0_0/0_1_0/x", "0_0_0/1e9_0_0/0_1e9_0/1", "1e12_0_0/1e12_1_0/1e12_0_1/1"],
)  # fmt: skip
def test_slices_that_cannot_be_are_refused(gray: Any, where: str) -> None:
    """No numbers, no step, no end, too many pixels, outside 32 bits."""
    with pytest.raises(InvalidInputError):
        call(gray, "GET", f"arb/{where}")


def test_slices_of_too_many_pixels_are_refused(gray: Any) -> None:
    """Before any of them is made: each takes eight voxels."""
    with pytest.raises(LimitError) as refusal:
        call(gray, "GET", "arb/0_0_0/5000_0_0/0_5000_0/1")
    assert "pixels" in refusal.value.what


def test_slices_strewn_over_too_many_blocks_are_refused(gray: Any) -> None:
    """Each pixel in a block of its own: to look for them all took minutes."""
    with pytest.raises(LimitError) as refusal:
        call(gray, "GET", "arb/-475367_-908545_0/-715059_-3769_-5/0_64_0/374")
    assert "blocks" in refusal.value.what


def test_blocks_of_a_slice_are_counted_where_that_decides(gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Down its columns a slice stays in few blocks: more than there seem to be from its rows are not refused."""
    gray.set_resolution((1, 1, 1))
    monkeypatch.setattr("dvidkit_images.oblique.MOST_BLOCKS", 12)
    slice_ = "arb/0_0_0/{0}_0_0/0_8_0/1"
    found = np.asarray(picture(call(gray, "GET", slice_.format(5))))
    assert (found == volume()[0, :, :6]).all()
    with pytest.raises(LimitError) as refusal:
        call(gray, "GET", slice_.format(20))
    assert refusal.value.what == "request blocks"


@pytest.mark.parametrize("far", ["1e308", "-1e308", "1e150", "1e90"])
@pytest.mark.parametrize("step", ["1", "1e-320", "1e300"])
def test_slices_to_beyond_all_numbers_are_refused(gray: Any, far: str, step: str) -> None:
    """Their lengths overflow."""
    with pytest.raises(InvalidInputError):
        call(gray, "GET", f"arb/-{far.strip('-')}_0_0/{far}_0_{far}/0_1_0/{step}")


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_slices_of_voxels_of_any_size(gray: Any, size: float) -> None:
    """With the smallest each place is beyond all numbers; with the largest everything is one voxel."""
    gray.set_resolution((size, size, size))
    slice_ = "arb/-1e90_0_0/1e90_0_1e90/0_1_0/1e89"
    if size < 1:
        with pytest.raises(OutOfBounds):
            call(gray, "GET", slice_)
    else:
        found = np.asarray(picture(call(gray, "GET", slice_)))
        assert found.shape == (11, 23)
        assert (found == volume()[0, 0, 0]).all()


def test_pixels_that_are_too_many_to_be_counted_are_refused(gray: Any) -> None:
    """The distance of two of them is next to nothing."""
    with pytest.raises(LimitError) as refusal:
        call(gray, "GET", "arb/0_0_0/4_0_0/0_4_0/1e-320")
    assert refusal.value.what == "request pixels"
