"""From paths to endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from dvidkit import upkeep
from dvidkit.endpoints import Endpoint, Response
from dvidkit.errors import NotFoundError
from dvidkit.http import create_app
from dvidkit.http.routes import Routes
from dvidkit.http.status import HTTPError


def scope_of(method: str, path: str, root: str = "") -> dict[str, Any]:
    """A request, as far as it matters here."""
    return {"type": "http", "method": method, "raw_path": path.encode(), "headers": [], "root_path": root}


def test_a_path_leads_to_the_same_place_each_time(service: Any) -> None:
    """Whether or not one like it was asked for before: methods, escapes, endings, mounts and what does not exist."""
    service.repo.create_instance("keyvalue", "kv")
    service.repo.create_instance("uint8blk", "grey")
    keys = ["key/a", *(f"key/{each}" for each in ("b", "%41", "a%2Fb", "", "a/", "a/b", "%zz", "\xff", "a?u=me", "c"))]
    box = "raw/0_1_2/1_1_1/0_0_0"
    boxes = [box, f"{box}/", f"{box}/png", f"{box}/png/", f"{box}?u=me", "raw/0_1_2//0_0_0", "raw/%30_1/1_1/0_0_0", box]
    paths = [*(f"kv/{each}" for each in (*keys, "keys", "keys/", "info")), *(f"grey/{each}" for each in boxes), "grey"]
    for root in ("", "/mounted"):
        below = f"{root}{service.node}/"
        asked = [scope_of(method, below + each, root) for method in ("GET", "POST", "HEAD", "PUT") for each in paths]
        fresh = [outcome(create_app(service.kernel), scope) for scope in asked]
        assert [outcome(service.app, scope) for scope in asked * 2] == fresh * 2
        assert fresh[0] == ("key/{key}", "GET", {"key": "a"}, "kv")
        shape = {"dims": "0_1_2", "size": "1_1_1", "offset": "0_0_0"}
        assert fresh[len(keys) + 3] == ("raw/{dims}/{size}/{offset}", "GET", shape, "grey")


def outcome(app: Any, scope: dict[str, Any]) -> Any:
    """What the router of a service finds or raises."""
    try:
        route, parameters, target = app._route(scope)
    except HTTPError as error:
        return error.status, str(error)
    else:
        return route.path, route.endpoint.method, dict(parameters), target and target[0].name


def test_what_was_found_once_is_not_found_for_ever(service: Any) -> None:
    """An instance that is deleted is gone, and one of another datatype under its name has endpoints of its own."""
    service.repo.create_instance("keyvalue", "kv")
    path = f"{service.node}/kv/key/a"
    assert service.app._route(scope_of("GET", path))[0].path == "key/{key}"
    upkeep.delete_instance(service.repo.instance("kv"))
    with pytest.raises(NotFoundError):
        service.app._route(scope_of("GET", path))
    service.repo.create_instance("roi", "kv")
    with pytest.raises(HTTPError, match="Bad API call"):
        service.app._route(scope_of("GET", path))


def test_a_route_is_short_only_where_no_other_can_be_meant() -> None:
    """One fixed segment and parameters, unless a fixed segment stands beside a parameter."""
    routes = Routes()
    for path in ("a/{x}", "b/{x}", "b/fixed", "c/{rest...}", "d/{x}/{y}", "e"):
        routes.add(Endpoint("GET", path, path, "", ""), lambda: Response())
    places = [(name, length) for name in "abcde" for length in (1, 2, 3, 4)]
    found = {place: routes.with_parameters("GET", *place) for place in places}
    short = {place: route.path for place, route in found.items() if route is not None}
    assert short == {("a", 2): "a/{x}", ("d", 3): "d/{x}/{y}", ("e", 1): "e"}
    assert routes.with_parameters("PUT", "a", 2) is None
    two = routes.find("GET", ["d", "1", "2"])
    assert two is not None
    assert (two[0].path, two[1]) == ("d/{x}/{y}", {"x": "1", "y": "2"})
    assert routes.find("GET", ["d", "1"]) is None
