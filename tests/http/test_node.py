"""Versions and what all instances answer."""

from __future__ import annotations

from typing import Any

import pytest

J = "application/json"


def test_notes_and_logs(service: Any) -> None:
    """Set and read; a body without the field is refused and changes nothing (DVID goes on after its 400)."""
    node = service.node
    assert service("POST", f"{node}/note", json={"note": "n"}).status_code == 200
    assert service("POST", f"{node}/note", json={"other": "x"}).status_code == 400
    assert service("GET", f"{node}/note").json() == {"note": "n"}
    assert service("POST", f"{node}/log", json={"log": ["a", "b"]}).content == b""
    for bad in ({}, {"log": None}, {"log": "a"}, {"log": [1]}, []):
        assert service("POST", f"{node}/log", json=bad).status_code == 400 or bad == {"log": None}
    lines = service("GET", f"{node}/log").json()["log"]
    assert [line.split("  ", 1)[1] for line in lines] == ["a", "b"]


def test_commit_and_children(service: Any) -> None:
    """Commit once, with or without a body; then newversion, branch and tag; what is refused changes nothing."""
    node = service.node
    for action, body in (("newversion", {}), ("branch", {"branch": "b"}), ("tag", {"tag": "t"})):
        assert service("POST", f"{node}/{action}", json=body).status_code == 400, action
    assert service("GET", f"{node}/commit").text == '{"Locked":false}'
    answer = service("POST", f"{node}/commit")
    assert (answer.status_code, answer.text) == (200, f'{{"committed": "{service.uuid}"}}')
    assert service("POST", f"{node}/commit", json={}).status_code == 400
    assert service("GET", f"{node}/status").text == '{"Locked":true}'
    wanted = "0123456789abcdef" * 2
    answer = service("POST", f"{node}/newversion", json={"note": "x", "uuid": wanted})
    assert answer.text == f'{{"child": "{wanted}"}}'
    assert service("POST", f"{node}/newversion", json={}).status_code == 400
    for name in ({}, {"branch": ""}, {"branch": "master"}, {"branch": 1}):
        assert service("POST", f"{node}/branch", json=name).status_code == 400, name
    assert service("POST", f"{node}/branch", json={"branch": "side"}).status_code == 200
    assert service("POST", f"{node}/branch", json={"branch": "side"}).status_code == 400
    assert service("POST", f"{node}/tag", json={"tag": 'v"1'}).json() == {"child": 'v"1'}
    assert service("GET", "/api/node/v%221/status").json() == {"Locked": True}
    assert len(service.repo.versions) == 4


@pytest.mark.parametrize("reference", ["{}", "{:.6}", ":master", "{:.4}:master", ":", ":master~0", ":master^0"])
def test_names_of_a_version(service: Any, reference: str) -> None:
    """UUID, prefix, branch, steps; both of DVID's signs."""
    url = f"/api/node/{reference.format(service.uuid)}/status"
    assert service("GET", url).status_code == 200


@pytest.mark.parametrize("reference", ["ffff", "", ":nobranch", ":master~9", ":master:x", "%FF", "%zz", "~"])
def test_what_names_no_version(service: Any, reference: str) -> None:
    """400 with a text, as DVID has it; an empty segment is no URL at all."""
    answer = service("GET", f"/api/node/{reference}/note")
    assert answer.status_code in (400, 404)
    assert answer.text.endswith(").\n")


def test_master_steps_of_both_signs(service: Any) -> None:
    """``:master~1`` and ``:master^1`` both go one up."""
    service("POST", f"{service.node}/commit")
    child = service("POST", f"{service.node}/newversion").json()["child"]
    service("POST", f"/api/node/{child}/note", json={"note": "child"})
    assert service("GET", "/api/node/:master/note").json() == {"note": "child"}
    for sign in "~^":
        assert service("GET", f"/api/node/:master{sign}1/note").json() == {"note": ""}


def test_a_committed_version_refuses_changes(service: Any) -> None:
    """Data, notes, logs, tags and syncs of it; blobs and queries are answered."""
    node = service.node
    service("POST", f"{node}/commit")
    for method, path, body in (
        ("POST", "note", {"note": "x"}),
        ("POST", "log", {"log": ["x"]}),
        ("POST", "t/value/a", {}),
        ("POST", "t/tags", {"a": "b"}),
        ("POST", "m/sync", {"sync": "t"}),
        ("POST", "roi/roi", [[0, 0, 0, 0]]),
        ("DELETE", "roi/roi", None),
    ):
        answer = service(method, f"{node}/{path}", json=body)
        assert answer.status_code == 400, path
        assert "committed" in answer.text
    assert service("POST", f"/api/repo/{service.uuid}/instance", json={"typename": "roi", "dataname": "r"}).status_code
    assert service("POST", f"{node}/roi/ptquery", json=[[0, 0, 0]]).json() == [False]
    reference = service("POST", f"{node}/t/blobstore", content=b"blob").json()["reference"]
    assert service("GET", f"{node}/t/blobstore/{reference}").content == b"blob"
    assert service("GET", f"/api/server/blobstore/{reference}").content == b"blob"


