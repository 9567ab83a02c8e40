"""Static files beside the endpoints: DVID's ``webClient``."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import Callable, Collection
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dvidkit.errors import BadConfig
from dvidkit.http.wire import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Any]


class Static:
    """An ASGI application around another, which gets what is its own; everything else is a file.

    Args:
        app: the other.
        own: first segments of the other's paths.
        directory: of the files; nothing outside it is served, links out of it neither.
        redirect: path to which requests for missing files are sent; wins over ``default``.
        default: file that is served in place of missing ones.

    Raises:
        BadConfig: no such directory.
    """

    def __init__(
        self, app: App, own: Collection[str], directory: str, *, redirect: str = "", default: str = ""
    ) -> None:
        if not os.path.isdir(directory):
            raise BadConfig(f"the directory of the web client, {directory}, does not exist", setting="webClient")
        self._app = app
        self._own = own
        self._root = Path(directory).resolve()
        self._redirect = redirect and "/" + redirect.removeprefix("/")
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, as ASGI 3 has it."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or self._is_own(scope["path"]):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        found = await asyncio.to_thread(self._read, path)
        if found is None and self._redirect and path != self._redirect:
            await _answer(send, 308, b"", [(b"location", self._redirect.encode("latin-1"))])
            return
        if found is None and self._default:
            found = await asyncio.to_thread(self._read, self._default)
        if found is None:
            await _answer(send, 404, b"no such file\n", [(b"content-type", b"text/plain; charset=utf-8")])
            return
        data, headers = found
        seen = next((value for name, value in scope["headers"] if name == b"if-modified-since"), b"")
        if seen and (b"last-modified", seen) in headers:
            await _answer(send, 304, b"", headers)
            return
        await _answer(send, 200, data, headers, head=scope["method"] == "HEAD")

    def _is_own(self, path: str) -> bool:
        return path.split("/", 2)[1:2] != [""] and path.split("/", 2)[1] in self._own

    def _read(self, path: str) -> tuple[bytes, list[tuple[bytes, bytes]]] | None:
        """A file with its headers; ``None`` if there is none to be served."""
        try:
            file = self._root.joinpath(unquote(path).lstrip("/")).resolve()
            if file.is_dir():
                file = file / "index.html"
            if not file.resolve().is_relative_to(self._root) or not file.is_file():
                return None
            data, changed = file.read_bytes(), file.stat().st_mtime
        except (OSError, ValueError):
            return None
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind == "application/javascript":
            kind += "; charset=utf-8"
        modified = formatdate(changed, usegmt=True).encode()
        return data, [(b"content-type", kind.encode()), (b"last-modified", modified), (b"cache-control", b"no-cache")]


async def _answer(
    send: Send, status: int, data: bytes, headers: list[tuple[bytes, bytes]], *, head: bool = False
) -> None:
    length = [] if status == 304 else [(b"content-length", b"%d" % len(data))]
    await send({"type": "http.response.start", "status": status, "headers": headers + length})
    await send({"type": "http.response.body", "body": b"" if head else data})
