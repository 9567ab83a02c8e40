"""ASGI on the wire: reading bodies within limits, sending answers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, MutableMapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from dvidkit.endpoints import Response
from dvidkit.http.status import HTTPError

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
NO_BODY: Final = frozenset({204, 304})
"""Statuses of answers without a body."""
_LONGEST_NUMBER: Final = 18
UNCOUNTED: Final = 1 << 16
"""Bytes of a body that are not accounted for among those that requests hold."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Headers = tuple[tuple[bytes, bytes], ...]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def raw_path(scope: Scope) -> bytes:
    """The path as it was sent, percent-encoded, without the query."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return quote(scope["path"]).encode()
    return raw if b"?" not in raw else raw.partition(b"?")[0]


def path_below(scope: Scope) -> bytes:
    """The part of the path that is below where the application is mounted."""
    raw, root = raw_path(scope), str(scope["root_path"]).rstrip("/")
    for prefix in (quote(root).encode(), root.encode()):
        if raw.startswith(prefix) and raw[len(prefix) : len(prefix) + 1] in (b"/", b""):
            return raw[len(prefix) :]
    path: str = scope["path"]
    if path.startswith(f"{root}/"):
        return quote(path[len(root) :]).encode()
    return raw


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by name in lower case; of a repeated one the last."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def header_of(scope: Scope, wanted: bytes) -> bytes | None:
    """The value of one header, by its name in lower case; of a repeated one the last."""
    found = None
    for name, value in scope["headers"]:
        if name == wanted:
            found = value
    return found


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


def content_length(scope: Scope) -> int | None:
    """Bytes of the body as announced; ``None`` if that was not said, 0 if there is no body.

    From HTTP/2 on a body needs no announcement at all.

    Raises:
        HTTPError: not a number (400).
    """
    text: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"content-length":
            text = value
        elif name == b"transfer-encoding":
            return None
    if text is None:
        return 0 if scope.get("http_version", "1.1").startswith("1") else None
    if not (text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise HTTPError(400, "Content-Length is not a number")
    return int(text)


class Pace:
    """How slowly a body may come: with no gap longer than ``idle``, and on the whole not below ``rate``."""

    __slots__ = ("_begun", "_rate", "_size", "idle")

    def __init__(self, idle: float, rate: float) -> None:
        self.idle = idle
        self._rate = rate
        self._begun = time.monotonic()
        self._size = 0

    async def next(self, receive: Receive) -> Message:
        """The next piece of the body.

        Raises:
            HTTPError: it came too slowly (408), or the client went away (400).
        """
        message = await receive_within(receive, self.idle)
        self.count(len(message.get("body", b"")), more=message.get("more_body", False))
        return message

    def count(self, size: int, *, more: bool) -> None:
        """Take note of a piece; if no more come, it is not too late.

        Raises:
            HTTPError: it came too slowly (408).
        """
        self._size += size
        late = time.monotonic() - self._begun - self.idle
        if more and late > 0 and self._size < late * self._rate:
            raise HTTPError(408, f"the body comes at less than {self._rate:.0f} bytes per second", connection="close")


async def read_body(
    receive: Receive, limit: int, pace: Pace, length: int | None, grown: Callable[[int], Awaitable[object]]
) -> bytes:
    """The whole body.

    Args:
        limit: bytes it may have.
        pace: how slowly it may come.
        length: bytes it was announced to have.
        grown: awaited with the bytes so far, each time there are more; not for a small body that comes in one piece.

    Raises:
        HTTPError: over the limit (413), too slow (408), or broken off (400).
    """
    pieces: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive_within(receive, pace.idle)
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if not more and not pieces and len(piece) == length and len(piece) <= min(UNCOUNTED, limit):
            return piece
        pace.count(len(piece), more=more)
        size += len(piece)
        if size > limit:
            raise HTTPError(413, f"the body is larger than {limit} bytes", connection="close")
        pieces.append(piece)
        await grown(size)
    if length is not None and size != length:
        raise HTTPError(400, f"the body has {size} bytes, not {length} as announced", connection="close")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def receive_within(receive: Receive, seconds: float) -> Message:
    """The next piece of a body.

    Raises:
        HTTPError: nothing came in time (408), or the client went away (400).
    """
    steps = receive().__await__()
    try:
        first = steps.send(None)
    except StopIteration as there:
        message: Message = there.value
    else:
        message = await _later(steps, first, seconds)
    if message["type"] == "http.disconnect":
        raise HTTPError(400, "the client went away in the middle of the body")
    return message


async def _later(steps: Generator[Any, Any, Message], first: object, seconds: float) -> Message:
    try:
        async with asyncio.timeout(seconds):
            return await _Begun(steps, first)
    except TimeoutError:
        raise HTTPError(408, f"nothing of the body came in {seconds:.0f} seconds", connection="close") from None


class _Begun:
    """Awaitable: the rest of what has made one step already. What is there at once is had without a timer."""

    __slots__ = ("_first", "_steps")

    def __init__(self, steps: Generator[Any, Any, Message], first: object) -> None:
        self._steps = steps
        self._first = first

    def __await__(self) -> Generator[Any, Any, Message]:
        waiting = self._first
        while True:
            try:
                try:
                    sent = yield waiting
                except BaseException as error:
                    waiting = self._steps.throw(error)
                else:
                    waiting = self._steps.send(sent)
            except StopIteration as end:
                message: Message = end.value
                return message


def start_of(response: Response, extra: Headers, *, head: bool) -> Message:
    """What begins an answer whose body is bytes.

    To ``HEAD`` an empty body has no length: an endpoint that does not read what ``GET`` would send leaves it so.
    """
    status, body = response.status, response.body
    headers = [*extra]
    if status not in NO_BODY:
        assert isinstance(body, bytes)
        if body or not head:
            headers.append(_length(len(body)))
        if response.media_type:
            headers.append(_header("content-type", response.media_type))
    if response.headers:
        headers += _headers(response)
    return {"type": "http.response.start", "status": status, "headers": headers}


def _headers(response: Response) -> list[tuple[bytes, bytes]]:
    """The endpoint's own headers."""
    return [_header(name, value) for name, value in response.headers.items()]


