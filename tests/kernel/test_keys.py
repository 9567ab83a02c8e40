"""Keys byte for byte: the golden vectors, and what is no key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit import keys
from dvidkit.errors import BadKey, BadType, OutOfBounds
from dvidkit.keys import DATA_MARK, TOMBSTONE_MARK, BlobKey, DataKey, MetadataKey, TKeyClass

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "keys.json").read_text("utf-8"))
U32 = st.integers(0, 0xFFFFFFFF)


def from_hex(text: str) -> bytes:
    """Bytes of a vector; blanks and bars are for the reader."""
    return bytes.fromhex(text.replace("|", " "))
