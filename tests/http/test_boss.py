"""bossDB's volume API: names, boxes in every form, what clients make, and what is refused before it has an effect."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")

import numpy as np
from numcodecs import blosc  # pyright: ignore[reportAttributeAccessIssue] - compiled
from PIL import Image

from dvidkit.engine import StoreConfig
from dvidkit.http import create_app
from dvidkit.http.service import Limits
from dvidkit.kernel import Kernel

BLOSC, NPYGZ, RAW = "application/blosc", "application/npygz", "application/octet-stream"
BLOSC_PYTHON = "application/blosc-python"
OFFSET, SHAPE = (-3, 5, 7), (9, 11, 13)
BOX = "7:20/5:16/-3:6"
FRAME = {
    **{f"{axis}_start": 0 for axis in "xyz"},
    **{f"{axis}_stop": stop for axis, stop in zip("xyz", (60, 50, 40), strict=True)},
    **{f"{axis}_voxel_size": size for axis, size in zip("xyz", (4, 5, 0.5), strict=True)},
    "voxel_unit": "micrometers",
}


def voxels(dtype: str = "uint8", seed: int = 0) -> Any:
    """What is written."""
    return np.random.default_rng(seed).integers(0, 200, SHAPE).astype(dtype)


@pytest.fixture
def volume(service: Any) -> Any:
    """A service whose repo ``demo`` has a channel of each type at its root, with voxels from ``OFFSET`` on."""
    for name in ("uint8", "uint16", "uint32", "uint64", "float32"):
        service.repo.create_instance(f"{name}blk", name, BlockSize="4,6,5", VoxelSize="4,8,40")
        service.repo.root[name].write(OFFSET, voxels(name))
    return service


def cutout(service: Any, channel: str, box: str = BOX, *, place: str = "demo/master", **headers: str) -> Any:
    """Ask for a cutout."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return service("GET", f"/v1/cutout/{place}/{channel}/0/{box}", headers=sent)


def post(
    service: Any, box: str, body: bytes, kind: str = BLOSC, *, place: str = "demo/master/uint8", **more: str
) -> Any:
    """Write a cutout."""
    return service("POST", f"/v1/cutout/{place}/0/{box}", content=body, headers={"content-type": kind, **more})


def packed(array: Any, typesize: int | None = None) -> bytes:
    """Compressed with blosc, as clients do; ``intern`` gives the bits of a voxel for its bytes."""
    return bytes(blosc.compress(np.ascontiguousarray(array), b"lz4", 5, typesize=typesize))


def npygz(array: Any, **options: Any) -> bytes:
    """An array in numpy's format, compressed with zlib."""
    target = io.BytesIO()
    np.save(target, array, **options)
    return zlib.compress(target.getvalue())


def pickled(array: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> bytes:
    """A pickle of an array, compressed with blosc."""
    return packed(np.frombuffer(pickle.dumps(array, protocol), np.uint8))


def opened(body: bytes, kind: str, dtype: str) -> Any:
    """The voxels of an answer, flat or in their shape as the media type has it."""
    if kind == NPYGZ:
        return np.load(io.BytesIO(zlib.decompress(body)))
    if kind == BLOSC_PYTHON:
        return pickle.loads(blosc.decompress(body))
    data = body if kind == RAW else blosc.decompress(body)
    return np.frombuffer(data, dtype).reshape(SHAPE)


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [BLOSC, NPYGZ, BLOSC_PYTHON, RAW])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "float32"])
def test_a_cutout_in_every_form(volume: Any, kind: str, dtype: str) -> None:
    """Is what was written, z, y, x; a box across blocks and at negative coordinates."""
    answer = cutout(volume, dtype, accept=kind)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    found = opened(answer.content, kind, dtype)
    assert found.dtype == dtype
    assert np.array_equal(found, voxels(dtype))


