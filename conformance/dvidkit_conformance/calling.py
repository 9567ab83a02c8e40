"""Calling a datatype's endpoints as the service does, without a service: the path is looked up in the table."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from dvidkit.endpoints import Request, Response
from dvidkit.http.routes import Routes, segments_of


def call(
    view: Any, method: str, url: str, body: bytes = b"", *, user: str = "", app: str = "", **headers: str
) -> Response:
    """What a view (an object of a datatype at a version) answers to a request.

    Args:
        view: of a datatype with endpoints.
        method: ``GET``, ``HEAD``, ``POST``, ``DELETE``.
        url: below the instance, as a client would write it, with query arguments: ``key/a%20b?byte_start=1``.
        body, user, app: see ``Request``.
        headers: by name, with ``_`` for ``-``.

    Raises:
        LookupError: no endpoint has this path.
        HTTPError: one has, but not with this method.
        DvidkitError: what the endpoint raises.
    """
    path, _, query = url.partition("?")
    datatype: Any = type(view)
    found = _routes(datatype).find(method, segments_of(b"/" + path.encode()))
    if found is None:
        raise LookupError(f"no endpoint has the path {path!r}")
    route, parameters = found
    arguments = dict(parse_qsl(query, keep_blank_values=True))
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return route.handler(view, Request(method, parameters, arguments, named, body, user, app))


@cache
def _routes(datatype: Any) -> Routes:
    """The endpoints of a datatype by path."""
    routes = Routes()
    for row in datatype.endpoints:
        routes.add(row, getattr(datatype, row.name))
    return routes


def body_of(response: Response) -> bytes:
    """The whole body of an answer."""
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)
