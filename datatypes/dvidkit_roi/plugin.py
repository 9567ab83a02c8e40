"""Entry point of the ``roi`` datatype."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.datatype import Datatype
from dvidkit.errors import MissingExtra
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_datatypes() -> Iterable[type[Datatype]]:
    """Offer ``roi``."""
    try:
        from dvidkit_roi.datatype import Roi
    except ImportError as error:
        raise MissingExtra(
            f"the roi datatype needs {error.name}: pip install 'dvidkit[images]'",
            plugin="roi",
            install="pip install 'dvidkit[images]'",
        ) from error
    return [Roi]
