"""The image datatypes: boxes of voxels, in versions. numpy is the oracle."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.case import Refused
from dvidkit_images import codec, conformance, writing
from dvidkit_images.boxes import Box
from dvidkit_images.codec import BlockCodec, Decoder, Encoder
from dvidkit_images.extents import Extents
from dvidkit_images.keys import BLOCK, EXTENTS, block_tkey, block_zyx
from dvidkit_images.kinds import DATATYPES
from dvidkit_images.settings import ImageSettings
from dvidkit_images.voxels import UINT8, UINT16, Array, copy_voxels
from hypothesis import given, settings
from hypothesis import strategies as st

import dvidkit
from dvidkit import envelope, errors
from dvidkit.engine import Limits, StoreConfig
from dvidkit.errors import (
    BadConfig,
    BadPayload,
    BadType,
    CorruptData,
    DvidkitError,
    InvalidInputError,
    LimitError,
    OutOfBounds,
    UnsupportedError,
    VersionConflict,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.keys import PREFIX_SIZE
from dvidkit.mutationlog import MutationLog
from dvidkit.repo import Repo, Version
from dvidkit.workers import Workers

INT32 = 1 << 31
CASES = {
    case.typename: case
    for case in (
        conformance.Uint8Case,
        conformance.Uint16Case,
        conformance.Uint32Case,
        conformance.Uint64Case,
        conformance.Float32Case,
        conformance.RgbaCase,
    )
}


@pytest.fixture(params=["memory", "lmdb"])
def kernel(request: Any, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel on each engine, with threads to share work with, however few processors there are."""
    with dvidkit.open(str(tmp_path / "store"), request.param, durability="buffered") as kernel:
        kernel.workers.close()
        kernel.workers = Workers(2)
        yield kernel


@pytest.fixture
def repo(kernel: Kernel) -> Repo:
    """A repo with an instance ``gray`` of small blocks that differ along each axis."""
    repo = kernel.repos.create("r")
    repo.create_instance("uint8blk", "gray", BlockSize="4,3,2")
    return repo


@pytest.fixture
def gray(repo: Repo) -> Any:
    """The instance at the root."""
    return repo.root["gray"]


def noise(*shape: int, seed: int = 0, dtype: str = "uint8") -> Array:
    """Random voxels."""
    kind = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    return rng.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def dump(kernel: Kernel) -> dict[bytes, bytes]:
    """Every stored row of data by TKey and version."""
    rows = kernel.stores["default"].raw_range_query(b"\x01", b"\x02")
    return {key[PREFIX_SIZE:-5]: value or b"" for key, value in rows}


# --- keys and stored forms -------------------------------------------------------------------------------------------


def test_tkeys_are_dvids() -> None:
    """Class 23 with z, y, x, each with the sign bit flipped; class 24 without a payload."""
    assert block_tkey((1, -2, 3)).hex() == "1701" + "80000001" + "7ffffffe" + "80000003"
    assert block_zyx(block_tkey((1, -2, 3))) == (1, -2, 3)
    assert EXTENTS.key().hex() == "1801"
    assert (BLOCK.id, BLOCK.width, EXTENTS.width) == (23, 12, 0)


def test_a_block_is_stored_as_dvid_stores_it(kernel: Kernel, gray: Any) -> None:
    """X fastest, then y, then z, whole blocks only, in an lz4 envelope; extents are JSON in an uncompressed one."""
    voxels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    gray.write((2, 3, 4), voxels)
    rows = {key[:-4]: value for key, value in dump(kernel).items()}
    assert rows == {
        block_tkey((1, 1, 1)): envelope.pack(bytes(range(24)), "lz4"),
        EXTENTS.key(): b'\x00{"MinPoint":[4,3,2],"MaxPoint":[7,5,3]}',
    }


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.typename)
def test_voxels_are_little_endian(kernel: Kernel, datatype: Any) -> None:
    """Whatever the byte order of the array that is written; channels are interleaved."""
    repo = kernel.repos.create("r")
    repo.create_instance(datatype.typename, "x", BlockSize="2,1,1", Compression="none")
    channels = [4] if datatype.typename == "rgba8blk" else []
    array = noise(1, 1, 2, *channels, dtype=datatype.voxel.dtype.name)
    for order in "<>":
        repo.root["x"].write((0, 0, 0), array.astype(order + array.dtype.str[1:]))
        stored = dump(kernel)[block_tkey((0, 0, 0)) + repo.root.id.to_bytes(4, "big")]
        assert stored == b"\x00" + array.astype("<" + array.dtype.str[1:]).tobytes()
        assert conformance.same(repo.root["x"].read((0, 0, 0), (1, 1, 2)), array)


@pytest.mark.parametrize("compression", ["none", "snappy", "lz4", "gzip", "gzip:1"])
@pytest.mark.parametrize("checksum", ["none", "crc32"])
def test_settings_say_how_blocks_are_stored(kernel: Kernel, compression: str, checksum: str) -> None:
    """Compression and checksum of the instance are those of its blocks, compressible ones and others."""
    repo = kernel.repos.create("r")
    repo.create_instance("uint16blk", "x", block_size=(8, 8, 8), compression=compression, checksum=checksum)
    volume = np.concatenate([noise(8, 8, 8, dtype="uint16"), np.full((8, 8, 8), 500, np.uint16)])
    view = repo.root["x"]
    view.write((0, 0, 0), volume)
    assert (view.read((0, 0, 0), volume.shape) == volume).all()
    name, _, level = compression.partition(":")
    for z in range(2):
        raw = volume[8 * z : 8 * z + 8].tobytes()
        ((_, stored),) = view.specific_blocks([(z, 0, 0)])
        assert envelope.unpack(stored, size=1024) == raw
        packed = envelope.pack(raw, name, checksum, level=int(level or -1))  # type: ignore[arg-type]
        assert stored[0] == packed[0]
        assert len(stored) <= len(packed)