def test_a_range_of_times_has_an_axis(volume: Any) -> None:
    """There is one sample, 0:1; no other can be asked for."""
    answer = cutout(volume, "uint8", f"{BOX}/0:1", accept=NPYGZ)
    assert np.array_equal(opened(answer.content, NPYGZ, "uint8"), voxels()[np.newaxis])
    assert cutout(volume, "uint8", f"{BOX}/0:2").status_code == 400
    assert cutout(volume, "uint8", f"{BOX}/0:1", accept="image/jpeg").status_code == 400


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, BLOSC),
        ({"accept": "*/*"}, BLOSC),
        ({"content_type": NPYGZ}, NPYGZ),
        ({"accept": "*/*", "content_type": "image/jpeg"}, "image/jpeg"),
        ({"accept": f"text/html, {NPYGZ};q=0.8, */*;q=0.1"}, NPYGZ),
        ({"accept": f"{NPYGZ};q=0.5, {RAW}"}, RAW),
        ({"accept": f"{RAW};q=0, */*"}, BLOSC),
        ({"accept": "image/*"}, "image/jpeg"),
        ({"accept": "application/jpeg"}, "image/jpeg"),
        ({"accept": NPYGZ, "content_type": BLOSC}, NPYGZ),
    ],
)
def test_which_form_is_asked_for(volume: Any, headers: dict[str, str], kind: str) -> None:
    """By ``Accept`` and its order; where that leaves it open by ``Content-Type``; else blosc."""
    answer = cutout(volume, "uint8", **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize("accept", ["text/html", "application/json", "q", f"{BLOSC};q=x", "video/*"])
def test_a_form_that_there_is_not(volume: Any, accept: str) -> None:
    """406, naming those that there are."""
    answer = cutout(volume, "uint8", accept=accept)
    assert answer.status_code == (406 if accept != f"{BLOSC};q=x" else 200)
    assert answer.status_code == 200 or BLOSC in answer.text


def test_filmstrips(volume: Any) -> None:
    """A picture has the slices one below the other; JPEG of 8 bits, PNG of 16 bits as well."""
    for dtype in ("uint8", "uint16"):
        png = Image.open(io.BytesIO(cutout(volume, dtype, accept="image/png").content))
        assert np.array_equal(np.asarray(png), voxels(dtype).reshape(-1, SHAPE[2]))
    jpeg = Image.open(io.BytesIO(cutout(volume, "uint8", accept="image/jpeg").content))
    assert (jpeg.format, jpeg.mode, jpeg.size) == ("JPEG", "L", (SHAPE[2], SHAPE[0] * SHAPE[1]))
    assert cutout(volume, "uint16", accept="image/jpeg").status_code == 400
    assert cutout(volume, "uint64", accept="image/png").status_code == 400
    assert cutout(volume, "uint8", "0:70000/0:1/0:1", accept="image/jpeg").status_code == 413


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("xy/0/7:20/5:16/-1", voxels()[2]),
        ("xz/0/7:20/6/-3:6", voxels()[:, 1]),
        ("yz/0/9/5:16/-3:6", voxels()[:, :, 2]),
        ("yz/0/9/5:16/-3:-2", voxels()[:1, :, 2]),
        ("xz/0/9:10/6/-3:6", voxels()[:, 1, 2:3]),
        ("xy/0/7:20/5:16/-1/0", voxels()[2]),
    ],
)
def test_slices(volume: Any, path: str, rows: Any) -> None:
    """Of each orientation: rows are y of ``xy``, else z."""
    orientation, rest = path.split("/", 1)
    answer = volume("GET", f"/v1/image/demo/master/uint8/{orientation}/{rest}")
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), rows)


@pytest.mark.parametrize(
    "path",
    ["xyz/0/0:8/0:8/0", "xy/0/0:8/0:8/0:8", "xy/0/8/0:8/0", "xz/0/0:8/0:8/0", "xy/0/8:0/0:8/0", "xy/x/0:8/0:8/0"],
)
def test_what_is_no_slice(volume: Any, path: str) -> None:
    """Another orientation, a range of what must be a number, a number of what must be a range: 400."""
    assert volume("GET", f"/v1/image/demo/master/uint8/{path}").status_code == 400


def test_tiles(volume: Any) -> None:
    """By their numbers; beyond the volume there is background, also where a client bounds it by a frame."""
    view = volume.repo.root["uint8"]
    for orientation, numbers, box in (
        ("xy", "1/0/-1", ((-1, 0, 8), (1, 8, 8))),
        ("xz", "1/6/0", ((0, 6, 8), (8, 1, 8))),
        ("yz", "9/1/0", ((0, 8, 9), (8, 8, 1))),
    ):
        answer = volume("GET", f"/v1/tile/demo/master/uint8/{orientation}/8/0/{numbers}")
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.content))), view.read(*box).reshape(8, 8))
    made(volume)
    assert volume("GET", "/v1/tile/coll/exp/em/xy/64/0/3/3/3").status_code == 200


