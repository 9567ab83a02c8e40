"""Volumes as neuroglancer precomputed and as zarr: documents, chunks, and how long they may be kept."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from dvidkit.http.service import Limits
from dvidkit.volume import VolumeInfo

IMMUTABLE = "public, max-age=31536000, immutable"
OFFSET = (-5, -3, 7)
SHAPE = (6, 8, 9)


def voxels(seed: int = 0, dtype: str = "uint8", shape: tuple[int, ...] = SHAPE) -> Any:
    """What is written."""
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


@pytest.fixture
def gray(service: Any) -> Any:
    """An instance ``gray`` with blocks of 4 x 3 x 2 (x, y, z) whose voxels begin at negative coordinates."""
    service.repo.create_instance("uint8blk", "gray", BlockSize="4,3,2", Background="9", VoxelSize="4,8,40")
    view = service.repo.root["gray"]
    view.write(OFFSET, voxels())
    return view


def around(view: Any, offset: Any, shape: Any) -> bytes:
    """A box as the Python API reads it."""
    return view.read(offset, shape).tobytes()


def chunk_names(scale: dict[str, Any]) -> Any:
    """(name, offset z y x, shape) of each chunk of a scale of an info document."""
    axes = []
    for begin, size, chunk in zip(scale["voxel_offset"], scale["size"], scale["chunk_sizes"][0], strict=True):
        starts = range(begin, begin + size, chunk)
        axes.append([(low, min(low + chunk, begin + size)) for low in starts])
    for x, y, z in product(*axes):
        name = "_".join(f"{low}-{high}" for low, high in (x, y, z))
        yield name, (z[0], y[0], x[0]), (z[1] - z[0], y[1] - y[0], x[1] - x[0])


# --- precomputed -----------------------------------------------------------------------------------------------------


def test_the_info_document(service: Any, gray: Any) -> None:
    """Says where the voxels are, also at negative coordinates, and how large one is."""
    answer = service("GET", f"{service.node}/gray/precomputed/info")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "@type": "neuroglancer_multiscale_volume",
        "type": "image",
        "data_type": "uint8",
        "num_channels": 1,
        "scales": [
            {
                "key": "s0",
                "size": [9, 8, 6],
                "voxel_offset": [7, -3, -5],
                "chunk_sizes": [[4, 3, 2]],
                "resolution": [4.0, 8.0, 40.0],
                "encoding": "raw",
            }
        ],
    }


def test_every_chunk_of_the_info_document(service: Any, gray: Any) -> None:
    """Holds the voxels of its box; those at the volume's end are cut there. Together they are the volume."""
    (scale,) = service("GET", f"{service.node}/gray/precomputed/info").json()["scales"]
    whole = np.zeros(SHAPE, "uint8")
    for name, offset, shape in chunk_names(scale):
        answer = service("GET", f"{service.node}/gray/precomputed/s0/{name}")
        assert answer.status_code == 200, name
        place = tuple(slice(o - b, o - b + s) for o, b, s in zip(offset, OFFSET, shape, strict=True))
        whole[place] = np.frombuffer(answer.content, "uint8").reshape(shape)
    assert np.array_equal(whole, voxels())


@pytest.mark.parametrize(
    "name",
    [
        "s0/8-12_-3-0_-5--3",
        "s0/7-11_-3-0_-5--4",
        "s0/15-19_-3-0_-5--3",
        "s0/3-7_-3-0_-5--3",
        "s0/7-11_-3-0",
        "s0/99999999999-3_-3-0_-5--3",
        "s0/\u0667-11_-3-0_-5--3",
        "s1/7-11_-3-0_-5--3",
        "s-1/7-11_-3-0_-5--3",
        "x/7-11_-3-0_-5--3",
        "s00/7-11_-3-0_-5--3",
        "provenance",
        "s0",
        "s0/a/b",
    ],
)
def test_other_names_are_no_chunks(service: Any, gray: Any, name: str) -> None:
    """What the info document does not describe is 404, so that no reader takes it for a chunk."""
    assert service("GET", f"{service.node}/gray/precomputed/{name}").status_code == 404


