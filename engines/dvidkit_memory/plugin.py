"""Entry point of the ``memory`` engine."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.engine import Engine
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_engines() -> Iterable[Engine]:
    """Offer the ``memory`` engine."""
    from dvidkit_memory.engine import MemoryEngine

    return [MemoryEngine()]