def test_ids(volume: Any) -> None:
    """Those in a box, as texts, in order, without 0; and a box without the others."""
    ids = sorted({int(each) for each in voxels("uint64").flat} - {0})
    answer = volume("GET", f"/v1/ids/demo/master/uint64/0/{BOX}/0:1/")
    assert answer.json() == {"ids": [str(each) for each in ids]}
    answer = volume("GET", f"/v1/cutout/demo/master/uint64/0/{BOX}?filter={ids[0]},{ids[3]}", headers={"accept": RAW})
    kept = np.where(np.isin(voxels("uint64"), [ids[0], ids[3]]), voxels("uint64"), 0)
    assert np.array_equal(opened(answer.content, RAW, "uint64"), kept)
    for channel, text in (
        ("uint8", "1"),
        ("uint64", "x"),
        ("uint64", "-1"),
        ("uint64", "1,,2"),
        ("uint64", str(1 << 64)),
    ):
        assert volume("GET", f"/v1/cutout/demo/master/{channel}/0/{BOX}?filter={text}").status_code == 400


# --- writing ---------------------------------------------------------------------------------------------------------


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


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_version_by_every_name(volume: Any) -> None:
    """Branches mean their newest version; ``~n``, UUIDs and beginnings of them older ones; ``main`` is ``master``."""
    root = volume.repo.root
    root.commit()
    child, side = root.new_version(), root.make_branch("side")
    child["uint8"].write(OFFSET, voxels(seed=1))
    side["uint8"].write(OFFSET, voxels(seed=2))
    names = {
        0: [root.uuid, root.uuid[:9], "master~1", "side~1"],
        1: ["master", "main", child.uuid, child.uuid[:9]],
        2: ["side", side.uuid],
    }
    for seed, each in names.items():
        for collection in ("demo", volume.repo.uuid, volume.repo.uuid[:9]):
            for name in each:
                answer = cutout(volume, "uint8", place=f"{collection}/{name}", accept=RAW)
                assert np.array_equal(opened(answer.content, RAW, "uint8"), voxels(seed=seed)), name
    assert volume("GET", "/v1/collection/demo/experiment/").json() == {"experiments": ["master", "side"]}
    for name in ("master~3", "nobody", "", ":master", "~1", "^1", "0" * 32):
        assert volume("GET", f"/v1/collection/demo/experiment/{name}/channel/uint8").status_code == 404, name


def test_committed_versions_are_not_written(volume: Any) -> None:
    """400, and nothing changed; an older version is what it was while its child is written."""
    volume.repo.root.commit()
    assert post(volume, BOX, packed(voxels(seed=1))).status_code == 400
    volume.repo.root.new_version()
    assert post(volume, BOX, packed(voxels(seed=1))).status_code == 201
    old = cutout(volume, "uint8", place=f"demo/{volume.repo.uuid}", accept=RAW)
    assert np.array_equal(opened(old.content, RAW, "uint8"), voxels())
    new = cutout(volume, "uint8", accept=RAW)
    assert np.array_equal(opened(new.content, RAW, "uint8"), voxels(seed=1))


def test_collections(service: Any) -> None:
    """By alias; repos without one, or with one that another has too, by UUID."""
    repos = service.kernel.repos
    bare, one, two = repos.create(), repos.create("twin"), repos.create("twin")
    listed = service("GET", "/v1/collection/").json()
    assert listed == {"collections": sorted(["demo", bare.uuid, one.uuid, two.uuid])}
    assert service("GET", "/v1/collection//").json() == listed
    answer = service("GET", "/v1/collection/twin")
    assert (answer.status_code, "2 repos" in answer.text) == (404, True)
    twins = [repos.create("", root=f"feedfeed{digit}{'0' * 23}") for digit in "12"]
    assert service("GET", "/v1/collection/feedfeed").status_code == 404
    assert service("GET", "/v1/collection/feedfeed1").json()["name"] == "feedfeed1"
    assert twins[0].uuid in service("GET", "/v1/collection").json()["collections"]
    assert service("GET", f"/v1/collection/{one.uuid}").json()["name"] == one.uuid
    assert service("GET", "/v1/collection/demo").json() == {
        "name": "demo",
        "description": "a repo",
        "experiments": ["master"],
        "creator": "",
        "public": True,
    }
    child = f"{service.uuid}:master"
    assert service("GET", f"/v1/collection/{child}").status_code == 404


