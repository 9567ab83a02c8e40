"""Blocks of voxels, over HTTP, and what the volume is."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.imagery import records, volume
from PIL import Image

from dvidkit import envelope
from dvidkit.errors import (
    InvalidInputError,
    OutOfBounds,
    UnsupportedError,
    VersionConflict,
)
from dvidkit.repo import Repo


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
