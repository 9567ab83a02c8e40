"""From the path of a request to its endpoint, and to the instance and version that the endpoint is asked of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from dvidkit.http.routes import Route, Routes, segments_of
from dvidkit.http.status import HTTPError
from dvidkit.http.wire import Scope, header_of, path_below, raw_path

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.kernel import Kernel

Routed = tuple[Route, Mapping[str, str], Any]
"""The endpoint, its parameters, and (instance, version) if it is one of a datatype."""

NOTHING: Final = MappingProxyType[str, str]({})
_INSTANCE: Final = 4
"""Segments before what a datatype's endpoint is named by: ``api``, ``node``, version, instance."""
_MOST_KNOWN: Final = 1024


class Router:
    """Routes of a service and of the datatypes of its instances.

    Args:
        kernel: whose instances they are.
        routes: the service's own.
        common: words below an instance that mean the same for all datatypes.
    """

    def __init__(self, kernel: Kernel, routes: Routes, common: Iterable[str]) -> None:
        self._kernel = kernel
        self._routes = routes
        self._common = frozenset(common)
        self._by_type: dict[type[Datatype], Routes] = {}
        self._known: dict[bytes, tuple[str, str, type[Datatype], dict[str, Route]]] = {}
        self._fixed: dict[bytes, Routed] = {
            f"/{route.path}".encode(): (route, NOTHING, None)
            for route in routes.all
            if route.endpoint.method == "GET" and not route.names
        }

    def find(self, scope: Scope) -> Routed:
        """The endpoint that a request asks for.

        Raises:
            HTTPError: there is none (404, below an instance 400), or not with this method (405), or the path is not
                UTF-8 (400).
            NotFoundError: there is no such version or instance.
        """
        method: str = scope["method"]
        if method == "POST" and header_of(scope, b"x-http-method-override") == b"GET":
            method = "GET"
        if scope.get("root_path"):
            return self._find(method, path_below(scope))
        raw: bytes = scope.get("raw_path") or raw_path(scope)
        if method == "GET":
            fixed = self._fixed.get(raw)
            if fixed is not None:
                return fixed
        return self._find_known(method, raw) or self._find(method, raw_path(scope))

    def _find_known(self, method: str, raw: bytes) -> Routed | None:
        """``find`` for a path that differs from an earlier one in its last segment, which is a parameter, alone."""
        begin, _, last = raw.rpartition(b"/")
        known = self._known.get(begin)
        if known is None or not last or b"%" in last or b"?" in last or not last.isascii():
            return None
        uuid, name, datatype, routes = known
        route = routes.get(method)
        version = self._kernel.repos.resolve(uuid)
        instance = version.repo.instance(name)
        if route is None or instance.datatype is not datatype:
            return None
        return route, {route.names[0]: last.decode("ascii")}, (instance, version)

    def _find(self, method: str, raw: bytes) -> Routed:
        segments = segments_of(raw)
        below_instance = len(segments) > _INSTANCE and segments[1] == "node" and segments[0] == "api"
        refused: HTTPError | None = None
        if not below_instance or segments[_INSTANCE] in self._common:
            try:
                found = self._routes.find(method, segments)
            except HTTPError as error:
                if not below_instance:
                    raise
                found, refused = None, error
            if found is not None:
                return *found, None
        if below_instance or (len(segments) == _INSTANCE and segments[1] == "node" and segments[0] == "api"):
            routed = self._find_of_instance(method, segments, refused)
            self._remember(raw, segments, routed[2][0].datatype)
            return routed
        raise HTTPError(404, "no such URL")

    def _find_of_instance(self, method: str, segments: list[str], refused: HTTPError | None) -> Routed:
        """The endpoint of a datatype; ``refused`` is what the path of an endpoint of all instances has to say."""
        version = self._kernel.repos.resolve(segments[2])
        instance = version.repo.instance(segments[3])
        found = self._routes_of(instance.datatype).find(method, segments, _INSTANCE)
        if found is None and refused is not None:
            raise refused
        if found is None:
            known = f"See API help at /api/help/{instance.datatype.typename}"
            text = "/".join(segments[_INSTANCE:])
            raise HTTPError(400, f'Bad API call ({text}) for data "{instance.name}".  {known}')
        return *found, (instance, version)

    def _routes_of(self, datatype: type[Datatype]) -> Routes:
        routes = self._by_type.get(datatype)
        if routes is None:
            routes = self._by_type[datatype] = Routes()
            routes.extend(datatype.endpoints, datatype)
        return routes

    def _remember(self, raw: bytes, segments: list[str], datatype: type[Datatype]) -> None:
        """Keep what ``_find_known`` needs for paths like this one."""
        if len(segments) != _INSTANCE + 2 or raw.endswith(b"/") or segments[_INSTANCE] in self._common:
            return
        routes = self._by_type[datatype].with_one_parameter(segments[_INSTANCE])
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[raw.rpartition(b"/")[0]] = (segments[2], segments[3], datatype, routes)