def test_jpeg_blocks(kernel: Kernel) -> None:
    """A smooth volume comes back nearly as it was; a block is one gray JPEG as wide as x; other types refuse it."""
    repo = kernel.repos.create("r")
    repo.create_instance("uint8blk", "x", block_size=(32, 32, 32), compression="jpeg", checksum="crc32")
    z, y, x = np.mgrid[:40, :40, :40]
    volume = (z + 2 * y + 3 * x).astype(np.uint8)
    view = repo.root["x"]
    view.write((-3, 0, 5), volume)
    found = view.read((-3, 0, 5), volume.shape)
    assert np.abs(found[4:].astype(int) - volume[4:]).mean() < 3
    ((_, stored),) = view.specific_blocks([(0, 0, 0)])
    assert stored[0] == 0xA8
    assert view.codec.payload(stored, "jpeg")[:2] == b"\xff\xd8"
    assert len(view.codec.payload(stored, "uncompressed")) == 32**3
    with pytest.raises(BadConfig):
        repo.create_instance("uint16blk", "y", compression="jpeg")
    with pytest.raises(BadConfig):
        repo.create_instance("uint8blk", "z", compression="jpeg", block_size=(8, 256, 257))


def test_a_block_that_does_not_compress_is_read_where_it_lies() -> None:
    """A literal run is what LZ4 writes for it, of any size; nothing else is taken for one."""
    for size in (1, 14, 15, 16, 254, 269, 270, 271, 4000):
        kind = BlockCodec(UINT8, ImageSettings(block_size=(size, 1, 1)))
        raw = np.random.default_rng(size).permutation(np.resize(np.arange(256), size)).astype(np.uint8).tobytes()
        stored = envelope.pack(raw, "lz4")
        payload = memoryview(stored)[1:]
        if len(payload) > 4 + size:
            found = kind.literals(payload)
            assert found is not None
            assert found.tobytes() == raw
        assert Decoder(kind).decode(stored).tobytes() == raw
        assert kind.literals(payload[:-1]) is None
        assert kind.literals(memoryview(bytes(payload) + b"x")) is None
        assert kind.literals(memoryview(b"\0\0\0\0\x10" + bytes(payload)[5:])) is None or size == 1


@given(st.binary(max_size=80), st.sampled_from([0x00, 0x20, 0x28, 0x40, 0x80, 0x88, 0xA0, 0xA8]), st.booleans())
def test_noise_is_never_a_block_by_accident(noise: bytes, head: int, sized: bool) -> None:
    """Stored bytes decode to a whole block or are corrupt; no driver's error comes out."""
    kind = BlockCodec(UINT16, ImageSettings(block_size=(4, 3, 2)))
    stored = bytes((head,)) + (struct.pack("<I", 48) if sized else b"") + noise
    try:
        block = Decoder(kind).decode(stored)
    except CorruptData:
        return
    assert block.shape == (2, 3, 4)


def test_stored_blocks_of_another_size_are_corrupt(kernel: Kernel, gray: Any) -> None:
    """A block with a voxel too many or too few, an empty one, a JPEG of another shape: never voxels."""
    gray.write((0, 0, 0), noise(2, 3, 4))
    store = kernel.stores["default"]
    key = gray.ctx.prefix + block_tkey((0, 0, 0)) + gray.ctx.suffix
    wrong = BlockCodec(UINT8, ImageSettings(block_size=(4, 3, 3), compression="jpeg"))
    jpeg = Encoder(wrong)
    jpeg.block.fill(7)
    for stored in (
        b"",
        envelope.pack(bytes(23), "lz4"),
        envelope.pack(bytes(25), "gzip"),
        envelope.pack(bytes(24), "lz4")[:-1],
        jpeg.encode(),
        b"\xa0" + jpeg.encode()[1:-10],
        b"\xa0not a jpeg",
    ):
        store.raw_put(key, stored)
        with pytest.raises(CorruptData, match=r"block \(0, 0, 0\)"):
            gray.read((0, 0, 0), (1, 1, 1))
        with pytest.raises(CorruptData):
            gray.write((0, 0, 0), noise(1, 1, 1))
    store.raw_put(gray.ctx.prefix + EXTENTS.key() + gray.ctx.suffix, envelope.pack(b'{"MinPoint":[1,2]}', "none"))
    with pytest.raises(CorruptData):
        gray.extents()


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 40), (1, 1, 1), (0, 4, 40), (3, 4, 0)])
@pytest.mark.parametrize("dtype", ["u1", "<u4", "<f4"])
def test_copying_is_assignment(shape: tuple[int, ...], dtype: str) -> None:
    """Rows in one piece or voxel by voxel, of contiguous and of strided arrays."""
    source = np.arange(np.prod((5, 6, 90))).reshape(5, 6, 90).astype(dtype)
    box = tuple(slice(1, 1 + side) for side in shape)
    for part in (source[box], source[box][..., ::-1], np.asfortranarray(source)[box], source.transpose(2, 1, 0)[box]):
        if part.shape != shape:
            continue
        whole: Array = np.zeros((9, 9, 99), dtype)
        wanted = whole.copy()
        wanted[box] = part
        copy_voxels(whole[box], part)
        assert (whole == wanted).all()


