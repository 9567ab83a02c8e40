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
_PARAMETERS: Final = 6
"""Parts of such a path, divided at ``/``, before its parameters; the first is empty."""
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
        self._known: dict[tuple[str | int, ...], tuple[Route, type[Datatype]]] = {}
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
        """``find`` for a path that differs from an earlier one in parameters of a datatype's endpoint alone."""
        path = raw.decode("latin-1")
        if "%" in path or "?" in path or not path.isascii():
            return None
        parts = path.split("/")
        known = self._known.get((method, len(parts), *parts[1:_PARAMETERS]))
        if known is None or not parts[-1]:
            return None
        route, datatype = known
        version = self._kernel.repos.resolve(parts[3])
        instance = version.repo.instance(parts[4])
        if instance.datatype is not datatype:
            return None
        names = route.names
        values = {names[0]: parts[-1]} if len(names) == 1 else dict(zip(names, parts[_PARAMETERS:], strict=True))
        return route, values, (instance, version)

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
            self._remember(method, raw, segments, routed[2][0].datatype)
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

    def _remember(self, method: str, raw: bytes, segments: list[str], datatype: type[Datatype]) -> None:
        """Keep what ``_find_known`` needs for paths like this one."""
        parts = raw.decode("latin-1").split("/")
        if segments != parts[1:] or segments[_INSTANCE] in self._common:
            return
        route = self._by_type[datatype].with_parameters(method, segments[_INSTANCE], len(segments) - _INSTANCE)
        if route is None:
            return
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[(method, len(parts), *parts[1:_PARAMETERS])] = route, datatype
