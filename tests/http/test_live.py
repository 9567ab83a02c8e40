"""The same service behind a real server, on a socket."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SERVER = """
import sys, uvicorn
from dvidkit_conformance.samples import Samples
from dvidkit.engine import StoreConfig
from dvidkit.http import ServiceConfig, create_app
from dvidkit.http.service import Limits
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins

sock = __import__("socket").socket()
sock.bind(("127.0.0.1", 0))
with Kernel(StoreConfig("lmdb", sys.argv[1]), plugins=Plugins({"samples": Samples()})) as kernel:
    if not len(kernel.repos):
        repo = kernel.repos.create("live")
        repo.create_instance("sample-tally", "t")
    app = create_app(kernel, ServiceConfig(limits=Limits(body=1 << 20, idle_seconds=1)))
    print(sock.getsockname()[1], next(iter(kernel.repos)).uuid, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=3)).run([sock])
"""


class Live:
    """A server in a process of its own."""

    def __init__(self, path: str) -> None:
        self._process = subprocess.Popen([sys.executable, "-c", SERVER, path], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port, uuid = self._process.stdout.readline().split()
        self.port, self.node = int(port), f"/api/node/{uuid}"
        end = time.monotonic() + 20
        while True:
            try:
                self.connect().close()
                return
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def raw(self, text: bytes) -> bytes:
        """Send bytes; all that comes back until the server closes."""
        with self.connect() as sock:
            sock.sendall(text)
            found = b""
            while piece := sock.recv(1 << 16):
                found += piece
            return found

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Send a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """End it as an administrator would."""
        self._process.terminate()
        self._process.communicate(timeout=20)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A server over a store on disk."""
    pytest.importorskip("uvicorn")
    live = Live(str(tmp_path / "store"))
    yield live
    live.stop()


def test_over_a_socket(live: Live, tmp_path: Path) -> None:
    """Bodies with and without a length, on GET too; encoded slashes; errors; and all of it is there after a restart."""
    url = f"{live.node}/t/value/a%2Fb"
    assert live("POST", url, b"1") == (200, b"")
    assert live("GET", url) == (200, b"1")
    assert live("HEAD", url) == (200, b"")
    kept = live.raw(
        f"HEAD {url} HTTP/1.1\r\nHost: here\r\n\r\nGET {url} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()
    )
    assert kept.count(b"HTTP/1.1 200") == 2
    assert kept.endswith(b"\r\n\r\n1")
    assert live("OPTIONS", url) == (204, b"")
    assert live("POST", f"{live.node}/t/streamed/s", iter([b"x" * 1000] * 50)) == (200, b"")
    assert live("POST", f"{live.node}/t/value/c", iter([b"x", b"y"])) == (200, b"")
    assert live("GET", f"{live.node}/t/values", json.dumps(["a/b", "c"])) == (200, b'["1","xy"]')
    assert live("GET", "/none")[0] == 404
    live.stop()
    again = Live(str(tmp_path / "store"))
    try:
        assert again("GET", url) == (200, b"1")
        assert len(again("GET", f"{live.node}/t/value/s")[1]) == 50_000
    finally:
        again.stop()


def test_bodies_that_are_not_taken(live: Live) -> None:
    """Too large, too slow, broken off: an answer, the connection closed, nothing written."""
    head = f"POST {live.node}/t/value/a HTTP/1.1\r\nhost: x\r\n".encode()
    assert live.raw(head + b"content-length: 2000000\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    assert live.raw(head + b"content-length: 10\r\n\r\nabc").startswith(b"HTTP/1.1 408 ")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with live.connect() as sock:
        sock.sendall(head + b"transfer-encoding: chunked\r\n\r\n" + chunk * 17)
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
    for part in (b"content-length: 10\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n" + chunk):
        with live.connect() as sock:
            sock.sendall(head + part)
    assert live("GET", f"{live.node}/t/value/a")[0] == 404


def test_a_stream_that_breaks_off(live: Live) -> None:
    """The client is told by the missing end."""
    with pytest.raises(http.client.IncompleteRead):
        live("GET", f"{live.node}/t/stream?pieces=9&fail=4")
    status, body = live("GET", f"{live.node}/t/stream?pieces=20")
    assert (status, len(body)) == (200, 20 << 16)


def test_requests_on_one_connection(live: Live) -> None:
    """One after the other, also after an error, and many sent at once."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
    for number in range(5):
        connection.request("POST", f"{live.node}/t/value/{number}", b"%d" % number)
        assert connection.getresponse().read() == b""
        connection.request("GET", f"{live.node}/t/value/missing")
        assert connection.getresponse().read().startswith(b"no value")
    connection.close()
    one = f"GET {live.node}/t/value/1 HTTP/1.1\r\nhost: x\r\n".encode()
    answer = live.raw((one + b"\r\n") * 9 + one + b"connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 10


def test_half_open_connections(live: Live) -> None:
    """A hundred that send nothing, or half a request, do not stop service."""
    waiting = [live.connect() for _ in range(100)]
    for sock in waiting[::2]:
        sock.sendall(f"POST {live.node}/t/value/x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab".encode())
    assert live("POST", f"{live.node}/t/value/a", b"1") == (200, b"")
    assert live("GET", f"{live.node}/t/value/a") == (200, b"1")
    for sock in waiting:
        sock.close()
