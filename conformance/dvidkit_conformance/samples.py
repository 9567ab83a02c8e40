"""Two small datatypes for tests of the kernel and of the service: one that tells, and one that listens."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import ClassVar

from dvidkit.datatype import Datatype
from dvidkit.endpoints import BINARY, JSON, Query, Request, Response, endpoint, json_body, to_json
from dvidkit.hookspecs import hookimpl
from dvidkit.keys import TKeyClass
from dvidkit.mutations import Event, Part

VALUE = TKeyClass(200, "value of a name", terminator=0)


class Tally(Datatype):
    """Values by name, with an endpoint of every kind that a service must serve."""

    typename: ClassVar[str] = "sample-tally"
    summary: ClassVar[str] = "values by name"
    tkey_classes = (VALUE,)
    emits = frozenset({"SET"})

    def get(self, name: str) -> bytes | None:
        """The value of a name."""
        return self.store.get(self.ctx, VALUE.key(name.encode()))

    def set(self, name: str, value: bytes, *, user: str = "", app: str = "") -> None:
        """Set it, and tell."""
        with self.mutation("set", user=user, app=app) as m:
            m.put(VALUE.key(name.encode()), value)
            m.log(Name=name)
            m.emit("SET", [name, value.decode("latin-1")])

    def add(self, name: str) -> int:
        """Count one up."""
        tkey = VALUE.key(name.encode())
        with self.mutation("add") as m:
            number = int(m.lock([tkey])[tkey] or 0) + 1
            m.put(tkey, b"%d" % number)
        return number

    @endpoint("GET", "value/{name...}", returns=BINARY)
    def get_value(self, request: Request) -> Response:
        """The value of a name; 404 if there is none."""
        from dvidkit.errors import NotFoundError

        value = self.get(request.path["name"])
        if value is None:
            raise NotFoundError(f"no value of {request.path['name']!r}")
        return Response(value, BINARY)

    @endpoint("POST", "value/{name...}", takes=BINARY, quick=True)
    def set_value(self, request: Request) -> Response:
        """Set the value of a name."""
        self.set(request.path["name"], request.body, user=request.user, app=request.app)
        return Response()

    @endpoint("GET", "values", takes=JSON, returns=JSON)
    def get_values(self, request: Request) -> Response:
        """The values of the names in the body, as texts."""
        names = json_body(request, list[str])
        return to_json([(self.get(name) or b"").decode("latin-1") for name in names])

    @endpoint("POST", "streamed/{name}", takes=BINARY, streams=True)
    def set_streamed(self, request: Request) -> Response:
        """Set the value of a name to the pieces of the body."""
        assert request.stream is not None
        self.set(request.path["name"], b"".join(request.stream))
        return Response()

    @endpoint(
        "GET",
        "stream",
        returns=BINARY,
        heavy=True,
        query=(Query("pieces", "how many"), Query("fail", "the piece at which it fails")),
    )
    def get_stream(self, request: Request) -> Response:
        """Pieces of 64 KiB; at one of them it may fail."""
        return Response(self._pieces(request.integer("pieces", 3), request.integer("fail", -1)), BINARY)

    def _pieces(self, pieces: int, fail: int) -> Iterator[bytes]:
        for number in range(pieces):
            if number == fail:
                raise ValueError("it fails here")
            yield bytes([number % 256]) * (1 << 16)

    @endpoint("GET", "wait", heavy=True)
    def wait(self, request: Request) -> Response:
        """Answer when ``Gate`` lets it."""
        Gate.of(self).wait()
        return Response(b"done")

    @endpoint("GET", "crash")
    def crash(self, request: Request) -> Response:
        """Fail with an error that is none of ours."""
        raise RuntimeError("secret text")

    @endpoint("GET", "headers")
    def headers(self, request: Request) -> Response:
        """A header with whatever the query has."""
        return Response(headers={"X-Echo": request.query.get("echo", "")})

    @endpoint("POST", "info", takes=JSON)
    def set_info(self, request: Request) -> Response:
        """An endpoint of the datatype at the path of one that all instances have."""
        return Response(b"set")


class Gate:
    """Holds back ``wait`` of one kernel's tallies."""

    def __init__(self) -> None:
        self.opened = threading.Semaphore(0)
        self.waiting = 0

    def wait(self) -> None:
        """Wait for ``open``."""
        self.waiting += 1
        self.opened.acquire(timeout=30)

    def open(self, number: int = 1) -> None:
        """Let so many go on."""
        self.opened.release(number)

    @staticmethod
    def of(view: Datatype) -> Gate:
        """The gate of the kernel."""
        plugins = view.instance.repo.repos.kernel.plugins.manager.get_plugins()
        return next(plugin.gate for plugin in plugins if isinstance(plugin, Samples))


class Mirror(Datatype):
    """Keeps what tallies tell, each value with how often it was told."""

    typename: ClassVar[str] = "sample-mirror"
    summary: ClassVar[str] = "what tallies tell"
    tkey_classes = (VALUE,)
    consumes = frozenset({"SET"})

    def get(self, name: str) -> bytes | None:
        """What was told of a name: its value, then a dot for every time."""
        return self.store.get(self.ctx, VALUE.key(name.encode()))

    def on_event(self, part: Part, event: Event) -> None:
        """See ``Datatype.on_event``. Of the name ``bad`` it wants to hear nothing."""
        name, value = event.payload
        if name == "bad":
            raise ValueError("no bad news")
        tkey = VALUE.key(name.encode())
        told = (part.get(tkey) or b"").count(b".") + 1
        part.put(tkey, value.encode("latin-1") + b"." * told)


class Samples:
    """A plugin that offers both: ``Plugins({"samples": Samples()})``."""

    def __init__(self) -> None:
        self.gate = Gate()

    @hookimpl
    def dvidkit_datatypes(self) -> Iterable[type[Datatype]]:
        """See the hook."""
        return [Tally, Mirror]
