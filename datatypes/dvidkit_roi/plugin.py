"""Entry point of the ``roi`` datatype."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.datatype import Datatype
from dvidkit.deferred import first_absent
from dvidkit.errors import MissingExtra
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_datatypes() -> Iterable[type[Datatype]]:
    """Offer ``roi``."""
    absent = first_absent("numpy")
    if absent:
        raise MissingExtra(
            f"the roi datatype needs {absent}: pip install 'dvidkit[images]'",
            plugin="roi",
            install="pip install 'dvidkit[images]'",
        )
    from dvidkit_roi.datatype import Roi

    return [Roi]