# --- boxes -----------------------------------------------------------------------------------------------------------


def test_what_was_never_written_is_background(repo: Repo) -> None:
    """Of every type, in every channel; around and between what was written."""
    for datatype in DATATYPES:
        repo.create_instance(datatype.typename, datatype.typename, block_size=(4, 3, 2), background=9)
        view = repo.root[datatype.typename]
        found = view.read((-5, -5, -5), (7, 8, 9))
        assert found.dtype == datatype.voxel.dtype
        assert found.shape == (7, 8, 9, *([4] if datatype.typename == "rgba8blk" else []))
        assert (found == 9).all()
        one = np.full((1, 1, 1, *found.shape[3:]), 3, found.dtype)
        view.write((0, 0, 0), one)
        found = view.read((-2, -3, -4), (6, 9, 12))
        assert (found[2, 3, 4] == 3).all()
        assert (found == 9).sum() == found.size - one.size


def test_reads_are_the_callers(gray: Any) -> None:
    """A new array each time, writable, contiguous; changing it changes nothing stored."""
    gray.write((0, 0, 0), noise(4, 6, 8))
    first = gray.read((0, 0, 0), (4, 6, 8))
    assert first.flags.c_contiguous
    assert first.flags.writeable
    kept = first.copy()
    first[:] = 0
    assert (gray.read((0, 0, 0), (4, 6, 8)) == kept).all()


boxes = st.tuples(*[st.tuples(st.integers(-9, 9), st.integers(0, 9))] * 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(boxes, st.integers(0, 99)), max_size=6), st.lists(boxes, min_size=1, max_size=4), st.data())
def test_any_box_is_written_and_read(writes: list[Any], reads: list[Any], data: Any) -> None:
    """Unaligned, negative, empty, a single voxel, across blocks: what is read is what numpy has."""
    typename = data.draw(st.sampled_from(sorted(CASES)))
    block = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    case = CASES[typename]()
    with Kernel(StoreConfig("memory")) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance(typename, "x", block_size=block, background=5)
        view = repo.root["x"]
        channels = [case.channels] if case.channels > 1 else []
        volume: Array = np.full((40, 40, 40, *channels), 5, case.dtype)
        for box, seed in writes:
            offset, shape = [low for low, _ in box], [side for _, side in box]
            array = case.voxels(shape, seed)
            view.write(offset, array)
            volume[tuple(slice(low + 20, low + 20 + side) for low, side in box)] = array
        for box in reads:
            found = view.read([low for low, _ in box], [side for _, side in box])
            assert conformance.same(found, volume[tuple(slice(low + 20, low + 20 + side) for low, side in box)])
        whole = [box for box, _ in writes if all(side for _, side in box)]
        extents = view.extents()
        if not whole:
            assert extents is None
        else:
            low = tuple(min(box[axis][0] for box in whole) for axis in range(3))
            high = tuple(max(box[axis][0] + box[axis][1] - 1 for box in whole) for axis in range(3))
            assert extents == Extents(low, high)  # type: ignore[arg-type]


def test_a_write_keeps_the_other_voxels_of_its_blocks(gray: Any) -> None:
    """Every single voxel of a volume can be changed alone."""
    volume = noise(4, 6, 8)
    gray.write((-2, -3, -4), volume)
    for z, y, x in ((0, 0, 0), (1, 2, 3), (2, 3, 4), (3, 5, 7), (0, 5, 4)):
        volume[z, y, x] ^= 0xFF
        gray.write((z - 2, y - 3, x - 4), volume[z : z + 1, y : y + 1, x : x + 1])
        assert (gray.read((-2, -3, -4), volume.shape) == volume).all()


def test_arrays_of_any_layout_are_written(gray: Any) -> None:
    """Fortran order, steps, negative steps, transposed, read-only, broadcast."""
    source = noise(8, 9, 10)
    frozen = source[:3, :4, :5].copy()
    frozen.flags.writeable = False
    for array in (
        np.asfortranarray(source),
        source[::2, ::3, ::2],
        source[::-1, :, ::-1],
        source.transpose(2, 0, 1),
        frozen,
        np.broadcast_to(np.uint8(7), (4, 5, 6)),
    ):
        gray.write((1, 1, 1), array)
        assert (gray.read((1, 1, 1), array.shape) == array).all()


def test_planes_are_slices(gray: Any) -> None:
    """Rows and columns: y and x, z and x, z and y."""
    volume = noise(7, 8, 9)
    gray.write((-3, -2, -1), volume)
    assert (gray.read_plane("xy", (0, -2, -1), (8, 9)) == volume[3]).all()
    assert (gray.read_plane("xz", (-3, 0, -1), (7, 9)) == volume[:, 2]).all()
    assert (gray.read_plane("yz", (-3, -2, 0), (7, 8)) == volume[:, :, 1]).all()
    assert gray.read_plane("xy", (0, 0, 0), (0, 5)).shape == (0, 5)
    for plane in ("zy", "XY", "", None, 5):
        with pytest.raises(InvalidInputError):
            gray.read_plane(plane, (0, 0, 0), (1, 1))
    for shape in ((1,), (1, 2, 3), (1.5, 2), None):
        with pytest.raises((BadType, TypeError)):
            gray.read_plane("xy", (0, 0, 0), shape)