def test_what_was_never_written_is_background(service: Any, gray: Any) -> None:
    """A block without data within the extents is sent as background, as the raw endpoint has it."""
    gray.write((20, 20, 40), voxels(1, shape=(1, 1, 1)))
    answer = service("GET", f"{service.node}/gray/precomputed/s0/19-23_9-12_5-7")
    assert answer.content == b"\x09" * 24


@pytest.mark.parametrize(
    ("typename", "dtype"),
    [("uint16blk", "uint16"), ("uint32blk", "uint32"), ("uint64blk", "uint64"), ("float32blk", "float32")],
)
def test_types_of_voxels(service: Any, typename: str, dtype: str) -> None:
    """Every type of the image family is sent little-endian, and named by both documents."""
    service.repo.create_instance(typename, "v", BlockSize="4,4,4")
    data = voxels(2, dtype, (4, 4, 4)) + np.dtype(dtype).type(300)
    service.repo.root["v"].write((0, 0, 0), data)
    base = f"{service.node}/v"
    assert service("GET", f"{base}/precomputed/info").json()["data_type"] == dtype
    assert (
        service("GET", f"{base}/precomputed/s0/0-4_0-4_0-4").content == data.astype(f"<{data.dtype.str[1:]}").tobytes()
    )
    assert service("GET", f"{base}/zarr/0/zarr.json").json()["data_type"] == dtype
    assert service("GET", f"{base}/zarr/0/c/0/0/0").content == data.tobytes()


def test_channels_come_first(service: Any) -> None:
    """Of RGBA a chunk holds all red, then all green …, as both formats have it."""
    service.repo.create_instance("rgba8blk", "v", BlockSize="4,4,4")
    data = voxels(3, shape=(4, 4, 4, 4))
    service.repo.root["v"].write((0, 0, 0), data)
    base, wanted = f"{service.node}/v", data.transpose(3, 0, 1, 2).tobytes()
    assert service("GET", f"{base}/precomputed/info").json()["num_channels"] == 4
    assert service("GET", f"{base}/precomputed/s0/0-4_0-4_0-4").content == wanted
    assert service("GET", f"{base}/zarr/0/c/0/0/0/0").content == wanted
    assert service("GET", f"{base}/zarr/0/c/0/0/0").status_code == 404
    assert service("GET", f"{base}/zarr/0/c/1/0/0/0").status_code == 404
    group, array = (service("GET", f"{base}/zarr/{each}").json() for each in ("zarr.json", "0/zarr.json"))
    (multiscales,) = group["attributes"]["ome"]["multiscales"]
    assert [axis["name"] for axis in multiscales["axes"]] == array["dimension_names"] == ["c", "z", "y", "x"]
    assert (array["shape"], array["chunk_grid"]["configuration"]["chunk_shape"]) == ([4, 4, 4, 4], [4, 4, 4, 4])


# --- zarr ------------------------------------------------------------------------------------------------------------


