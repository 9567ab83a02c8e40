"""Entry point of the ``lmdb`` engine."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.engine import Engine
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_engines() -> Iterable[Engine]:
    """Offer the ``lmdb`` engine."""
    from dvidkit_lmdb.engine import LmdbEngine

    return [LmdbEngine()]
