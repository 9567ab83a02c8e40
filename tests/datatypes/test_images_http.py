"""The endpoints of the image datatypes: DVID's paths and bodies."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_images.formats import Format, encode_picture, stretched
from dvidkit_images.voxels import Array
from PIL import Image

from dvidkit import envelope
from dvidkit.endpoints import Request, Response
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadPayload,
    InvalidInputError,
    LimitError,
    OutOfBounds,
    UnknownInstance,
    UnknownUUID,
    UnsupportedError,
    VersionConflict,
    VersionLocked,
)
from dvidkit.http import create_app
from dvidkit.http.status import HTTPError
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo

TYPES = {"uint8blk": "<u1", "uint16blk": "<u2", "uint32blk": "<u4", "uint64blk": "<u8", "float32blk": "<f4"}


@pytest.fixture
def repo() -> Iterator[Repo]:
    """A repo in memory with an instance ``gray`` of small blocks."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("uint8blk", "gray", BlockSize="4,3,2", Background="9", VoxelSize="4,8,40")
        yield repo


@pytest.fixture
def gray(repo: Repo) -> Any:
    """The instance at the root, with 8 x 9 x 12 voxels from the origin."""
    view = repo.root["gray"]
    view.write((0, 0, 0), volume())
    return view


def volume() -> Array:
    """What is written."""
    return np.random.default_rng(1).integers(0, 256, (8, 9, 12), dtype=np.uint8)


def picture(answer: Response) -> Image.Image:
    """The picture that was sent."""
    image = Image.open(io.BytesIO(body_of(answer)))
    image.load()
    assert answer.media_type == f"image/{str(image.format).lower()}"
    return image


def records(stream: bytes) -> list[tuple[tuple[int, int, int], bytes]]:
    """(x, y, z) and payload of each record of a block stream; nothing may be left."""
    found, place = [], 0
    while place < len(stream):
        x, y, z, size = struct.unpack_from("<4i", stream, place)
        found.append(((x, y, z), stream[place + 16 : place + 16 + size]))
        place += 16 + size
    assert place == len(stream)
    return found


# --- the table -------------------------------------------------------------------------------------------------------


def test_the_table_is_dvids(repo: Repo) -> None:
    """Every endpoint of DVID's that the service does not answer itself, and which of them change data."""
    rows = {(row.method, row.path): row.mutates for row in repo.root["gray"].endpoints}
    boxes = ["{dims}/{size}/{offset}", "{dims}/{size}/{offset}/{format}"]
    corners = "arb/{top_left}/{top_right}/{bottom_left}/{res}"
    wanted = {("GET", f"{name}/{box}"): False for name in ("raw", "isotropic") for box in boxes}
    wanted |= {("POST", f"raw/{box}"): True for box in boxes}
    wanted |= {
        ("GET", name): False for name in ("metadata", "rawkey", "specificblocks", corners, f"{corners}/{{format}}")
    }
    wanted |= {("GET", "subvolblocks/{size}/{offset}"): False, ("GET", "blocks/{block}/{span}"): False}
    wanted |= {("POST", name): True for name in ("extents", "resolution", "blocks/{block}/{span}")}
    assert rows == wanted
    assert all(row.summary and row.description for row in repo.root["gray"].endpoints)


# --- boxes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", ["0_1_2", "0,1,2", "vol", "VOL"])
def test_a_box_is_bytes_with_x_fastest(gray: Any, dims: str) -> None:
    """Of any place and size; the URL has x first, the bytes are in the order z, y, x."""
    answer = call(gray, "GET", f"raw/{dims}/5_6_3/-1_2_6")
    assert answer.media_type == "application/octet-stream"
    wanted = np.full((3, 6, 5), 9, np.uint8)
    wanted[:2, :, 1:] = volume()[6:8, 2:8, :4]
    assert body_of(answer) == wanted.tobytes()
    assert body_of(call(gray, "GET", f"raw/{dims}/5_6_3/-1_2_6/octet-stream")) == wanted.tobytes()
    assert body_of(call(gray, "GET", f"isotropic/{dims}/5_6_3/-1_2_6")) == wanted.tobytes()


