"""Entry point of the ``filesystem`` engine."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.engine import Engine
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_engines() -> Iterable[Engine]:
    """Offer the ``filesystem`` engine."""
    from dvidkit_filesystem.engine import FilesystemEngine

    return [FilesystemEngine()]
