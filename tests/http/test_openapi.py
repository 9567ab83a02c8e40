"""The OpenAPI document and the table of endpoints in the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dvidkit.http.groups import offered
from dvidkit.http.tables import markdown
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
    plugins = Plugins()
    assert markdown(plugins.datatypes.values(), offered(plugins)) in DOCS.read_text("utf-8")
