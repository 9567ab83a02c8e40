"""Voxels, stored rows, pictures and block streams, for tests of image instances."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

from dvidkit.endpoints import Response
from dvidkit.kernel import Kernel
from dvidkit.keys import PREFIX_SIZE
from dvidkit_conformance.calling import body_of

Array = np.ndarray[Any, np.dtype[Any]]


def noise(*shape: int, seed: int = 0, dtype: str = "uint8") -> Array:
    """Random voxels."""
    kind = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    return rng.integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


def dump(kernel: Kernel) -> dict[bytes, bytes]:
    """Every stored row of data by TKey and version."""
    rows = kernel.stores["default"].raw_range_query(b"\x01", b"\x02")
    return {key[PREFIX_SIZE:-5]: value or b"" for key, value in rows}


def volume() -> Array:
    """What is written."""
    return np.random.default_rng(1).integers(0, 256, (8, 9, 12), dtype=np.uint8)


def picture(answer: Response) -> Image.Image:
    """The picture that was sent."""
    image = Image.open(io.BytesIO(body_of(answer)))
    image.load()
    assert answer.media_type == f"image/{str(image.format).lower()}"
    return image


def records(stream: bytes) -> list[tuple[tuple[int, int, int], bytes]]:
    """(x, y, z) and payload of each record of a block stream; nothing may be left."""
    found, place = [], 0
    while place < len(stream):
        x, y, z, size = struct.unpack_from("<4i", stream, place)
        found.append(((x, y, z), stream[place + 16 : place + 16 + size]))
        place += 16 + size
    assert place == len(stream)
    return found
