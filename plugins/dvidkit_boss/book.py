"""What bossDB knows of a collection and DVID has no place for: kept among the properties of the collection's repo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from dvidkit.errors import CorruptData
from dvidkit.repo import Repo
from dvidkit_boss.frames import Frame

_PROPERTY: Final = "bossdb"


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment that a client made: its frame, which bounds what may be asked and written, and what it said."""

    frame: Frame
    description: str = ""


class Book(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is kept about one repo.

    Attributes:
        made: the repo was made as a collection, so its root is committed and empty.
        experiments: by branch.
        homes: by instance, UUIDs of versions where it was made a channel again, beside the one where it was made.
        frames: coordinate frames by name; only in the repo that keeps those.
    """

    made: bool = False
    experiments: dict[str, Experiment] = {}
    homes: dict[str, list[str]] = {}
    frames: dict[str, Frame] = {}


def read_book(repo: Repo) -> Book:
    """What is kept about a repo; an empty book if there is nothing. The caller's own.

    Raises:
        CorruptData: something else stands there.
    """
    try:
        return msgspec.convert(repo.record.properties.get(_PROPERTY, {}), Book)
    except msgspec.ValidationError as error:
        raise CorruptData(f"property {_PROPERTY!r} of repo {repo.uuid} cannot be read: {error}") from error


def change_book(repo: Repo, change: Callable[[Book], object]) -> None:
    """Change what is kept about a repo, in one atomic change of its record.

    What ``change`` raises leaves everything as it was.
    """
    with repo.repos.lock:
        book = read_book(repo)
        change(book)
        repo.set_properties({_PROPERTY: msgspec.to_builtins(book)})
