"""A ``dvidkit serve`` in a process of its own."""

from __future__ import annotations

import http.client
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import msgspec

_START_SECONDS = 60.0
_IDLE = 30.0
"""Seconds; the server closes a connection after 75 unless told otherwise."""


class Answer(msgspec.Struct, frozen=True):
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Client:
    """One kept connection to a server. For one thread. A server may close one that is idle: it is then made anew."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        self._used = 0.0

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request and read the answer.

        Raises:
            OSError, HTTPException: there is no whole answer; whether the request was carried out is not known.
        """
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if time.monotonic() - self._used > _IDLE:
            self._connection.close()
        try:
            self._connection.request(method, path, body, named)
            with self._connection.getresponse() as response:
                found = {name.lower(): value for name, value in response.getheaders()}
                return Answer(response.status, found, response.read())
        except BaseException:
            self._connection.close()
            raise
        finally:
            self._used = time.monotonic()

    def get(self, path: str, **headers: str) -> Answer:
        """``GET``."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: bytes | Mapping[str, Any] | list[Any] = b"", **headers: str) -> Answer:
        """``POST``; what is not bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return self.ask("POST", path, sent, headers)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Served:
    """A server process. Use as a context manager; leaving it ends the process as a signal would.

    Args:
        arguments: of ``dvidkit serve``; ``--port 0`` is added.
        log: file for what it writes to standard error.

    Attributes:
        url: where it serves.
    """

    def __init__(self, *arguments: str | Path, log: Path, wrapper: Sequence[str] = ()) -> None:
        command = [*wrapper, sys.executable, "-m", "dvidkit.cli", "serve", *map(str, arguments), "--port", "0"]
        self._log = log
        self._clients: list[Client] = []
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)  # noqa: S603 - our own
        self.url = self._address()
        if not self.url:
            self.kill()
            raise RuntimeError(f"the server did not start:\n{self.errors()}")

    def _address(self) -> str:
        """The line that it prints when it serves; empty if it ends, or says nothing for too long."""
        assert self.process.stdout is not None
        said, _, _ = select.select([self.process.stdout], [], [], _START_SECONDS)
        return self.process.stdout.readline().decode().strip() if said else ""

    def client(self, timeout: float = 60.0) -> Client:
        """A new connection; closed when the process has ended."""
        client = Client(self.url, timeout)
        self._clients.append(client)
        return client

    def errors(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text("utf-8", errors="replace")

    def kill(self) -> None:
        """Kill it, as ``kill -9`` does, and wait until it is gone."""
        self.process.kill()
        self._reap()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal."""
        os.kill(self.process.pid, number)

    def end(self, seconds: float = 30.0) -> int:
        """Ask it to end, and wait; its exit status.

        Raises:
            TimeoutExpired: it does not end.
        """
        if self.process.poll() is None:
            self.signal()
        return self.wait(seconds)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait until it has ended; its exit status."""
        status = self.process.wait(seconds)
        self._reap()
        return status

    def _reap(self) -> None:
        self.process.wait()
        for client in self._clients:
            client.close()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            try:
                self.end()
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self._reap()


def until(condition: Any, seconds: float = 20.0) -> bool:
    """Wait until the condition holds; whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
