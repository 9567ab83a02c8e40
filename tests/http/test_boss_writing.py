"""bossDB's volume API: boxes in every form, and what is refused before it has an effect."""

from __future__ import annotations

import io
import pickle
import sys
import zlib
from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")

import numpy as np
from dvidkit_conformance.service.boss import (
    BLOSC,
    BLOSC_PYTHON,
    BOX,
    NPYGZ,
    OFFSET,
    RAW,
    SHAPE,
    cutout,
    npygz,
    packed,
    pickled,
    post,
    voxels,
)

from dvidkit.http.service import Limits


@pytest.mark.parametrize("kind", [BLOSC, NPYGZ, BLOSC_PYTHON, RAW, ""])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "float32"])
def test_a_box_is_written_in_every_form(volume: Any, kind: str, dtype: str) -> None:
    """Wherever it lies across blocks; voxels around it stay. What is not said to be otherwise is blosc."""
    array = voxels(dtype, seed=5)[:6, :7, :8]
    body = {NPYGZ: npygz, RAW: lambda each: each.tobytes(), BLOSC_PYTHON: pickled}.get(kind, packed)(array)
    expected = volume.repo.root[dtype].read((-10, -10, -10), (40, 40, 40))
    expected[11:17, 19:26, 20:28] = array
    answer = post(volume, "10:18/9:16/1:7", body, kind, place=f"demo/master/{dtype}")
    assert (answer.status_code, answer.content) == (201, b"")
    assert np.array_equal(volume.repo.root[dtype].read((-10, -10, -10), (40, 40, 40)), expected)


def test_other_forms_of_the_same(volume: Any) -> None:
    """Bodies of blosc with the bits of a voxel for its bytes, as ``intern``; gzip; big-endian npy; a range of times."""
    array = voxels("uint16", seed=6)
    place = "demo/master/uint16"
    swapped = array.astype(">u2")
    bodies = [
        (packed(array, 16), BLOSC, BOX),
        (npygz(swapped), NPYGZ, BOX),
        (npygz(array[np.newaxis]), NPYGZ, f"{BOX}/0:1"),
        (packed(array), f"{BLOSC}; charset=x", f"{BOX}/0:1/"),
        (pickled(swapped), BLOSC_PYTHON, BOX),
        (pickled(array[:, ::-1][:, ::-1], 3), BLOSC_PYTHON, BOX),
        (pickled(array[np.newaxis], 4), BLOSC_PYTHON, f"{BOX}/0:1"),
    ]
    for body, kind, box in bodies:
        volume.repo.root["uint16"].write(OFFSET, np.zeros(SHAPE, "uint16"))
        assert post(volume, box, body, kind, place=place).status_code == 201
        assert np.array_equal(volume.repo.root["uint16"].read(OFFSET, SHAPE), array)


def test_black(volume: Any) -> None:
    """``to_black`` makes a box 0."""
    assert volume("PUT", "/v1/cutout/to_black/demo/master/uint8/0/8:10/6:9/0:2").status_code == 200
    expected = voxels()
    expected[3:5, 1:4, 1:3] = 0
    assert np.array_equal(volume.repo.root["uint8"].read(OFFSET, SHAPE), expected)


class Program:
    """Something that ends whoever unpickles it."""

    def __init__(self, ballast: bytes) -> None:
        self.ballast = ballast

    def __reduce__(self) -> Any:
        return sys.exit, (self.ballast,)


