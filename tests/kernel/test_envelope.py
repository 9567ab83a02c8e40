"""DVID's envelope of stored values: byte for byte, and against bytes that nobody honest wrote."""

from __future__ import annotations

import gzip
import struct
import zlib
from itertools import product
from typing import Any

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit import envelope
from dvidkit.errors import CorruptData, DvidkitError, LimitError, UnsupportedError
from dvidkit.settings import Checksum, Compression

VALUE = b"EM volumes, bodies, synapses. " * 40
COMPRESSIONS: tuple[Compression, ...] = ("none", "snappy", "lz4", "gzip")
CHECKSUMS: tuple[Checksum, ...] = ("none", "crc32")


def with_crc(head: int, payload: bytes) -> bytes:
    """An envelope with DVID's checksum, built by hand."""
    return bytes((head | 0x08,)) + struct.pack("<I", zlib.crc32(payload)) + payload


# --- what is written -------------------------------------------------------------------------------------------------


def test_uncompressed_is_one_zero_byte_and_the_value() -> None:
    """Compression 0 without a checksum: ``00 | raw``."""
    assert envelope.pack(VALUE, "none") == b"\x00" + VALUE


def test_crc_is_ieee_little_endian_of_the_payload_as_stored() -> None:
    """Compression 0 with CRC-32: ``08 | crc | raw``; with lz4 the CRC covers size and block."""
    assert envelope.pack(VALUE, "none", "crc32") == with_crc(0x00, VALUE)
    stored = envelope.pack(VALUE, "lz4", "crc32")
    assert stored == with_crc(0x80, stored[5:])


def test_lz4_is_the_raw_size_and_one_bare_block() -> None:
    """``80 | u32 raw size | LZ4 block``, without a frame."""
    stored = envelope.pack(VALUE, "lz4")
    assert stored[:5] == b"\x80" + struct.pack("<I", len(VALUE))
    assert lz4.block.decompress(stored[5:], uncompressed_size=len(VALUE)) == VALUE


@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_gzip_is_a_gzip_stream_and_never_has_the_checksum(checksum: Checksum) -> None:
    """``40 | gzip``: gzip has a CRC of its own."""
    stored = envelope.pack(VALUE, "gzip", checksum)
    assert stored[:3] == b"\x40\x1f\x8b"
    assert gzip.decompress(stored[1:]) == VALUE


def test_gzip_level_is_used() -> None:
    """A higher level is smaller; level 0 is, in DVID, no compression at all."""
    levels = {level: len(envelope.pack(VALUE * 20 + bytes(range(256)) * 9, "gzip", level=level)) for level in (1, 9)}
    assert levels[9] < levels[1]
    assert envelope.pack(VALUE, "gzip", level=0) == b"\x00" + VALUE


def test_snappy_is_the_block_format() -> None:
    """``20 | snappy block``: a varint of the raw size, then literals and copies, without a frame."""
    assert envelope.pack(b"abc", "snappy") == b"\x20\x03\x08abc"


@pytest.mark.parametrize(("compression", "checksum"), list(product(COMPRESSIONS, CHECKSUMS)))
def test_nothing_is_stored_as_nothing(compression: Compression, checksum: Checksum) -> None:
    """An empty value has no header, whatever the settings; no bytes are an empty value."""
    assert envelope.pack(b"", compression, checksum) == b""
    assert envelope.unpack(b"") == b""


def test_a_jpeg_is_not_made_here() -> None:
    """JPEG is for images, which know their shape."""
    with pytest.raises(UnsupportedError) as caught:
        envelope.pack(VALUE, "jpeg")
    assert caught.value.capability == "jpeg"