def test_channels(volume: Any) -> None:
    """Volumes of one value a voxel; instances of other datatypes are none."""
    volume.repo.create_instance("rgba8blk", "colours")
    names = ["float32", "uint16", "uint32", "uint64", "uint8"]
    assert volume("GET", "/v1/collection/demo/experiment/master/channel/").json() == {"channels": names}
    experiment = volume("GET", "/v1/collection/demo/experiment/master/").json()
    assert experiment["channels"] == names
    assert (experiment["name"], experiment["collection"], experiment["num_hierarchy_levels"]) == ("master", "demo", 1)
    assert experiment["coord_frame"] == f"dvid_{volume.uuid}"
    for name, kind in (("uint8", "image"), ("uint16", "image"), ("uint64", "annotation")):
        channel = volume("GET", f"/v1/collection/demo/experiment/master/channel/{name}/").json()
        assert (channel["name"], channel["type"], channel["datatype"]) == (name, kind, name)
        assert (channel["base_resolution"], channel["downsample_status"]) == (0, "NOT_DOWNSAMPLED")
        assert (channel["storage_type"], channel["experiment"]) == ("spdb", "master")
    for name in ("colours", "roi", "t", "nothing"):
        assert volume("GET", f"/v1/collection/demo/experiment/master/channel/{name}").status_code == 404, name
        assert cutout(volume, name).status_code == 404


def test_the_frame_of_a_version(volume: Any) -> None:
    """From the origin, or before it, to the last voxel of any channel; it grows with what is written."""
    frame = volume("GET", f"/v1/coord/dvid_{volume.uuid}/").json()
    assert {name: frame[name] for name in frame if name[:1] in "xyz"} == {
        "x_start": 0,
        "x_stop": 20,
        "y_start": 0,
        "y_stop": 16,
        "z_start": -3,
        "z_stop": 6,
        "x_voxel_size": 4.0,
        "y_voxel_size": 8.0,
        "z_voxel_size": 40.0,
    }
    assert (frame["name"], frame["voxel_unit"]) == (f"dvid_{volume.uuid}", "nanometers")
    assert post(volume, "100:101/0:1/0:1", b"x", RAW).status_code == 201
    assert volume("GET", f"/v1/coord/dvid_{volume.uuid}/").json()["x_stop"] == 101
    empty = volume.kernel.repos.create("empty")
    assert volume("GET", f"/v1/coord/dvid_{empty.uuid}").json()["x_stop"] == 0
    assert volume("GET", "/v1/coord/").json()["coords"] == sorted([f"dvid_{volume.uuid}", f"dvid_{empty.uuid}"])


def test_the_other_name_of_the_version(volume: Any) -> None:
    """``latest`` is ``v1``, for reads and writes."""
    assert volume("GET", "/latest/collection/").json() == volume("GET", "/v1/collection/").json()
    url = f"/latest/cutout/demo/master/uint8/0/{BOX}/"
    assert volume("POST", url, content=packed(voxels(seed=3))).status_code == 201
    answer = volume("GET", url, headers={"accept": NPYGZ})
    assert np.array_equal(opened(answer.content, NPYGZ, "uint8"), voxels(seed=3))
    assert volume("GET", "/v1/").json()["version"] == "v1"


