"""The HTTP service: a pure ASGI application over a kernel, mountable under any path of any server.

``create_app(kernel)`` makes one; several may live in one process. Nothing here is global, and nothing in the kernel
knows of it.
"""

from __future__ import annotations

from dvidkit.http.app import App, create_app
from dvidkit.http.service import ServiceConfig

__all__ = ["App", "ServiceConfig", "create_app"]