def test_a_value_larger_than_a_block_of_lz4_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read back is not written."""
    monkeypatch.setattr(envelope, "MAX_RAW", 99)
    assert envelope.unpack(envelope.pack(bytes(99), "lz4")) == bytes(99)
    with pytest.raises(LimitError) as caught:
        envelope.pack(bytes(100), "lz4")
    assert (caught.value.limit, caught.value.got) == (99, 100)


# --- what is read ----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=3000), st.sampled_from(COMPRESSIONS), st.sampled_from(CHECKSUMS), st.booleans())
def test_what_is_packed_is_unpacked(value: bytes, compression: Compression, checksum: Checksum, known: bool) -> None:
    """Every value comes back, whether or not its size is known, from bytes and from a view of them."""
    stored = envelope.pack(value, compression, checksum)
    size = len(value) if known else None
    assert envelope.unpack(stored, size=size) == value
    assert envelope.unpack(memoryview(stored), size=size) == value
    assert envelope.pack(memoryview(value), compression, checksum) == stored


def test_early_dvids_uncompressed_lz4_is_read() -> None:
    """A raw size of 0 says that the rest is the value."""
    assert envelope.unpack(b"\x80" + bytes(4) + VALUE) == VALUE
    with pytest.raises(CorruptData):
        envelope.unpack(b"\x80" + bytes(4) + VALUE, size=len(VALUE) - 1)


def test_split_shows_the_payload_as_it_is_stored() -> None:
    """The payload of lz4 keeps its four bytes of size; the checksum is taken off."""
    plain, checked = envelope.pack(VALUE, "lz4"), envelope.pack(VALUE, "lz4", "crc32")
    assert envelope.split(plain) == (envelope.LZ4, plain[1:])
    assert envelope.split(checked) == (envelope.LZ4, plain[1:])


def test_a_jpeg_is_left_to_images() -> None:
    """A stored JPEG is not corrupt, only not to be had as bytes."""
    with pytest.raises(UnsupportedError):
        envelope.unpack(b"\xa0\xff\xd8\xff")


@pytest.mark.parametrize(
    "head", [head for head in range(256) if head not in (0, 8, 32, 40, 64, 72, 128, 136, 160, 168)]
)
def test_every_other_first_byte_is_no_envelope(head: int) -> None:
    """Unknown compressions, unknown checksums and set low bits are not guessed at."""
    with pytest.raises(CorruptData):
        envelope.unpack(bytes((head,)) + VALUE)


@pytest.mark.parametrize("compression", ["none", "snappy", "lz4"])
def test_every_changed_byte_is_found_by_the_checksum(compression: Compression) -> None:
    """With CRC-32 no byte of payload or checksum can be changed unnoticed."""
    stored = bytearray(envelope.pack(VALUE[:90], compression, "crc32"))
    for place in range(1, len(stored)):
        stored[place] ^= 0x40
        with pytest.raises(CorruptData):
            envelope.unpack(bytes(stored))
        stored[place] ^= 0x40


@pytest.mark.parametrize(("compression", "checksum"), list(product(("snappy", "lz4", "gzip"), CHECKSUMS)))
def test_what_is_cut_short_is_found(compression: Compression, checksum: Checksum) -> None:
    """No prefix of a compressed value is taken for the value."""
    stored = envelope.pack(VALUE, compression, checksum)
    for size in range(1, len(stored)):
        with pytest.raises(CorruptData):
            envelope.unpack(stored[:size])


def test_a_checksum_that_is_cut_short_is_found() -> None:
    """A header that promises four bytes has them."""
    for size in range(4):
        with pytest.raises(CorruptData):
            envelope.unpack(b"\x08" + bytes(size))


def test_what_follows_a_gzip_stream_is_found() -> None:
    """A gzip value ends where its stream ends."""
    with pytest.raises(CorruptData):
        envelope.unpack(envelope.pack(VALUE, "gzip") + b"more")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_value_of_another_size_is_not_the_value(compression: Compression) -> None:
    """Whoever knows the size is told if it is another, shorter or longer."""
    stored = envelope.pack(VALUE, compression)
    for size in (0, len(VALUE) - 1, len(VALUE) + 1):
        with pytest.raises(CorruptData):
            envelope.unpack(stored, size=size)


# --- bombs -----------------------------------------------------------------------------------------------------------


def refuses(stored: bytes, size: int | None = None) -> type[DvidkitError]:
    """The error that unpacking raises, without having taken the memory that the bytes ask for."""
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises((CorruptData, LimitError)) as caught:
            envelope.unpack(stored, size=size)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    return caught.type


@pytest.mark.parametrize("claim", [1 << 20, 0x7E000000, 0x7E000001, 0xFFFFFFFF])
def test_an_lz4_header_can_claim_anything(claim: int) -> None:
    """A claim beyond what so few bytes can hold is refused before memory is taken for it."""
    block = lz4.block.compress(b"x" * 100, store_size=False)
    wanted = CorruptData if claim <= envelope.MAX_RAW else LimitError
    assert refuses(b"\x80" + struct.pack("<I", claim) + block) is wanted
    assert refuses(b"\x80" + struct.pack("<I", claim) + block, size=100) is CorruptData


def test_an_lz4_header_can_claim_too_little_or_too_much() -> None:
    """The block must unpack to exactly what the header says."""
    block = lz4.block.compress(b"x" * 100, store_size=False)
    for claim in (1, 99, 101, 200):
        assert refuses(b"\x80" + struct.pack("<I", claim) + block) is CorruptData


@pytest.mark.parametrize("compression", ["lz4", "gzip", "snappy"])
def test_a_bomb_is_not_unpacked_where_the_size_is_known(compression: Compression) -> None:
    """A gigabyte of zeros in a megabyte or less is not unpacked to be measured."""
    stored = envelope.pack(bytes(256 << 20), compression)
    assert refuses(stored, size=4096) is CorruptData


def test_a_gzip_bomb_is_stopped_at_the_largest_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the size is not known, unpacking stops at the largest value there can be."""
    stored = envelope.pack(bytes(256 << 20), "gzip")
    monkeypatch.setattr(envelope, "MAX_RAW", 1 << 20)
    assert refuses(stored) is LimitError


def test_a_snappy_header_can_claim_anything() -> None:
    """Snappy's varint of the raw size is looked at before memory is taken."""
    assert refuses(b"\x20\xff\xff\xff\xff\x0f" + b"abc") is LimitError
    assert refuses(b"\x20\xff\xff\xff\x7f" + b"abc", size=10) is CorruptData


@given(st.binary(max_size=200), st.sampled_from([0x20, 0x40, 0x80]), st.sampled_from([None, 0, 50]))
def test_noise_is_refused_or_read_and_nothing_else(noise: bytes, head: int, size: int | None) -> None:
    """Whatever the bytes, the answer is a value or an error of the tree, never a driver's."""
    try:
        value: Any = envelope.unpack(bytes((head,)) + noise, size=size)
    except (CorruptData, LimitError):
        return
    assert isinstance(value, bytes)
    assert size is None or len(value) == size