def test_post_and_get_of_every_type(repo: Repo) -> None:
    """The bytes that are posted are the bytes that are got."""
    for typename in (*TYPES, "rgba8blk"):
        repo.create_instance(typename, typename, block_size=(4, 3, 2))
        view = repo.root[typename]
        body = np.random.default_rng(3).bytes(4 * 6 * 8 * view.voxel.size)
        assert call(view, "POST", "raw/0_1_2/8_6_4/4_-3_2?mutate=true", body).body == b""
        assert body_of(call(view, "GET", "raw/0_1_2/8_6_4/4_-3_2")) == body
        assert body_of(call(view, "GET", "blocks/1_-1_1/1")) != body
        assert view.extents().points() == {"MinPoint": [4, -3, 2], "MaxPoint": [11, 2, 5]}


def test_a_box_between_which_blocks_it_likes(gray: Any) -> None:
    """With ``unaligned=true`` any box is written, and only it."""
    wanted = np.frombuffer(body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0")), np.uint8).reshape(8, 9, 12).copy()
    wanted[1:4, 2:7, 3:8] = 77
    assert call(gray, "POST", "raw/0_1_2/5_5_3/3_2_1?unaligned=true", bytes([77]) * 75).body == b""
    assert body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0")) == wanted.tobytes()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("raw/0_1_2/4_3_2/1_0_0", OutOfBounds),
        ("raw/0_1_2/4_3_2/1_0_0?unaligned=false", OutOfBounds),
        ("raw/0_1_2/4_3_2/2147483645_0_0?unaligned=true", OutOfBounds),
        ("raw/0_1_2/5_3_2/1_0_0?unaligned=true", BadPayload),
        ("raw/0_1_2/4_3_1/0_0_0", OutOfBounds),
        ("raw/0_1_2/0_3_2/0_0_0", OutOfBounds),
        ("raw/0_1_2/-4_3_2/0_0_0", OutOfBounds),
        ("raw/0_1_2/4_3_2/2147483644_0_0", BadPayload),
        ("raw/0_1_2/8_3_2/2147483644_0_0", OutOfBounds),
        ("raw/0_1_2/4000000000_4000000000_4000000000/0_0_0", OutOfBounds),
        ("raw/0_1_2/4000_3000_200/0_0_0", LimitError),
        ("raw/0_1_2/4_3/0_0_0", InvalidInputError),
        ("raw/0_1_2/4_3_x/0_0_0", InvalidInputError),
        ("raw/0_1_2/4_3_2/0_0", InvalidInputError),
        ("raw/0_1/4_3/0_0_0", InvalidInputError),
        ("raw/0_1_3/4_3_2/0_0_0", InvalidInputError),
        ("raw/0_1_2/8_3_2/0_0_0", BadPayload),
    ],
)
def test_posts_that_cannot_be_are_refused(gray: Any, url: str, error: type[Exception]) -> None:
    """Between blocks only, within 32 bits and the budget, of just so many bytes, boxes only, and no mask dropped."""
    before = body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0"))
    with pytest.raises(error):
        call(gray, "POST", url, bytes(23))
    assert body_of(call(gray, "GET", "raw/0_1_2/12_9_8/0_0_0")) == before


def test_a_committed_version_refuses_posts(gray: Any) -> None:
    """Every row that changes voxels or extents."""
    gray.node.commit()
    for url, body in (
        ("raw/0_1_2/4_3_2/0_0_0", bytes(24)),
        ("blocks/0_0_0/1", bytes(24)),
        ("extents", b'{"MinPoint":[0,0,0],"MaxPoint":[1,1,1]}'),
    ):
        with pytest.raises(VersionLocked):
            call(gray, "POST", url, body)


def test_other_methods_are_not_for_these_urls(gray: Any) -> None:
    """405, naming those that are."""
    for method, url in (("PUT", "raw/0_1_2/4_3_2/0_0_0"), ("POST", "metadata"), ("DELETE", "blocks/0_0_0/1")):
        with pytest.raises(HTTPError) as caught:
            call(gray, method, url)
        assert caught.value.status == 405


# --- pictures --------------------------------------------------------------------------------------------------------


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


