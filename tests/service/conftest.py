"""Servers in processes of their own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("lmdb")

from dvidkit_conformance.service.process import Client, Served

Start = Callable[..., Served]
Dial = Callable[..., socket.socket]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server: of the store ``store`` unless arguments say otherwise. All end with the test."""
    with ExitStack() as stack:

        def begin(*arguments: Any, **options: Any) -> Served:
            options.setdefault("log", tmp_path / "server.log")
            return stack.enter_context(Served(*(arguments or (tmp_path / "store",)), **options))

        yield begin


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a configuration with one store and what is given."""

    def write(text: str = "") -> Path:
        file = tmp_path / "config.toml"
        file.write_text(f'[store.default]\nengine = "lmdb"\npath = "store"\n{text}', "utf-8")
        return file

    return write


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Connects to a server and sends a few bytes. All connections are closed with the test."""
    with ExitStack() as stack:

        def connect(url: str, sent: bytes = b"") -> socket.socket:
            host, port = url.removeprefix("http://").split(":")
            sock = stack.enter_context(socket.create_connection((host, int(port))))
            sock.sendall(sent)
            return sock

        yield connect


@pytest.fixture
def repo() -> Callable[[Client], str]:
    """Makes a repo over HTTP; answers its UUID."""

    def make(client: Client) -> str:
        answer = client.post("/api/repos", {"alias": "tests"})
        assert answer.status == 200, answer
        return str(answer.json()["root"])

    return make
