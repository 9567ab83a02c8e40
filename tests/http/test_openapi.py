"""The OpenAPI document and the table of endpoints in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dvidkit.http.auth import Gatekeeper
from dvidkit.http.service import ServiceConfig
from dvidkit.http.tables import markdown, statuses
from dvidkit.plugins import Plugins

DOCS = Path(__file__).parents[2] / "docs" / "http.md"


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Method and path of every operation."""
    return {(method.upper(), path) for path, row in document["paths"].items() for method in row}


def test_the_document_is_valid(service: Any) -> None:
    """By a validator for OpenAPI 3.1; every operation has an id of its own."""
    document = service("GET", "/api/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    ids = [operation["operationId"] for row in document["paths"].values() for operation in row.values()]
    assert len(set(ids)) == len(ids)
    assert all("#" not in path and "..." not in path for path in document["paths"])


def test_every_row_is_in_it(service: Any) -> None:
    """Every endpoint of the service and of every datatype is an operation; so is the POST of a GET with a body."""
    found = operations(service("GET", "/api/openapi.json").json())
    rows = [(route.endpoint.method, f"/{route.endpoint.path}") for route in service.app.routes.all]
    for datatype in service.kernel.plugins.datatypes.values():
        rows += [(row.method, f"/api/node/{{uuid}}/{{data}}/{row.path}") for row in datatype.endpoints]
    import re

    def shapes(paths: Any) -> set[tuple[str, str]]:
        return {(method, re.sub(r"{.*?}", "{}", path)) for method, path in paths}

    assert shapes(rows) <= shapes(found)
    assert ("POST", "/api/node/{uuid}/{data}/values") in found


def test_the_document_of_a_version(service: Any) -> None:
    """Its instances stand in it by name, its UUID is the only one; what the version has not is not there."""
    document = service("GET", f"/api/openapi.json?version={service.uuid[:12]}").json()
    OpenAPIV31SpecValidator(document).validate()
    found = operations(document)
    assert ("POST", f"{service.node}/roi/roi") in found
    assert ("GET", f"{service.node}/t/value/{{name}}") in found
    assert not any("/{data}/roi" in path for _, path in found)
    commit = document["paths"]["/api/node/{uuid}/commit"]["post"]["parameters"]
    assert commit[0]["schema"]["enum"] == [service.uuid]
    assert service("GET", "/api/openapi.json?version=ffff").status_code == 400
    repo = service.kernel.repos.create("empty")
    assert service("GET", f"/api/openapi.json?version={repo.uuid}").status_code == 200


def test_datatypes_that_answer_one_path_share_its_operation() -> None:
    """However they name its parameters: one path, one operation, both tags, all query arguments and media types."""
    from dvidkit.endpoints import BINARY, JSON, Endpoint, Query
    from dvidkit.http.openapi import _Document

    document = _Document()
    one = Endpoint("GET", "key/{key}", "a", "A.", "A.", (Query("q", "x", ("1",)), Query("r", "x")), returns=JSON)
    two = Endpoint("GET", "key/{k}", "b", "B.", "B.", (Query("q", "x", ("2",)), Query("r", "x")), returns=BINARY)
    three = Endpoint("GET", "key/{k}", "c", "B.", "B.", (Query("q", "x"), Query("s", "x")), returns=BINARY)
    for row, tag in ((one, "one"), (two, "two")):
        document.add(f"/{row.path}", row, tag)
    both = document.paths()["/key/{key}"]["get"]
    assert both["tags"] == ["one", "two"]
    assert set(both["responses"]["200"]["content"]) == {JSON, BINARY}
    assert both["parameters"][1]["schema"]["enum"] == ["1", "2"]
    document.add(f"/{three.path}", three, "three")
    (path,) = document.paths().values()
    assert [parameter["name"] for parameter in path["get"]["parameters"]] == ["key", "q", "r", "s"]
    assert "enum" not in path["get"]["parameters"][1]["schema"]
    assert path["get"]["description"] == "A.\n\nB."


def test_the_documentation_is_up_to_date() -> None:
    """docs/http.md holds the table as it is made now; ``python docs/http_table.py`` writes it."""
    if not DOCS.exists():
        pytest.skip("the documentation is not here")
    assert markdown(Plugins().datatypes.values()) in DOCS.read_text("utf-8")


# --- every row, every status -----------------------------------------------------------------------------------------

Call = tuple[str, dict[str, Any]]

N = "/api/node/{uuid}"
R = "/api/repo/{uuid}"
GOOD: dict[tuple[str, str], Call] = {
    ("GET", "api/help"): ("/api/help", {}),
    ("GET", "api/help/{typename}"): ("/api/help/roi", {}),
    ("POST", "api/server/settings"): ("/api/server/settings", {"json": {}}),
    ("GET", "api/server/token"): ("/api/server/token?user=me", {}),
    ("GET", "api/server/blobstore/{reference}"): ("/api/server/blobstore/{blob}", {}),
    ("POST", "api/repo/{uuid}/info"): (f"{R}/info", {"json": {}}),
    ("POST", "api/repo/{uuid}/instance"): (f"{R}/instance", {"json": {"typename": "roi", "dataname": "new"}}),
    ("GET", "api/repo/{uuid}/branch-versions/{branch}"): (f"{R}/branch-versions/master", {}),
    ("POST", "api/repo/{uuid}/log"): (f"{R}/log", {"json": {"log": []}}),
    ("POST", "api/repo/{uuid}/merge"): (f"{R}/merge", {"json": {"parents": ["{left}", "{right}"]}}),
    ("POST", "api/repo/{uuid}/resolve"): (f"{R}/resolve", {"json": {"data": ["t"], "parents": ["{left}", "{right}"]}}),
    ("DELETE", "api/repo/{uuid}/{data}"): (f"{R}/m?imsure=true", {}),
    ("DELETE", "api/repo/{uuid}"): (f"{R}?imsure=true", {}),
    ("POST", "api/node/{uuid}/note"): (f"{N}/note", {"json": {"note": ""}}),
    ("POST", "api/node/{uuid}/log"): (f"{N}/log", {"json": {"log": []}}),
    ("POST", "api/node/{uuid}/newversion"): ("/api/node/{committed}/newversion", {}),
    ("POST", "api/node/{uuid}/branch"): ("/api/node/{committed}/branch", {"json": {"branch": "b"}}),
    ("POST", "api/node/{uuid}/tag"): ("/api/node/{committed}/tag", {"json": {"tag": "t"}}),
    ("POST", "api/node/{uuid}/{data}/tags"): (f"{N}/t/tags", {"json": {}}),
    ("POST", "api/node/{uuid}/{data}/sync"): (f"{N}/m/sync", {"json": {"sync": "t"}}),
    ("GET", "api/node/{uuid}/{data}/blobstore/{reference}"): (f"{N}/t/blobstore/{{blob}}", {}),
    ("GET", "api/node/{uuid}/{data}/mutations-range/{begin}/{end}"): (f"{N}/t/mutations-range/{{uuid}}/{{uuid}}", {}),
    ("POST", "roi"): (f"{N}/roi/roi", {"json": [[0, 0, 0, 0]]}),
    ("GET", "mask/{plane}/{size}/{offset}"): (f"{N}/roi/mask/0_1_2/2_2_2/0_0_-1", {}),
    ("POST", "ptquery"): (f"{N}/roi/ptquery", {"json": [[0, 0, 0]]}),
}
"""For rows whose plain URL would not do: one that is answered 200."""

MISSING: dict[str, Call] = {
    "api/server/blobstore/{reference}": ("/api/server/blobstore/x", {}),
    "api/node/{uuid}/{data}/blobstore/{reference}": (f"{N}/t/blobstore/x", {}),
}
"""For rows that can be 404: how."""


def all_rows() -> list[Any]:
    """Every row of the service and of ``roi``, as (row, below an instance)."""
    from dvidkit_roi.datatype import Roi

    from dvidkit.http.node import NodeApi
    from dvidkit.http.repo import RepoApi
    from dvidkit.http.server import ServerApi

    service = [(row, False) for api in (ServerApi, RepoApi, NodeApi) for row in api.endpoints]
    return service + [(row, True) for row in Roi.endpoints]


def name_of(value: Any) -> str:
    """What a case of the table is called."""
    return "" if isinstance(value, bool) else f"{value.method} {value.path}"


class Asked:
    """A service with everything that a request for any row needs."""

    def __init__(self, service: Any, row: Any, below: bool) -> None:
        self.service, self.row, self.below = service, row, below
        other = service.kernel.repos.create("merging")
        other.create_instance("sample-tally", "t")
        other.root.commit()
        left, right = other.root.new_version(), other.root.make_branch("right")
        for side in (left, right):
            side.commit()
        committed = service.kernel.repos.create("committed").root
        committed.commit()
        self.values = {
            "uuid": other.uuid if row.path.endswith(("/merge", "/resolve")) else service.uuid,
            "left": left.uuid,
            "right": right.uuid,
            "committed": committed.uuid,
            "blob": service.repo.root["t"].store.put_blob(b"x"),
            "data": "t",
        }
        plain = f"{N}/roi/{row.path}" if below else f"/{row.path}"
        url, options = GOOD.get((row.method, row.path), (plain, {}))
        self.url: str = self.fill(url)
        self.options: dict[str, Any] = self.fill(options)

    def fill(self, value: Any) -> Any:
        """Put the values where they belong."""
        if isinstance(value, str):
            for name, text in self.values.items():
                value = value.replace(f"{{{name}}}", text)
            return value
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        return {name: self.fill(each) for name, each in value.items()} if isinstance(value, dict) else value

    def request(self, status: int) -> tuple[str, dict[str, Any]]:
        """A request that deserves the status, but for who sends it."""
        if status == 404:
            url, options = MISSING[self.row.path]
            return self.fill(url), options
        if status == 413:
            return self.url, {"content": b"", "headers": {"content-length": str(1 << 40)}}
        if status == 400 and ("{uuid}" in self.row.path or self.below):
            unknown = "ffffff"
            return self.url.replace(self.values["uuid"], unknown).replace(
                self.values["committed"], unknown
            ), self.options
        if status == 400 and self.row.takes:
            return self.url, {"content": b"{"}
        return self.url, self.options


@pytest.mark.parametrize(("row", "below"), all_rows(), ids=name_of)
def test_every_row_answers_what_its_table_says(make_service: Any, secret: str, row: Any, below: bool) -> None:
    """Each status that docs/http.md gives for a row is got from it, by a request that deserves it."""
    service = make_service(admin_token="boss", jwt_secret=secret)
    asked = Asked(service, row, below)
    boss = {"x-dvid-admin-token": "boss"}
    user = {"authorization": f"Bearer {service.app.gatekeeper.issue('me')}"}
    for status in sorted(statuses(row, below_instance=below), key=lambda status: status == 200):
        url, options = asked.request(status)
        who: dict[str, str] = {401: {}, 403: user}.get(status, boss)
        if status == 400 and row.path.startswith("api/server") and not row.takes:
            service.app.gatekeeper = Gatekeeper(ServiceConfig(mode="readonly"))
        answer = service(row.method, url, **{**options, "headers": {**options.get("headers", {}), **who}})
        assert answer.status_code == status, answer.text
        service.app.reload_blocklist()