# --- slices at any angle ---------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "where",
    ["0_0/1_0_0/0_1_0/1", "a_0_0/1_0_0/0_1_0/1", "0_0_0/1_0_0/0_1_0/0", "0_0_0/1_0_0/0_1_0/-1", "0_0_0/nan_0_0/0_1_0/1",
     "0_0_0/inf_0_0/0_1_0/1", "0_0_0/1_0_0/0_1_0/x", "0_0_0/1e9_0_0/0_1e9_0/1", "1e12_0_0/1e12_1_0/1e12_0_1/1"],
)  # fmt: skip
def test_slices_that_cannot_be_are_refused(gray: Any, where: str) -> None:
    """No numbers, no step, no end, too many pixels, outside 32 bits."""
    with pytest.raises(InvalidInputError):
        call(gray, "GET", f"arb/{where}")


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_blocks_are_whole_and_uncompressed(gray: Any) -> None:
    """Along x from a block coordinate, background where nothing was written; posted as they are got."""
    body = body_of(call(gray, "GET", "blocks/-1_1_2/3"))
    wanted = np.pad(volume()[4:6, 3:6, :8], ((0, 0), (0, 0), (4, 0)), constant_values=9)
    blocks = [wanted[:, :, 4 * n : 4 * n + 4].tobytes() for n in range(3)]
    assert body == b"".join(blocks)
    call(gray, "POST", "blocks/10_-5_7/3?mutate=true", body)
    assert body_of(call(gray, "GET", "blocks/10_-5_7/3")) == body
    assert gray.read((14, -15, 40), (2, 3, 12)).tobytes() == wanted.tobytes()


def test_blocks_of_more_than_a_byte(repo: Repo) -> None:
    """DVID reads one byte for each voxel; here it is as many as there are."""
    repo.create_instance("uint32blk", "wide", block_size=(2, 2, 2))
    body = np.arange(24, dtype="<u4").tobytes()
    call(repo.root["wide"], "POST", "blocks/0_0_0/3", body)
    assert body_of(call(repo.root["wide"], "GET", "blocks/0_0_0/3")) == body
    assert repo.root["wide"].read((0, 0, 2), (1, 1, 1)).tolist() == [[[8]]]


@pytest.mark.parametrize(
    ("url", "size"),
    [
        ("blocks/0_0_0/0", 0),
        ("blocks/0_0_0/-1", 0),
        ("blocks/0_0_0/x", 0),
        ("blocks/0_0/1", 24),
        ("blocks/0_0_0/1", 23),
        ("blocks/0_0_0/1", 25),
        ("blocks/0_0_0/2", 24),
        ("blocks/600000000_0_0/1", 24),
        ("blocks/0_0_0/99999999999", 24),
    ],
)
def test_blocks_that_cannot_be_are_refused(gray: Any, url: str, size: int) -> None:
    """A span of none, a body of another size, a block outside space."""
    with pytest.raises(InvalidInputError):
        call(gray, "POST", url, bytes(size))


def test_subvolblocks_are_stored_blocks(gray: Any) -> None:
    """In order, only those that were written; the payload as it is stored, or raw."""
    stream = body_of(call(gray, "GET", "subvolblocks/12_6_4/-4_0_6"))
    found = records(stream)
    assert [where for where, _ in found] == [(0, 0, 3), (1, 0, 3), (0, 1, 3), (1, 1, 3)]
    raw = dict(records(body_of(call(gray, "GET", "subvolblocks/12_6_4/-4_0_6?compression=uncompressed"))))
    for (x, y, z), payload in found:
        block = volume()[2 * z : 2 * z + 2, 3 * y : 3 * y + 3, 4 * x : 4 * x + 4].tobytes()
        assert envelope.unpack(b"\x80" + payload) == raw[x, y, z] == block
    assert body_of(call(gray, "GET", "subvolblocks/4_3_2/400_300_200")) == b""
    for url in ("subvolblocks/12_6_4/-3_0_6", "subvolblocks/12_6_5/-4_0_6", "subvolblocks/0_6_4/-4_0_6"):
        with pytest.raises(OutOfBounds):
            call(gray, "GET", url)
    with pytest.raises(UnsupportedError):
        call(gray, "GET", "subvolblocks/4_3_2/0_0_0?compression=jpeg")
    with pytest.raises(InvalidInputError):
        call(gray, "GET", "subvolblocks/4_3_2/0_0_0?compression=gzip")


def test_jpeg_blocks_are_sent_as_they_are(repo: Repo) -> None:
    """With ``jpeg`` or without, where they are stored so; decoded with ``uncompressed``."""
    repo.create_instance("uint8blk", "jpeg", compression="jpeg", checksum="crc32")
    view = repo.root["jpeg"]
    view.write((0, 0, 0), np.full((32, 32, 32), 77, np.uint8))
    for query in ("", "?compression=jpeg"):
        ((_, payload),) = records(body_of(call(view, "GET", f"subvolblocks/32_32_32/0_0_0{query}")))
        image = Image.open(io.BytesIO(payload))
        assert (image.size, image.mode) == ((32, 1024), "L")
    ((_, payload),) = records(body_of(call(view, "GET", "subvolblocks/32_32_32/0_0_0?compression=uncompressed")))
    assert payload == bytes([77]) * 32**3