def test_blocks_are_rows_along_x(gray: Any) -> None:
    """Whole blocks, each by itself; written as they are read."""
    volume = noise(2, 3, 20)
    gray.write((-2, 3, -8), volume)
    row = gray.read_blocks((-1, 1, -2), 5)
    assert row.shape == (5, 2, 3, 4)
    for n in range(5):
        assert (row[n] == volume[:, :, 4 * n : 4 * n + 4]).all()
    gray.write_blocks((5, 5, -1), row)
    assert (gray.read((10, 15, -4), (2, 3, 20)) == volume).all()
    assert gray.read_blocks((0, 0, 0), 0).shape == (0, 2, 3, 4)
    gray.write_blocks((0, 0, 0), row[:0])
    for bad in (row[:, :1], row[0], np.zeros((2, 4, 3, 2), np.uint8)):
        with pytest.raises(BadPayload):
            gray.write_blocks((0, 0, 0), bad)
    for bad_type in (row.astype(np.int8), row.tolist(), None):
        with pytest.raises(BadType):
            gray.write_blocks((0, 0, 0), bad_type)


def test_stored_blocks_are_those_that_were_written(gray: Any) -> None:
    """In order of z, y, x, or as they are named; the box must lie between blocks."""
    for block in ((1, 0, 0), (0, 0, 1), (-1, -1, -1)):
        z, y, x = block
        gray.write((2 * z, 3 * y, 4 * x), noise(1, 1, 1, seed=abs(z)))
    listed = list(gray.stored_blocks((-2, -3, -4), (6, 6, 12)))
    assert [block for block, _ in listed] == [(-1, -1, -1), (0, 0, 1), (1, 0, 0)]
    named = list(gray.specific_blocks([(1, 0, 0), (5, 5, 5), (-1, -1, -1), (1, 0, 0)]))
    assert [block for block, _ in named] == [(1, 0, 0), (-1, -1, -1), (1, 0, 0)]
    assert dict(named).items() <= dict(listed).items()
    for offset, shape in (((-1, 0, 0), (2, 3, 4)), ((0, 0, 0), (2, 3, 5)), ((0, 1, 0), (2, 3, 4))):
        with pytest.raises(OutOfBounds):
            gray.stored_blocks(offset, shape)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "shape", "error"),
    [
        ((0, 0), (1, 1, 1), BadType),
        ((0, 0, 0), (1, 1), BadType),
        ((0, 0, 0, 0), (1, 1, 1), BadType),
        ((0.0, 0, 0), (1, 1, 1), BadType),
        ((0, 0, True), (1, 1, 1), BadType),
        ("000", (1, 1, 1), BadType),
        (None, (1, 1, 1), BadType),
        (5, (1, 1, 1), BadType),
        ((0, 0, 0), (1, -1, 1), OutOfBounds),
        ((INT32, 0, 0), (1, 1, 1), OutOfBounds),
        ((0, INT32, 0), (1, 0, 1), OutOfBounds),
        ((0, 0, -INT32 - 1), (1, 1, 1), OutOfBounds),
        ((0, 0, INT32 - 1), (1, 1, 2), OutOfBounds),
        ((1 << 80, 0, 0), (1, 1, 1), OutOfBounds),
        ((0, 0, 0), (1 << 80, 1, 1), OutOfBounds),
        ((0, 0, 0), (1025, 1024, 1024), LimitError),
        ((0, 0, 0), (1 << 30, 1 << 30, 1 << 30), LimitError),
        ((0, 0, 0), (1, 1, 1 << 23), LimitError),
    ],
)
def test_boxes_that_cannot_be_are_refused(gray: Any, offset: Any, shape: Any, error: type[DvidkitError]) -> None:
    """By type, by coordinate, by size; before anything of that size is made."""
    with pytest.raises(error):
        gray.read(offset, shape)
    with pytest.raises(error):
        list(gray.stored_blocks(offset, shape))


