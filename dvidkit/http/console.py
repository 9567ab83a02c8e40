"""The console: one page about repos, versions and what is in them, for people."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, ClassVar, Final

from dvidkit.endpoints import Request, Response, endpoint
from dvidkit.http.api import Api

_HTML: Final = "text/html; charset=utf-8"
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; connect-src 'self'; img-src data: blob:; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""The page talks to its own server only, whatever a value that it shows may hold."""


class ConsoleApi(Api):
    """The page is one file without a build step. It finds the API beside itself, so it works below any prefix."""

    title: ClassVar[str] = "Console"

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._page = files("dvidkit.http").joinpath("console.html").read_bytes()

    @endpoint("GET", "console", returns=_HTML, public=True)
    @endpoint("GET", "", returns=_HTML, public=True)
    def console(self, request: Request) -> Response:
        """The console: repos, versions, slices of volumes, keys and values, as a page."""
        return Response(self._page, _HTML, headers=_HEADERS)
