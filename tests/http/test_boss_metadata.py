"""bossDB's volume API: metadata by key."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")


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