def damaged() -> list[tuple[str, bytes, str]]:
    """Bodies that are not the voxels of the box: what is wrong, the body, its media type."""
    array = voxels()
    good, flat, other = packed(array), packed(array * 0), packed(voxels("uint16"))
    bomb = good[:4] + (1 << 30).to_bytes(4, "little") + good[8:]
    header = npygz(array)
    objects = io.BytesIO()
    np.save(objects, np.array([[["x"]]], dtype=object), allow_pickle=True)
    return [
        ("empty", b"", BLOSC),
        ("short", good[:15], BLOSC),
        ("cut", good[:-1], BLOSC),
        ("longer", good + b"x", BLOSC),
        ("garbage", b"\xff" * len(good), BLOSC),
        ("garbage behind the header", flat[:16] + b"\xff" * (len(flat) - 16), BLOSC),
        ("of another type", other, BLOSC),
        ("says that it becomes large", bomb, BLOSC),
        ("not a stream of zlib", b"x" * 100, NPYGZ),
        ("cut", header[:-3], NPYGZ),
        ("more behind it", header + b"x", NPYGZ),
        ("becomes large", zlib.compress(bytes(1 << 24)), NPYGZ),
        ("of another type", npygz(voxels("uint16")), NPYGZ),
        ("signed", npygz(array.view("int8")), NPYGZ),
        ("of another shape", npygz(array.reshape(-1)), NPYGZ),
        ("x slowest", npygz(np.asfortranarray(array)), NPYGZ),
        ("not an array", zlib.compress(b"x" * 5000), NPYGZ),
        ("objects", zlib.compress(objects.getvalue()), NPYGZ),
        ("fewer voxels than it says", zlib.compress(zlib.decompress(header)[:-1]), NPYGZ),
        ("of another type", pickled(voxels("int8")), BLOSC_PYTHON),
        ("of another shape", pickled(array.reshape(-1)), BLOSC_PYTHON),
        ("x slowest", pickled(np.asfortranarray(array)), BLOSC_PYTHON),
        ("x slowest, in an older protocol", pickled(np.asfortranarray(array), 4), BLOSC_PYTHON),
        ("bytes", pickled(array.tobytes()), BLOSC_PYTHON),
        ("a list of arrays", pickled([array]), BLOSC_PYTHON),
        ("objects", pickled(np.full(SHAPE, None, dtype=object)), BLOSC_PYTHON),
        ("no pickle", packed(array), BLOSC_PYTHON),
        ("cut", packed(np.frombuffer(pickle.dumps(array)[:-9] + b"x" * 9, np.uint8)), BLOSC_PYTHON),
        ("long", packed(np.frombuffer(b"\x80\x04" + b"N" * array.size + b".", np.uint8)), BLOSC_PYTHON),
        ("a program", pickled(Program(array.tobytes())), BLOSC_PYTHON),
        ("too short", array.tobytes()[:-1], RAW),
        ("too long", array.tobytes() + b"x", RAW),
    ]


@pytest.mark.parametrize(("body", "kind"), [pytest.param(*each[1:], id=f"{each[2]}-{each[0]}") for each in damaged()])
def test_a_body_that_is_not_the_voxels(volume: Any, body: bytes, kind: str) -> None:
    """400 with the reason, and nothing changed."""
    answer = post(volume, BOX, body, kind)
    assert answer.status_code == 400, answer.text
    assert np.array_equal(volume.repo.root["uint8"].read(OFFSET, SHAPE), voxels())


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "image/jpeg", "x" * 500])
def test_a_body_that_is_not_read(volume: Any, kind: str) -> None:
    """415, naming what is: a JPEG is not what was sent."""
    assert post(volume, BOX, packed(voxels()), kind).status_code == 415


@pytest.mark.parametrize(
    "box",
    ["0:8/0:8/8:8", "8:0/0:8/0:8", "0/0:8/0:8", "0:8/a:b/0:8", f"0:8/0:8/0:{2**31 + 1}", "0:8/0:8/0:99999999999"],
)
def test_what_is_no_box(volume: Any, box: str) -> None:
    """400 for reads and writes, whatever the body."""
    assert cutout(volume, "uint8", box).status_code == 400
    assert post(volume, box, packed(voxels())).status_code == 400
    assert volume("PUT", f"/v1/cutout/to_black/demo/master/uint8/0/{box}").status_code == 400


def test_boxes_that_are_too_large(make_service: Any) -> None:
    """413 beyond the service's limit of voxels for one request, before anything is read or decompressed."""
    service = make_service(limits=Limits(box=1000))
    service.repo.create_instance("uint16blk", "v")
    assert cutout(service, "v", "0:10/0:10/0:5").status_code == 200
    assert cutout(service, "v", "0:10/0:10/0:6").status_code == 413
    small = packed(np.zeros((6, 10, 10), "uint16"))
    assert post(service, "0:10/0:10/0:6", small, place="demo/master/v").status_code == 413
    assert service("PUT", "/v1/cutout/to_black/demo/master/v/0/0:10/0:10/0:6").status_code == 413
    assert service.repo.root["v"].extents() is None


def test_resolutions(volume: Any) -> None:
    """There is 0; another is 404, for reads and writes."""
    assert volume("GET", f"/v1/cutout/demo/master/uint8/1/{BOX}").status_code == 404
    assert volume("POST", f"/v1/cutout/demo/master/uint8/1/{BOX}", content=packed(voxels())).status_code == 404
    answer = volume("GET", "/v1/downsample/demo/master/uint8/").json()
    assert answer == {
        "status": "NOT_DOWNSAMPLED",
        "num_hierarchy_levels": 1,
        "voxel_size": {"0": [4.0, 8.0, 40.0]},
        "extent": {"0": [20, 16, 9]},
        "cuboid_size": {"0": [512, 512, 16]},
    }
