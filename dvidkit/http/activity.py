"""What is told of answered requests: to the access log, and to plugins."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from dvidkit.http.wire import Message, Receive, Scope, Send

_LOG: Final = logging.getLogger("dvidkit.http.activity")
_SECRET: Final = re.compile(r"(?i)((?:^|&)(?:admintoken|access_token|token|passcode)=)[^&]*")

App = Callable[[Scope, Receive, Send], Any]
Listener = Callable[[Mapping[str, Any]], object]


class Activity:
    """An ASGI application around another that tells listeners of every request when it is answered.

    What it tells has the names of DVID's activity topic, see ``dvidkit_activity``.
    """

    def __init__(self, app: App, listeners: Sequence[Listener]) -> None:
        self._app = app
        self._listeners = listeners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, as ASGI 3 has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        begun, clock = time.time(), time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        finally:
            self._tell(described(scope, answer, begun, 1000 * (time.perf_counter() - clock)))

    def _tell(self, activity: Mapping[str, Any]) -> None:
        for listener in self._listeners:
            try:
                listener(activity)
            except Exception:
                _LOG.exception("activity could not be told")


class _Answer:
    """Passes an answer on and remembers its status and size."""

    __slots__ = ("_send", "size", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def described(scope: Scope, answer: _Answer, begun: float, milliseconds: float) -> dict[str, Any]:
    """One answered request; 0 as status means that it was not.

    Source: DVID ``server/web.go`` (``activityLogHandler``).
    """
    query = scope["query_string"].decode("latin-1")
    arguments = parse_qs(query) if query else {}
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    client = scope.get("client") or ("", 0)
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return {
        "time": int(begun),
        "duration": round(milliseconds, 3),
        "status": answer.status,
        "user": arguments.get("u", [""])[0],
        "client": arguments.get("app", [""])[0],
        "method": scope["method"],
        "uri": f"{path}?{without_secrets(query)}" if query else path,
        "bytes_in": int(length) if length.isdigit() else -1,
        "bytes_out": answer.size,
        "remote_addr": f"{client[0]}:{client[1]}",
    }


def without_secrets(query: str) -> str:
    """A URL's query with ``***`` for what nobody else may know."""
    return _SECRET.sub(r"\1***", query)
