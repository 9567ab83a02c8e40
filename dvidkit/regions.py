"""Regions: instances of any datatype that can say which voxels of a box they hold, for use as masks.

A datatype offers itself as a region by having the two methods of ``Region``; who needs a mask asks here by name and
knows no datatype.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from dvidkit.errors import InvalidInputError, shown
from dvidkit.repo import Version


@runtime_checkable
class Region(Protocol):
    """A data instance at a version that is a set of voxels. Coordinates are z, y, x, in voxels."""

    def mask(self, offset_zyx: tuple[int, int, int], shape_zyx: tuple[int, int, int], /) -> Any:
        """Which voxels of a box are in the region: a boolean numpy array of this shape.

        Raises:
            OutOfBounds, LimitError: no such box, or one too large.
        """
        ...

    def contains(self, points_zyx: Any, /) -> Any:
        """Which of the voxels (n, 3) are in the region: a boolean numpy array."""
        ...


def find_region(version: Version, reference: str) -> Region:
    """The region that a client names: ``name`` as this version sees it, or DVID's ``name,uuid``.

    Raises:
        UnknownInstance, UnknownUUID: there is none.
        InvalidInputError: the instance is no region, or the version is of another repo.

    Source: DVID ``roi.DataBySpec``.
    """
    name, comma, other = reference.partition(",")
    seen = version.repo.repos.resolve(other) if comma else version
    if seen.repo is not version.repo:
        raise InvalidInputError(f"{shown(reference)} is of another repo")
    view = seen[name]
    if not isinstance(view, Region):
        raise InvalidInputError(f"data instance {name!r} is no region: its datatype offers no mask", name=name)
    return view
