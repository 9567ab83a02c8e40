"""Entry point of the ``boss`` plugin: the endpoints of bossDB's volume API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dvidkit.deferred import first_absent
from dvidkit.errors import MissingExtra
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_endpoints() -> Iterable[type[Any]]:
    """Offer what is below ``/v1``: collections, experiments, channels and frames; their voxels; their metadata."""
    absent = first_absent("numpy", "PIL")
    if absent:
        raise MissingExtra(
            f"bossDB's API needs {absent}: pip install 'dvidkit[boss]'",
            plugin="boss",
            install="pip install 'dvidkit[boss]'",
        )
    from dvidkit_boss.changes import BossChanges
    from dvidkit_boss.metadata import BossMetadata
    from dvidkit_boss.resources import BossResources
    from dvidkit_boss.volumes import BossVolumes

    return BossResources, BossChanges, BossVolumes, BossMetadata