def test_blobs_that_are_not_there(service: Any) -> None:
    """404, for what is a reference and for what is none."""
    for reference in ("AAAAAAAAAAAAAAAAAAAAAA==", "x", "%2F"):
        assert service("GET", f"{service.node}/t/blobstore/{reference}").status_code == 404
        assert service("GET", f"/api/server/blobstore/{reference}").status_code == 404


def test_info_tags_and_syncs(service: Any) -> None:
    """What an instance is; tags are added to unless replaced; a sync that cannot be is refused."""
    node = service.node
    info = service("GET", f"{node}/roi/info").json()
    assert info["Base"]["TypeName"] == "roi"
    assert info["Extended"] == {"BlockSize": [32, 32, 32], "MinZ": 2147483647, "MaxZ": -2147483648}
    service("POST", f"{node}/t/tags", json={"a": "1"})
    service("POST", f"{node}/t/tags", json={"b": "2"})
    assert service("GET", f"{node}/t/tags").json() == {"Tags": {"a": "1", "b": "2"}}
    service("POST", f"{node}/t/tags?replace=true", json={"c": "3"})
    assert service("GET", f"{node}/t/tags").json() == {"Tags": {"c": "3"}}
    assert service("POST", f"{node}/t/tags", json={"a": 1}).status_code == 400
    for bad in ({"sync": "missing"}, {"sync": "m"}, {"sync": "roi"}, {}, {"sync": 1}):
        assert service("POST", f"{node}/m/sync", json=bad).status_code == 400
    assert service("POST", f"{node}/m/sync", json={"sync": "t"}).status_code == 200
    assert service("GET", f"{node}/m/info").json()["Base"]["Syncs"] == ["t"]
    assert service("POST", f"{node}/m/sync", json={"sync": ""}).status_code == 200
    assert service("GET", f"{node}/m/info").json()["Base"]["Syncs"] == ["t"]
    assert service("POST", f"{node}/m/sync?replace=true", json={"sync": ""}).status_code == 200
    assert service("GET", f"{node}/m/info").json()["Base"]["Syncs"] == []


def test_mutations_of_versions(service: Any) -> None:
    """Records in order, sent as text; a range goes from its end back; versions of another repo are refused."""
    node = service.node
    service("POST", f"{node}/t/value/a?u=me&app=x", content=b"1")
    service("POST", f"{node}/commit")
    child = service("POST", f"{node}/newversion").json()["child"]
    service("POST", f"/api/node/{child}/t/value/b", content=b"2")
    answer = service("GET", f"{node}/t/mutations")
    assert answer.headers["content-type"].startswith("text/plain")
    (record,) = answer.json()
    assert {key: record[key] for key in ("Action", "Name", "UUID", "User", "App")} == {
        "Action": "set",
        "Name": "a",
        "UUID": service.uuid,
        "User": "me",
        "App": "x",
    }
    names = [each["Name"] for each in service("GET", f"{node}/t/mutations-range/{service.uuid}/{child}").json()]
    assert names == ["b", "a"]
    assert service("GET", f"{node}/t/mutations-range/{child}/{service.uuid}").status_code == 400
    other = service.kernel.repos.create("other").uuid
    assert service("GET", f"{node}/t/mutations-range/{other}/{other}").status_code == 400


def test_a_datatypes_endpoint_beside_a_common_one(service: Any) -> None:
    """``GET info`` is every instance's; ``POST info`` is the datatype's if it has one, else 405."""
    assert service("POST", f"{service.node}/t/info", json={}).text == "set"
    assert service("GET", f"{service.node}/t/info").json()["Base"]["Name"] == "t"
    answer = service("POST", f"{service.node}/roi/info", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_help_of_an_instance(service: Any) -> None:
    """Plain text, made from the table."""
    assert "partition" in service("GET", f"{service.node}/roi/help").text


def test_a_conflict_shows_both_sides(service: Any) -> None:
    """409; the versions that disagree and where each is read are in a Link header and in the problem document."""
    root = service.repo.root
    root.commit()
    left, right = root.new_version(), root.make_branch("right")
    for side, value in ((left, b"l"), (right, b"r")):
        side["t"].set("a/b", value)
        side.commit()
    merged = service.repo.merge([left, right])
    answer = service("GET", f"/api/node/{merged.uuid}/t/value/a%2Fb")
    assert answer.status_code == 409
    seen = {service("GET", link["url"]).content for link in answer.links.values()}
    assert seen <= {b"l", b"r"}
    answer = service("GET", f"/api/node/{merged.uuid}/t/value/a%2Fb", headers={"accept": "application/problem+json"})
    document = answer.json()
    assert {each["uuid"] for each in document["versions"]} == {left.uuid, right.uuid}
    assert {service("GET", each["url"]).content for each in document["versions"]} == {b"l", b"r"}
    assert document["type"] == "urn:dvidkit:version-conflict"
    merged["t"].set("a/b", b"m")
    assert service("GET", f"/api/node/{merged.uuid}/t/value/a/b").content == b"m"
