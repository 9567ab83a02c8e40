"""Repos: making, describing, merging, deleting."""

from __future__ import annotations

from typing import Any

import pytest


def test_making_a_repo(service: Any) -> None:
    """All fields are optional; the answer has DVID's space; a root that is taken or no UUID is refused."""
    root = "a" * 32
    answer = service("POST", "/api/repos", json={"alias": "x", "description": "d", "root": root, "passcode": "p"})
    assert answer.text == f'{{"root": "{root}"}}'
    assert service("POST", "/api/repos").status_code == 200
    for bad in ({"root": root}, {"root": "xyz"}, {"alias": 1}, [], "x"):
        assert service("POST", "/api/repos", json=bad).status_code == 400
    assert set(service("GET", "/api/repos/info").json()) == {repo.uuid for repo in service.kernel.repos}


def test_a_repo_as_json(service: Any) -> None:
    """What DVID's clients read of a repo is there."""
    info = service("GET", f"/api/repo/{service.uuid}/info").json()
    assert (info["Root"], info["Alias"], info["Description"], info["Log"]) == (service.uuid, "demo", "a repo", [])
    node = info["DAG"]["Nodes"][service.uuid]
    assert {"Branch", "Note", "Log", "UUID", "VersionID", "Locked", "Parents", "Children", "Created", "Updated"} == {
        *node
    }
    base = info["DataInstances"]["roi"]["Base"]
    assert {"TypeName", "TypeURL", "TypeVersion", "DataUUID", "Name", "RepoUUID", "Compression", "Checksum"} <= {*base}
    assert service("HEAD", f"/api/repo/{service.uuid}").status_code == 200
    assert service("HEAD", "/api/repo/ffffff").status_code == 400


def test_describing(service: Any) -> None:
    """What is missing stays; a wrong type is refused."""
    url = f"/api/repo/{service.uuid}/info"
    assert service("POST", url, json={"alias": "new"}).status_code == 200
    assert service("POST", url, json={"alias": 3}).status_code == 400
    info = service("GET", url).json()
    assert (info["Alias"], info["Description"]) == ("new", "a repo")


def test_the_repos_log(service: Any) -> None:
    """Lines are appended with the time before them."""
    url = f"/api/repo/{service.uuid}/log"
    assert service("POST", url, json={"log": ["x"]}).status_code == 200
    assert service("POST", url, json={}).status_code == 400
    assert [line.split("  ", 1)[1] for line in service("GET", url).json()["log"]] == ["x"]


def test_making_instances(service: Any) -> None:
    """Settings are texts under names in any case; unknown ones are ignored and named."""
    url = f"/api/repo/{service.uuid}/instance"
    body = {"typename": "roi", "DataName": "r2", "BlockSize": "8,4,2", "Wrong\r\nX-Evil": "é", "versioned": "0"}
    answer = service("POST", url, json=body)
    assert answer.json() == {"result": f"Added r2 [roi] to node {service.uuid}"}
    assert "x-evil" not in answer.headers
    assert "wrong" in answer.headers["x-dvid-ignored-settings"]
    info = service("GET", f"{service.node}/r2/info").json()
    assert (info["Extended"]["BlockSize"], info["Base"]["Versioned"]) == ([8, 4, 2], False)
    assert service("POST", url, json={"typename": "roi", "dataname": 'q"\\'}).json()["result"].startswith('Added q"\\ ')


@pytest.mark.parametrize(
    "body",
    [
        {"typename": "roi"},
        {"dataname": "x"},
        {"typename": "nothing", "dataname": "x"},
        {"typename": "roi", "dataname": "roi"},
        {"typename": "roi", "dataname": "a/b"},
        {"typename": "roi", "dataname": "commit"},
        {"typename": "roi", "dataname": "x", "BlockSize": "a"},
        {"typename": "roi", "dataname": "x", "BlockSize": None},
        {"typename": "roi", "dataname": "x", "Compression": "jpeg:80"},
        {"typename": "sample-mirror", "dataname": "x", "sync": "t,missing"},
        {"typename": "roi", "dataname": "x", "sync": "t"},
    ],
)
def test_an_instance_that_cannot_be(service: Any, body: dict[str, Any]) -> None:
    """400, and nothing is made, not even where only the sync is wrong."""
    before = set(service.repo.instances)
    assert service("POST", f"/api/repo/{service.uuid}/instance", json=body).status_code == 400
    assert set(service.repo.instances) == before


