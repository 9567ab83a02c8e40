"""File paths in keys, for what shows an instance as a tree of files.

A key cannot hold ``/``, so the ``/`` of a path stands as ``%2F`` in the key; everything else is as it is. A path that
itself holds ``%2F`` would be taken for another, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dvidkit.errors import BadKey, shown

SLASH: Final = "%2F"
_LAST: Final = "\U0010ffff"


def key_of(path: str) -> str:
    """The key under which the file of a path is.

    Raises:
        BadKey: the path holds ``%2F``.
    """
    if SLASH in path:
        raise BadKey(f"{shown(path)} cannot be a path: it holds {SLASH}, which stands for '/'", key=path)
    return path.replace("/", SLASH)


def path_of(key: str) -> str:
    """The path of the file that a key is."""
    return key.replace(SLASH, "/")


def range_of(prefix: str) -> tuple[str, str] | None:
    """The first and the last key whose paths begin with a text, or ``None`` if all do."""
    first = key_of(prefix)
    return (first, first + _LAST) if first else None


def children(paths: Iterable[str], folder: str) -> dict[str, bool]:
    """The names directly below a folder (``""`` is the root), and whether each is a file; in order.

    A name that is both a file and a folder counts as a file.
    """
    start = f"{folder}/" if folder else ""
    found: dict[str, bool] = {}
    for path in paths:
        if path.startswith(start) and path != start:
            name, slash, _ = path[len(start) :].partition("/")
            found[name] = found.get(name, False) or not slash
    return found
