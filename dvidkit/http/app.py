"""The ASGI application: from a scope to an endpoint and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dvidkit.endpoints import Endpoint, Request, Response
from dvidkit.errors import VersionConflict
from dvidkit.http.auth import Gatekeeper
from dvidkit.http.cors import Cors
from dvidkit.http.groups import OWN, offered
from dvidkit.http.metrics import Metrics
from dvidkit.http.node import NodeApi
from dvidkit.http.pool import Claim, Pool
from dvidkit.http.router import NOTHING, Router
from dvidkit.http.routes import METHODS, Route, Routes
from dvidkit.http.service import ServiceConfig
from dvidkit.http.status import PROBLEM, HTTPError, error_response
from dvidkit.http.view import ViewApi
from dvidkit.http.wire import (
    NO_BODY,
    BodyStream,
    Pace,
    Receive,
    Scope,
    Send,
    content_length,
    header_of,
    headers_of,
    query_of,
    raw_path,
    read_body,
    send_stream,
    start_of,
    take,
)
from dvidkit.http.writing import Writing

if TYPE_CHECKING:
    from dvidkit.kernel import Kernel

_LOG: Final = logging.getLogger("dvidkit.http.app")
_MOST_SIDES: Final = 16
_QUICK: Final = 1 << 16
"""Bytes of a body above which no endpoint is quick: to check and compress them takes longer than a thread's turn."""


