"""Which HTTP status an error has, and what its body says. The one table that decides.

DVID answers nearly every error with 400 and a line of text. Where dvidkit answers more exactly, docs/http.md has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from dvidkit import errors
from dvidkit.endpoints import TEXT, Response

_STATUS: Final[dict[type[Exception], int]] = {
    errors.UnknownUUID: 400,
    errors.UnknownInstance: 400,
    errors.UnknownDatatype: 400,
    errors.UnknownEngine: 400,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 400,
    errors.LimitError: 413,
    errors.InvalidInputError: 400,
    errors.VersionLocked: 400,
    errors.VersionUnlocked: 400,
    errors.VersionConflict: 409,
    errors.ConflictError: 409,
    errors.NotAllowed: 403,
    errors.UnsupportedError: 400,
    errors.StoreFull: 507,
    errors.ReadOnlyStore: 403,
    errors.StoreClosed: 503,
    errors.StoreBusy: 503,
    errors.StorePoisoned: 503,
    errors.CorruptData: 500,
    errors.StoreError: 500,
    errors.PluginError: 501,
    errors.DvidkitError: 500,
}
"""By class; a class that is not named has its nearest base's. Where DVID's clients know 400, it is 400."""

_SHOWN: Final = 100
PROBLEM: Final = "application/problem+json"


class HTTPError(Exception):
    """An answer that is an error of the request itself, not of the data: no such URL, too much, not allowed."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def status_of(error: Exception) -> int:
    """The status of an error of the tree; 500 for any other."""
    if isinstance(error, HTTPError):
        return error.status
    for kind in type(error).__mro__:
        if kind in _STATUS:
            return _STATUS[kind]
    return 500


def error_response(error: Exception, path: str, *, problem: bool, sides: Sequence[tuple[str, str]] = ()) -> Response:
    """The answer to a request that failed: DVID's line of text, or a problem document (RFC 9457) for who asks for it.

    Of a conflict the ``sides`` are told: UUIDs of versions that say different things, and the URLs where each is read
    (docs/decisions/0009). They are in the document's ``versions``, and in a ``Link`` header in any case.

    An error that is none of ours is answered without its text: that may hold what is nobody's business.
    """
    status = status_of(error)
    ours = isinstance(error, (errors.DvidkitError, HTTPError))
    text = str(error) if ours else "internal error"
    headers = dict(error.headers) if isinstance(error, HTTPError) else {}
    if status in (503, 429) and "retry-after" not in headers:
        headers["retry-after"] = "1"
    if sides:
        headers["link"] = ", ".join(f'<{url}>; rel="alternate"; title="{quote(uuid)}"' for uuid, url in sides if url)
    if problem:
        code = getattr(error, "code", "http") if ours else "internal"
        document: dict[str, Any] = {"type": f"urn:dvidkit:{code}", "title": text, "status": status, "instance": path}
        if isinstance(error, errors.VersionConflict):
            document["versions"] = [{"uuid": uuid, "url": url} for uuid, url in sides]
            document["conflicts"] = [
                {"tkey": conflict.tkey.hex(), "versions": len(conflict.versions)}
                for conflict in error.conflicts[:_SHOWN]
            ]
        return Response(msgspec.json.encode(document), PROBLEM, status, headers)
    return Response(f"{text} ({path}).\n".encode(errors="backslashreplace"), TEXT, status, headers)
