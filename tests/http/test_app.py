"""Requests as such: paths, methods, bodies, limits, errors, streams, mounting."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from dvidkit import errors
from dvidkit.datatype import Datatype
from dvidkit.endpoints import Endpoint, Response
from dvidkit.http import create_app
from dvidkit.http.routes import Routes, segments_of
from dvidkit.http.service import Limits
from dvidkit.http.status import HTTPError, error_response, status_of


class Wire:
    """One ASGI request by hand: what arrives, piece by piece, and what is sent."""

    def __init__(self, app: Any, method: str, path: str, **scope: Any) -> None:
        self.app = app
        self.scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            **scope,
        }
        self.arriving: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []

    def body(self, piece: bytes, more: bool = False) -> None:
        """A piece of the body arrives."""
        self.arriving.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self) -> None:
        """The client goes away."""
        self.arriving.put_nowait({"type": "http.disconnect"})

    async def send(self, message: dict[str, Any]) -> None:
        """Take what the app sends."""
        self.sent.append(message)

    async def run(self) -> int:
        """Serve; the status."""
        await self.app(self.scope, self.arriving.get, self.send)
        status: int = self.sent[0]["status"]
        return status

    @property
    def answer(self) -> bytes:
        """The body that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])


# --- paths -----------------------------------------------------------------------------------------------------------


def test_paths(service: Any) -> None:
    """A trailing slash makes no difference, ``%2F`` does not divide, ``+`` is a plus, other paths are 404."""
    node = service.node
    service("POST", f"{node}/t/value/a%2Fb", content=b"1")
    assert service("GET", f"{node}/t/value/a%2Fb/").content == b"1"
    assert service.repo.root["t"].get("a/b") == b"1"
    assert service("GET", f"{node}/t/value/a%2fb").content == b"1"
    service("POST", f"{node}/t/value/%C3%A9+%20", content=b"2")
    assert service.repo.root["t"].get("é+ ") == b"2"
    assert service("GET", "/api/repos/info/").status_code == 200
    for path in ("/nothing", "/api", "//api/repos/info", "/api/repos/info/more", f"{node}", "/api/node"):
        assert service("GET", path).status_code == 404, path


def test_urls_that_are_no_text(service: Any) -> None:
    """Strict UTF-8 in path and query, and two hexadecimal digits behind a %; all else is 400, never another text."""
    for path in ("%FF", "%C0%AF", "%ED%A0%80", "a%", "a%4", "%zz"):
        wire = Wire(service.app, "GET", f"{service.node}/t/value/{path}")
        wire.body(b"")
        assert service.run(wire.run()) == 400, path
    wire = Wire(service.app, "GET", "/é", raw_path="/é".encode())
    assert service.run(wire.run()) == 400
    for query in (b"u=%FF", "u=é".encode()):
        wire = Wire(service.app, "GET", "/api/heartbeat", query_string=query)
        assert service.run(wire.run()) == 400


def test_a_server_that_gives_no_raw_path(service: Any) -> None:
    """``raw_path`` is optional in ASGI; some servers leave the query in it."""
    wire = Wire(service.app, "GET", "/api/heartbeat", raw_path=None)
    assert service.run(wire.run()) == 200
    wire = Wire(service.app, "GET", "/api/heartbeat", raw_path=b"/api/heartbeat?u=x", query_string=b"u=x")
    assert service.run(wire.run()) == 200


def test_unknown_endpoints_and_methods(service: Any) -> None:
    """Of an instance an unknown path is 400 in DVID's words; a method that a path has not is 405 with those it has."""
    answer = service("GET", f"{service.node}/t/nothing")
    assert answer.status_code == 400
    assert 'Bad API call (nothing) for data "t".  See API help at /api/help/sample-tally' in answer.text
    assert service("GET", f"{service.node}/missing/x").status_code == 400
    assert service("GET", f"{service.node}/t").status_code == 400
    answer = service("DELETE", "/api/repos/info")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert service("BREW", f"{service.node}/t/value/a").status_code == 405


