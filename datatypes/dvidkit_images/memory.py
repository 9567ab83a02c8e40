"""Memory for voxels that are sent: written as an array, then ``bytes``, without a copy in between.

To copy a box of voxels takes several times as long as its bytes alone would: the memory of the copy is new to the
process, and the kernel hands it out page by page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from dvidkit.deferred import deferred
from dvidkit_images.voxels import Array

if TYPE_CHECKING:
    import numpy as np
else:
    np = deferred("numpy")


class SentVoxels:
    """An array whose memory becomes ``bytes``. For one thread.

    Attributes:
        array: to be filled; zeros.
    """

    def __init__(self, shape: Sequence[int], dtype: np.dtype) -> None:
        size = math.prod(shape)
        self._file = BytesIO(bytes(size * dtype.itemsize))
        flat: Array = np.frombuffer(self._file.getbuffer(), dtype) if size else np.empty(0, dtype)
        self.array = flat.reshape(shape)

    def take(self) -> bytes:
        """The bytes, once. They are copied only if somebody still has the array, or a part of it, and may change it."""
        del self.array
        value = self._file.getvalue()
        try:
            self._file.close()
        except BufferError:
            return bytes(memoryview(value))
        return value
