"""The OpenAPI 3.1 document, generated from the endpoint tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from msgspec.structs import replace

import dvidkit
from dvidkit.endpoints import Endpoint
from dvidkit.repo import Version

if TYPE_CHECKING:
    from dvidkit.http.app import App

_PARAMETER: Final = re.compile(r"{([a-z_0-9]+)(?:\.\.\.)?}")
_TRIPLE: Final = r"^-?[0-9]{1,6}_-?[0-9]{1,6}_-?[0-9]{1,6}$"
_FORMS: Final[dict[str, dict[str, Any]]] = {
    "size": {"type": "string", "pattern": r"^[0-9]{1,4}_[0-9]{1,4}_[0-9]{1,4}$", "examples": ["64_64_64"]},
    "offset": {"type": "string", "pattern": _TRIPLE, "examples": ["0_0_0"]},
    "dims": {"type": "string", "pattern": r"^([012](_[012]){1,2}|xy|xz|yz|vol)$", "examples": ["0_1_2", "xy"]},
    "plane": {"type": "string", "examples": ["0_1_2", "xy"]},
    "block": {"type": "string", "pattern": _TRIPLE, "examples": ["0_0_0"]},
    "span": {"type": "string", "pattern": r"^[0-9]{1,4}$", "examples": ["8"]},
    "top_left": {"type": "string", "pattern": _TRIPLE, "examples": ["0_0_0"]},
    "top_right": {"type": "string", "pattern": _TRIPLE, "examples": ["64_0_0"]},
    "bottom_left": {"type": "string", "pattern": _TRIPLE, "examples": ["0_64_0"]},
    "res": {"type": "string", "pattern": r"^[0-9]{1,4}(\.[0-9]{1,3})?$", "examples": ["8"]},
}
"""What parameters that have the same form everywhere look like."""
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")


def openapi_document(app: App, version: Version | None = None) -> dict[str, Any]:
    """Every endpoint of the service and of every installed datatype.

    A datatype's endpoints stand below ``/api/node/{uuid}/{data}`` under its tag; where several datatypes answer the
    same path they share its operation. With a version, its own instances stand there instead, each under its name.
    """
    document = _Document()
    for route in app.routes.all:
        document.add(f"/{route.endpoint.path}", route.endpoint, "server", version)
    if version is None:
        for name, datatype in app.kernel.plugins.datatypes.items():
            for endpoint in datatype.endpoints:
                document.add(f"/api/node/{{uuid}}/{{data}}/{endpoint.path}", endpoint, name)
    else:
        for name, instance in sorted(version.repo.instances.items()):
            for endpoint in instance.datatype.endpoints:
                path = f"/api/node/{version.uuid}/{quote(name, safe='')}/{endpoint.path}"
                document.add(path, endpoint, instance.record.typename)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dvidkit",
            "version": dvidkit.__version__,
            "description": "A versioned dataservice for large images that speaks DVID's HTTP API.",
        },
        "servers": [{"url": "/"}],
        "paths": document.paths(),
    }


class _Document:
    """Operations by path; paths that differ in the names of their parameters only are one."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, list[tuple[Endpoint, str]]]] = {}
        self._paths: dict[str, str] = {}
        self._versions: dict[str, Version] = {}

    def add(self, path: str, endpoint: Endpoint, tag: str, version: Version | None = None) -> None:
        """Add a row of a table."""
        path = path.replace("...}", "}")
        shape = _PARAMETER.sub("{}", path)
        self._paths.setdefault(shape, path)
        if version is not None:
            self._versions[shape] = version
        self._rows.setdefault(shape, {}).setdefault(endpoint.method.lower(), []).append((endpoint, tag))

    def paths(self) -> dict[str, dict[str, Any]]:
        """The ``paths`` object."""
        return {path: dict(self._operations(shape, path)) for shape, path in self._paths.items()}

    def _operations(self, shape: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        rows = self._rows[shape]
        twins = [(replace(row, method="POST"), tag) for row, tag in rows.get("get", ()) if row.takes]
        if twins and "post" not in rows:
            rows = {**rows, "post": twins}
        for method in sorted(rows, key=_METHODS.index):
            yield method, _operation(method, path, rows[method], self._versions.get(shape))


def _operation(method: str, path: str, rows: list[tuple[Endpoint, str]], version: Version | None) -> dict[str, Any]:
    endpoints = [endpoint for endpoint, _ in rows]
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method}{path}").strip("_"),
        "tags": list(dict.fromkeys(tag for _, tag in rows)),
        "summary": endpoints[0].summary,
        "description": "\n\n".join(dict.fromkeys(cleandoc(endpoint.description) for endpoint in endpoints)),
        "parameters": [*_path_parameters(path, version), *_query_parameters(endpoints)],
        "responses": {
            str(endpoints[0].status): _response("the answer", (endpoint.returns for endpoint in endpoints)),
            "4XX": _response("what is wrong with the request", ("text/plain", "application/problem+json")),
            "503": _response("try again later", ("text/plain", "application/problem+json")),
        },
    }
    content = _content(endpoint.takes for endpoint in endpoints)
    if content:
        operation["requestBody"] = {"content": content}
    return operation


def _path_parameters(path: str, version: Version | None) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(path):
        schema = _FORMS.get(name, {"type": "string"})
        if version is not None and name == "uuid":
            schema = {"type": "string", "enum": [version.uuid]}
        if version is not None and name == "data" and version.repo.instances:
            schema = {"type": "string", "enum": sorted(version.repo.instances)}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for query in (query for endpoint in endpoints for query in endpoint.query):
        schema: dict[str, Any] = {"type": "string"}
        if query.values:
            schema["enum"] = list(query.values)
        known = found.get(query.name)
        if known is None:
            found[query.name] = {"name": query.name, "in": "query", "description": query.summary, "schema": schema}
        elif "enum" in known["schema"]:
            values = [*known["schema"]["enum"], *query.values] if query.values else []
            known["schema"] = {"type": "string", "enum": list(dict.fromkeys(values))} if values else {"type": "string"}
    return list(found.values())


def _response(description: str, media_types: Iterable[str]) -> dict[str, Any]:
    content = _content(media_types)
    return {"description": description, "content": content} if content else {"description": description}


def _content(media_types: Iterable[str]) -> dict[str, Any]:
    return {each.split(";")[0]: {"schema": _schema(each)} for each in media_types if each}


def _schema(media_type: str) -> dict[str, Any]:
    if media_type.startswith(("application/json", "application/problem")):
        return {}
    return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
