"""Finding the endpoint of a path: a tree of path segments, and the datatypes' own trees below an instance."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from msgspec.structs import replace

from dvidkit.endpoints import Endpoint, Response
from dvidkit.http.status import HTTPError

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")

Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint and how it is called.

    Attributes:
        endpoint: its row in a table.
        names: of the path's parameters in order.
        handler: for a service's own endpoints the bound method, for a datatype's the plain function.
        path: of the endpoint.
        plain: asks for nothing but its path, query and headers, of anybody, and answers in microseconds.
        brief: the same of some requests; see ``Endpoint.brief``.
    """

    endpoint: Endpoint
    names: tuple[str, ...]
    handler: Handler
    path: str = field(init=False)
    plain: bool = field(init=False)
    brief: str = field(init=False)

    def __post_init__(self) -> None:
        row = self.endpoint
        object.__setattr__(self, "path", row.path)
        asking = row.mutates or row.takes or row.streams or row.role
        object.__setattr__(self, "plain", not (asking or row.heavy))
        object.__setattr__(self, "brief", "" if asking else row.brief)


@dataclass(slots=True)
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    rest: dict[str, Route] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)


class Routes:
    """A tree of endpoints. A fixed segment wins over a parameter; a route that takes the rest comes last."""

    def __init__(self) -> None:
        self._root = _Node()
        self._short: dict[tuple[str, str, int], Route] | None = None
        self.all: list[Route] = []

    def add(self, endpoint: Endpoint, handler: Handler) -> None:
        """Add a row. ``GET`` answers ``HEAD`` too, unless that has a row of its own."""
        node, names = self._root, []
        segments = [segment for segment in endpoint.path.split("/") if segment]
        for segment in segments:
            if segment.startswith("{"):
                names.append(segment.strip("{}").removesuffix("..."))
                if segment.endswith("...}"):
                    break
                node.parameter = node = node.parameter or _Node()
            else:
                node = node.fixed.setdefault(segment, _Node())
        route = Route(endpoint, tuple(names), handler)
        table = node.rest if segments and segments[-1].endswith("...}") else node.routes
        table[endpoint.method] = route
        self.all.append(route)
        self._short = None
        if endpoint.method == "GET":
            table.setdefault("HEAD", route)
            if endpoint.takes:
                self._add_twin(table, route)

    @staticmethod
    def _add_twin(table: dict[str, Route], route: Route) -> None:
        """What takes a body on ``GET`` takes it on ``POST`` too, for clients and proxies that drop bodies of ``GET``.

        Where ``POST`` means something else, ``X-HTTP-Method-Override: GET`` says which is meant.
        """
        table.setdefault(
            "POST", Route(replace(route.endpoint, method="POST", mutates=False), route.names, route.handler)
        )

    def extend(self, rows: Iterable[Endpoint], owner: Any) -> None:
        """Add the endpoints of an object or class whose methods they are."""
        for row in rows:
            self.add(row, getattr(owner, row.name))

    def alias(self, name: str, segment: str) -> None:
        """Let paths begin with another name in place of a segment that paths begin with. They are listed once."""
        self._root.fixed[name] = self._root.fixed[segment]
        self._short = None

    @property
    def beginnings(self) -> frozenset[str]:
        """The segments that paths begin with, other names included."""
        return frozenset(self._root.fixed)

    def find(self, method: str, segments: list[str], start: int = 0) -> tuple[Route, dict[str, str]] | None:
        """The route of a path and its parameters, or ``None`` if no row has this path.

        Raises:
            HTTPError: the path exists, but not with this method (405).
        """
        if start < len(segments):
            route = self.with_parameters(method, segments[start], len(segments) - start)
            if route is not None:
                return route, dict(zip(route.names, segments[start + 1 :], strict=True))
        node, rest = self._root, None
        values: list[str] = []
        for place in range(start, len(segments)):
            segment = segments[place]
            if node.rest:
                rest = node.rest, [*values, "/".join(segments[place:])]
            following = node.fixed.get(segment)
            if following is None:
                following = node.parameter
                values.append(segment)
            if following is None:
                return self._found(method, *rest) if rest else None
            node = following
        if node.routes:
            return self._found(method, node.routes, values)
        return self._found(method, *rest) if rest else None

    def with_parameters(self, method: str, segment: str, length: int) -> Route | None:
        """The route of this segment and parameters, as many segments together, if no other can be meant."""
        if self._short is None:
            self._short = self._shortened()
        return self._short.get((method, segment, length))

    def _shortened(self) -> dict[tuple[str, str, int], Route]:
        """The routes of one fixed segment and parameters, by method, segment and length: no other can be meant."""
        found: dict[tuple[str, str, int], Route] = {}
        for segment, node in self._root.fixed.items():
            below: _Node | None = node
            length = 1
            while below is not None:
                found |= {(method, segment, length): route for method, route in below.routes.items()}
                below = None if below.fixed else below.parameter
                length += 1
        return found

    @staticmethod
    def _found(method: str, routes: dict[str, Route], values: list[str]) -> tuple[Route, dict[str, str]]:
        route = routes.get(method)
        if route is None:
            raise HTTPError(405, f"method {method} is not for this URL", allow=", ".join(sorted(routes)))
        return route, dict(zip(route.names, values, strict=True))


def segments_of(raw_path: bytes) -> list[str]:
    """The decoded segments of a path, one empty last one dropped.

    Each is decoded by itself, so that ``%2F`` does not divide, and strictly: two different byte strings are never one
    text.

    Raises:
        HTTPError: not UTF-8, or a ``%`` without two hexadecimal digits (400).
    """
    try:
        path = raw_path.decode("ascii")
        segments = path.split("/")
        del segments[0]
        if "%" in path:
            if _BAD_ESCAPE.search(path):
                raise HTTPError(400, "the URL has a % without two hexadecimal digits")
            segments = [
                unquote_to_bytes(segment).decode("utf-8") if "%" in segment else segment for segment in segments
            ]
    except UnicodeDecodeError:
        raise HTTPError(400, "the URL is not UTF-8") from None
    if segments and not segments[-1]:
        segments.pop()
    return segments
