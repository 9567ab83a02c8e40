"""Entry point of the ``rocksdb`` engine."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.engine import Engine
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_engines() -> Iterable[Engine]:
    """Offer the ``rocksdb`` engine."""
    from dvidkit_rocksdb.engine import RocksDBEngine

    return [RocksDBEngine()]
