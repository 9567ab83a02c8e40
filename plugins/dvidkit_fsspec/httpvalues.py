"""Values of a server, dvidkit's or DVID's, over HTTP."""

from __future__ import annotations

import errno
import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final
from urllib.parse import quote, urlencode

from dvidkit_keyvalue.paths import key_of, path_of, range_of

from dvidkit_fsspec.place import Place
from dvidkit_fsspec.values import TYPENAME, as_os_errors

_PROBLEM: Final = "application/problem+json"
_ABSENT: Final = ("unknown-uuid", "unknown-instance", "ambiguous-uuid")
_REFUSED: Final = ("version-locked", "not-allowed", "read-only")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpValues:
    """Of servers; connections are kept for the next request.

    Args:
        scheme: ``http`` or ``https``.
        headers: sent with every request.
        query: arguments of every request, such as DVID's ``u`` and ``app``.
        timeout: seconds without an answer.
    """

    def __init__(self, scheme: str, headers: Mapping[str, str], query: Mapping[str, str], timeout: float) -> None:
        if scheme not in ("http", "https"):
            raise ValueError(f"the scheme is http or https, not {scheme!r}")
        self._kind = HTTPSConnection if scheme == "https" else HTTPConnection
        self._headers = {"Accept": f"{_PROBLEM}, */*", **headers}
        self._query = f"?{urlencode(query)}" if query else ""
        self._timeout = timeout
        self._idle: dict[str, list[HTTPConnection]] = {}
        weakref.finalize(self, _close, self._idle)

    # --- values ------------------------------------------------------------------------------------------------------

    def get(self, place: Place, begin: int | None = None, end: int | None = None) -> bytes:
        """See ``Values``."""
        if begin is not None and end is not None and begin >= end:
            return b""
        part = {} if begin is None else {"Range": f"bytes={begin}-{'' if end is None else end - 1}"}
        answer = self._ask("GET", place, self._key(place), headers=part)
        return b"" if answer.status == 416 else answer.body

    def size(self, place: Place) -> int | None:
        """See ``Values``: the first byte is asked for, and the answer says of how many."""
        answer = self._ask("GET", place, self._key(place), headers={"Range": "bytes=0-0"}, absent=True)
        if answer.status == 404:
            return None
        total = answer.headers.get("content-range", "").rpartition("/")[2]
        return int(total) if total.isdigit() else len(answer.body)

    def put(self, place: Place, data: bytes) -> None:
        """See ``Values``."""
        self._ask("POST", place, self._key(place), data)

    def delete(self, place: Place) -> None:
        """See ``Values``."""
        self._ask("DELETE", place, self._key(place))

    def paths(self, place: Place, prefix: str) -> list[str]:
        """See ``Values``."""
        with as_os_errors(place):
            bounds = range_of(prefix)
        below = "keys" if bounds is None else "/".join(("keyrange", *(quote(key, safe="") for key in bounds)))
        return [path_of(key) for key in json.loads(self._ask("GET", place, self._instance(place, below)).body)]

    def versions(self, server: str) -> list[str]:
        """See ``Values``."""
        return list(json.loads(self._ask("GET", Place(server), "/api/repos/info").body))

    def instances(self, place: Place) -> list[str]:
        """See ``Values``."""
        url = f"/api/repo/{quote(place.version, safe=':~^')}/info"
        repo: dict[str, Any] = json.loads(self._ask("GET", place, url).body)
        found = repo["DataInstances"].items()
        return sorted(name for name, each in found if each["Base"]["TypeName"] == TYPENAME)

    # --- requests ----------------------------------------------------------------------------------------------------

    @staticmethod
    def _instance(place: Place, below: str) -> str:
        return f"/api/node/{quote(place.version, safe=':~^')}/{quote(place.instance, safe='')}/{below}"

    def _key(self, place: Place) -> str:
        with as_os_errors(place):
            return self._instance(place, f"key/{quote(key_of(place.path), safe='')}")

    def _ask(
        self,
        method: str,
        place: Place,
        url: str,
        body: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        absent: bool = False,
    ) -> _Answer:
        """Send a request; once more if a kept connection turns out to be closed. All that is asked for can be twice."""
        sent = {**self._headers, **(headers or {})}
        answer = self._sent(place.server, method, url + self._query, body, sent)
        if answer.status < 300 or answer.status == 416 or (absent and answer.status == 404):
            return answer
        raise _error(answer, place)

    def _sent(self, server: str, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> _Answer:
        if not server:
            raise FileNotFoundError(errno.ENOENT, "a path begins with its server: dvid://host:port/…")
        idle = self._idle.setdefault(server, [])
        while True:
            try:
                connection, kept = idle.pop(), True
            except IndexError:
                connection, kept = self._kind(server, timeout=self._timeout), False
            try:
                answer = _exchanged(connection, method, url, body, headers)
            except (HTTPException, ConnectionError) as error:
                connection.close()
                if not kept:
                    raise ConnectionError(f"{server} did not answer: {error}") from error
            except BaseException:
                connection.close()
                raise
            else:
                idle.append(connection)
                return answer


def _exchanged(
    connection: HTTPConnection, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> _Answer:
    connection.request(method, url, body, dict(headers))
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    return _Answer(response.status, found, response.read())


def _close(connections: dict[str, list[HTTPConnection]]) -> None:
    for idle in connections.values():
        for connection in idle:
            connection.close()


def _error(answer: _Answer, place: Place) -> OSError:
    """What an answer says, as users of file systems know it."""
    text, code = answer.body.decode("utf-8", "replace").strip(), ""
    if answer.headers.get("content-type", "").startswith(_PROBLEM):
        document = json.loads(answer.body)
        text, code = document["title"], document["type"].rpartition(":")[2]
    if answer.status == 404 or code in _ABSENT:
        return FileNotFoundError(errno.ENOENT, text, str(place))
    if answer.status in (401, 403) or code in _REFUSED or "locked node" in text:
        return PermissionError(errno.EACCES, text, str(place))
    if answer.status == 507:
        return OSError(errno.ENOSPC, text, str(place))
    number = errno.EINVAL if answer.status < 500 else errno.EIO
    return OSError(number, f"{answer.status}: {text}", str(place))
