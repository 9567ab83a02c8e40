"""Entry point of the my-engine plugin: dvidkit imports this module and calls its hooks."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit import Engine, hookimpl


@hookimpl
def dvidkit_engines() -> Iterable[Engine]:
    """Offer the engine. Nothing is opened and no driver imported here: a hook that raises is a broken plugin."""
    from dvidkit_my_engine.engine import MyEngine

    return [MyEngine()]
