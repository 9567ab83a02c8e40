"""How long an answer of a view may be kept, and how a client that has it asks whether it still holds.

A chunk at a committed version that is named by its whole UUID never changes, so it may be kept for ever. A name like
``:master`` or the start of a UUID may mean another version tomorrow, an open version and an unversioned instance take
writes, and documents hold the size of a voxel, which can be set for all versions: those are asked for again each time,
and answered 304 while they are as they were.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

from dvidkit.endpoints import BINARY, JSON, Request, Response
from dvidkit.instance import DataInstance
from dvidkit.mutationlog import MutationLog
from dvidkit.repo import Version

_FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fresh:
    """What stands in the headers of an answer that is fresh.

    Attributes:
        etag: of the bytes, strong, with its quotation marks.
        fixed: the answer never changes.
    """

    etag: str
    fixed: bool

    @classmethod
    def chunk(cls, instance: DataInstance, version: Version, request: Request, what: str) -> Self:
        """Of a chunk. To be made before the chunk is read: what is written meanwhile makes it stale, never wrong.

        The tag of what may change holds the number of the last change in the instance's store.
        """
        repos = instance.repo.repos
        settled = instance.versioned and version.locked and not repos.kernel.full_write
        state = "" if settled else f"-{MutationLog(instance.store).last()}"
        tag = f'"{instance.uuid}-{quote(version.uuid, safe="")}-{what}{state}"'
        return cls(tag, settled and request.path["uuid"] == version.uuid)

    @classmethod
    def document(cls, body: bytes) -> Self:
        """Of a document, whose tag is a hash of it."""
        return cls(f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"', False)

    @property
    def headers(self) -> dict[str, str]:
        """``ETag`` and ``Cache-Control``."""
        return {"etag": self.etag, "cache-control": _FOREVER if self.fixed else _ASK_AGAIN}

    def known(self, headers: Mapping[str, str]) -> bool:
        """Whether the client says that it has these bytes (``If-None-Match``)."""
        given = headers.get("if-none-match", "")
        return given.strip() == "*" or self.etag in (part.strip().removeprefix("W/") for part in given.split(","))


def chunk_answer(request: Request, fresh: Fresh, read: Callable[[], bytes]) -> Response:
    """The answer to a request for a chunk, which is only read if the client does not have it: 200, 206, 304 or 416."""
    if fresh.known(request.headers):
        return Response(status=304, headers=fresh.headers)
    data, headers = read(), {**fresh.headers, "accept-ranges": "bytes"}
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", "")) if request.method == "GET" else None
    part = request.headers.get("if-range", fresh.etag) == fresh.etag and match and _part(match[1], match[2], len(data))
    if not part:
        return Response(data, BINARY, headers=headers)
    begin, end = part
    if begin >= end:
        return Response(b"", BINARY, 416, {**headers, "content-range": f"bytes */{len(data)}"})
    return Response(data[begin:end], BINARY, 206, {**headers, "content-range": f"bytes {begin}-{end - 1}/{len(data)}"})


def document_answer(request: Request, body: bytes) -> Response:
    """The answer to a request for a document: 200 or 304."""
    fresh = Fresh.document(body)
    if fresh.known(request.headers):
        return Response(status=304, headers=fresh.headers)
    return Response(body, JSON, headers=fresh.headers)


def _part(first: str, last: str, size: int) -> tuple[int, int] | None:
    """Begin and end of a range of bytes; ``None`` for one that is none, which is as if it were not there."""
    if first and last and int(last) < int(first):
        return None
    if first:
        return int(first), min(int(last) + 1, size) if last else size
    return (max(0, size - int(last)), size if int(last) else 0) if last else None