def test_the_ends_of_space_can_be_written(gray: Any) -> None:
    """The least and the greatest 32-bit coordinate, and numpy's own integers as coordinates."""
    for corner in (-INT32, INT32 - 2):
        volume = noise(2, 2, 2, seed=corner & 7)
        gray.write(np.array([corner] * 3), volume)
        assert (gray.read([np.int64(corner)] * 3, (2, 2, 2)) == volume).all()
    least, most = -INT32, INT32 - 1
    assert gray.extents() == Extents((least, least, least), (most, most, most))
    with pytest.raises(OutOfBounds):
        list(gray.specific_blocks([(INT32 // 2, 0, 0)]))
    with pytest.raises(OutOfBounds):
        gray.read_blocks((INT32 // 2, 0, 0), 1)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((1, 1, 1), np.int8), BadType),
        (np.zeros((1, 1, 1), np.uint16), BadType),
        (np.zeros((1, 1, 1), bool), BadType),
        (np.zeros((1, 1, 1), np.float64), BadType),
        (np.zeros((1, 1, 1), object), BadType),
        ([[[1]]], BadType),
        (b"x", BadType),
        (None, BadType),
        (np.zeros((1, 1), np.uint8), BadPayload),
        (np.zeros((1, 1, 1, 1), np.uint8), BadPayload),
        (np.uint8(5), BadType),
    ],
)
def test_arrays_that_do_not_fit_are_refused(kernel: Kernel, gray: Any, array: Any, error: type[DvidkitError]) -> None:
    """By dtype and by number of axes; nothing is written."""
    before = dump(kernel)
    with pytest.raises(error):
        gray.write((0, 0, 0), array)
    assert dump(kernel) == before


def test_rgba_has_four_channels(repo: Repo) -> None:
    """An array without them, or with three, is refused."""
    repo.create_instance("rgba8blk", "rgba")
    for shape in ((1, 1, 1), (1, 1, 1, 3), (1, 1, 4)):
        with pytest.raises(BadPayload):
            repo.root["rgba"].write((0, 0, 0), np.zeros(shape, np.uint8))


def test_a_budget_can_be_set(gray: Any) -> None:
    """For one object; a box of just so many bytes is read."""
    gray.budget = 24
    assert gray.read((0, 0, 0), (2, 3, 4)).size == 24
    for act in (
        lambda: gray.read((0, 0, 0), (2, 3, 5)),
        lambda: gray.write((0, 0, 0), noise(2, 3, 5)),
        lambda: gray.read_blocks((0, 0, 0), 2),
        lambda: gray.specific_blocks([(0, 0, 0), (0, 0, 1)]),
    ):
        with pytest.raises(LimitError) as caught:
            act()
        assert (caught.value.what, caught.value.limit) == ("request bytes", 24)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BlockSize", "0,32,32"),
        ("BlockSize", "-1,-1,-1"),
        ("BlockSize", "32,32"),
        ("BlockSize", "32,32,32,32"),
        ("BlockSize", "a,b,c"),
        ("BlockSize", "1024,1024,1024"),
        ("BlockSize", (32, 32, 32.5)),
        ("VoxelSize", "0,8,8"),
        ("VoxelSize", "nan,8,8"),
        ("VoxelSize", "8,8"),
        ("VoxelUnits", "nm,nm"),
        ("Background", "256"),
        ("Background", "-1"),
        ("Background", "x"),
        ("MinPoint", "0,0,0"),
        ("MaxPoint", "0,0,0"),
        ("Compression", "zstd"),
        ("Checksum", "sha"),
        ("GridStore", "precomputed"),
        ("ScaleLevel", "1"),
        ("BlokSize", "32,32,32"),
        ("Encoding", "x"),
    ],
)
def test_settings_that_cannot_be_are_refused(repo: Repo, name: str, value: Any) -> None:
    """Named in the error; no instance is made."""
    with pytest.raises(BadConfig):
        repo.create_instance("uint8blk", "bad", None, **{name: value})
    assert "bad" not in repo.instances


def test_points_that_are_no_box_are_refused(repo: Repo) -> None:
    """Inside out, outside 32 bits, of two numbers."""
    for low, high in (("1,0,0", "0,0,0"), ("0,0,0", f"0,0,{INT32}"), ("0,0", "1,1"), ("0,0,0", "1,1")):
        with pytest.raises(BadConfig):
            repo.create_instance("uint8blk", "bad", MinPoint=low, MaxPoint=high)


# --- extents and metadata --------------------------------------------------------------------------------------------


def test_extents_only_grow(gray: Any) -> None:
    """Around every voxel written, both corners included; a write inside them changes nothing."""
    assert gray.extents() is None
    gray.write((0, 0, 0), noise(1, 1, 1))
    assert gray.extents() == Extents((0, 0, 0), (0, 0, 0))
    gray.write((5, -7, 2), noise(2, 3, 4))
    assert gray.extents() == Extents((0, -7, 0), (6, 0, 5))
    gray.write((1, -1, 1), noise(1, 1, 1))
    gray.write((100, 100, 100), noise(0, 5, 5))
    assert gray.extents() == Extents((0, -7, 0), (6, 0, 5))


def test_a_write_inside_the_extents_does_not_write_them(kernel: Kernel, gray: Any) -> None:
    """Nor wait for those who grow them."""
    gray.write((0, 0, 0), noise(9, 9, 9))
    gray.node.commit()
    child = gray.node.new_version()["gray"]
    child.write((1, 1, 1), noise(3, 3, 3))
    assert EXTENTS.key() + child.node.id.to_bytes(4, "big") not in dump(kernel)
    child.write((8, 8, 8), noise(3, 3, 3))
    assert EXTENTS.key() + child.node.id.to_bytes(4, "big") in dump(kernel)


def test_extents_are_those_of_the_version(repo: Repo) -> None:
    """A child has its parent's and its own; a sibling's are not seen; a merge has those of both."""
    root = repo.root
    root["gray"].write((0, 0, 0), noise(1, 1, 1))
    root.commit()
    left, right = root.new_version(), root.make_branch("right")
    left["gray"].write((-9, 0, 0), noise(1, 1, 1))
    right["gray"].write((0, 0, 9), noise(1, 1, 1))
    assert left["gray"].extents() == Extents((-9, 0, 0), (0, 0, 0))
    assert right["gray"].extents() == Extents((0, 0, 0), (0, 0, 9))
    assert root["gray"].extents() == Extents((0, 0, 0), (0, 0, 0))
    left.commit()
    right.commit()
    merged = repo.merge([left, right])
    both = Extents((-9, 0, 0), (0, 0, 9))
    assert merged["gray"].extents() == both
    assert merged["gray"].extended()["MinPoint"] == [0, 0, -9]
    merged["gray"].write((-1, 0, 0), noise(1, 1, 1))
    assert merged["gray"].extents() == both
    merged.commit()
    below = merged.new_version()["gray"]
    below.write((20, 0, 0), noise(1, 1, 1))
    assert below.extents() == Extents((-9, 0, 0), (20, 0, 9))


def test_extents_can_be_set_and_grow_on(gray: Any) -> None:
    """Set to anything that is a box; a committed version refuses it."""
    gray.write((0, 0, 0), noise(9, 9, 9))
    gray.set_extents((1, 2, 3), (4, 5, 6))
    assert gray.extents() == Extents((1, 2, 3), (4, 5, 6))
    gray.write((0, 3, 4), noise(1, 1, 1))
    assert gray.extents() == Extents((0, 2, 3), (4, 5, 6))
    for low, high, error in (
        ((0, 0, 1), (0, 0, 0), OutOfBounds),
        ((0, 0, 0), (0, 0, INT32), OutOfBounds),
        ((0, 0), (0, 0, 0), BadType),
        ((0, 0, 0.5), (1, 1, 1), BadType),
    ):
        with pytest.raises(error):
            gray.set_extents(low, high)
    gray.node.commit()
    with pytest.raises(VersionLocked):
        gray.set_extents((0, 0, 0), (1, 1, 1))


def test_first_extents_come_from_the_settings(repo: Repo) -> None:
    """``MinPoint`` and ``MaxPoint`` hold until something is written, and then are grown."""
    repo.create_instance("uint8blk", "x", MinPoint="1,2,3", MaxPoint="10,20,30")
    view = repo.root["x"]
    assert view.extents() == Extents((3, 2, 1), (30, 20, 10))
    view.write((0, 5, 5), noise(1, 1, 1))
    assert view.extents() == Extents((0, 2, 1), (30, 20, 10))


def test_threads_lose_no_growth_and_no_voxel(gray: Any) -> None:
    """Writers of neighbouring voxels, in the same blocks, at the same time: all voxels and the whole box are there."""
    places = [(z, y, x) for z in range(-3, 3) for y in range(-2, 2) for x in range(-4, 4)]

    def write(part: list[Any]) -> None:
        for z, y, x in part:
            gray.write((z, y, x), np.full((1, 1, 1), 100 + z + y + x, np.uint8))

    random.Random(1).shuffle(places)
    threads = [threading.Thread(target=write, args=(places[n::6],)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gray.extents() == Extents((-3, -2, -4), (2, 1, 3))
    z, y, x = np.mgrid[-3:3, -2:2, -4:4]
    assert (gray.read((-3, -2, -4), (6, 4, 8)) == 100 + z + y + x).all()


def test_extended_is_dvids(repo: Repo) -> None:
    """Names, order x, y, z, and nulls as DVID has them."""
    repo.create_instance(
        "rgba8blk", "rgba", BlockSize="8,4,2", VoxelSize="3.5,4,40", VoxelUnits="nm, nm,um", Background="7"
    )
    view = repo.root["rgba"]
    assert view.extended() == {
        "Values": [{"DataType": "uint8", "Label": label} for label in ("red", "green", "blue", "alpha")],
        "Interpolable": True,
        "BlockSize": [8, 4, 2],
        "VoxelSize": [3.5, 4.0, 40.0],
        "VoxelUnits": ["nm", "nm", "um"],
        "MinPoint": None,
        "MaxPoint": None,
        "MinIndex": None,
        "MaxIndex": None,
        "Background": 7,
        "GridStore": "",
        "ScaleLevel": 0,
    }
    view.write((-1, 0, 9), np.zeros((2, 5, 3, 4), np.uint8))
    shown = view.extended()
    assert [shown[name] for name in ("MinPoint", "MaxPoint", "MinIndex", "MaxIndex")] == [
        [9, 0, -1],
        [11, 4, 0],
        [1, 0, -1],
        [1, 1, 0],
    ]
    repo.create_instance("uint8blk", "plain")
    assert repo.root["plain"].extended()["BlockSize"] == [32, 32, 32]
    assert repo.root["plain"].extended()["VoxelSize"] == [8.0, 8.0, 8.0]


def test_resolution_can_be_set(gray: Any) -> None:
    """For all versions; sizes that cannot be are refused and change nothing."""
    gray.set_resolution((4, 4, 40.5))
    assert gray.extended()["VoxelSize"] == [4.0, 4.0, 40.5]
    for bad in ((0, 1, 1), (1, 1), (1, 1, float("inf")), "8,8", (1, 1, None)):
        with pytest.raises((BadConfig, TypeError)):
            gray.set_resolution(bad)
    assert gray.instance.at(gray.node).extended()["VoxelSize"] == [4.0, 4.0, 40.5]


# --- versions --------------------------------------------------------------------------------------------------------


def test_a_child_reads_its_parents_blocks_elsewhere(repo: Repo) -> None:
    """Partly written in a child, a volume is the parent's where the child wrote nothing, and whole blocks elsewhere."""
    volume = noise(8, 9, 10)
    repo.root["gray"].write((0, 0, 0), volume)
    repo.root.commit()
    child = repo.root.new_version()
    child["gray"].write((3, 4, 5), noise(2, 2, 2, seed=1))
    wanted = volume.copy()
    wanted[3:5, 4:6, 5:7] = noise(2, 2, 2, seed=1)
    assert (child["gray"].read((0, 0, 0), volume.shape) == wanted).all()
    assert (repo.root["gray"].read((0, 0, 0), volume.shape) == volume).all()


def test_a_committed_version_refuses_writes(kernel: Kernel, repo: Repo) -> None:
    """Also empty ones; nothing is written, and reading goes on."""
    gray = repo.root["gray"]
    gray.write((0, 0, 0), noise(2, 3, 4))
    repo.root.commit()
    before = dump(kernel)
    for act in (
        lambda: gray.write((0, 0, 0), noise(1, 1, 1)),
        lambda: gray.write((0, 0, 0), noise(0, 1, 1)),
        lambda: gray.write_blocks((0, 0, 0), noise(1, 2, 3, 4)),
    ):
        with pytest.raises(VersionLocked):
            act()
    assert dump(kernel) == before
    assert (gray.read((0, 0, 0), (2, 3, 4)) == noise(2, 3, 4)).all()


def conflicted(repo: Repo) -> Version:
    """A merge whose sides each wrote block (0, 0, 0), and blocks of their own."""
    repo.root["gray"].write((0, 0, 0), noise(4, 3, 8))
    repo.root.commit()
    left, right = repo.root.new_version(), repo.root.make_branch("right")
    left["gray"].write((0, 0, 0), np.full((1, 1, 5), 1, np.uint8))
    right["gray"].write((0, 0, 1), np.full((3, 1, 1), 2, np.uint8))
    left.commit()
    right.commit()
    return repo.merge([left, right])


def test_blocks_in_conflict_are_named_and_others_read(repo: Repo) -> None:
    """What touches them raises, with the rest as its result; what does not is read; a whole block written decides."""
    gray = conflicted(repo)["gray"]
    wanted = noise(4, 3, 8)
    wanted[0, 0, 4] = 1
    wanted[2, 0, 1] = 2
    with pytest.raises(VersionConflict, match=r"\(0, 0, 0\)") as caught:
        gray.read((0, 0, 0), (4, 3, 8))
    assert [block_zyx(conflict.tkey) for conflict in caught.value.conflicts] == [(0, 0, 0)]
    hidden = wanted.copy()
    hidden[:2, :, :4] = 0
    assert (caught.value.result == hidden).all()
    assert (gray.read((2, 0, 0), (2, 3, 8)) == wanted[2:]).all()
    assert (gray.read((0, 0, 4), (4, 3, 4)) == wanted[:, :, 4:]).all()
    with pytest.raises(VersionConflict) as caught:
        gray.read_plane("xy", (0, 0, 0), (3, 8))
    assert caught.value.result.shape == (3, 8)
    for act in (
        lambda: gray.write((0, 0, 0), noise(1, 1, 1)),
        lambda: list(gray.stored_blocks((0, 0, 0), (2, 3, 8))),
        lambda: list(gray.specific_blocks([(0, 0, 0)])),
        lambda: gray.read_blocks((0, 0, 0), 2),
    ):
        with pytest.raises(VersionConflict):
            act()
    gray.write((2, 0, 0), noise(1, 1, 1))
    gray.write((0, 0, 0), noise(2, 3, 4, seed=5))
    wanted[:2, :, :4] = noise(2, 3, 4, seed=5)
    wanted[2, 0, 0] = noise(1, 1, 1)[0, 0, 0]
    assert (gray.read((0, 0, 0), (4, 3, 8)) == wanted).all()


def test_unversioned_instances_have_one_state(repo: Repo) -> None:
    """Seen and written from every version."""
    repo.create_instance("uint8blk", "flat", versioned=False, block_size=(4, 3, 2))
    repo.root["flat"].write((1, 1, 1), noise(5, 5, 5))
    repo.root.commit()
    child = repo.root.new_version()["flat"]
    child.write((2, 2, 2), noise(1, 1, 1, seed=3))
    wanted = noise(5, 5, 5)
    wanted[1, 1, 1] = noise(1, 1, 1, seed=3)[0, 0, 0]
    for view in (child, repo.root["flat"]):
        assert (view.read((1, 1, 1), (5, 5, 5)) == wanted).all()
        assert view.extents() == Extents((1, 1, 1), (5, 5, 5))


# --- one write, one change -------------------------------------------------------------------------------------------


def test_a_write_is_one_change_and_one_record(kernel: Kernel, gray: Any) -> None:
    """With where it was, how large, and who asked."""
    gray.write((1, 2, 3), noise(9, 9, 9), user="ada", app="test")
    log = MutationLog(kernel.stores["default"])
    (record,) = [each.to_json() for each in log.of(gray.instance.id, gray.node.id)]
    assert record.pop("Timestamp")
    assert record.pop("MutationID") >= 1_000_000_000
    assert record == {
        "Action": "post-voxels",
        "Offset": [3, 2, 1],
        "Size": [9, 9, 9],
        "UUID": gray.node.uuid,
        "User": "ada",
        "App": "test",
    }


def test_readers_see_all_of_a_write_or_nothing(gray: Any) -> None:
    """While a box of many blocks is overwritten again and again, aligned or not, no reader sees two of the writes."""
    stop = threading.Event()
    gray.write((1, 1, 1), np.zeros((7, 8, 9), np.uint8))

    def write() -> None:
        for n in range(100_000):
            if stop.is_set():
                return
            gray.write((1, 1, 1), np.full((7, 8, 9), n % 256, np.uint8))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(150):
            assert len(np.unique(gray.read((1, 1, 1), (7, 8, 9)))) == 1
    finally:
        stop.set()
        thread.join()


def test_a_write_that_fails_leaves_nothing(kernel: Kernel, gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever block it fails at."""
    gray.write((0, 0, 0), noise(4, 6, 8))
    before = dump(kernel)

    def fail(self: Encoder) -> bytes:
        raise MemoryError

    monkeypatch.setattr(codec.Encoder, "encode", fail)
    with pytest.raises(MemoryError):
        gray.write((0, 0, 0), noise(4, 6, 8, seed=1))
    monkeypatch.undo()
    assert dump(kernel) == before
    gray.write((0, 0, 0), noise(4, 6, 8, seed=1))


def test_a_write_too_large_for_a_batch_is_several(kernel: Kernel, gray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each within the engine's limits, in the order of the blocks; calling again after a failure finishes."""
    engine = kernel.stores["default"].engine
    room = (1 << 16) + 6 * (gray.codec.largest + 128)
    monkeypatch.setattr(type(engine), "limits", Limits(511, 1 << 20, 10_000, room))
    size = writing.blocks_per_mutation(gray)
    assert size == 6
    volume = noise(6, 9, 12)
    gray.write((0, 0, 0), volume)
    assert (gray.read((0, 0, 0), volume.shape) == volume).all()
    log = MutationLog(kernel.stores["default"])
    assert len(list(log.of(gray.instance.id, gray.node.id))) == -(-27 // size)
    assert gray.extents() == Extents((0, 0, 0), (5, 8, 11))


def test_a_closed_kernel_says_so(kernel: Kernel, gray: Any) -> None:
    """Not by way of its threads."""
    gray.write((0, 0, 0), noise(9, 9, 9))
    kernel.close()
    for act in (lambda: gray.read((0, 0, 0), (9, 9, 9)), lambda: gray.write((0, 0, 0), noise(9, 9, 9))):
        with pytest.raises(errors.StoreClosed):
            act()


# --- against the model ------------------------------------------------------------------------------------------------


def answer_of(model: Any, op: Any) -> Any:
    """What the model answers, or its refusal."""
    try:
        return model.apply(op)
    except Refused as refused:
        return refused


def run(case: Any, view: Any, model: Any, rng: random.Random, steps: int) -> None:
    """Random operations on the view and the model, refused ones among them."""
    for _ in range(steps):
        op = case.op(rng) if rng.random() < 0.85 else case.refused(rng)
        wanted = answer_of(model, op)
        if isinstance(wanted, Refused):
            with pytest.raises(getattr(errors, wanted.error)):
                case.apply(view, op)
        else:
            assert case.apply(view, op) == wanted
    assert case.observe(view) == model.observe()
    for stored, recomputed in case.recompute(view).values():
        assert stored == recomputed


@pytest.mark.parametrize("typename", sorted(CASES))
@pytest.mark.parametrize("seed", range(4))
def test_programs_agree_with_the_model(kernel: Kernel, typename: str, seed: int) -> None:
    """On branches and merges, every version is what the model says."""
    case, rng = CASES[typename](), random.Random(seed)
    chosen = case.settings[seed % len(case.settings)]
    repo = kernel.repos.create("r")
    repo.create_instance(typename, "x", **chosen)
    base = case.model(chosen)
    for _ in range(3):
        run(case, repo.root["x"], base, rng, 4)
    if not repo.instance("x").versioned:
        return
    repo.root.commit()
    for attempt in range(3):
        left, right = repo.root.make_branch(f"left{attempt}"), repo.root.make_branch(f"right{attempt}")
        models = base.fork(), base.fork()
        run(case, left["x"], models[0], rng, 2)
        run(case, right["x"], models[1], rng, attempt)
        left.commit()
        right.commit()
        view = repo.merge([left, right])["x"]
        merged = models[0].merge(base, models[1])
        if merged is None:
            with pytest.raises(VersionConflict):
                case.observe(view)
        else:
            run(case, view, merged, rng, 3)
    assert case.observe(repo.root["x"]) == base.observe()


def test_the_datatypes_name_their_cases() -> None:
    """``conformance`` of each is a case of its own."""
    for datatype in DATATYPES:
        module, _, name = datatype.conformance.partition(":")
        assert module == "dvidkit_images.conformance"
        assert getattr(conformance, name) is CASES[datatype.typename]


def test_a_box_counts_its_blocks() -> None:
    """As many as it has patches; aligned or not."""
    for offset, shape in (
        ((0, 0, 0), (2, 3, 4)),
        ((-1, -1, -1), (2, 3, 4)),
        ((5, 5, 5), (1, 1, 1)),
        ((0, 0, 0), (0, 1, 1)),
    ):
        box = Box.of(offset, shape)
        patches = list(box.patches((2, 3, 4)))
        assert len(patches) == box.blocks((2, 3, 4))
        assert len({patch.tkey for patch in patches}) == len(patches)
        assert [patch.tkey for patch in patches] == sorted(patch.tkey for patch in patches)
        covered = sum(np.zeros(shape)[patch.box].size for patch in patches)
        assert covered == np.prod(shape)


def test_unsupported_payloads(gray: Any) -> None:
    """A JPEG can only be had where one is stored."""
    gray.write((0, 0, 0), noise(2, 3, 4))
    ((_, stored),) = gray.specific_blocks([(0, 0, 0)])
    assert gray.codec.payload(stored, "") == stored[1:]
    assert gray.codec.payload(stored, "uncompressed") == noise(2, 3, 4).tobytes()
    with pytest.raises(UnsupportedError):
        gray.codec.payload(stored, "jpeg")
