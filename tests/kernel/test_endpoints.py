"""Endpoint tables, and the parsing of what clients send."""

from __future__ import annotations

from typing import Any

import msgspec
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
