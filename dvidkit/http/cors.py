"""Cross-origin requests: which pages of other origins may call the service from a browser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dvidkit.http.wire import Scope

_ANY: Final = [(b"access-control-allow-origin", b"*")]
_PREFLIGHT: Final = [
    (b"access-control-allow-methods", b"GET, POST, DELETE, HEAD, PUT"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Range, X-DVID-Admin-Token, X-HTTP-Method-Override",
    ),
    (b"access-control-max-age", b"86400"),
]
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"Content-Range, Accept-Ranges, Content-Length, Link, X-DVID-Ignored-Settings",
)


class Cors:
    """The headers that answers carry for browsers."""

    def __init__(self, origins: Sequence[str], *, timing: bool) -> None:
        self._any = "*" in origins
        self._origins = {origin.rstrip("/").encode() for origin in origins}
        self._always = [(b"timing-allow-origin", b"*")] if timing else []
        self._open = [*_ANY, _EXPOSED, *self._always]
        if not self._any:
            self._always.append((b"vary", b"Origin"))

    def headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """For the answer to this request."""
        if self._any and scope["method"] in ("GET", "HEAD"):
            return self._open
        origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
        allowed = self._any or origin in self._origins
        if not origin or not allowed:
            return self._always
        found = [(b"access-control-allow-origin", b"*" if self._any else origin), _EXPOSED, *self._always]
        return found + _PREFLIGHT if scope["method"] == "OPTIONS" else found
