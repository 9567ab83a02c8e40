"""Two kernels in one process, each with a service of its own: one to write, one that only reads."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Mount

from dvidkit.http import ServiceConfig, create_app
from dvidkit.kernel import Kernel


def make(current: Kernel, archive: Kernel) -> Starlette:
    """Both below one server; the kernels are the caller's to close."""
    return Starlette(
        routes=[
            Mount("/current", app=create_app(current)),
            Mount("/archive", app=create_app(archive, ServiceConfig(mode="readonly"))),
        ]
    )
