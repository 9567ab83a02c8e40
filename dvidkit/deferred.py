"""Modules that are imported when something of them is first used, so that a store opens without waiting for them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable


class _Deferred:
    """Stands for an object until then. What was used is kept here, so that only the first use is slower."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._make(), attribute)
        setattr(self, attribute, value)
        return value


def deferred(name: str) -> Any:
    """The module of this name, to be imported at its first use. Thread-safe.

    For large modules that many programs never need, in the place of an import. Type checkers are given the import
    itself, under ``TYPE_CHECKING``. Whether the module is there at all is not looked at; ``first_absent`` does.
    """
    return _Deferred(lambda: import_module(name))


def logger(name: str) -> logging.Logger:
    """The logger of this name. ``logging`` is imported when it is first told something. Thread-safe."""
    return cast("logging.Logger", _Deferred(lambda: import_module("logging").getLogger(name)))


def first_absent(*names: str) -> str | None:
    """The first of these top-level modules that is not installed, or ``None``. Imports none of them."""
    return next((name for name in names if find_spec(name) is None), None)
