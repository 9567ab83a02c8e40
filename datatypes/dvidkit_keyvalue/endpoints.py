"""The HTTP endpoints of the ``keyvalue`` datatype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from dvidkit.endpoints import BINARY, JSON, TAR, TEXT, Query, Request, Response, endpoint, gathered, to_json
from dvidkit.errors import InvalidInputError, LimitError, NotFoundError, shown
from dvidkit.settings import Settings
from dvidkit_keyvalue.datatype import KeyValues
from dvidkit_keyvalue.formats import Pairs, read_wanted, write_json, write_tar
from dvidkit_keyvalue.messages import read_keys, read_keyvalues, write_keyvalues
from dvidkit_keyvalue.settings import KeyValueSettings
from dvidkit_keyvalue.slices import Unsatisfiable, from_header, from_query

RESPONSE_BUDGET: Final = 1 << 30
"""Bytes of values that one answer may hold, unless the caller sets another budget."""

_RANGES: Final = {"Accept-Ranges": "bytes"}

_FORMATS: Final = (
    Query("json", "answer with a JSON object; the values must be JSON", ("true",)),
    Query("tar", "answer with a tar file", ("true",)),
    Query("jsontar", "the same as tar", ("true", "false")),
    Query("protobuf", "answer with a KeyValues message, which is the default", ("true",)),
    Query("check", "false: trust that the values are JSON", ("true", "false")),
)


class KeyValue(KeyValues):
    """Values of any bytes under names, as one version of one instance has them."""

    typename: ClassVar[str] = "keyvalue"
    version: ClassVar[str] = "0.2"
    url: ClassVar[str] = "github.com/janelia-flyem/dvid/datatype/keyvalue"
    summary: ClassVar[str] = "values of any bytes under names"
    settings: ClassVar[type[Settings]] = KeyValueSettings
    conformance: ClassVar[str] = "dvidkit_keyvalue.conformance:KeyValueCase"
    budget: int = RESPONSE_BUDGET

    # --- keys --------------------------------------------------------------------------------------------------------

    @endpoint("GET", "keys", returns=JSON, heavy=True)
    def get_keys(self, request: Request) -> Response:
        """All keys, in order."""
        return to_json(self.keys())

    @endpoint("GET", "keyrange/{first}/{last}", returns=JSON, heavy=True)
    @endpoint("GET", "keys/{first}/{last}", returns=JSON, heavy=True)
    def get_keyrange(self, request: Request) -> Response:
        """The keys from ``first`` to ``last``, both included, in order. Neither need exist.

        ``keys/{first}/{last}`` is how older clients ask for it.
        """
        return to_json(self.key_range(request.path["first"], request.path["last"]))

    # --- one value ---------------------------------------------------------------------------------------------------

    @endpoint(
        "GET",
        "key/{key}",
        query=(
            Query("byte_start", "first byte to send; needs byte_end"),
            Query("byte_end", "last byte to send, included"),
        ),
        returns=BINARY,
    )
    def get_key(self, request: Request) -> Response:
        """The value of a key, or a part of it; 404 if there is none.

        A ``Range`` header with one range is followed (206, or 416 where the value has no byte of it); one that cannot
        be understood is ignored. ``byte_start`` and ``byte_end`` must lie within the value.
        """
        key = request.path["key"]
        value = self.get(key)
        if value is None:
            raise _missing(key)
        header = request.headers.get("range", "")
        if not header and not request.query:
            return Response(value, BINARY)
        part = from_query(request.query)
        if part is not None and header:
            raise InvalidInputError("a Range header and byte_start cannot be used together")
        if part is not None:
            return _bytes(part.of_value(value, key))
        try:
            part = from_header(header, len(value))
        except Unsatisfiable:
            text = f"the value of {shown(key)} has {len(value)} bytes"
            return Response(text.encode(), TEXT, 416, {"Content-Range": f"bytes */{len(value)}"})
        if part is None:
            return _bytes(value)
        where = {"Content-Range": f"bytes {part.start}-{part.end}/{len(value)}"}
        return _bytes(part.of_value(value, key), 206, where)

    @endpoint("HEAD", "key/{key}")
    def head_key(self, request: Request) -> Response:
        """Whether a key has a value: 200 or 404. It is not read, so nothing is said of its size."""
        if not self.exists(request.path["key"]):
            raise _missing(request.path["key"])
        return _bytes(b"")

    @endpoint("POST", "key/{key}", takes=BINARY, quick=True)
    def post_key(self, request: Request) -> Response:
        """Set the value of a key to the body, which may be empty."""
        self.put(request.path["key"], request.body, user=request.user, app=request.app)
        return Response()

    @endpoint("DELETE", "key/{key}", quick=True)
    def delete_key(self, request: Request) -> Response:
        """Remove a key; one that does not exist is not an error."""
        self.delete(request.path["key"], user=request.user, app=request.app)
        return Response()

    # --- several values ----------------------------------------------------------------------------------------------

    @endpoint("GET", "keyrangevalues/{first}/{last}", query=_FORMATS, returns=BINARY, heavy=True)
    def get_keyrangevalues(self, request: Request) -> Response:
        """The keys from ``first`` to ``last``, both included, with their values.

        As a Protocol Buffers message ``KeyValues``, or, as asked for, a JSON object (an empty value is ``{}``) or a tar
        file.
        """
        return self._send(request, self.items(request.path["first"], request.path["last"]))

    @endpoint("GET", "keyvalues", query=_FORMATS, takes=BINARY, returns=BINARY, heavy=True)
    @endpoint("POST", "keyvalues/query", query=_FORMATS, takes=BINARY, returns=BINARY, mutates=False, heavy=True)
    def get_keyvalues(self, request: Request) -> Response:
        """The values of the keys that the body names, in that order.

        The body is a Protocol Buffers message ``Keys``, and the answer ``KeyValues``; or, for a JSON or tar answer, the
        body is a JSON array of keys or of objects ``{"key", "byte_start", "byte_end"}``. A key without a value has an
        empty one, in JSON ``{}``. ``POST keyvalues/query`` is the same for clients that cannot send a body with GET.
        """
        wanted = read_wanted(request.body) if _format(request) != "protobuf" else read_keys(request.body)
        values = self.get_many([each.key for each in wanted])
        pairs = zip(wanted, values, strict=True)
        return self._send(
            request, ((each.key, b"" if value is None else each.of_value(value)) for each, value in pairs)
        )

    @endpoint("POST", "keyvalues", takes=BINARY, heavy=True)
    def post_keyvalues(self, request: Request) -> Response:
        """Set the values of a Protocol Buffers message ``KeyValues``: all or none."""
        self.put_many(read_keyvalues(request.body), user=request.user, app=request.app)
        return Response()

    def _send(self, request: Request, pairs: Pairs) -> Response:
        """The pairs in the form asked for. All is read before anything is sent, so errors come as errors."""
        form = _format(request)
        writers: dict[str, tuple[str, Callable[[Pairs], Iterator[bytes]]]] = {
            "json": (JSON, lambda pairs: write_json(pairs, check=request.query.get("check") != "false")),
            "tar": (TAR, write_tar),
            "protobuf": (BINARY, write_keyvalues),
        }
        media_type, write = writers[form]
        return gathered(write(self._within_budget(pairs)), media_type)

    def _within_budget(self, pairs: Pairs) -> Iterator[tuple[str, bytes]]:
        size = 0
        for key, value in pairs:
            size += len(key) + len(value)
            if size > self.budget:
                raise LimitError(
                    f"the values have more than {self.budget} bytes; ask for fewer",
                    what="response bytes",
                    limit=self.budget,
                    got=size,
                )
            yield key, value


def _missing(key: str) -> NotFoundError:
    return NotFoundError(f"Key {key!r} not found", key=key)


def _bytes(value: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(value, BINARY, status, {**_RANGES, **headers} if headers else _RANGES)


def _format(request: Request) -> str:
    asked = {"json": request.flag("json"), "tar": request.flag("tar") or request.flag("jsontar")}
    chosen = [name for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise InvalidInputError("json and tar cannot be asked for together")
    return chosen[0] if chosen else "protobuf"
