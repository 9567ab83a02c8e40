"""A server in a process of its own, to be loaded: ``python -m benchmarks.server raw|dvidkit …``.

It prints its port, serves until its standard input ends, and then prints how late its event loop was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from typing import Any, Final

import uvicorn

import dvidkit
from dvidkit.engine import Durability
from dvidkit.http import create_app

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

_TICK: Final = 0.001
_HEADERS: Final = ((b"content-type", b"text/plain"), (b"content-length", b"2"))


async def empty(scope: Message, receive: Receive, send: Send) -> None:
    """The least that an ASGI application can do for a request: ``OK``, or as many zeros as the path says."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] != "/":
        await _send_bytes(int(scope["path"][1:]), send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b"OK"})


async def _send_bytes(size: int, send: Send) -> None:
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(size)})


class Lateness:
    """How late an event loop calls what it was asked to call every millisecond."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin."""
        due = loop.time() + _TICK
        loop.call_at(due, self._called, loop, due)

    def _called(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.seconds.append(loop.time() - due)
        self.watch(loop)

    def percentile(self, part: float) -> float:
        """The lateness that this part of all calls did not exceed."""
        found = sorted(self.seconds) or [0.0]
        return found[min(len(found) - 1, int(part * len(found)))]


class _Server(uvicorn.Server):
    """uvicorn's server, watched."""

    late: Lateness | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        if self.late is not None:
            self.late.watch(asyncio.get_running_loop())
        print(sockets[0].getsockname()[1], flush=True)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("raw", "dvidkit"))
    parser.add_argument("--path", default="")
    parser.add_argument("--durability", default="buffered")
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--watch", action="store_true")
    asked = parser.parse_args()
    os.sched_setaffinity(0, {asked.core})
    with ExitStack() as stack:
        app: Any = empty
        if asked.kind == "dvidkit":
            durability: Durability = asked.durability
            app = create_app(stack.enter_context(dvidkit.open(asked.path, durability=durability)))
        _serve(app, Lateness() if asked.watch else None)


def _serve(app: Any, late: Lateness | None) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", ws="none", log_level="warning", access_log=False)
    server = _Server(config)
    server.late = late
    threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
    server.run([listening])
    if late is not None:
        print(json.dumps({"p50": late.percentile(0.5), "p99": late.percentile(0.99), "most": max(late.seconds)}))


def _end_with_input(server: uvicorn.Server) -> None:
    sys.stdin.read()
    server.should_exit = True


if __name__ == "__main__":
    main()
