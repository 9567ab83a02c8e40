"""Making collections, experiments and channels, as clients of bossDB do before they write.

A collection is made with a committed, empty root. Each experiment is a branch off it, so channels of one name in
several experiments hold different voxels. In a repo that was not made so, an experiment is a branch off the newest
committed version of ``master``, and sees what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dvidkit.errors import AlreadyExistsError, BranchExists, InstanceExists, InvalidInputError, VersionUnlocked, shown
from dvidkit.repo import MASTER, Repo, Version, check_branch_name
from dvidkit_boss.book import Book, Experiment, as_properties, change_book, read_book
from dvidkit_boss.frames import Frame
from dvidkit_boss.places import at_home, frame_of

if TYPE_CHECKING:
    from dvidkit.kernel import Kernel

TYPE_TAG: Final = "bossdb type"
SOURCES_TAG: Final = "bossdb sources"
DESCRIPTION_TAG: Final = "description"


class ChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of a channel that it makes."""

    datatype: str
    type: str = ""
    description: str = ""
    sources: Sequence[str] = ()
    base_resolution: int = 0
    default_time_sample: int = 0


def make_collection(kernel: Kernel, name: str, description: str) -> Repo:
    """A repo of this alias, with a committed root.

    Raises:
        InvalidInputError: the name cannot stand in a URL, or would read as a UUID.
        AlreadyExistsError: there is a repo of this alias.
    """
    with kernel.repos.lock:
        check_collection_name(kernel, name)
        return kernel.repos.create(
            name, description, properties=as_properties(Book(made=True)), committed="made as a collection"
        )


def check_collection_name(kernel: Kernel, name: str) -> None:
    """Refuse a name that a collection cannot have; the caller holds the lock of the repos.

    Raises:
        InvalidInputError, AlreadyExistsError: see ``make_collection``.
    """
    check_branch_name(name)
    if "/" in name:
        raise InvalidInputError(f"a collection cannot be called {shown(name)}")
    if any(repo.alias == name for repo in kernel.repos):
        raise AlreadyExistsError(f"there is a collection {shown(name)} already")


def make_experiment(repo: Repo, name: str, frame: Frame, description: str) -> Version:
    """A branch of this name, open.

    Raises:
        BranchExists: there is one.
        VersionUnlocked: no version of ``master`` is committed.
        InvalidInputError: no name for a branch.
    """
    check_branch_name(name)
    if "/" in name:
        raise InvalidInputError(f"an experiment cannot be called {shown(name)}")
    with repo.repos.lock:
        if name in {version.branch for version in repo.versions} and not (name == MASTER and _bare(repo)):
            raise BranchExists(f"there is an experiment {shown(name)} already", branch=name)
        base = _base(repo)
        change_book(
            repo, lambda book: book.experiments.update({name: Experiment(frame=frame, description=description)})
        )
        return base.new_version() if name == MASTER else base.make_branch(name)


def _bare(repo: Repo) -> bool:
    return read_book(repo).made and repo.head() == repo.root


def _base(repo: Repo) -> Version:
    """What an experiment branches off: the root of a collection, else the newest committed version of ``master``."""
    if read_book(repo).made:
        return repo.root
    for version in repo.branch_versions():
        if version.locked:
            return version
    raise VersionUnlocked(f"an experiment branches off a committed version, and {repo.uuid} has none", uuid=repo.uuid)


def make_channel(version: Version, name: str, asked: ChannelRequest) -> None:
    """An image instance at an open version; or, if another branch has one of the type, that one here too.

    Raises:
        InstanceExists: there is a channel of this name here, or another branch has one of another type.
        InvalidInputError: what bossDB has and volumes here have not.
        UnknownDatatype: no such type of voxels.
        VersionLocked: the version is committed.
    """
    if asked.base_resolution or asked.default_time_sample:
        raise InvalidInputError("a channel begins at resolution 0 and has the time sample 0")
    repo, typename = version.repo, f"{asked.datatype}blk"
    repo.repos.kernel.plugins.datatype(typename)
    with repo.repos.lock, repo.writing(version):
        known = repo.instances.get(name)
        if known is None:
            repo.create_instance(typename, name, version, **_settings(version, asked))
            return
        if at_home(known, version, read_book(repo)) or known.record.typename != typename:
            raise InstanceExists(
                f"the collection has a channel {shown(name)} already, of {known.record.typename}", name=name
            )
        change_book(repo, lambda book: _settle(book, name, version))


def _settle(book: Book, name: str, version: Version) -> None:
    book.homes.setdefault(name, []).append(version.uuid)


def _settings(version: Version, asked: ChannelRequest) -> dict[str, Any]:
    tags = {
        TYPE_TAG: asked.type,
        SOURCES_TAG: ",".join(asked.sources),
        DESCRIPTION_TAG: asked.description,
    }
    return {
        "voxel_size": list(frame_of(version).voxel_nm_xyz),
        "tags": {name: text for name, text in tags.items() if text},
    }