def test_the_zarr_documents(service: Any, gray: Any) -> None:
    """The array begins at the first block with data; the OME metadata says in nanometres where that is."""
    group = service("GET", f"{service.node}/gray/zarr/zarr.json").json()
    (multiscales,) = group["attributes"]["ome"]["multiscales"]
    assert (group["zarr_format"], group["node_type"], group["attributes"]["ome"]["version"]) == (3, "group", "0.5")
    assert [axis["name"] for axis in multiscales["axes"]] == ["z", "y", "x"]
    assert multiscales["datasets"] == [
        {
            "path": "0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [40.0, 8.0, 4.0]},
                {"type": "translation", "translation": [-240.0, -24.0, 16.0]},
            ],
        }
    ]
    array = service("GET", f"{service.node}/gray/zarr/0/zarr.json").json()
    assert group["consolidated_metadata"]["metadata"] == {"0": array}
    assert array["shape"] == [7, 8, 12]
    assert array["chunk_grid"] == {"name": "regular", "configuration": {"chunk_shape": [2, 3, 4]}}
    assert array["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
    assert (array["fill_value"], array["data_type"]) == (9, "uint8")
    assert array["attributes"] == {"dvid_offset_zyx": [-6, -3, 4]}


def test_every_zarr_chunk(service: Any, gray: Any) -> None:
    """Is a stored block, whole also where the array ends in it; one beyond the array is 404."""
    for z, y, x in product(range(4), range(3), range(3)):
        answer = service("GET", f"{service.node}/gray/zarr/0/c/{z}/{y}/{x}")
        assert answer.content == around(gray, (-6 + 2 * z, -3 + 3 * y, 4 + 4 * x), (2, 3, 4))
    for outside in ("4/0/0", "0/3/0", "0/0/3", "-1/0/0", "0/0", "0/0/0/0", "a/0/0", "0//0"):
        assert service("GET", f"{service.node}/gray/zarr/0/c/{outside}").status_code == 404, outside


@pytest.mark.parametrize("path", [".zgroup", ".zattrs", ".zmetadata", "0/.zarray", "1/zarr.json", "0", "x/zarr.json"])
def test_other_documents_are_not_there(service: Any, gray: Any, path: str) -> None:
    """Readers that try formats one after another get 404, not the 400 of a bad call."""
    assert service("GET", f"{service.node}/gray/zarr/{path}").status_code == 404


def test_an_instance_that_is_no_volume(service: Any) -> None:
    """Has no views: 404."""
    for path in ("precomputed/info", "precomputed", "zarr", "zarr/zarr.json", "zarr/0/c/0/0/0", "zarr/.zgroup"):
        assert service("GET", f"{service.node}/roi/{path}").status_code == 404


def test_a_volume_without_voxels(service: Any) -> None:
    """Has a size of 0 and no chunks."""
    service.repo.create_instance("uint8blk", "empty")
    base = f"{service.node}/empty"
    assert service("GET", f"{base}/precomputed/info").json()["scales"][0]["size"] == [0, 0, 0]
    assert service("GET", f"{base}/precomputed/s0/0-32_0-32_0-32").status_code == 404
    assert service("GET", f"{base}/zarr/0/zarr.json").json()["shape"] == [0, 0, 0]
    assert service("GET", f"{base}/zarr/0/c/0/0/0").status_code == 404


def test_a_background_that_json_has_not() -> None:
    """Is written as zarr writes it."""
    from dvidkit.http.views.zarr import array_document

    for value, text in ((float("nan"), "NaN"), (float("inf"), "Infinity"), (float("-inf"), "-Infinity"), (1.5, 1.5)):
        info = VolumeInfo("float32", 1, "image", (2, 2, 2), (8, 8, 8), (0, 0, 0), (1, 1, 1), background=value)
        assert array_document(info, 0)["fill_value"] == text


def test_a_type_that_precomputed_has_not() -> None:
    """Is 404, not a document that readers choke on."""
    from dvidkit.http.status import HTTPError
    from dvidkit.http.views.precomputed import info_document

    info = VolumeInfo("float64", 1, "image", (2, 2, 2), (8, 8, 8), (0, 0, 0), (1, 1, 1))
    with pytest.raises(HTTPError) as caught:
        info_document(info)
    assert caught.value.status == 404


def test_scales_are_where_the_voxels_are() -> None:
    """The first voxel of a coarser scale covers several of the finest, and its centre is that of those together."""
    from dvidkit.http.views.zarr import group_document

    info = VolumeInfo("uint8", 1, "segmentation", (4, 4, 4), (8, 8, 8), (0, 0, 0), (7, 7, 7), scales=3)
    (multiscales,) = group_document(info, "v")["attributes"]["ome"]["multiscales"]
    shifts = [each["coordinateTransformations"][1]["translation"][0] for each in multiscales["datasets"]]
    assert shifts == [0.0, 4.0, 12.0]


# --- versions, and how long an answer may be kept --------------------------------------------------------------------

CHUNKS = ("precomputed/s0/7-11_-3-0_-5--3", "zarr/0/c/0/0/0")
DOCUMENTS = ("precomputed/info", "zarr/zarr.json", "zarr/0/zarr.json")


def test_each_version_shows_its_own(service: Any, gray: Any) -> None:
    """A committed version stays as it was while its open child is written, under each name of the two."""
    root = service.repo.root
    root.commit()
    child = root.new_version()
    child["gray"].write(OFFSET, voxels(5))
    old, new = voxels()[:2, :3, :4].tobytes(), voxels(5)[:2, :3, :4].tobytes()
    for name, wanted in ((root.uuid, old), (":master~1", old), (child.uuid, new), (":master", new)):
        assert service("GET", f"/api/node/{name}/gray/{CHUNKS[0]}").content == wanted


@pytest.mark.parametrize("path", CHUNKS)
def test_committed_chunks_are_kept_for_ever(service: Any, gray: Any, path: str) -> None:
    """By a whole UUID only: another name may mean another version tomorrow, and must be asked for again."""
    root = service.repo.root
    root.commit()
    root.new_version()
    answer = service("GET", f"{service.node}/gray/{path}")
    assert answer.headers["cache-control"] == IMMUTABLE
    for name in (root.uuid[:12], ":master~1"):
        other = service("GET", f"/api/node/{name}/gray/{path}")
        assert (other.headers["cache-control"], other.headers["etag"]) == ("no-cache", answer.headers["etag"])


@pytest.mark.parametrize("path", CHUNKS)
def test_a_chunk_that_the_client_has(service: Any, gray: Any, path: str) -> None:
    """Is answered 304 without a body, until something was written."""
    url = f"{service.node}/gray/{path}"
    first = service("GET", url)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = service("GET", url, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert "content-length" not in again.headers
    assert service("GET", url, headers={"If-None-Match": '"other"'}).content == first.content
    gray.write(OFFSET, voxels(7))
    changed = service("GET", url, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_that_the_client_has(service: Any, gray: Any, path: str) -> None:
    """Is answered 304 until it says something else; as the size of a voxel can be set, it is never kept for ever."""
    url = f"{service.node}/gray/{path}"
    service.repo.root.commit()
    below = service.repo.root.new_version()
    first = service("GET", url)
    assert first.headers["cache-control"] == "no-cache"
    tag = {"If-None-Match": first.headers["etag"]}
    assert service("GET", url, headers=tag).status_code == 304
    below["gray"].set_resolution((1, 2, 3))
    changed = service("GET", url, headers=tag)
    assert (changed.status_code, changed.headers["etag"] != first.headers["etag"]) == (
        (304, False) if path == "zarr/0/zarr.json" else (200, True)
    )


def test_an_unversioned_instance_is_never_kept(service: Any) -> None:
    """It takes writes also at committed versions, so its chunks are asked for again."""
    service.repo.create_instance("uint8blk", "loose", BlockSize="4,4,4", Versioned="false")
    view = service.repo.root["loose"]
    view.write((0, 0, 0), voxels(1, shape=(4, 4, 4)))
    service.repo.root.commit()
    url = f"{service.node}/loose/zarr/0/c/0/0/0"
    first = service("GET", url)
    assert first.headers["cache-control"] == "no-cache"
    view.write((0, 0, 0), voxels(2, shape=(4, 4, 4)))
    again = service("GET", url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (200, voxels(2, shape=(4, 4, 4)).tobytes())


def test_where_committed_versions_are_written(make_service: Any) -> None:
    """In full-write mode nothing is kept for ever."""
    service = make_service(mode="fullwrite")
    service.repo.create_instance("uint8blk", "v", BlockSize="4,4,4")
    service.repo.root["v"].write((0, 0, 0), voxels(1, shape=(4, 4, 4)))
    service.repo.root.commit()
    url = f"{service.node}/v/zarr/0/c/0/0/0"
    first = service("GET", url)
    assert first.headers["cache-control"] == "no-cache"
    service.repo.root["v"].write((0, 0, 0), voxels(2, shape=(4, 4, 4)))
    assert service("GET", url, headers={"If-None-Match": first.headers["etag"]}).status_code == 200


def test_an_instance_of_the_same_name(service: Any, gray: Any) -> None:
    """That takes the place of a deleted one has other tags."""
    from dvidkit.upkeep import delete_instance

    service.repo.root.commit()
    url = f"{service.node}/gray/{CHUNKS[1]}"
    tag = service("GET", url).headers["etag"]
    service.repo.root.new_version()
    delete_instance(gray.instance)
    service.repo.create_instance("uint8blk", "gray", BlockSize="4,3,2", MinPoint="7,-3,-5", MaxPoint="15,4,0")
    answer = service("GET", url, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (200, bytes(24))


# --- HEAD, Range, CORS -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*CHUNKS, *DOCUMENTS, "zarr", "precomputed"])
def test_head_answers_as_get(service: Any, gray: Any, path: str) -> None:
    """With the same headers and no body."""
    url = f"{service.node}/gray/{path}"
    get, head = service("GET", url), service("HEAD", url)
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize(
    ("asked", "begin", "end"),
    [("bytes=0-3", 0, 4), ("bytes=5-", 5, 24), ("bytes=-4", 20, 24), ("bytes=20-99", 20, 24), ("bytes=-99", 0, 24)],
)
def test_a_part_of_a_chunk(service: Any, gray: Any, asked: str, begin: int, end: int) -> None:
    """Is sent as 206 with its place."""
    url = f"{service.node}/gray/{CHUNKS[1]}"
    whole = service("GET", url)
    assert whole.headers["accept-ranges"] == "bytes"
    part = service("GET", url, headers={"Range": asked})
    assert (part.status_code, part.content) == (206, whole.content[begin:end])
    assert part.headers["content-range"] == f"bytes {begin}-{end - 1}/24"


def test_parts_that_cannot_be(service: Any, gray: Any) -> None:
    """One outside is 416; what is no range, or is of bytes that changed, is answered whole."""
    url = f"{service.node}/gray/{CHUNKS[1]}"
    for asked in ("bytes=24-", "bytes=24-30", "bytes=-0"):
        answer = service("GET", url, headers={"Range": asked})
        assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */24")
    for asked in ("bytes=3-1", "bytes=0-1,3-4", "lines=0-1", "bytes=-", "bytes=a-"):
        assert service("GET", url, headers={"Range": asked}).status_code == 200
    old = service("GET", url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (old.status_code, len(old.content)) == (200, 24)


@pytest.mark.parametrize("path", [CHUNKS[0], DOCUMENTS[0]])
def test_pages_of_other_origins_may_read(service: Any, gray: Any, path: str) -> None:
    """Neuroglancer is one, and needs to see sizes and tags."""
    url = f"{service.node}/gray/{path}"
    answer = service("GET", url, headers={"Origin": "https://neuroglancer-demo.appspot.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"ETag", "Content-Range"} <= set(answer.headers["access-control-expose-headers"].split(", "))
    assert service("OPTIONS", url, headers={"Origin": "https://x.org"}).status_code == 204


def test_blocks_in_conflict(service: Any, gray: Any) -> None:
    """A chunk that merged versions each wrote is 409, not one side's voxels."""
    root = service.repo.root
    root.commit()
    sides = [root.new_version(), root.make_branch("side")]
    for seed, side in enumerate(sides):
        side["gray"].write(OFFSET, voxels(seed + 10))
        side.commit()
    merged = service.repo.merge(sides)
    assert service("GET", f"/api/node/{merged.uuid}/gray/{CHUNKS[0]}").status_code == 409
    assert service("GET", f"/api/node/{merged.uuid}/gray/precomputed/info").status_code == 200


# --- limits ----------------------------------------------------------------------------------------------------------


def test_boxes_beyond_the_limit_of_the_service(make_service: Any) -> None:
    """413 for reads, writes, slices and chunks of more bytes of voxels than one request may ask for; the rest works."""
    service = make_service(limits=Limits(box=1000))
    service.repo.create_instance("uint16blk", "v", BlockSize="10,10,5")
    service.repo.create_instance("uint16blk", "w", BlockSize="10,10,6")
    for name, side, status in (("v", 5, 200), ("w", 6, 413)):
        url = f"{service.node}/{name}"
        body = bytes(2 * 10 * 10 * side)
        assert service("POST", f"{url}/raw/0_1_2/10_10_{side}/0_0_0", content=body).status_code == status
        assert service("GET", f"{url}/raw/0_1_2/10_10_{side}/0_0_0").status_code == status
        assert service("GET", f"{url}/raw/0_1/10_{side * 10}/0_0_0").status_code == status
        service.repo.root[name].write((0, 0, 0), np.zeros((side, 10, 10), np.uint16))
        assert service("GET", f"{url}/precomputed/s0/0-10_0-10_0-{side}").status_code == status
    assert service("GET", f"{service.node}/roi/roi").status_code == 200
