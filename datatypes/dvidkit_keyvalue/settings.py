"""Settings of ``keyvalue`` instances."""

from __future__ import annotations

from dvidkit.errors import BadConfig
from dvidkit.settings import Settings


class KeyValueSettings(Settings, frozen=True, kw_only=True):
    """What every instance can be given; values are of any kind, so they are never stored as JPEG."""

    def check(self) -> None:
        """See ``Settings.check``."""
        if self.compression == "jpeg":
            raise BadConfig("values cannot be stored as JPEG; only images are", setting="Compression")