@lru_cache(maxsize=256)
def _length(size: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % size


@lru_cache(maxsize=256)
def _header(name: str, value: str) -> tuple[bytes, bytes]:
    """Whatever stands in a value, it is one header on one line."""
    return name.lower().encode("latin-1"), _CONTROL.sub("?", value).encode("latin-1", "backslashreplace")


Run = Callable[..., Awaitable[Any]]


async def send_stream(
    send: Send,
    receive: Receive,
    response: Response,
    extra: Headers,
    run: Run,
    first: bytes,
    *,
    head: bool,
) -> None:
    """Send an answer whose body is an iterator, which is stepped in the pool.

    If it raises, the connection is broken off, so that nobody takes a part for the whole. If the client goes away,
    the iterator is not stepped again.

    Args:
        first: the first pieces, taken already so that what they raise could still be answered.
    """
    pieces = response.body
    assert not isinstance(pieces, bytes)
    headers = _headers(response)
    if response.media_type:
        headers.append(_header("content-type", response.media_type))
    await send({"type": "http.response.start", "status": response.status, "headers": [*headers, *extra]})
    gone = asyncio.ensure_future(_gone(receive))
    try:
        while first and not head and not gone.done():
            await send({"type": "http.response.body", "body": first, "more_body": True})
            first = await run(take, pieces)
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        close = getattr(pieces, "close", None)
        if close is not None:
            await run(close)


async def _gone(receive: Receive) -> None:
    """Wait until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def take(pieces: Iterator[bytes]) -> bytes:
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

    def __init__(self, receive: Receive, loop: asyncio.AbstractEventLoop, limit: int, pace: Pace) -> None:
        self._receive = receive
        self._loop = loop
        self._left = limit
        self._pace = pace
        self._more = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if not self._more:
            raise StopIteration
        message = asyncio.run_coroutine_threadsafe(self._pace.next(self._receive), self._loop).result()
        piece: bytes = message.get("body", b"")
        self._more = message.get("more_body", False)
        self._left -= len(piece)
        if self._left < 0:
            raise HTTPError(413, "the body is too large", connection="close")
        return piece