def test_head_is_get_without_the_body(service: Any) -> None:
    """Status and headers are the same, of errors too."""
    for path in ("/api/server/info", "/nothing", f"{service.node}/roi/roi", f"{service.node}/t/value/missing"):
        got, head = service("GET", path), service("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        if path != "/api/server/info":
            assert head.headers["content-length"] == got.headers["content-length"]
    assert service("HEAD", f"{service.node}/t/stream").content == b""


def test_a_head_that_reads_nothing_says_no_length(service: Any) -> None:
    """A length of 0 would say that the value is empty; where it is, that is not said either."""
    service.repo.create_instance("keyvalue", "kv")
    for key, value in (("full", b"value"), ("empty", b"")):
        url = f"{service.node}/kv/key/{key}"
        service("POST", url, content=value)
        head, got = service("HEAD", url), service("GET", url)
        assert (head.status_code, head.headers["accept-ranges"]) == (200, "bytes")
        assert "content-length" not in head.headers
        assert got.headers["content-length"] == str(len(value))
    assert "content-length" not in service("HEAD", f"/api/repo/{service.uuid}").headers


def test_options(service: Any) -> None:
    """204 without a body or a length, for any path."""
    answer = service("OPTIONS", "/api/repos")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_bodies_on_get_and_their_twins(service: Any) -> None:
    """What takes a body on GET takes it on POST too, and by an override where POST means something else."""
    service("POST", f"{service.node}/t/value/a", content=b"1")
    url = f"{service.node}/t/values"
    assert service("GET", url, json=["a", "b"]).json() == ["1", ""]
    assert service("POST", url, json=["a", "b"]).json() == ["1", ""]
    service("POST", f"{service.node}/commit")
    assert service("POST", url, json=["a"]).json() == ["1"]
    override = {"x-http-method-override": "GET"}
    assert service("POST", f"{service.node}/t/value/a", content=b"9", headers=override).content == b"1"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"NaN", b"[NaN]", b'{"note": NaN}', b'{"note":"\\ud800"}', b"\xff", b'{"note":"\x00"}', b"null"),
        *(
            b"[" * 100_000,
            b'{"note":' * 5000,
            b'{"note":' + b"9" * 5000 + b"}",
            b'{"note":1e999}',
            b"[]",
            b'"x"',
            b"{}",
        ),
    ],
)
def test_json_that_is_refused(service: Any, body: bytes) -> None:
    """400 and no effect, however deep, long or wrong."""
    assert service("POST", f"{service.node}/note", content=body).status_code == 400
    assert service("GET", f"{service.node}/note").json() == {"note": ""}


def test_json_with_a_name_twice(service: Any) -> None:
    """The last one holds, as everywhere in JSON."""
    service("POST", f"{service.node}/note", content=b'{"note":"a","note":"b"}')
    assert service("GET", f"{service.node}/note").json() == {"note": "b"}


def post(service: Any, *pieces: bytes, headers: Any = (), path: str = "t/value/a", **scope: Any) -> Wire:
    """A POST whose body arrives in these pieces; ``None`` goes away."""
    wire = Wire(service.app, "POST", f"{service.node}/{path}", headers=list(headers), **scope)
    for piece in pieces[:-1]:
        wire.body(piece, more=True)
    if pieces:
        wire.body(pieces[-1])
    return wire


