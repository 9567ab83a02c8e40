"""ASGI on the wire: reading bodies within limits, sending answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from dvidkit.endpoints import Response
from dvidkit.http.status import HTTPError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by name in lower case; of a repeated one the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def query_of(scope: Scope) -> dict[str, str]:
    """Query arguments; of a repeated one the last.

    Raises:
        HTTPError: not UTF-8 (400).
    """
    raw = scope["query_string"]
    if not raw:
        return {}
    try:
        return dict(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError:
        raise HTTPError(400, "the query of the URL is not UTF-8") from None


def content_length(headers: dict[str, str]) -> int | None:
    """Bytes of the body as announced; ``None`` if the body is chunked, 0 if there is none.

    Raises:
        HTTPError: not a number (400).
    """
    if "transfer-encoding" in headers:
        return None
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise HTTPError(400, "Content-Length is not a number")
    return int(text)


async def read_body(receive: Receive, limit: int, idle_seconds: float) -> bytes:
    """The whole body.

    Raises:
        HTTPError: over the limit (413), too slow (408), or broken off (400).
    """
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive_within(receive, idle_seconds)
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size > limit:
            raise HTTPError(413, f"the body is larger than {limit} bytes", connection="close")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def receive_within(receive: Receive, seconds: float) -> Message:
    """The next piece of a body.

    Raises:
        HTTPError: nothing came in time (408), or the client went away (400).
    """
    try:
        message = await asyncio.wait_for(receive(), seconds)
    except TimeoutError:
        raise HTTPError(408, f"nothing of the body came in {seconds:.0f} seconds", connection="close") from None
    if message["type"] == "http.disconnect":
        raise HTTPError(400, "the client went away in the middle of the body")
    return message


async def send_response(send: Send, response: Response, extra: list[tuple[bytes, bytes]], *, head: bool) -> None:
    """Send an answer whose body is bytes; of one to ``HEAD`` only the headers."""
    body = response.body
    assert isinstance(body, bytes)
    headers = [(b"content-length", b"%d" % len(body))]
    if response.media_type:
        headers.append((b"content-type", response.media_type.encode("latin-1")))
    if response.headers:
        headers += [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()
        ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers + extra})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def send_stream(
    send: Send,
    response: Response,
    extra: list[tuple[bytes, bytes]],
    run: Callable[..., Awaitable[Any]],
    *,
    head: bool,
) -> None:
    """Send an answer whose body is an iterator, which is stepped in the pool, a few pieces ahead of the client.

    If it raises, the connection is broken off, so that nobody takes a part for the whole.
    """
    pieces = response.body
    assert not isinstance(pieces, bytes)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.media_type:
        headers.append((b"content-type", response.media_type.encode("latin-1")))
    first = b"" if head else await run(_take, pieces)
    await send({"type": "http.response.start", "status": response.status, "headers": headers + extra})
    while first:
        await send({"type": "http.response.body", "body": first, "more_body": True})
        first = await run(_take, pieces)
    await send({"type": "http.response.body", "body": b""})


def _take(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, joined to something worth sending."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size >= 1 << 16:
            break
    return b"".join(taken)


class BodyStream:
    """A body as it arrives, for a handler in a worker thread: an iterator fed by the event loop, a few pieces ahead."""

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop, limit: int, idle_seconds: float) -> None:
        self._receive = receive
        self._loop = loop
        self._left = limit
        self._idle = idle_seconds
        self._more = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._more:
            raise StopIteration
        message = asyncio.run_coroutine_threadsafe(receive_within(self._receive, self._idle), self._loop).result()
        piece: bytes = message.get("body", b"")
        self._more = message.get("more_body", False)
        self._left -= len(piece)
        if self._left < 0:
            raise HTTPError(413, "the body is too large", connection="close")
        return piece
