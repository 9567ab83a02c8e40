"""Entry point of the my-datatype plugin: dvidkit imports this module and calls its hooks."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit import Datatype, hookimpl


@hookimpl
def dvidkit_datatypes() -> Iterable[type[Datatype]]:
    """Offer the datatype."""
    from dvidkit_my_datatype.datatype import MyDatatype

    return [MyDatatype]
