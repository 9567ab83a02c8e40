"""bossDB's volume API: versions, collections, channels and frames by their names."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")

import numpy as np
from dvidkit_conformance.service.boss import BOX, NPYGZ, OFFSET, RAW, cutout, opened, packed, post, voxels


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