def test_what_neuroglancer_asks(volume: Any) -> None:
    """The requests of its ``boss`` source, as a page of another origin sends them: each is answered as it reads it."""
    page = {"origin": "https://neuroglancer.example"}

    def ask(path: str, **headers: str) -> Any:
        answer = volume("GET", f"/latest/{path}", headers={**page, **headers})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
        return answer

    experiment = ask("collection/demo/experiment/master/").json()
    assert (experiment["name"], experiment["collection"]) == ("master", "demo")
    for name in experiment["channels"]:
        channel = ask(f"collection/demo/experiment/master/channel/{name}/").json()
        assert {"name", "type", "datatype", "description", "base_resolution", "downsample_status"} <= set(channel)
    frame = ask(f"coord/{experiment['coord_frame']}/").json()
    resolutions = ask("downsample/demo/master/uint8").json()
    assert resolutions["extent"]["0"] == [frame[f"{axis}_stop"] - frame[f"{axis}_start"] for axis in "xyz"]
    assert resolutions["voxel_size"]["0"] == [frame[f"{axis}_voxel_size"] for axis in "xyz"]
    box = "7%3A20/5%3A16/-3%3A6"
    assert ask(f"cutout/demo/master/uint8/0/{box}/", accept="image/jpeg").headers["content-type"] == "image/jpeg"
    found = ask(f"cutout/demo/master/uint64/0/{box}/", accept=NPYGZ)
    assert np.array_equal(opened(found.content, NPYGZ, "uint64"), voxels("uint64"))


def test_people(service: Any) -> None:
    """There are no groups and no permissions by group."""
    assert service("GET", "/v1/groups/").json() == {"groups": []}
    assert service("GET", "/v1/permissions/").json() == {"permission-sets": []}


# --- what clients make -----------------------------------------------------------------------------------------------


def made(service: Any, experiment: str = "exp", dtype: str = "uint8") -> Any:
    """Make a channel ``em`` in an experiment of the collection ``coll``, and what of that is missing."""
    collection = "/v1/collection/coll"
    steps = [
        (collection, {"name": "coll", "description": "of tests"}),
        ("/v1/coord/CF/", {"name": "CF", **FRAME}),
        (f"{collection}/experiment/{experiment}", {"coord_frame": "CF", "num_hierarchy_levels": 6, "time_step": None}),
    ]
    for url, document in steps:
        if service("GET", url).status_code == 404:
            assert service("POST", url, json=document).status_code == 201, url
    channel = {"datatype": dtype, "type": "image", "sources": ["raw"], "description": "tissue", "related": []}
    return service("POST", f"{collection}/experiment/{experiment}/channel/em", json=channel)


def test_everything_made_by_a_client(service: Any) -> None:
    """A collection, a frame, an experiment, a channel: each is there as it was asked for, and takes voxels."""
    answer = made(service)
    assert answer.status_code == 201
    assert answer.json() == service("GET", "/v1/collection/coll/experiment/exp/channel/em").json()
    assert answer.json()["sources"] == ["raw"]
    assert (answer.json()["type"], answer.json()["description"]) == ("image", "tissue")
    assert service("GET", "/v1/collection/coll").json()["experiments"] == ["exp"]
    assert service("GET", "/v1/collection/coll/experiment/exp").json()["coord_frame"] == "CF"
    frame = service("GET", "/v1/coord/CF").json()
    assert frame == {"name": "CF", "description": "", **FRAME}
    assert service("GET", "/v1/coord").json()["coords"] == sorted(["CF", f"dvid_{service.uuid}"])
    assert service("GET", "/v1/collection").json()["collections"] == ["coll", "demo"]
    array = voxels()
    assert post(service, "0:13/0:11/0:9", packed(array), place="coll/exp/em").status_code == 201
    found = cutout(service, "em", "0:13/0:11/0:9", place="coll/exp", accept=RAW)
    assert np.array_equal(opened(found.content, RAW, "uint8"), array)
    (coll,) = [each for each in service.kernel.repos if each.alias == "coll"]
    assert coll.instance("em").at(coll.head("exp")).volume_info().voxel_nm_xyz == (4000, 5000, 500)


def test_a_frame_that_a_client_made_bounds(service: Any) -> None:
    """What is outside cannot be asked for or written: 400. Everything inside can."""
    made(service)
    for box in ("59:61/0:1/0:1", "0:1/50:51/0:1", "0:1/0:1/-1:1", "0:1/0:1/0:41"):
        x, y, z = (part.split(":") for part in box.split("/"))
        shape = [int(end) - int(begin) for begin, end in (z, y, x)]
        body = packed(np.ones(shape, "uint8"))
        assert cutout(service, "em", box, place="coll/exp").status_code == 400
        assert post(service, box, body, place="coll/exp/em").status_code == 400
    assert cutout(service, "em", "0:60/0:50/0:40", place="coll/exp").status_code == 200
    assert service("GET", "/v1/image/coll/exp/em/xy/0/0:61/0:50/0").status_code == 400