class App:
    """A service over a kernel. An ASGI 3 application; the kernel stays the caller's to close.

    Attributes:
        kernel, config: what it serves, and how.
        metrics: what it has answered.
    """

    def __init__(self, kernel: Kernel, config: ServiceConfig | None = None) -> None:
        self.kernel = kernel
        self.config = config or ServiceConfig()
        kernel.full_write = self.config.mode == "fullwrite"
        self.metrics = Metrics()
        self.gatekeeper = Gatekeeper(self.config)
        self.pool = Pool(self.config.limits)
        self._written = Writing()
        self._cors = Cors(self.config.cors, timing=self.config.allow_timing)
        self.routes = Routes()
        for group in (*OWN, *offered(kernel.plugins)):
            self.routes.extend(group.endpoints, group(self))
            for name, segment in group.aliases.items():
                self.routes.alias(name, segment)
        common = {path[4] for row in (*NodeApi.endpoints, *ViewApi.endpoints) if len(path := row.path.split("/")) > 4}
        self._route = Router(kernel, self.routes, common).find

    def reload_blocklist(self) -> None:
        """Read the blocklist again from where the configuration says it is."""
        self.gatekeeper = Gatekeeper(self.config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3 has it."""
        if scope["type"] != "http":
            await self._live(scope, receive, send)
            return
        begun = perf_counter()
        method, where, first = scope["method"], "unmatched", b""
        head = method == "HEAD"
        try:
            if method == "OPTIONS":
                response = Response(status=204, headers={"allow": ", ".join(METHODS)})
            else:
                route, parameters, target = self._route(scope)
                where = route.path
                if not self.gatekeeper.trivial:
                    response = await self._answer(route, parameters, target, scope, receive)
                elif route.plain and target is None:
                    response = route.handler(_plain(scope, parameters))
                elif route.plain:
                    response = route.handler(target[0].at(target[1]), _plain(scope, parameters))
                elif route.brief and target is not None and not scope["query_string"]:
                    response = await self._call_brief(route, target, _plain(scope, parameters))
                else:
                    response = await self._answer(route, parameters, target, scope, receive)
            if not head and not isinstance(response.body, bytes):
                first = await self.pool.run(take, response.body)
        except Exception as error:
            response = self._failed(error, scope)
        extra = self._cors.headers(scope, response.headers)
        try:
            if isinstance(response.body, bytes):
                await send(start_of(response, extra, head=head))
                await send(
                    {"type": "http.response.body", "body": b"" if head or response.status in NO_BODY else response.body}
                )
            else:
                await send_stream(send, receive, response, extra, self.pool.finish, first, head=head)
        except Exception:
            _LOG.exception("an answer broke off")
            raise
        finally:
            self.metrics.count(method, where, response.status, perf_counter() - begun)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin and end with the server."""
        if scope["type"] != "lifespan":
            raise RuntimeError(f"dvidkit does not speak {scope['type']}")
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await asyncio.to_thread(self.pool.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    # --- one request -------------------------------------------------------------------------------------------------

    def _failed(self, error: Exception, scope: Scope) -> Response:
        path = raw_path(scope).decode("latin-1")
        problem = self.config.problem_json or any(
            name == b"accept" and PROBLEM.encode() in value for name, value in scope["headers"]
        )
        sides = self._sides(error, path) if isinstance(error, VersionConflict) else ()
        response = error_response(error, path, problem=problem, sides=sides)
        if response.status >= 500 and response.status != 503:
            _LOG.error("%s %s failed", scope["method"], path, exc_info=error)
        return response

    def _sides(self, error: VersionConflict, path: str) -> list[tuple[str, str]]:
        """The versions that say different things, and where a reader finds what each says."""
        ids = dict.fromkeys(version for conflict in error.conflicts for version in conflict.versions)
        uuids = [repo.nodes[each].uuid for each in ids for repo in self.kernel.repos if each in repo.nodes]
        before, node, below = path.partition("/api/node/")
        rest = below.partition("/")[2]
        return [(uuid, f"{before}{node}{quote(uuid, safe='')}/{rest}" if node else "") for uuid in uuids[:_MOST_SIDES]]

    async def _answer(
        self, route: Route, parameters: Mapping[str, str], target: Any, scope: Scope, receive: Receive
    ) -> Response:
        endpoint, headers = route.endpoint, _LazyHeaders(scope)
        if endpoint.mutates:
            self._cors.guard(scope)
        query = query_of(scope)
        client = scope.get("client") or ("", 0)
        caller = self.gatekeeper.identify(headers, query, client[0])
        self.gatekeeper.check(caller, endpoint)
        throttled = query.get("throttle") in ("on", "true")
        if throttled:
            self.pool.throttle()
        claim = Claim(self.pool, self.config.limits.body)
        try:
            length = content_length(scope)
            body, stream = await self._body(endpoint, length, receive, claim)
            user = caller.user or query.get("u", "")
            request = Request(
                scope["method"], parameters, query, headers, body, user, query.get("app", ""), stream, caller.admin
            )
            if endpoint.quick and target is not None and len(body) <= _QUICK:
                view = target[0].at(target[1], override=caller.admin)
                view.pending = written = self._written.expect()
                response = route.handler(view, request)
                await written
                return response
            if endpoint.brief and target is not None:
                return await self._call_brief(route, target, request)
            if endpoint.heavy or endpoint.mutates or endpoint.streams:
                return await self.pool.run(self._call, route, target, request)
            return self._call(route, target, request)
        finally:
            if throttled:
                self.pool.unthrottle()
            if claim.held:
                await claim.release()

    async def _body(
        self, endpoint: Endpoint, length: int | None, receive: Receive, claim: Claim
    ) -> tuple[bytes, BodyStream | None]:
        limits = self.config.limits
        if length is not None and length > limits.body:
            raise HTTPError(413, f"the body is larger than {limits.body} bytes", connection="close")
        if endpoint.streams:
            loop = asyncio.get_running_loop()
            return b"", BodyStream(receive, loop, limits.body, Pace(limits.idle_seconds, limits.slowest))
        if length == 0:
            return b"", None
        pace = Pace(limits.idle_seconds, limits.slowest)
        return await read_body(receive, limits.body, pace, length, claim.grow), None

    def _call(self, route: Route, target: Any, request: Request) -> Response:
        if target is None:
            return route.handler(request)
        return route.handler(self._view(target, request), request)

    def _view(self, target: Any, request: Request) -> Any:
        instance, version = target
        return self.config.limits.bound(instance.at(version, override=request.admin))

    async def _call_brief(self, route: Route, target: Any, request: Request) -> Response:
        """Call in the event loop if the datatype says that this request is brief, else in a thread."""
        view = self._view(target, request)
        if getattr(view, route.endpoint.brief)(request):
            return route.handler(view, request)
        return await self.pool.run(route.handler, view, request)


def _plain(scope: Scope, parameters: Mapping[str, str]) -> Request:
    """A request without a body, of nobody in particular."""
    if not scope["query_string"]:
        return Request(scope["method"], parameters, NOTHING, _LazyHeaders(scope))
    query = query_of(scope)
    user, app = query.get("u", ""), query.get("app", "")
    return Request(scope["method"], parameters, query, _LazyHeaders(scope), b"", user, app)


class _LazyHeaders(Mapping[str, str]):
    """Headers that are only decoded if an endpoint looks."""

    __slots__ = ("_found", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._found: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        if self._found is None:
            self._found = headers_of(self._scope)
        return self._found

    def __getitem__(self, name: str) -> str:
        return self._all()[name]

    def get(self, name: str, default: Any = None) -> Any:
        """See ``Mapping.get``; one header is found without decoding the rest."""
        found = header_of(self._scope, name.encode("latin-1", "replace"))
        return default if found is None else found.decode("latin-1")

    def __iter__(self) -> Any:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


def create_app(kernel: Kernel, config: ServiceConfig | None = None) -> App:
    """An ASGI application that serves the kernel's repos.

    Raises:
        BadConfig: a setting that cannot be.
    """
    return App(kernel, config)