def test_specificblocks_are_as_named(gray: Any) -> None:
    """In the order named, repeated where named twice, absent ones left out; nothing at all for a prefetch."""
    stream = body_of(call(gray, "GET", "specificblocks?blocks=1,2,3,-9,0,0,0,0,0,1,2,3&compression=uncompressed"))
    found = records(stream)
    assert [where for where, _ in found] == [(1, 2, 3), (0, 0, 0), (1, 2, 3)]
    assert found[0][1] == volume()[6:8, 6:9, 4:8].tobytes()
    assert body_of(call(gray, "GET", "specificblocks?blocks=0,0,0&prefetch=on")) == b""
    for query in ("", "?blocks="):
        assert body_of(call(gray, "GET", f"specificblocks{query}")) == b""
    for query in ("blocks=1,2", "blocks=1,2,x", "blocks=1,2,3,", "blocks=2000000000,0,0", "blocks=0,0,0&compression=x"):
        with pytest.raises(InvalidInputError):
            call(gray, "GET", f"specificblocks?{query}")


def test_large_streams_are_sent_in_pieces(repo: Repo) -> None:
    """With their length."""
    repo.create_instance("uint8blk", "large", block_size=(64, 64, 64), compression="none")
    view = repo.root["large"]
    view.write((0, 0, 0), np.zeros((128, 128, 128), np.uint8))
    answer = call(view, "GET", "subvolblocks/128_128_128/0_0_0")
    assert not isinstance(answer.body, bytes)
    stream = body_of(answer)
    assert answer.headers["Content-Length"] == str(len(stream)) == str(8 * (16 + 64**3))


def test_conflicts_are_errors_before_anything_is_sent(gray: Any) -> None:
    """In every reading row that meets them."""
    repo = gray.instance.repo
    gray.node.commit()
    sides = [gray.node.new_version(), gray.node.make_branch("side")]
    for number, side in enumerate(sides):
        side["gray"].write((0, 0, 0), np.full((1, 1, 1), number, np.uint8))
        side.commit()
    merged = repo.merge(sides)["gray"]
    for url in (
        "raw/0_1_2/12_9_8/0_0_0",
        "raw/0_1_2/12_9_8/0_0_0/jpeg",
        "raw/xy/12_9/0_0_0",
        "isotropic/xz/12_9/0_0_0",
        "blocks/0_0_0/2",
        "subvolblocks/12_9_8/0_0_0",
        "specificblocks?blocks=1,1,1,0,0,0",
        "arb/0_0_0/10_0_0/0_10_0/1",
    ):
        with pytest.raises(VersionConflict, match=r"\(0, 0, 0\)"):
            call(merged, "GET", url)
    assert body_of(call(merged, "GET", "raw/0_1_2/4_3_2/4_3_2")) == volume()[2:4, 3:6, 4:8].tobytes()


# --- what the volume is ----------------------------------------------------------------------------------------------


def test_metadata_is_dvids(gray: Any) -> None:
    """Axes with label, resolution, units, size and offset; size and offset 0 where nothing was written."""
    answer = call(gray, "GET", "metadata")
    assert answer.media_type == "application/vnd.dvid-nd-data+json"
    shown = json.loads(body_of(answer))
    units = {"Units": "nanometers"}
    assert shown["Axes"] == [
        {"Label": "X", "Resolution": 4.0, **units, "Size": 12, "Offset": 0},
        {"Label": "Y", "Resolution": 8.0, **units, "Size": 9, "Offset": 0},
        {"Label": "Z", "Resolution": 40.0, **units, "Size": 8, "Offset": 0},
    ]
    assert shown["Properties"] == gray.extended()
    gray.instance.repo.create_instance("uint8blk", "empty")
    empty = json.loads(body_of(call(gray.instance.repo.root["empty"], "GET", "metadata")))
    assert [axis["Size"] for axis in empty["Axes"]] == [0, 0, 0]