CHUNKED = [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("path", ["t/value/a", "t/streamed/a"])
def test_a_body_that_is_too_large(make_service: Any, path: str) -> None:
    """413, announced or not; nothing is written."""
    service = make_service(limits=Limits(body=100))
    length = [(b"content-length", b"101")]
    assert service.run(post(service, headers=length, path=path).run()) == 413
    assert service.run(post(service, b"x" * 60, b"x" * 60, headers=CHUNKED, path=path).run()) == 413
    assert service.repo.root["t"].get("a") is None
    assert service.run(post(service, b"x" * 60, b"x" * 40, headers=CHUNKED, path=path).run()) == 200
    assert service.repo.root["t"].get("a") == b"x" * 100


@pytest.mark.parametrize("length", [b"-1", b"1_0", b"x", b"9" * 5000, "\u0663".encode(), b"+1"])
def test_a_length_that_is_no_number(service: Any, length: bytes) -> None:
    """400."""
    assert service.run(post(service, headers=[(b"content-length", length)]).run()) == 400


def test_http2_needs_no_length(service: Any) -> None:
    """From HTTP/2 on a body may come without being announced; it is read."""
    assert service.run(post(service, b"ab", b"c", http_version="2").run()) == 200
    assert service.repo.root["t"].get("a") == b"abc"


def test_a_body_of_another_length(service: Any) -> None:
    """A body that ends before what was announced is 400, and so is a client that goes away; nothing is written."""
    length = [(b"content-length", b"10")]
    assert service.run(post(service, b"abc", headers=length).run()) == 400
    wire = post(service, headers=length)
    wire.body(b"abc", more=True)
    wire.leave()
    assert service.run(wire.run()) == 400
    wire = post(service, headers=CHUNKED, path="t/streamed/a")
    wire.body(b"abc", more=True)
    wire.leave()
    assert service.run(wire.run()) == 400
    assert service.repo.root["t"].get("a") is None


def test_a_slow_body(make_service: Any) -> None:
    """408: nothing comes for a while, or it trickles."""
    service = make_service(limits=Limits(idle_seconds=0.05))
    wire = post(service, headers=CHUNKED)
    wire.body(b"abc", more=True)
    assert service.run(wire.run()) == 408

    async def trickle(wire: Wire) -> int:
        async def feed() -> None:
            for _ in range(100):
                wire.body(b"x", more=True)
                await asyncio.sleep(0.01)

        feeding = asyncio.ensure_future(feed())
        try:
            return await wire.run()
        finally:
            feeding.cancel()

    assert service.run(trickle(post(service, headers=CHUNKED))) == 408
    assert service.run(trickle(post(service, headers=CHUNKED, path="t/streamed/a"))) == 408


def test_memory_for_bodies(make_service: Any) -> None:
    """Bodies that together would hold too much wait, and are 503 if nobody lets go; what is announced holds nothing."""
    service = make_service(limits=Limits(memory=1 << 20, idle_seconds=0.4, slowest=0))
    big = b"x" * (600 << 10)

    async def both() -> list[int]:
        first = post(service, headers=[(b"content-length", b"%d" % (2 * len(big)))])
        first.body(big, more=True)
        holding = asyncio.ensure_future(first.run())
        asyncio.get_running_loop().call_later(0.24, first.body, b"more", True)
        await asyncio.sleep(0.05)
        second = post(service, big, headers=CHUNKED, path="t/value/b")
        refused = await second.run()
        return [refused, await holding]

    assert service.run(both()) == [503, 408]
    assert service.run(post(service, big, headers=CHUNKED).run()) == 200
    announced = [post(service, headers=[(b"content-length", b"1000000")]) for _ in range(8)]

    async def announce() -> int:
        waiting = [asyncio.ensure_future(wire.run()) for wire in announced]
        await asyncio.sleep(0.01)
        status = await post(service, big, headers=CHUNKED).run()
        await asyncio.gather(*waiting)
        return status

    assert service.run(announce()) == 200


def test_quick_mutations_in_two_loops(service: Any) -> None:
    """An app may be used in one event loop after another; writes end in the loop that waits for them."""
    for value in (b"1", b"2"):
        loop = asyncio.new_event_loop()
        try:
            assert loop.run_until_complete(asyncio.wait_for(post(service, value, http_version="2").run(), 20)) == 200
        finally:
            loop.close()
        assert service.repo.root["t"].get("a") == value


def test_many_quick_mutations_at_once(service: Any) -> None:
    """All are written, each answered after it is; a refused one is refused alone."""

    async def all_of_them() -> list[int]:
        wires = [post(service, b"%d" % n, http_version="2", path=f"t/value/{n}") for n in range(200)]
        return list(await asyncio.gather(*(wire.run() for wire in wires)))

    assert service.run(all_of_them()) == [200] * 200
    assert [service.repo.root["t"].get(str(n)) for n in range(200)] == [b"%d" % n for n in range(200)]


@pytest.mark.parametrize(("size", "in_loop"), [(1, True), (1 << 16, True), (1 + (1 << 16), False)])
def test_large_bodies_are_not_quick(service: Any, size: int, in_loop: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is quick with a small body would hold up the event loop with a large one: a thread does it."""
    seen: list[bool] = []
    mutation = Datatype.mutation

    def spied(self: Datatype, action: str, **who: str) -> Any:
        seen.append(threading.current_thread() is threading.main_thread())
        return mutation(self, action, **who)

    monkeypatch.setattr(Datatype, "mutation", spied)
    assert service.run(post(service, b"x" * size, http_version="2").run()) == 200
    assert seen == [in_loop]
    assert service.repo.root["t"].get("a") == b"x" * size


# --- answers that stream ---------------------------------------------------------------------------------------------


def test_a_streamed_answer(service: Any) -> None:
    """Whole, and without a length."""
    answer = service("GET", f"{service.node}/t/stream?pieces=4")
    assert answer.content == b"".join(bytes([n]) * 65536 for n in range(4))


def test_a_stream_that_fails_at_once_is_an_error(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What the first piece raises is answered like any error."""
    with caplog.at_level(logging.CRITICAL):
        assert service("GET", f"{service.node}/t/stream?fail=0").status_code == 500
    assert service("GET", f"{service.node}/t/stream?pieces=x").status_code == 400


def test_a_stream_that_fails_later_breaks_off(service: Any) -> None:
    """The answer has no end, so that nobody takes a part for the whole; it is counted all the same."""
    wire = Wire(service.app, "GET", f"{service.node}/t/stream", query_string=b"fail=2")
    with pytest.raises(ValueError, match="it fails here"):
        service.run(wire.run())
    assert wire.sent[0]["status"] == 200
    assert all(message.get("more_body") for message in wire.sent[1:])
    assert service.app.metrics.requests == 1


def test_a_client_that_goes_away_ends_the_stream(service: Any) -> None:
    """No more pieces are made than were on their way."""
    wire = Wire(service.app, "GET", f"{service.node}/t/stream", query_string=b"pieces=100000")
    wire.leave()
    service.run(wire.run())
    assert len(wire.sent) < 100


# --- errors ----------------------------------------------------------------------------------------------------------


def test_what_an_error_says(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    """DVID's line of text, a problem document on request; the text of an error that is none of ours stays inside."""
    answer = service("GET", f"{service.node}/t/value/x")
    assert answer.text == f"no value of 'x' ({service.node}/t/value/x).\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    accept = {"accept": "application/problem+json"}
    answer = service("GET", f"{service.node}/t/value/x", headers=accept)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["status"], answer.json()["type"]) == (404, "urn:dvidkit:not-found")
    with caplog.at_level(logging.ERROR):
        answer = service("GET", f"{service.node}/t/crash", headers=accept)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "secret text" in caplog.text
    assert service("GET", "/nothing", headers=accept).json()["type"] == "urn:dvidkit:http"


def test_problem_documents_for_everybody(make_service: Any) -> None:
    """If the service says so."""
    assert make_service(problem_json=True)("GET", "/nothing").json()["status"] == 404


def test_every_error_has_a_status() -> None:
    """The one table decides; classes that are not named have their base's, and all of the tree have one."""
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.DvidkitError):
            assert 400 <= status_of(error("x")) < 600
    assert status_of(KeyError()) == 500
    assert error_response(errors.StoreBusy("x"), "/", problem=False).headers == {"retry-after": "1"}
    assert error_response(HTTPError(405, "x", allow="GET"), "/", problem=False).headers == {"allow": "GET"}
    assert error_response(errors.NotFoundError("\ud800"), "/", problem=False).status == 404


def test_a_header_is_one_line(service: Any) -> None:
    """Whatever stands in a value, no other header is made of it."""
    answer = service("GET", f"{service.node}/t/headers?echo=a%0D%0AX-Evil:%20b%E2%82%AC")
    assert answer.headers["x-echo"] == "a??X-Evil: b\\u20ac"
    assert "x-evil" not in answer.headers


# --- the pool --------------------------------------------------------------------------------------------------------


def test_too_many_wait(make_service: Any) -> None:
    """What is beyond the workers and those that may wait is 503 at once; small requests are answered meanwhile."""
    service = make_service(limits=Limits(workers=1, waiting=1))

    async def crowd() -> list[int]:
        async with service.client() as client:
            url = f"{service.node}/t/wait"
            waiting = [asyncio.ensure_future(client.get(url)) for _ in range(2)]
            await asyncio.sleep(0.05)
            refused = await client.get(url)
            small = await client.get("/api/heartbeat")
            service.samples.gate.open(2)
            return [
                refused.status_code,
                small.status_code,
                *(answer.status_code for answer in await asyncio.gather(*waiting)),
            ]

    assert service.run(crowd()) == [503, 200, 200, 200]


def test_throttling(service: Any) -> None:
    """As many throttled requests at once as the setting says; what fails gives its place back."""
    assert service("POST", "/api/server/settings", json={"throttle": "1"}).status_code == 200

    async def crowd() -> list[int]:
        async with service.client() as client:
            url = f"{service.node}/t/wait?throttle=true"
            waiting = asyncio.ensure_future(client.get(url))
            await asyncio.sleep(0.05)
            refused = await client.get(url)
            service.samples.gate.open(2)
            return [refused.status_code, (await waiting).status_code, (await client.get(url)).status_code]

    assert service.run(crowd()) == [503, 200, 200]
    wire = post(service, headers=[(b"content-length", b"x")], query_string=b"throttle=on")
    assert service.run(wire.run()) == 400
    assert service.app.pool.throttled == 0


# --- being embedded --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["/dvid", "/a%b", "/dvid/", "/api", "/é"])
def test_below_a_prefix(service: Any, root: str) -> None:
    """``root_path`` is taken from the front of the path, however it is encoded."""
    from urllib.parse import quote

    path = f"{root.rstrip('/')}/api/heartbeat"
    wire = Wire(service.app, "GET", path, raw_path=quote(path).encode(), root_path=root)
    assert service.run(wire.run()) == 200
    wire = Wire(service.app, "GET", path, raw_path=quote(path).lower().encode(), root_path=root)
    assert service.run(wire.run()) == 200
    if root != "/api":
        wire = Wire(service.app, "GET", "/api/heartbeat", root_path=root)
        assert service.run(wire.run()) == 200


def test_in_starlette_and_fastapi(service: Any) -> None:
    """Mounted under a prefix, beside the embedding application's own routes; encoded slashes survive."""
    import httpx
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.routing import Mount

    fast = FastAPI()
    fast.mount("/x/dvid", service.app)
    nested = Starlette(routes=[Mount("/outer", app=Starlette(routes=[Mount("/inner", app=service.app)]))])
    for outer, prefix in ((fast, "/x/dvid"), (nested, "/outer/inner")):

        async def talk(outer: Any = outer, prefix: str = prefix) -> list[bytes]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(outer), base_url="http://test") as client:
                url = f"{prefix}{service.node}/t/value/a%2Fb"
                posted = await client.post(url, content=b"1")
                return [posted.content, (await client.get(url)).content, (await client.get(f"{prefix}/none")).content]

        assert service.run(talk()) == [b"", b"1", f"no such URL ({prefix}/none).\n".encode()]


