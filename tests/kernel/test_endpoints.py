"""Endpoint tables, and the parsing of what clients send."""

from __future__ import annotations

from typing import Any

import pytest

from dvidkit.endpoints import Request, json_body
from dvidkit.errors import BadPayload


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"", b"{", b'"\xff"', b'"\\ud800"', b"1 2"],
)
def test_a_body_that_is_no_json_is_a_bad_payload(body: bytes) -> None:
    """ERR: whatever a client sends, a body that does not parse is ``BadPayload``, also one nested without end."""
    with pytest.raises(BadPayload):
        json_body(Request("POST", body=body), Any)