def test_extents_are_replaced(gray: Any) -> None:
    """By JSON with both points; anything else changes nothing."""
    call(gray, "POST", "extents", b'{"MinPoint": [1, 2, 3], "MaxPoint": [10, 20, 30]}', user="ada")
    assert gray.extents().points() == {"MinPoint": [1, 2, 3], "MaxPoint": [10, 20, 30]}
    for body in (
        b"",
        b"[]",
        b'{"MinPoint": [0,0,0]}',
        b'{"MinPoint": [0,0], "MaxPoint": [1,1]}',
        b'{"MinPoint": [0,0,0], "MaxPoint": [1,1,"1"]}',
        b'{"MinPoint": [0,0,5], "MaxPoint": [1,1,1]}',
        b'{"MinPoint": [0,0,0], "MaxPoint": [1,1,9999999999]}',
    ):
        with pytest.raises(InvalidInputError):
            call(gray, "POST", "extents", body)
    assert gray.extents().points() == {"MinPoint": [1, 2, 3], "MaxPoint": [10, 20, 30]}


def test_resolution_is_set(gray: Any) -> None:
    """By a JSON array; anything else changes nothing."""
    call(gray, "POST", "resolution", b"[8, 8.5, 9]")
    assert gray.extended()["VoxelSize"] == [8.0, 8.5, 9.0]
    for body in (b"", b"[8, 8]", b'["8", 8, 8]', b"[8, 8, 0]", b"[8, 8, -1]", b"8"):
        with pytest.raises(InvalidInputError):
            call(gray, "POST", "resolution", body)
    assert gray.extended()["VoxelSize"] == [8.0, 8.5, 9.0]


def test_rawkey_is_where_the_block_is(gray: Any) -> None:
    """The full key of this version, in hexadecimal."""
    key = bytes.fromhex(json.loads(body_of(call(gray, "GET", "rawkey?x=2&y=1&z=0")))["Key"])
    assert envelope.unpack(gray.store.raw_get(key)) == volume()[0:2, 3:6, 8:12].tobytes()
    for query in ("x=1&y=2", "x=1&y=2&z=a", ""):
        with pytest.raises(InvalidInputError):
            call(gray, "GET", f"rawkey?{query}")


# --- regions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def inside(repo: Repo, gray: Any) -> Array:
    """Makes an roi ``region`` with blocks of 5 voxels; which of the volume's voxels are in it."""
    repo.create_instance("roi", "region", BlockSize="5,5,5")
    repo.root["region"].replace([(0, 0, 1, 1), (1, 1, 0, 0)])
    found: Array = repo.root["region"].mask((0, 0, 0), (8, 9, 12))
    assert 0 < found.sum() < found.size
    return found


@pytest.mark.parametrize("name", ["region", "region,UUID"])
def test_reading_within_a_region(repo: Repo, gray: Any, inside: Array, name: str) -> None:
    """Voxels outside are background, or with an attenuation darker; in boxes, slices and stretched slices."""
    name = name.replace("UUID", repo.uuid)
    box = body_of(call(gray, "GET", f"raw/0_1_2/12_9_8/0_0_0?roi={name}"))
    assert box == np.where(inside, volume(), 9).tobytes()
    darker = body_of(call(gray, "GET", f"raw/0_1_2/12_9_8/0_0_0?roi={name}&attenuation=3"))
    assert darker == np.where(inside, volume(), volume() >> 3).tobytes()
    for plane, place, size in (
        ("xy", (2, slice(None), slice(None)), "12_9"),
        ("yz", (slice(None), slice(None), 7), "9_8"),
    ):
        corner = "0_0_2" if plane == "xy" else "7_0_0"
        shown = picture(call(gray, "GET", f"raw/{plane}/{size}/{corner}?roi={name}"))
        assert np.array_equal(np.asarray(shown), np.where(inside, volume(), 9)[place])
    assert body_of(call(gray, "GET", f"isotropic/0_1_2/12_9_8/0_0_0?roi={name}")) == box


def test_writing_within_a_region(repo: Repo, gray: Any, inside: Array) -> None:
    """Voxels outside stay as they were, in blocks that the region touches and in others; it is one mutation."""
    data = 255 - volume()
    call(gray, "POST", "raw/0_1_2/12_9_8/0_0_0?roi=region", body=data.tobytes())
    assert np.array_equal(gray.read((0, 0, 0), (8, 9, 12)), np.where(inside, data, volume()))
    repo.create_instance("uint8blk", "fresh", BlockSize="4,3,2", Background="9")
    fresh = repo.root["fresh"]
    call(fresh, "POST", "raw/0_1_2/12_9_8/0_0_0?roi=region", body=data.tobytes())
    assert np.array_equal(fresh.read((0, 0, 0), (8, 9, 12)), np.where(inside, data, 9))
    assert len(list(fresh.stored_blocks((0, 0, 0), (8, 9, 12)))) < 4 * 3 * 3


