"""The OpenAPI 3.1 document, generated from the endpoint tables."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

import dvidkit
from dvidkit.endpoints import Endpoint

if TYPE_CHECKING:
    from dvidkit.http.app import App

_PARAMETER = re.compile(r"{([a-z_]+)(?:\.\.\.)?}")


def openapi_document(app: App) -> dict[str, Any]:
    """Every endpoint of the service and of every installed datatype.

    A datatype's endpoints stand below ``/api/node/{uuid}/{data}`` under its tag; as two datatypes may answer the same
    path, each path carries its datatype as a fragment.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes.all:
        _add(paths, f"/{route.endpoint.path}", route.endpoint, "server")
    for name, datatype in app.kernel.plugins.datatypes.items():
        for endpoint in datatype.endpoints:
            _add(paths, f"/api/node/{{uuid}}/{{data}}/{endpoint.path}#{name}", endpoint, name)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dvidkit",
            "version": dvidkit.__version__,
            "description": "A versioned dataservice for large images that speaks DVID's HTTP API.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
    }


def _add(paths: dict[str, dict[str, Any]], path: str, endpoint: Endpoint, tag: str) -> None:
    path = path.replace("...}", "}")
    operations = paths.setdefault(path, {})
    operations[endpoint.method.lower()] = _operation(path, endpoint, tag)


def _operation(path: str, endpoint: Endpoint, tag: str) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    for query in endpoint.query:
        schema: dict[str, Any] = {"type": "string"}
        if query.values:
            schema["enum"] = list(query.values)
        parameters.append({"name": query.name, "in": "query", "description": query.summary, "schema": schema})
    operation: dict[str, Any] = {
        "operationId": f"{tag}.{endpoint.name}.{endpoint.method.lower()}.{len(path)}",
        "tags": [tag],
        "summary": endpoint.summary,
        "description": cleandoc(endpoint.description),
        "parameters": parameters,
        "responses": {
            "200": _content("the answer", endpoint.returns),
            "4XX": _content("what is wrong with the request", "text/plain"),
            "503": _content("try again later", "text/plain"),
        },
    }
    if endpoint.takes:
        operation["requestBody"] = {"content": {endpoint.takes: {"schema": _schema(endpoint.takes)}}}
    return operation


def _content(description: str, media_type: str) -> dict[str, Any]:
    if not media_type:
        return {"description": description}
    return {"description": description, "content": {media_type.split(";")[0]: {"schema": _schema(media_type)}}}


def _schema(media_type: str) -> dict[str, Any]:
    if media_type.startswith(("application/json", "application/problem")):
        return {}
    return {"type": "string"} if media_type.startswith("text/") else {"type": "string", "format": "binary"}
