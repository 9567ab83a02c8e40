"""Entry points of installed distributions, read from the ``.dist-info`` folders that installers leave on the path.

``importlib.metadata`` finds the same, and is asked where anything else is on the path: an archive, an egg, a finder of
one's own. To import it takes as long as the rest of opening a store.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import reduce
from importlib import import_module
from importlib.machinery import PathFinder
from typing import Any, Final

import msgspec

_INFO: Final = ".dist-info"
_VALUE: Final = re.compile(r"\s*([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\]\s*)?")


class Distribution(msgspec.Struct, frozen=True):
    """A distribution by the name and version of its metadata."""

    name: str
    version: str


class Entry(msgspec.Struct, frozen=True):
    """An entry point: its name, what it stands for, and whose it is."""

    name: str
    value: str
    dist: Distribution

    def load(self) -> Any:
        """Import what it stands for: a module, or an attribute of one.

        Raises:
            ImportError: there is no such module.
            AttributeError: it has no such attribute.
            ValueError: the value is not of the form ``module:attribute``.
        """
        match = _VALUE.fullmatch(self.value)
        if match is None:
            raise ValueError(f"the entry point {self.name!r} has the value {self.value!r}")
        module = import_module(match[1])
        return reduce(getattr, match[2].split("."), module) if match[2] else module


def entry_points(*, group: str) -> Iterable[Any]:
    """Every entry point of a group, each of the first distribution of its name on the path."""
    folders = _folders()
    if folders is None:
        from importlib import metadata

        return metadata.entry_points(group=group)
    return [entry for folder in folders for entry in _entries(folder, group)]


def _folders() -> list[str] | None:
    """The metadata folders of installed distributions; ``None`` if there may be distributions without."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return None
    found: dict[str, str] = {}
    for place in dict.fromkeys(sys.path):
        try:
            names = os.listdir(place or ".")
        except NotADirectoryError:
            return None
        except OSError:
            continue
        for name in names:
            if name.endswith(_INFO):
                found.setdefault(_normalised(name.partition("-")[0]), os.path.join(place, name))
            elif name.endswith((".egg", ".egg-info")):
                return None
    return list(found.values())


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _entries(folder: str, group: str) -> Iterator[Entry]:
    text = _text(folder, "entry_points.txt")
    section = f"[{group}]"
    if section not in text:
        return
    owner, inside = _distribution(folder), False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == section
        elif inside and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield Entry(name.strip(), value.strip(), owner)


def _distribution(folder: str) -> Distribution:
    """By its metadata, or where that says nothing by the name of the folder."""
    name, _, version = folder.rpartition(os.sep)[2].removesuffix(_INFO).partition("-")
    found = {"name": name, "version": version}
    for line in _text(folder, "METADATA").splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            break
        if key.lower() in found:
            found[key.lower()] = value.strip()
    return Distribution(found["name"], found["version"])


def _text(folder: str, name: str) -> str:
    """The content of a file, of which most folders have none: to ask takes a tenth of what opening in vain does."""
    path = os.path.join(folder, name)
    if not os.access(path, os.R_OK):
        return ""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
