"""A kernel's service below a prefix of a FastAPI application, whose own endpoints use the Python API beside it.

Run: ``uvicorn --factory embed_fastapi:make --app-dir examples``, then ask ``/dvid/api/repos/info`` and ``/branches``.
"""

from __future__ import annotations

from fastapi import FastAPI

import dvidkit
from dvidkit.http import create_app
from dvidkit.kernel import Kernel


def make(kernel: Kernel | None = None) -> FastAPI:
    """The application; a kernel that is given stays the caller's to close."""
    opened = kernel or dvidkit.open(engine="memory")
    app = FastAPI()

    @app.get("/branches")
    def branches() -> dict[str, list[str]]:
        """Names of the branches of every repo."""
        return {repo.uuid: list(repo.branches()) for repo in opened.repos}

    app.mount("/dvid", create_app(opened))
    return app
