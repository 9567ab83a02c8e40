"""Endpoint tables, and the parsing of what clients send."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dvidkit.datatype import Datatype
from dvidkit.endpoints import JSON, Query, Request, Response, endpoint, integer, json_body, to_json, triple
from dvidkit.errors import BadPayload, InvalidInputError
