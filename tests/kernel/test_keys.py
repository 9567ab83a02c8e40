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


@pytest.mark.parametrize(
    "declared",
    [
        {"id": 0, "width": 1},
        {"id": 256, "width": 1},
        {"id": True, "width": 1},
        {"id": 2},
        {"id": 2, "width": 1, "terminator": 0},
        {"id": 2, "width": -1},
        {"id": 2, "width": "1"},
        {"id": 2, "terminator": 256},
        {"id": 2, "terminator": -1},
        {"id": 2, "terminator": b"\x00"},
    ],
)
def test_a_class_that_could_hold_no_tkey_is_refused_where_it_is_declared(declared: dict[str, Any]) -> None:
    """A slip in a class's layout is ``BadKey`` at its declaration, not at the first write."""
    with pytest.raises(BadKey):
        TKeyClass(name="bad", **declared)


def test_coordinates_of_arrays_are_coordinates() -> None:
    """Integers of numpy encode as Python's do; what is no integer is ``BadType``, what is outside ``OutOfBounds``."""
    assert keys.encode_zyx(np.int32(-1), np.int64(2), np.uint8(3)) == keys.encode_zyx(-1, 2, 3)  # type: ignore[arg-type]
    for bad in (1.5, "1", None, np.float32(1)):
        with pytest.raises(BadType):
            keys.encode_zyx(0, bad, 0)  # type: ignore[arg-type]
    for outside in (-(1 << 31) - 1, 1 << 31):
        with pytest.raises(OutOfBounds):
            keys.encode_zyx(0, 0, outside)