def test_lifespan(service: Any) -> None:
    """Start-up and shut-down are answered; afterwards the app can be started again. WebSockets are refused."""

    async def live() -> list[str]:
        queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        sent: list[str] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])

        for kind in ("lifespan.startup", "lifespan.shutdown"):
            queue.put_nowait({"type": kind})
        await service.app({"type": "lifespan"}, queue.get, send)
        with pytest.raises(RuntimeError):
            await service.app({"type": "websocket"}, queue.get, send)
        return sent

    for _ in range(2):
        assert service.run(live()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert service("GET", f"{service.node}/t/stream").status_code == 200


def test_two_kernels_in_one_process(make_service: Any) -> None:
    """Two apps know nothing of each other."""
    one, two = make_service(), make_service(mode="readonly")
    one("POST", f"{one.node}/t/value/a", content=b"1")
    assert one.repo.root["t"].get("a") == b"1"
    assert two("GET", f"{two.node}/t/value/a").status_code == 404
    assert two("GET", f"{one.node}/t/value/a").status_code == 400
    assert create_app(one.kernel).kernel is one.kernel


# --- routes ----------------------------------------------------------------------------------------------------------


def test_routes() -> None:
    """A fixed segment wins over a parameter, which wins over a rest; a rest takes what remains."""
    routes = Routes()
    for path in ("a/fixed", "a/{one}", "a/{rest...}", "b/{x}/c"):
        routes.add(Endpoint("GET", path, path, "", ""), lambda: Response())

    def found(path: str) -> tuple[str, dict[str, str]] | None:
        route = routes.find("GET", segments_of(path.encode()))
        return None if route is None else (route[0].endpoint.path, route[1])

    assert found("/a/fixed") == ("a/fixed", {})
    assert found("/a/x") == ("a/{one}", {"one": "x"})
    assert found("/a/x/y/z") == ("a/{rest...}", {"rest": "x/y/z"})
    assert found("/a/fixed/z") == ("a/{rest...}", {"rest": "fixed/z"})
    assert found("/b/1/c") == ("b/{x}/c", {"x": "1"})
    assert found("/b/1/d") is None
    assert found("/b/1") is None
    with pytest.raises(HTTPError):
        routes.find("POST", ["a", "fixed"])


def test_fixed_paths_lead_where_the_tree_does(service: Any) -> None:
    """A GET of a path without parameters is looked up at once, and is the endpoint that the tree would find."""
    app = service.app
    found = 0
    for route in app.routes.all:
        if route.endpoint.method == "GET" and not route.names:
            path = f"/{route.endpoint.path}"
            scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
            assert app._route(scope) == (*app.routes.find("GET", segments_of(path.encode())), None)
            found += 1
    assert found > 5
