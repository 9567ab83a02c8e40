"""A kernel's service below a prefix of a Starlette application.

Run: ``uvicorn --factory embed_starlette:make --app-dir examples``, then ask ``/dvid/api/server/info``.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import dvidkit
from dvidkit.http import create_app
from dvidkit.kernel import Kernel


async def home(request: Request) -> PlainTextResponse:
    """A page of the embedding application."""
    return PlainTextResponse("home")


def make(kernel: Kernel | None = None) -> Starlette:
    """The application; a kernel that is given stays the caller's to close."""
    service = create_app(kernel or dvidkit.open(engine="memory"))
    return Starlette(routes=[Route("/", home), Mount("/dvid", app=service)])
