"""Endpoint tables, and the parsing of what clients send."""

from __future__ import annotations

from typing import Any

import pytest

from dvidkit.datatype import Datatype
from dvidkit.endpoints import JSON, Query, Request, Response, endpoint, integer, json_body, to_json, triple
from dvidkit.errors import BadPayload, InvalidInputError


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"", b"{", b'"\xff"', b'"\\ud800"', b"1 2"],
)
def test_a_body_that_is_no_json_is_a_bad_payload(body: bytes) -> None:
    """ERR: whatever a client sends, a body that does not parse is ``BadPayload``, also one nested without end."""
    with pytest.raises(BadPayload):
        json_body(Request("POST", body=body), Any)


class Base(Datatype):
    """Two endpoints."""

    typename = "base"

    @endpoint("GET", "one", returns=JSON, query=(Query("q", "text"),))
    @endpoint("POST", "one/{key}", heavy=True)
    def one(self, request: Request) -> Response:
        """The first line.

        The rest.
        """
        return to_json({"a": 1})

    @endpoint("POST", "two", mutates=False)
    def two(self, request: Request) -> Response:
        """Two."""
        return Response()


class Derived(Base):
    """One of them replaced."""

    @endpoint("DELETE", "two")
    def two(self, request: Request) -> Response:
        """Another."""
        return Response()


def test_the_table_of_a_datatype() -> None:
    """Rows in the order they are written, bases first; an override replaces its rows; writing methods mutate."""
    rows = [(row.method, row.path, row.name, row.mutates) for row in Base.endpoints]
    assert rows == [("GET", "one", "one", False), ("POST", "one/{key}", "one", True), ("POST", "two", "two", False)]
    assert [(row.method, row.mutates) for row in Derived.endpoints][-1] == ("DELETE", True)
    assert len(Derived.endpoints) == 3
    first = Base.endpoints[0]
    assert (first.summary, first.returns, first.query[0].name) == ("The first line.", JSON, "q")
    assert first.description.endswith("The rest.")


@pytest.mark.parametrize("text", ["", "-", "1_0", "٣", "1.0", " 1", "1" * 21, "0x1", "+-1"])
def test_what_is_no_whole_number(text: str) -> None:
    """Only plain ASCII digits with an optional sign are a number."""
    with pytest.raises(InvalidInputError):
        integer(text, "n")
    with pytest.raises(InvalidInputError):
        triple(f"1_2_{text}" if "_" not in text else "1_2", "size")


def test_what_a_request_says() -> None:
    """Flags are ``true`` or ``on``; numbers have defaults; points are three numbers; bodies are typed JSON."""
    request = Request("GET", query={"a": "TRUE", "b": "1", "n": "-12"}, body=b'{"x": [1]}')
    assert [request.flag(name) for name in "abc"] == [True, False, False]
    assert (request.integer("n"), request.integer("m", 5), request.integer("n", 5)) == (-12, 5, -12)
    with pytest.raises(InvalidInputError):
        request.integer("m")
    assert triple("1_-2_+3", "point") == (1, -2, 3)
    assert json_body(request, dict[str, list[int]]) == {"x": [1]}
    with pytest.raises(BadPayload):
        json_body(request, list[int])
    assert to_json([1]).body == b"[1]"


def test_query_arguments_are_declared_as_such() -> None:
    """A mapping of names to texts is refused where it is written, not when somebody asks for help."""
    given: Any = {"first": "from here on"}
    with pytest.raises(InvalidInputError, match="Query objects"):
        endpoint("GET", "all", query=given)
