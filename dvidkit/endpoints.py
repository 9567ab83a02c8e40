"""Endpoint tables: what a datatype answers over HTTP, declared beside its Python methods, with no web framework.

An endpoint is a method of a datatype that takes a ``Request`` and returns a ``Response``, decorated with its HTTP
method, path and documentation. Routing, help texts and the OpenAPI document are generated from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from dvidkit.errors import BadPayload, InvalidInputError, shown

_ENDPOINTS: Final = "__dvidkit_endpoints__"


class Query(msgspec.Struct, frozen=True):
    """One query argument of an endpoint.

    Attributes:
        name: as it stands in the URL.
        summary: one line.
        values: the values it can have, where they are few.
    """

    name: str
    summary: str
    values: tuple[str, ...] = ()


class Endpoint(msgspec.Struct, frozen=True):
    """One row of a table.

    Attributes:
        method: ``GET``, ``HEAD``, ``POST``, ``DELETE``; ``GET`` answers ``HEAD`` too.
        path: below the instance, parameters in braces: ``key/{key}``; ``{rest...}`` takes the remaining parts.
        name: name of the datatype's method.
        summary: first line of the method's docstring; ``description`` is all of it.
        query: arguments beyond the path.
        takes, returns: media types of the bodies, empty for none.
        mutates: changes data, so a committed version refuses it.
        heavy: may block or compute for long; run on a pool of bounded size.
        streams: takes its body as a stream of pieces.
        role: who may call it beyond what its method says: ``""`` anyone, ``"user"`` who has a token where tokens are
            asked for, ``"admin"`` administrators.
        quick: takes microseconds but for its mutation, which is its last act and locks nothing, so that a server may
            call it in its event loop and answer when the mutation is written.
        public: tells nothing of what is stored: anyone may ask, also where reading needs a token.
        status: of the answer if all is well.
        brief: of a heavy endpoint of a datatype, the name of a method that says of a request, in microseconds, whether
            it takes less than a millisecond, so that a server may call it in its event loop. It raises nothing.
    """

    method: str
    path: str
    name: str
    summary: str
    description: str
    query: tuple[Query, ...] = ()
    takes: str = ""
    returns: str = ""
    mutates: bool = False
    heavy: bool = False
    streams: bool = False
    role: str = ""
    quick: bool = False
    public: bool = False
    status: int = 200
    brief: str = ""


class Request(msgspec.Struct, frozen=True):
    """A request as an endpoint sees it.

    Attributes:
        method: HTTP method in capitals.
        path: values of the path's parameters, decoded.
        query: query arguments; of a repeated one the last.
        headers: names in lower case.
        body: the whole body; empty where the endpoint takes a stream.
        user, app: who asks, from DVID's ``u`` and ``app`` arguments or the authenticated user.
        stream: the body in pieces as they arrive, for endpoints that ask for it.
        admin: an administrator asks.
    """

    method: str
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""
    user: str = ""
    app: str = ""
    stream: Iterator[bytes] | None = None
    admin: bool = False

    def flag(self, name: str) -> bool:
        """Whether the query argument is the string ``true`` (or ``on``), as DVID reads booleans."""
        return self.query.get(name, "").lower() in ("true", "on")

    def integer(self, name: str, default: int | None = None) -> int:
        """A query argument that is a whole number in plain ASCII digits.

        Raises:
            InvalidInputError: missing without a default, or not a number.
        """
        text = self.query.get(name)
        if text is None and default is not None:
            return default
        return integer(text or "", name)


class Response(msgspec.Struct, frozen=True):
    """What an endpoint answers.

    Attributes:
        body: bytes, or an iterator of them for a streamed answer.
        media_type: value of ``Content-Type``.
        status: HTTP status; errors are raised, not returned.
        headers: further headers.
    """

    body: bytes | Iterator[bytes] = b""
    media_type: str = ""
    status: int = 200
    headers: Mapping[str, str] = {}


Handler = TypeVar("Handler", bound=Callable[..., Response])

BINARY: Final = "application/octet-stream"
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
TAR: Final = "application/tar"


def endpoint(
    method: str,
    path: str,
    *,
    query: tuple[Query, ...] = (),
    takes: str = "",
    returns: str = "",
    mutates: bool | None = None,
    heavy: bool = False,
    streams: bool = False,
    role: str = "",
    quick: bool = False,
    public: bool = False,
    status: int = 200,
    brief: str = "",
) -> Callable[[Handler], Handler]:
    """Make a method of a datatype an endpoint. May be used several times on one method, for several rows.

    Args:
        method, path, query, takes, returns, heavy, streams, role, quick, public, status, brief: see ``Endpoint``.
        mutates: unless given, everything but ``GET`` and ``HEAD``.

    Raises:
        InvalidInputError: ``query`` holds something else.
    """
    if not all(isinstance(argument, Query) for argument in query):
        raise InvalidInputError(f"query of endpoint {path!r} must be Query objects, not {shown(query)}", what="query")

    def decorate(function: Handler) -> Handler:
        text = (function.__doc__ or "").strip()
        row = Endpoint(
            method,
            path,
            function.__name__,
            text.partition("\n")[0],
            text,
            query,
            takes,
            returns,
            method not in ("GET", "HEAD") if mutates is None else mutates,
            heavy,
            streams,
            role,
            quick,
            public,
            status,
            brief,
        )
        setattr(function, _ENDPOINTS, (row, *getattr(function, _ENDPOINTS, ())))
        return function

    return decorate


def table_of(datatype: type[Any]) -> tuple[Endpoint, ...]:
    """The endpoints of a datatype class and its bases, in the order they are written; an override replaces its rows."""
    rows: dict[str, tuple[Endpoint, ...]] = {}
    for base in reversed(datatype.__mro__):
        for name, function in vars(base).items():
            if name in rows or getattr(function, _ENDPOINTS, None):
                rows[name] = getattr(function, _ENDPOINTS, ())
    return tuple(row for group in rows.values() for row in group)


# --- parsing of what clients send ------------------------------------------------------------------------------------


def integer(text: str, what: str) -> int:
    """A whole number in plain ASCII digits with an optional sign; ``int()`` alone would take much more.

    Raises:
        InvalidInputError: anything else.
    """
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise InvalidInputError(f"{what} must be a whole number, not {shown(text)}", what=what)
    return int(text)


@lru_cache(maxsize=256)
def triple(text: str, what: str) -> tuple[int, int, int]:
    """``1_2_3`` as three numbers, x first, as DVID writes points and sizes in URLs.

    Raises:
        InvalidInputError: not three whole numbers.
    """
    try:
        x, y, z = text.split("_")
    except ValueError:
        raise InvalidInputError(f"{what} must be three numbers like 64_64_64, not {shown(text)}", what=what) from None
    return integer(x, what), integer(y, what), integer(z, what)


def json_body(request: Request, kind: Any) -> Any:
    """The body as JSON of the given type.

    Raises:
        BadPayload: not JSON, or of another form.
    """
    try:
        return msgspec.json.decode(request.body, type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadPayload(f"the body does not fit: {error}") from None
    except RecursionError:
        raise BadPayload("the body is nested too deeply") from None


_SMALL: Final = 1 << 20


def gathered(pieces: Iterable[bytes], media_type: str) -> Response:
    """An answer of many pieces, all of which are made before the first is sent: what fails, fails as an error."""
    made = list(pieces)
    size = sum(map(len, made))
    if size <= _SMALL:
        return Response(b"".join(made), media_type)
    return Response(iter(made), media_type, headers={"Content-Length": str(size)})


def to_json(value: Any) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), JSON)