def test_experiments_have_voxels_of_their_own(service: Any) -> None:
    """Channels of one name in several experiments of a collection; ``master`` is an experiment once it is made."""
    assert service("GET", "/v1/collection/coll").status_code == 404
    names = ("one", "two", "master")
    for seed, name in enumerate(names):
        assert service("GET", f"/v1/collection/coll/experiment/{name}").status_code == 404
        assert made(service, name).status_code == 201
        assert post(service, "0:13/0:11/0:9", packed(voxels(seed=seed)), place=f"coll/{name}/em").status_code == 201
    for seed, name in enumerate(names):
        found = cutout(service, "em", "0:13/0:11/0:9", place=f"coll/{name}", accept=RAW)
        assert np.array_equal(opened(found.content, RAW, "uint8"), voxels(seed=seed))
    assert service("GET", "/v1/collection/coll").json()["experiments"] == ["master", "one", "two"]
    for name in names:
        assert made(service, name).status_code == 400
    assert made(service, "three", "uint16").status_code == 400
    assert service("GET", "/v1/collection/coll/experiment/three/channel").json() == {"channels": []}


def test_an_experiment_of_a_repo_that_others_made(volume: Any) -> None:
    """Is a branch off the newest committed version of ``master``, and sees what is there; before a commit: 400."""
    asked = {"coord_frame": f"dvid_{volume.uuid}"}
    assert volume("POST", "/v1/collection/demo/experiment/trial", json=asked).status_code == 400
    assert volume.repo.record.properties == {}
    volume.repo.root.commit()
    assert volume("POST", "/v1/collection/demo/experiment/trial", json=asked).status_code == 201
    found = cutout(volume, "uint8", place="demo/trial", accept=RAW)
    assert np.array_equal(opened(found.content, RAW, "uint8"), voxels())
    assert volume("POST", "/v1/collection/demo/experiment/trial", json=asked).status_code == 400
    assert volume("POST", "/v1/collection/demo/experiment/master", json=asked).status_code == 400


def test_later_versions_of_an_experiment(service: Any) -> None:
    """Its name means the newest; the frame and the channels are those of the branch."""
    made(service)
    made(service, "other")
    assert post(service, "0:13/0:11/0:9", packed(voxels()), place="coll/other/em").status_code == 201
    (repo,) = [each for each in service.kernel.repos if each.alias == "coll"]
    head = repo.head("other")
    head.commit()
    branch = head.make_branch("other fix")
    for place in (f"coll/{head.uuid}", "coll/other fix", "coll/other"):
        found = cutout(service, "em", "0:13/0:11/0:9", place=place, accept=RAW)
        assert np.array_equal(opened(found.content, RAW, "uint8"), voxels())
        assert cutout(service, "em", "0:61/0:1/0:1", place=place).status_code == 400
    assert service("GET", f"/v1/collection/coll/experiment/{branch.uuid}").json()["coord_frame"] == "CF"
    assert post(service, "0:13/0:11/0:9", packed(voxels()), place="coll/other/em").status_code == 400


@pytest.mark.parametrize(
    "change",
    [
        {"x_stop": 0},
        {"x_start": -(2**31) - 1},
        {"z_stop": 2**31 + 1},
        {"y_voxel_size": 0},
        {"y_voxel_size": -1.5},
        {"voxel_unit": "parsecs"},
        {"x_start": 1.5},
        {"x_start": None},
    ],
)
def test_a_frame_that_cannot_be(service: Any, change: dict[str, Any]) -> None:
    """400, and there is none of this name."""
    assert service("POST", "/v1/coord/CF", json={**FRAME, **change}).status_code == 400
    assert service("GET", "/v1/coord/CF").status_code == 404


