"""Entry point of the image datatypes."""

from __future__ import annotations

from collections.abc import Iterable

from dvidkit.datatype import Datatype
from dvidkit.deferred import first_absent
from dvidkit.errors import MissingExtra
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_datatypes() -> Iterable[type[Datatype]]:
    """Offer ``uint8blk``, ``uint16blk``, ``uint32blk``, ``uint64blk``, ``float32blk`` and ``rgba8blk``."""
    absent = first_absent("numpy", "PIL", "cramjam")
    if absent:
        raise MissingExtra(
            f"the image datatypes need {absent}: pip install 'dvidkit[images]'",
            plugin="images",
            install="pip install 'dvidkit[images]'",
        )
    from dvidkit_images.kinds import DATATYPES

    return DATATYPES
