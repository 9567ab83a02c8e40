"""Entry point of the ``keyvalue`` datatype."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.datatype import Datatype
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_datatypes() -> Iterable[type[Datatype]]:
    """Offer ``keyvalue``."""
    from dvidkit_keyvalue.endpoints import KeyValue

    return [KeyValue]
