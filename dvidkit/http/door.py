"""Connections: what uvicorn leaves open, closed.

uvicorn waits for ever for the end of a request's headers, for a client to read its answer, and behind an empty line on
a kept-alive connection. Here each of these has a time. Where there are as many connections as are allowed, the one that
has waited longest for a request makes room for a new one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LOG: Final = logging.getLogger("dvidkit.http.door")
_HEAD_BYTES: Final = 1 << 16
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL: Final = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Door:
    """What all connections of a server share.

    Attributes:
        most: connections at once.
        headers_seconds: from the begin of a connection or request to the end of its headers.
        send_seconds: without a client taking anything of its answer.
        waiting: connections that wait for a request, the one that waits longest first.
        closed_slow, closed_for_room, refused: connections that were closed for being slow, to make room, and at once.
    """

    def __init__(self, most: int, headers_seconds: float, send_seconds: float) -> None:
        self.most = most
        self.headers_seconds = headers_seconds
        self.send_seconds = send_seconds
        self.waiting: dict[Connection, None] = {}
        self.closed_slow = self.closed_for_room = self.refused = 0

    def enter(self, connection: Connection, connections: int) -> bool:
        """Let a new connection in, if need be in place of one that waits; whether it may stay."""
        if connections > self.most:
            if not self.waiting:
                self.refused += 1
                return False
            self.closed_for_room += 1
            next(iter(self.waiting)).leave()
        self.waiting[connection] = None
        return True


class GuardedConfig(uvicorn.Config):
    """uvicorn's configuration with a door."""

    def __init__(self, app: Any, door: Door, **options: Any) -> None:
        super().__init__(app, http=Connection, **options)
        self.door = door


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, config: Any, *args: Any, **options: Any) -> None:
        super().__init__(config, *args, **options)
        self.door: Door = cast(GuardedConfig, config).door
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head_size = 0
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        if self.door.enter(self, len(self.connections)):
            self._expect_head()
        else:
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._head_done()
        self._sent()
        super().connection_lost(exc)

    # --- requests ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """A piece of a request."""
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > _HEAD_BYTES:
                self._turn_away(_TOO_LONG)
                return
        elif not self._idle():
            return
        if self._head_timer is None and not self.transport.is_closing():
            self._expect_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._head_size = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are there."""
        self._in_head = False
        self._head_done()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """It is answered."""
        super().on_response_complete()
        if self._idle() and not self.transport.is_closing():
            self.door.waiting[self] = None

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.door.headers_seconds, self._head_late)

    def _head_done(self) -> None:
        self.door.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if not self._idle():
            self._expect_head()
            return
        self.door.closed_slow += 1
        self._turn_away(_TOO_SLOW if self._in_head else b"")

    def _turn_away(self, answer: bytes) -> None:
        if answer:
            self.transport.write(answer)
        self.leave()

    def leave(self) -> None:
        """Close it, as nothing is under way."""
        self._head_done()
        self.transport.close()

    # --- answers -----------------------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is made."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self.door.send_seconds, self._send_late)

    def resume_writing(self) -> None:
        """The client has taken what was made."""
        self._sent()
        super().resume_writing()

    def _sent(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _send_late(self) -> None:
        """Go on if the client has taken something since the last look, else break off."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent < before:
            self._send_timer = self.loop.call_later(self.door.send_seconds, self._send_late)
            return
        self._send_timer = None
        self.door.closed_slow += 1
        self.transport.abort()