def test_an_instance_with_a_sync(service: Any) -> None:
    """The sync holds from the first moment; unversioned instances take writes on committed versions."""
    body = {"typename": "sample-mirror", "dataname": "m2", "sync": "t", "versioned": "false"}
    assert service("POST", f"/api/repo/{service.uuid}/instance", json=body).status_code == 200
    service("POST", f"{service.node}/t/value/a", content=b"1")
    assert service.repo.root["m2"].get("a") == b"1."


def test_merge_and_resolve(service: Any) -> None:
    """Children of several parents; what cannot be merged is refused without a trace."""
    root = service.repo.root
    root.commit()
    left, right = root.new_version(), root.make_branch("right")
    for side in (left, right):
        side["t"].set("k", side.branch.encode())
    url = f"/api/repo/{service.uuid}"
    body = {"mergeType": "conflict-free", "parents": [left.uuid, right.uuid], "note": "n"}
    assert service("POST", f"{url}/merge", json=body).status_code == 400
    left.commit()
    right.commit()
    for bad in (
        {**body, "mergeType": "other"},
        {**body, "parents": [left.uuid]},
        {**body, "parents": [left.uuid, left.uuid]},
        {**body, "parents": [left.uuid, root.uuid]},
        {**body, "parents": "x"},
        {**body, "parents": [left.uuid, "ffffff"]},
    ):
        assert service("POST", f"{url}/merge", json=bad).status_code == 400, bad
    bad = {"data": ["missing"], "parents": [left.uuid, right.uuid]}
    assert service("POST", f"{url}/resolve", json=bad).status_code == 400
    assert len(service.repo.versions) == 3
    body = {"data": ["t", "t"], "parents": [right.uuid, left.uuid], "note": "n"}
    child = service("POST", f"{url}/resolve", json=body).json()["child"]
    assert service("GET", f"/api/node/{child}/t/value/k").content == b"right"
    assert service("POST", f"{url}/merge", json={"parents": [left.uuid, right.uuid]}).status_code == 200


def test_branch_versions(service: Any) -> None:
    """From the leaf to the root; none for an unknown branch."""
    service.repo.root.commit()
    child = service.repo.root.new_version()
    url = f"/api/repo/{service.uuid}/branch-versions"
    assert service("GET", f"{url}/master").json() == [child.uuid, service.uuid]
    assert service("GET", f"{url}/nothing").json() == []


def test_deleting_an_instance(service: Any) -> None:
    """Only with ``imsure`` and the right passcode; then it is gone, and a second time it is not there."""
    repo = service.kernel.repos.create("x", passcode="p")
    repo.create_instance("roi", "r")
    url = f"/api/repo/{repo.uuid}/r"
    assert service("DELETE", url).status_code == 400
    assert service("DELETE", f"{url}?imsure=true").status_code == 403
    assert service("DELETE", f"{url}?imsure=true&passcode=p").status_code == 200
    assert service("DELETE", f"{url}?imsure=true&passcode=p").status_code == 400
    assert service("GET", f"/api/node/{repo.uuid}/r/info").status_code == 400


def test_deleting_a_repo(service: Any) -> None:
    """Only by the full UUID of its root."""
    repo = service.kernel.repos.create("x")
    assert service("DELETE", f"/api/repo/{repo.uuid}").status_code == 400
    assert service("DELETE", f"/api/repo/{repo.uuid[:9]}?imsure=true").status_code == 400
    assert service("DELETE", f"/api/repo/{repo.uuid}?imsure=true").status_code == 200
    assert service("GET", f"/api/repo/{repo.uuid}/info").status_code == 400
    assert service("GET", f"/api/repo/{service.uuid}/info").status_code == 200
