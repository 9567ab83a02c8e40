"""A load generator: some connections, on each of which the next request is sent when the last is answered."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

_LENGTH: Final = b"content-length: "
_READ: Final = 1 << 20


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    missing: int = -1
    head: bytes = b""

    def took(self, data: bytes) -> bool:
        """Take what came; whether the answer is complete.

        Raises:
            RuntimeError: an answer that is no success.
        """
        if self.missing < 0:
            data = self.head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.head = data
                return False
            if not data.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the server answered {data[:200]!r}")
            start = data.lower().index(_LENGTH, 0, end + 2) + len(_LENGTH)
            self.missing = int(data[start : data.index(b"\r", start)])
            data = data[end + 4 :]
        self.missing -= len(data)
        if self.missing > 0:
            return False
        self.missing, self.head = -1, b""
        return True


def get(path: str) -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """A request with a body."""
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def load(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> int:
    """Send the requests again and again for so long; how many were answered.

    Raises:
        RuntimeError: an answer that is no success, or none.
    """
    poll = select.epoll()
    opened: dict[int, _Connection] = {}
    following = cycle(requests)
    try:
        for _ in range(connections):
            made = socket.create_connection(("127.0.0.1", port), timeout=10)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened[made.fileno()] = _Connection(made)
            poll.register(made.fileno(), select.EPOLLIN)
            made.sendall(next(following))
        return _answered(poll, opened, following, time.perf_counter() + seconds)
    finally:
        for each in opened.values():
            each.socket.close()
        poll.close()


def _answered(poll: select.epoll, opened: dict[int, _Connection], following: Iterator[bytes], end: float) -> int:
    """Go on until the time is over and every request under way is answered."""
    count, waiting = 0, len(opened)
    while waiting:
        ready = poll.poll(10)
        if not ready:
            raise RuntimeError("the server does not answer")
        go_on = time.perf_counter() < end
        for number, _ in ready:
            connection = opened[number]
            data = connection.socket.recv(_READ)
            if not data:
                raise RuntimeError("the server closed a connection")
            if connection.took(data):
                count += 1
                if go_on:
                    connection.socket.sendall(next(following))
                else:
                    waiting -= 1
    return count
