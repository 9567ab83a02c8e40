"""What one voxel is: its type in numpy, in DVID's metadata, and as it is handled inside.

Inside, a volume is always three-dimensional with one *packed* value for a voxel; the four channels of RGBA are one
``uint32``. Outside, RGBA has a fourth axis.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dvidkit.deferred import deferred
from dvidkit.errors import BadPayload, BadType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
else:
    np = deferred("numpy")
    Array = Any


class Voxel(msgspec.Struct, frozen=True, dict=True):
    """A kind of voxel.

    Attributes:
        code: numpy's of one channel: ``<``, kind, bytes.
        channels: names of the channels; one has no axis of its own.
    """

    code: str
    channels: tuple[str, ...]

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of one channel, little-endian."""
        return np.dtype(self.code)

    @property
    def size(self) -> int:
        """Bytes of one voxel."""
        return int(self.code[2:]) * len(self.channels)

    @cached_property
    def packed(self) -> np.dtype[Any]:
        """The dtype of one whole voxel."""
        return self.dtype if len(self.channels) == 1 else np.dtype(f"<u{self.size}")

    def background(self, value: int) -> Any:
        """The packed voxel all of whose channels have this value."""
        channels = np.full(len(self.channels), value, self.dtype)
        return channels.view(self.packed)[0]

    def values(self) -> list[dict[str, str]]:
        """DVID's ``Values``: type and label of each channel."""
        return [{"DataType": self.dtype.name, "Label": label} for label in self.channels]

    def check(self, array: object) -> Array:
        """A caller's array, if it is one of the right dtype. Both byte orders are taken.

        Raises:
            BadType: it is not.
        """
        if not isinstance(array, np.ndarray):
            raise BadType(f"voxels must be a numpy array, not {type(array).__name__}")
        if array.dtype.newbyteorder("<") != self.dtype:
            raise BadType(f"voxels must be {self.dtype.name}, not {array.dtype}")
        return array

    def pack(self, array: object) -> Array:
        """A caller's array, checked, as packed voxels (z, y, x); a view of it where that is possible.

        Raises:
            BadType: see ``check``.
            BadPayload: not of shape (z, y, x), or (z, y, x, channels) if there are several.
        """
        array = self.check(array)
        several = len(self.channels) > 1
        if array.ndim != 3 + several or (several and array.shape[3] != len(self.channels)):
            wanted = f"(z, y, x, {len(self.channels)})" if several else "(z, y, x)"
            raise BadPayload(f"voxels must have the shape {wanted}, not {array.shape}")
        array = array.astype(self.dtype, copy=False)
        return np.ascontiguousarray(array).view(self.packed)[..., 0] if several else array

    def unpack(self, array: Array) -> Array:
        """Packed voxels, contiguous, as callers see them: with the axis of the channels, if there are several."""
        if len(self.channels) == 1:
            return array
        return array.view(self.dtype).reshape(*array.shape, len(self.channels))


def copy_voxels(target: Array, source: Array) -> None:
    """``target[...] = source`` for packed boxes of one shape; faster where rows along x are whole in both.

    numpy moves a row of voxels in one piece if it is one item.
    """
    width = target.shape[-1] * target.itemsize
    if width >= _WIDE and target.strides[-1] == target.itemsize == source.strides[-1] == source.itemsize:
        row = f"V{width}"
        target.view(row)[...] = source.view(row)
    else:
        target[...] = source


_WIDE: Final = 32
"""Bytes of a row above which moving it as one item is faster."""

UINT8: Final = Voxel("<u1", ("uint8",))
UINT16: Final = Voxel("<u2", ("uint16",))
UINT32: Final = Voxel("<u4", ("uint32",))
UINT64: Final = Voxel("<u8", ("uint64",))
FLOAT32: Final = Voxel("<f4", ("float32",))
RGBA8: Final = Voxel("<u1", ("red", "green", "blue", "alpha"))
