"""TKeys of the ``roi`` datatype, made and read many at a time.

=====  =================================================================  ========
class  payload                                                            value
=====  =================================================================  ========
90     first block of a span, ZYX, 12 bytes; blocks in the span, u32      empty
=====  =================================================================  ========

All integers are big-endian; a coordinate is stored as ``value + 2^31``, so that spans sort by z, y and x.

Source: DVID ``datatype/roi/roi.go`` (``indexRLE``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from dvidkit.deferred import deferred
from dvidkit.keys import TKeyClass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Spans = npt.NDArray[np.int64]
    """Rows of z, y, first x, last x, in blocks, both ends included: (n, 4)."""
else:
    np = deferred("numpy")
    Spans = Any

SPAN: Final = TKeyClass(90, "span of blocks", width=16)
LEAST: Final = -(1 << 31) + 1
MOST: Final = (1 << 31) - 1
"""Block coordinates of an roi; one value less than 32 bits hold, so that every span's length fits in 32 bits too."""

_HEAD: Final = SPAN.key(bytes(16))[:2]
_SIZE: Final = 18
_BIAS: Final = 1 << 31


def tkeys_of(spans: Spans) -> list[bytes]:
    """The TKeys of spans, in their order."""
    numbers = np.empty((len(spans), 4), ">u4")
    numbers[:, :3] = spans[:, :3] + _BIAS
    numbers[:, 3] = spans[:, 3] - spans[:, 2] + 1
    data = numbers.tobytes()
    return [_HEAD + data[place : place + 16] for place in range(0, len(data), 16)]


def spans_of(tkeys: Sequence[bytes]) -> Spans:
    """The spans that TKeys hold, in their order."""
    rows = np.frombuffer(b"".join(tkeys), np.uint8).reshape(-1, _SIZE)
    spans = np.ascontiguousarray(rows[:, 2:]).view(">u4").astype(np.int64)
    spans[:, :3] -= _BIAS
    spans[:, 3] += spans[:, 2] - 1
    return spans


def bounds(first_z: int, last_z: int) -> tuple[bytes, bytes]:
    """TKeys between which every span with a z from the first to the last lies."""
    first_z, last_z = max(first_z, LEAST), min(last_z, MOST)
    low = (first_z + _BIAS).to_bytes(4, "big") if first_z <= MOST else b"\xff" * 4
    high = (last_z + _BIAS).to_bytes(4, "big") if last_z >= LEAST else bytes(4)
    return _HEAD + low + bytes(12), _HEAD + high + b"\xff" * 12