def test_what_cannot_be_made(service: Any) -> None:
    """Names that are taken or could not stand in a reference, frames and types that there are not: nothing is made."""
    made(service)
    before = [(repo.uuid, repo.record, sorted(repo.instances)) for repo in service.kernel.repos]
    experiment, channel = {"coord_frame": "CF"}, {"datatype": "uint8"}
    base = "/v1/collection/coll/experiment"
    for url, document, status in (
        ("/v1/collection/coll", {}, 400),
        ("/v1/collection/demo", {}, 400),
        ("/v1/collection/a:b", {}, 400),
        ("/v1/collection/a%2Fb", {}, 400),
        ("/v1/collection/new", {"description": 5}, 400),
        ("/v1/collection/new", [], 400),
        ("/v1/coord/CF", FRAME, 400),
        ("/v1/coord/dvid_x", FRAME, 400),
        (f"{base}/a~b", experiment, 400),
        (f"{base}/a%2Fb", experiment, 400),
        (f"{base}/new", {"coord_frame": "nothing"}, 404),
        (f"{base}/new", {}, 400),
        (f"{base}/new", {**experiment, "num_time_samples": 2}, 400),
        ("/v1/collection/nothing/experiment/new", experiment, 404),
        (f"{base}/exp/channel/new", {"datatype": "float64"}, 400),
        (f"{base}/exp/channel/new", {**channel, "base_resolution": 1}, 400),
        (f"{base}/exp/channel/new", {"type": "image"}, 400),
        (f"{base}/exp/channel/log", channel, 400),
        (f"{base}/nothing/channel/new", channel, 404),
    ):
        assert service("POST", url, json=document).status_code == status, (url, document)
    assert [(repo.uuid, repo.record, sorted(repo.instances)) for repo in service.kernel.repos] == before


def test_what_clients_made_stays(tmp_path: Path) -> None:
    """Frames, experiments and channels are there when the store is opened again, and the store is sound."""
    import asyncio

    import httpx

    from dvidkit.verify import verify

    async def ask(kernel: Kernel, *requests: tuple[str, str, Any]) -> list[Any]:
        transport = httpx.ASGITransport(create_app(kernel))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.request(method, url, json=body) for method, url, body in requests]

    experiment = "/v1/collection/coll/experiment/exp"
    config = StoreConfig("filesystem", str(tmp_path / "store"))
    with Kernel(config) as kernel:
        answers = asyncio.run(
            ask(
                kernel,
                ("POST", "/v1/collection/coll", {}),
                ("POST", "/v1/coord/CF", FRAME),
                ("POST", experiment, {"coord_frame": "CF"}),
                ("POST", f"{experiment}/channel/em", {"datatype": "uint64"}),
            )
        )
        assert [answer.status_code for answer in answers] == [201] * 4
        assert verify(kernel.stores["default"]).ok
    urls = ("/v1/coord/CF", experiment, f"{experiment}/channel/em", "/v1/collection")
    with Kernel(config) as kernel:
        frame, found, channel, listed = asyncio.run(ask(kernel, *(("GET", url, None) for url in urls)))
    assert frame.json()["x_stop"] == 60
    assert found.json()["coord_frame"] == "CF"
    assert channel.json()["datatype"] == "uint64"
    assert listed.json() == {"collections": ["coll"]}


# --- metadata --------------------------------------------------------------------------------------------------------


def test_metadata(volume: Any) -> None:
    """Made, read, replaced and removed by key; about a collection, a branch and a channel there, each for itself."""
    places = ("/v1/meta/demo/", "/v1/meta/demo/master/", "/v1/meta/demo/master/uint8/", "/v1/meta/demo/master/uint16")
    for place in places:
        assert volume("GET", place).json() == {"keys": []}
        assert volume("POST", f"{place}?key=who&value={place}").status_code == 201
        assert volume("POST", f"{place}?key=a%26b&value=").status_code == 201
        assert volume("POST", f"{place}?key=who&value=other").status_code == 400
    for place in places:
        assert volume("GET", place).json() == {"keys": ["a&b", "who"]}
        assert volume("GET", f"{place}?key=who").json() == {"key": "who", "value": place}
        assert volume("PUT", f"{place}?key=who&value=%C3%A9").status_code == 200
        assert volume("GET", f"{place}?key=who").json()["value"] == "\u00e9"
        assert volume("DELETE", f"{place}?key=a%26b").status_code == 204
        assert volume("GET", place).json() == {"keys": ["who"]}
        for method, query in (("GET", "key=x"), ("PUT", "key=x&value=1"), ("DELETE", "key=x")):
            assert volume(method, f"{place}?{query}").status_code == 404
        for method, query in (
            ("POST", "key=x"),
            ("POST", "value=x"),
            ("POST", "key=&value=x"),
            ("PUT", ""),
            ("DELETE", ""),
        ):
            assert volume(method, f"{place}?{query}").status_code == 400, (method, query)
    for place in ("nothing", "demo/nothing", "demo/master/nothing", "demo/master/t"):
        assert volume("POST", f"/v1/meta/{place}?key=x&value=y").status_code == 404


