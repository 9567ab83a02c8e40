"""Entry point of the ``leveldb`` engine."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.engine import Engine
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_engines() -> Iterable[Engine]:
    """Offer the ``leveldb`` engine."""
    from dvidkit_leveldb.engine import LevelDBEngine

    return [LevelDBEngine()]
