"""bossDB's volume API: what clients make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")

import numpy as np
from dvidkit_conformance.service.boss import (
    FRAME,
    RAW,
    cutout,
    made,
    opened,
    packed,
    post,
    voxels,
)

from dvidkit.engine import StoreConfig
from dvidkit.http import create_app
from dvidkit.kernel import Kernel


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