def test_metadata_belongs_to_the_branch(volume: Any) -> None:
    """Whatever version of it is named, and committed or not; another branch has its own."""
    root = volume.repo.root
    root.commit()
    assert volume("POST", f"/v1/meta/demo/{root.uuid}?key=a&value=1").status_code == 201
    root.new_version()
    root.make_branch("side")
    assert volume("GET", "/v1/meta/demo/master?key=a").json()["value"] == "1"
    assert volume("GET", "/v1/meta/demo/side").json() == {"keys": []}


def test_there_is_little_room_for_metadata(volume: Any) -> None:
    """Beyond it nothing is added: 400; what is there stays, and may be removed."""
    much = "x" * 60_000
    for key in range(17):
        assert volume("POST", f"/v1/meta/demo?key={key}&value={much}").status_code == 201
    assert volume("POST", f"/v1/meta/demo/master?key=a&value={much}").status_code == 400
    assert volume("GET", "/v1/meta/demo/master").json() == {"keys": []}
    for key in range(17):
        assert volume("DELETE", f"/v1/meta/demo?key={key}").status_code == 204
    assert volume.repo.record.properties == {"bossdb metadata": {}}


# --- without blosc ---------------------------------------------------------------------------------------------------


def test_without_numcodecs(volume: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compressed with blosc is 501, with the line that installs it; everything else works."""
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    for answer in (cutout(volume, "uint8"), post(volume, BOX, packed(voxels(seed=1)))):
        assert answer.status_code == 501
        assert "pip install 'dvidkit[boss]'" in answer.text
    assert cutout(volume, "uint8", accept=NPYGZ).status_code == 200
    assert post(volume, BOX, npygz(voxels(seed=1)), NPYGZ).status_code == 201


# --- who may ---------------------------------------------------------------------------------------------------------


def test_tokens_as_clients_of_bossdb_send_them(make_service: Any, secret: str) -> None:
    """``Token`` is ``Bearer``; the token ``public`` is nobody's: it reads where nobody needs one."""
    service = make_service(jwt_secret=secret, admin_token="keys")
    service.repo.create_instance("uint8blk", "uint8")
    token = service.app.gatekeeper.issue("ann")
    body = packed(voxels())

    def write(value: str) -> int:
        return int(post(service, BOX, body, authorization=value).status_code)

    assert cutout(service, "uint8", authorization="Token public").status_code == 200
    assert write("Token public") == 401
    assert write("Token nonsense") == 401
    assert write(f"Basic {token}") == 401
    assert write(f"Token {token}") == 201
    assert service("GET", f"{service.node}/uint8/mutations").json()[0]["User"] == "ann"
    assert service("POST", "/v1/collection/new", headers={"authorization": f"Token {token}"}).status_code == 403
    assert service("POST", "/v1/collection/new", headers={"authorization": "token keys"}).status_code == 201
    service.repo.root.commit()
    assert write(f"Token {token}") == 400
    assert write("Token keys") == 201
    closed = make_service(jwt_secret=secret, public_read=False)
    assert closed("GET", "/v1/collection", headers={"authorization": "Token public"}).status_code == 401
    assert closed("GET", "/v1/collection", headers={"authorization": f"Token {token}"}).status_code == 200


def test_read_only(make_service: Any) -> None:
    """A service that takes no changes takes none here."""
    service = make_service(mode="readonly")
    service.repo.create_instance("uint8blk", "uint8")
    assert post(service, BOX, packed(voxels())).status_code == 400
    assert made_status(service) == 400
    assert json.loads(service("GET", "/v1/collection").content) == {"collections": ["demo"]}


def made_status(service: Any) -> int:
    """What making a collection is answered."""
    return int(service("POST", "/v1/collection/new", json={}).status_code)
