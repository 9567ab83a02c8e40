"""Keys and stored forms of blocks of voxels."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.imagery import dump, noise
from dvidkit_images import conformance
from dvidkit_images.codec import BlockCodec, Decoder, Encoder
from dvidkit_images.keys import BLOCK, EXTENTS, block_tkey, block_zyx
from dvidkit_images.kinds import DATATYPES
from dvidkit_images.settings import ImageSettings
from dvidkit_images.voxels import UINT8, UINT16, Array, copy_voxels
from hypothesis import given
from hypothesis import strategies as st

from dvidkit import envelope
from dvidkit.errors import (
    BadConfig,
    CorruptData,
    UnsupportedError,
)
from dvidkit.kernel import Kernel


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


def test_unsupported_payloads(gray: Any) -> None:
    """A JPEG can only be had where one is stored."""
    gray.write((0, 0, 0), noise(2, 3, 4))
    ((_, stored),) = gray.specific_blocks([(0, 0, 0)])
    assert gray.codec.payload(stored, "") == stored[1:]
    assert gray.codec.payload(stored, "uncompressed") == noise(2, 3, 4).tobytes()
    with pytest.raises(UnsupportedError):
        gray.codec.payload(stored, "jpeg")
