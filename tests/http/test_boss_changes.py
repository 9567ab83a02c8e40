"""bossDB's API: changing and deleting collections, experiments, channels and coordinate frames."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("numpy")

from dvidkit.metadata import Metadata
from dvidkit.repo import Repo

FRAME = {f"{axis}_{what}": value for axis in "xyz" for what, value in (("start", 0), ("stop", 8), ("voxel_size", 4))}
COLL = "/v1/collection/coll"
EXP = f"{COLL}/experiment/exp"
EM = f"{EXP}/channel/em"
CUTOUT = "/v1/cutout/coll/exp/em/0/0:8/0:8/0:8"
RAW = "application/octet-stream"


@pytest.fixture
def made(service: Any) -> Any:
    """A service where a client has made a collection, a frame, an experiment and a channel with voxels."""
    for url, document in (
        (COLL, {"description": "old"}),
        ("/v1/coord/CF", FRAME),
        (EXP, {"coord_frame": "CF", "description": "old"}),
        (EM, {"datatype": "uint8", "description": "old", "sources": ["raw"]}),
    ):
        assert service("POST", url, json=document).status_code == 201
    assert service("POST", CUTOUT, content=bytes([7]) * 512, headers={"content-type": RAW}).status_code == 201
    return service


def repo_of(service: Any) -> Repo:
    """The repo of the collection."""
    (repo,) = [each for each in service.kernel.repos if each.alias == "coll"]
    return repo


def state(service: Any) -> Any:
    """Everything that is stored."""
    with service.kernel.stores["default"].instant() as access:
        return list(access.scan(b"\x00", b"\xff"))


def test_a_collection_is_made_in_one_change(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch makes the repo, marks it and commits its root: whatever ends the process, it is whole or not there."""
    written: list[int] = []
    write = Metadata.write

    def counted(metadata: Metadata, pairs: Any, segments: Any) -> None:
        written.append(len(pairs))
        write(metadata, pairs, segments)

    monkeypatch.setattr(Metadata, "write", counted)
    assert service("POST", COLL, json={"description": "d"}).status_code == 201
    assert len(written) == 1
    repo = repo_of(service)
    assert (repo.root.locked, repo.record.properties["bossdb"]) == (True, {"made": True})


def test_other_texts(made: Any) -> None:
    """Descriptions and sources change; each answer is what a later GET says."""
    for url, document in (
        (COLL, {"description": "new", "name": "coll"}),
        (EXP, {"description": "new", "num_hierarchy_levels": 3}),
        (EM, {"description": "new", "sources": ["a", "b"]}),
        ("/v1/coord/CF", {**FRAME, "description": "new"}),
    ):
        answer = made("PUT", url, json=document)
        assert answer.status_code == 200, answer.text
        assert answer.json()["description"] == "new"
        assert made("GET", url).json() == answer.json()
    assert made("GET", EM).json()["sources"] == ["a", "b"]
    assert made("PUT", EM, json={"sources": []}).json()["description"] == "new"


def test_other_names(made: Any) -> None:
    """Of a collection and of a channel that one experiment has; the voxels are there under the new name."""
    assert made("PUT", EM, json={"name": "raw"}).json()["name"] == "raw"
    assert made("GET", EM).status_code == 404
    assert made("PUT", COLL, json={"name": "fly"}).json()["name"] == "fly"
    assert made("GET", COLL).status_code == 404
    found = made("GET", "/v1/cutout/fly/exp/raw/0/0:8/0:8/0:8", headers={"accept": RAW})
    assert found.content == bytes([7]) * 512


def test_the_way_down(made: Any) -> None:
    """What others refer to stays, 400; from the channel up everything goes, and then the name is free again."""
    for url in (COLL, EXP, "/v1/coord/CF"):
        assert made("DELETE", url).status_code == 400, url
    repo = repo_of(made)
    number = repo.instance("em").id
    for url in (EM, EXP, "/v1/coord/CF", COLL):
        assert made("DELETE", url).status_code == 204, url
        assert made("GET", url).status_code == 404, url
        assert made("DELETE", url).status_code == 404, url
    assert made.kernel.repos.deletions.wait(30)
    assert not [key for key, _ in state(made) if key[:1] == b"\x01" and int.from_bytes(key[1:5], "big") == number]
    assert made("GET", "/v1/collection").json() == {"collections": ["demo"]}
    assert made("POST", COLL, json={}).status_code == 201


def test_a_channel_of_two_experiments(made: Any) -> None:
    """Is one instance: neither renamed nor deleted from one of them, 400, and nothing changes."""
    other = f"{COLL}/experiment/other"
    assert made("POST", other, json={"coord_frame": "CF"}).status_code == 201
    assert made("POST", f"{other}/channel/em", json={"datatype": "uint8"}).status_code == 201
    before = state(made)
    for method, document in (("DELETE", None), ("PUT", {"name": "raw"})):
        answer = made(method, EM, **({"json": document} if document else {}))
        assert answer.status_code == 400
        assert "'other'" in answer.text
    assert state(made) == before


@pytest.mark.parametrize(
    ("url", "document", "status"),
    [
        (COLL, {"name": "demo"}, 400),
        (COLL, {"name": "a/b"}, 400),
        (COLL, {"name": ""}, 400),
        (COLL, {"description": 5}, 400),
        (COLL, [], 400),
        (EXP, {"name": "other"}, 400),
        ("/v1/collection/demo/experiment/master", {"description": "d"}, 400),
        (EM, {"datatype": "uint16"}, 400),
        (EM, {"name": "log"}, 400),
        (EM, {"name": 5}, 400),
        (EM, {"sources": "raw"}, 400),
        ("/v1/coord/CF", {"description": "d", "z_stop": 9}, 400),
        ("/v1/coord/CF", {"description": "d", "name": "DF"}, 400),
        ("/v1/coord/CF", {"description": None}, 400),
    ],
)
def test_what_cannot_be_changed(made: Any, url: str, document: Any, status: int) -> None:
    """Is refused, and nothing that is stored changes."""
    before = state(made)
    assert made("PUT", url, json=document).status_code == status
    assert state(made) == before


def test_what_no_client_made_is_not_deleted(made: Any) -> None:
    """Repos, versions and computed frames of others: 400."""
    before = state(made)
    frame = f"/v1/coord/dvid_{made.uuid}"
    for url in ("/v1/collection/demo", "/v1/collection/demo/experiment/master", frame):
        assert made("DELETE", url).status_code == 400, url
    assert made("PUT", frame, json={"description": "d"}).status_code == 400
    assert state(made) == before


def test_an_experiment_keeps_its_name_for_ever(made: Any) -> None:
    """Its branch is hidden when it is deleted: 400 for another of the same name."""
    assert made("DELETE", EM).status_code == 204
    assert made("DELETE", EXP).status_code == 204
    assert made("POST", EXP, json={"coord_frame": "CF"}).status_code == 400
    assert made("GET", COLL).json()["experiments"] == []
