"""Cross-origin requests: what pages of other origins may do from a browser.

Unless origins are listed, pages of any origin may read, and none may change anything. Pages of a listed origin may do
everything, and reading is theirs alone. A browser sends some changes without asking first, so that a missing header of
the answer would come too late: they are refused before they have any effect (``Cors.guard``). Programs that are not
browsers send no ``Origin``, and are asked nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from dvidkit.http.status import HTTPError
from dvidkit.http.wire import Headers, Scope

_ANY: Final = (b"access-control-allow-origin", b"*")
_READS: Final = (b"access-control-allow-methods", b"GET, HEAD")
_EVERYTHING: Final = (b"access-control-allow-methods", b"GET, POST, DELETE, HEAD, PUT")
_PREFLIGHT: Final = (
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Range, X-DVID-Admin-Token, X-HTTP-Method-Override",
    ),
    (b"access-control-max-age", b"86400"),
)
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"Content-Range, Accept-Ranges, Content-Length, ETag, Link, X-DVID-Ignored-Settings",
)
"""Types and lengths of bodies are shown to pages anyway."""
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


class Cors:
    """The headers that answers carry for browsers, and which requests are refused.

    Args:
        origins: those whose pages may do everything, ``*`` for all; empty: any may read.
        timing: let pages see how long requests take.
    """

    def __init__(self, origins: Sequence[str], *, timing: bool) -> None:
        self._all = "*" in origins
        self._origins = {origin.rstrip("/").encode() for origin in origins}
        self._always: Headers = ((b"timing-allow-origin", b"*"),) if timing else ()
        self._open: Headers = (_ANY, *self._always)
        self._exposing: Headers = (_ANY, _EXPOSED, *self._always)
        if self._origins and not self._all:
            self._always = (*self._always, (b"vary", b"Origin"))

    def headers(self, scope: Scope, own: Mapping[str, str]) -> Headers:
        """For the answer to this request, which has these headers ``own``; without any there is nothing to expose."""
        method = scope["method"]
        if method == "OPTIONS":
            return self._preflight(scope)
        if self._all or not self._origins:
            if not (self._all or method in ("GET", "HEAD")):
                return self._always
            return self._exposing if own else self._open
        origin = _header(scope, b"origin")
        if origin not in self._origins:
            return self._always
        return ((b"access-control-allow-origin", origin), _EXPOSED, *self._always)

    def _preflight(self, scope: Scope) -> Headers:
        origin = _header(scope, b"origin")
        if not self._origins:
            return (_ANY, _READS, *_PREFLIGHT, *self._always)
        if not self._all and origin not in self._origins:
            return self._always
        allowed = _ANY if self._all else (b"access-control-allow-origin", origin)
        return (allowed, _EVERYTHING, *_PREFLIGHT, *self._always)

    def guard(self, scope: Scope) -> None:
        """Refuse a change that a page of a foreign origin asks for.

        Where a proxy replaces ``Host``, the browser's own word that origins are the same counts; pages cannot say it.

        Raises:
            HTTPError: 403.
        """
        origin = _header(scope, b"origin")
        if not origin or self._all or origin in self._origins:
            return
        if _same(origin, _header(scope, b"host")) or _header(scope, b"sec-fetch-site") == b"same-origin":
            return
        raise HTTPError(403, "pages of this origin may not change anything; see corsDomains")


def _header(scope: Scope, wanted: bytes) -> bytes:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return b""


def _same(origin: bytes, host: bytes) -> bool:
    """Whether an origin is the one that was called. TLS may have ended before it, so the scheme says nothing."""
    scheme, _, authority = origin.partition(b"://")
    port = _DEFAULT_PORTS.get(scheme.lower(), b"")
    return bool(authority) and authority.lower().removesuffix(port) == host.lower().removesuffix(port)
