"""Settings of roi instances, under DVID's names."""

from __future__ import annotations

from typing import Final

from dvidkit.errors import BadConfig
from dvidkit.settings import Settings

_MOST: Final = 1 << 16


class RoiSettings(Settings, frozen=True, kw_only=True):
    """What an roi instance can be given at its creation.

    Attributes:
        block_size: voxels of a block along x, y and z.
    """

    block_size: tuple[int, int, int] = (32, 32, 32)

    def check(self) -> None:
        """See ``Settings.check``."""
        if not all(1 <= side <= _MOST for side in self.block_size):
            raise BadConfig(f"BlockSize must be 1 to {_MOST} voxels, not {self.block_size}", setting="BlockSize")