def test_a_mask_for_colours(repo: Repo, inside: Array) -> None:
    """Holds for all channels of a voxel."""
    repo.create_instance("rgba8blk", "colour", BlockSize="4,3,2")
    colour = repo.root["colour"]
    data = np.random.default_rng(2).integers(0, 256, (8, 9, 12, 4), dtype=np.uint8)
    call(colour, "POST", "raw/0_1_2/12_9_8/0_0_0?roi=region", body=data.tobytes())
    wanted = np.where(inside[..., None], data, 0).astype(np.uint8)
    assert np.array_equal(colour.read((0, 0, 0), (8, 9, 12)), wanted)
    colour.write((0, 0, 0), data)
    assert body_of(call(colour, "GET", "raw/0_1_2/12_9_8/0_0_0?roi=region")) == wanted.tobytes()


def test_regions_that_cannot_be(repo: Repo, gray: Any, inside: Array) -> None:
    """No such instance, one that is no region, a version of nowhere, a wrong attenuation: nothing is written."""
    before = gray.read((0, 0, 0), (8, 9, 12))
    for name, error in (("none", UnknownInstance), ("gray", InvalidInputError), ("region,ffff", UnknownUUID)):
        for method, body in (("GET", b""), ("POST", bytes(864))):
            with pytest.raises(error):
                call(gray, method, f"raw/0_1_2/12_9_8/0_0_0?roi={name}", body=body)
    for bits in ("8", "-1", "x"):
        with pytest.raises(InvalidInputError):
            call(gray, "GET", f"raw/0_1_2/12_9_8/0_0_0?roi=region&attenuation={bits}")
    repo.create_instance("uint16blk", "deep")
    with pytest.raises(InvalidInputError):
        call(repo.root["deep"], "GET", "raw/0_1_2/12_9_8/0_0_0?roi=region&attenuation=2")
    with pytest.raises(BadPayload):
        gray.write((0, 0, 0), before, within=inside[1:])
    assert np.array_equal(gray.read((0, 0, 0), (8, 9, 12)), before)


SIDES = ("1_1_1", "2_3_4", "4_3_2", "9_9_9", "0_1_1", "x_1_1", "1_1", "-1_2_3")
PLACES = ("0_0_0", "1_1_1", "-4_0_0", "2147483647_0_0", "0_0_9999999999", "a_b_c")


@pytest.mark.parametrize("compression", ["none", "lz4", "gzip"])
def test_a_box_read_in_the_event_loop_is_the_one_read_in_a_thread(compression: str, monkeypatch: Any) -> None:
    """What is read or refused at once, as it is brief, has the answer that a thread would give."""
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        instance = repo.create_instance("uint8blk", "gray", BlockSize="4,3,2", Compression=compression)
        repo.root["gray"].write((0, 0, 0), volume())
        app = create_app(kernel)
        urls = [f"/api/node/{repo.uuid}/gray/raw/0_1_2/{size}/{place}" for size in SIDES for place in PLACES]
        urls += [f"{urls[0]}?throttle=on", f"{urls[0]}?roi=none", f"{urls[0]}/jpg", urls[0].replace("0_1_2", "0_1")]

        async def answers() -> list[tuple[int, bytes, Any]]:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                found = [await client.get(url) for url in urls]
            return [(each.status_code, each.content, sorted(each.headers.items())) for each in found]

        in_threads: list[str] = []
        run = app.pool.run

        async def noted(function: Any, *args: Any) -> Any:
            in_threads.append(function.__name__)
            return await run(function, *args)

        monkeypatch.setattr(app.pool, "run", noted)
        chosen = asyncio.run(answers())
        some = len(in_threads)
        monkeypatch.setattr(instance.datatype, "is_brief", lambda self, request: False)
        assert asyncio.run(answers()) == chosen
        app.pool.close()
        assert (some < len(in_threads) - some) == (compression != "gzip")


@pytest.mark.parametrize(
    ("block", "size", "brief"), [("64,64,64", 64, True), ("64,64,64", 65, False), ("32,32,32", 64, False)]
)
def test_what_is_brief(repo: Repo, block: str, size: int, brief: bool) -> None:
    """A block of 256 KiB is read in the event loop; several that other threads would help to decode are not."""
    repo.create_instance("uint8blk", "volume", BlockSize=block)
    request = Request("GET", {"dims": "0_1_2", "size": f"{size}_{size}_{size}", "offset": "0_0_0"})
    assert repo.root["volume"].is_brief(request) == brief
