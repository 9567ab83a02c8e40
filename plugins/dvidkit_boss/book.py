"""What bossDB knows of a collection and DVID has no place for: kept among the properties of the collection's repo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from dvidkit.errors import CorruptData
from dvidkit.repo import Repo
from dvidkit_boss.frames import Frame

_PROPERTY: Final = "bossdb"
_METADATA: Final = "bossdb metadata"

Metadata = dict[str, dict[str, str]]
"""Texts by key, by what they are about."""
Kept = TypeVar("Kept")


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
    return _read(repo, _PROPERTY, Book)


def change_book(repo: Repo, change: Callable[[Book], object]) -> None:
    """Change what is kept about a repo, in one atomic change of its record.

    What ``change`` raises leaves everything as it was.
    """
    with repo.repos.lock:
        book = read_book(repo)
        change(book)
        repo.set_properties(as_properties(book))


def as_properties(book: Book) -> Mapping[str, Any]:
    """The book as properties of a repo."""
    return {_PROPERTY: msgspec.to_builtins(book)}


def read_metadata(repo: Repo) -> Metadata:
    """The metadata of a collection, which are kept apart, as they may be many. The caller's own.

    Raises:
        CorruptData: something else stands there.
    """
    return _read(repo, _METADATA, Metadata)


def change_metadata(repo: Repo, change: Callable[[Metadata], object]) -> None:
    """Change the metadata of a collection; as ``change_book``."""
    with repo.repos.lock:
        metadata = read_metadata(repo)
        change(metadata)
        repo.set_properties({_METADATA: metadata})


def _read(repo: Repo, name: str, kind: type[Kept]) -> Kept:
    try:
        return msgspec.convert(repo.record.properties.get(name, {}), kind)
    except msgspec.ValidationError as error:
        raise CorruptData(f"property {name!r} of repo {repo.uuid} cannot be read: {error}") from error
