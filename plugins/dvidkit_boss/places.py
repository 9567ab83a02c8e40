"""Names of bossDB's hierarchy: a collection is a repo, an experiment a version, a channel an image instance.

A collection is named by the alias of its repo, or by the UUID of its root or a unique beginning of that. An experiment
is a branch, and means its newest version; ``branch~n`` is n versions before, and a UUID, a beginning of one or a tag is
that version. ``main`` is ``master`` where there is no branch of that name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dvidkit.errors import AmbiguousUUID, InvalidInputError, NotFoundError, UnknownUUID, shown
from dvidkit.instance import DataInstance
from dvidkit.repo import MASTER, Repo, Version
from dvidkit.volume import VolumeInfo, is_volume
from dvidkit_boss.book import Book, Experiment, change_book, read_book
from dvidkit_boss.frames import Frame, frame_around

if TYPE_CHECKING:
    from dvidkit.kernel import Kernel

FRAMES: Final = "bossdb-coordinate-frames"
"""Alias of the repo that keeps the coordinate frames which clients made: they make one before its experiment."""
_OF_VERSION: Final = "dvid_"
_MAIN: Final = "main"
_STEPS: Final = ":~^"
"""What a reference has between its parts: with nothing before it, it would mean ``master``."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A volume instance of one value a voxel, as a version sees it.

    Attributes:
        instance, version: which.
        view: its object.
        info: what it is.
    """

    instance: DataInstance
    version: Version
    view: Any
    info: VolumeInfo


# --- collections -----------------------------------------------------------------------------------------------------


def collections(kernel: Kernel) -> list[str]:
    """Names of all collections, sorted: aliases, and UUIDs of repos whose alias is no name or not theirs alone."""
    repos = [repo for repo in kernel.repos if not _keeps_frames(repo)]
    aliases = [repo.alias for repo in repos]
    return sorted(repo.alias if repo.alias and aliases.count(repo.alias) == 1 else repo.uuid for repo in repos)


def find_collection(kernel: Kernel, name: str) -> Repo:
    """The repo of a collection.

    Raises:
        NotFoundError: there is none, or several repos have this alias, or UUIDs that begin so.
    """
    found = [repo for repo in kernel.repos if repo.alias == name]
    if name and len(found) == 1:
        return found[0]
    if name and found:
        raise NotFoundError(f"{len(found)} repos are called {shown(name)}: name one by its UUID")
    try:
        repo = kernel.repos.resolve(name).repo
    except AmbiguousUUID as error:
        raise NotFoundError(error.message) from None
    except UnknownUUID:
        repo = None
    if repo is None or not repo.uuid.startswith(name.lower()):
        raise NotFoundError(f"no collection {shown(name)}")
    return repo


# --- experiments -----------------------------------------------------------------------------------------------------


def experiments(repo: Repo) -> list[str]:
    """Names of the branches, the root's first. The empty root of a collection is no experiment."""
    return [name for name, head in repo.branches().items() if not _is_bare_root(repo, head)]


def find_experiment(repo: Repo, name: str) -> Version:
    """The version of an experiment.

    Raises:
        NotFoundError: there is none, or several UUIDs begin so.
    """
    names = [name, MASTER] if name == _MAIN else [name]
    references = [*(f"{repo.uuid}:{each}" for each in names), name] if name and name[0] not in _STEPS else []
    for reference in references:
        try:
            version = repo.repos.resolve(reference)
        except (AmbiguousUUID, UnknownUUID):
            continue
        if version.repo is repo and not _is_bare_root(repo, version):
            return version
    raise NotFoundError(f"collection {repo.alias or repo.uuid!r} has no experiment {shown(name)}")


def _is_bare_root(repo: Repo, version: Version) -> bool:
    return version == repo.root and read_book(repo).made


def experiment_of(version: Version) -> Experiment | None:
    """What a client said when it made the experiment that a version belongs to; ``None`` if no client made one."""
    made = read_book(version.repo).experiments
    line: Version | None = version
    while line is not None and made:
        if line.branch in made:
            return made[line.branch]
        line = line.parents[0] if line.parents else None
    return None


# --- channels --------------------------------------------------------------------------------------------------------


def channels(version: Version) -> Iterator[Channel]:
    """The channels of an experiment, by name."""
    book = read_book(version.repo)
    for _, instance in sorted(version.repo.instances.items()):
        channel = _channel(instance, version, book)
        if channel is not None:
            yield channel


def find_channel(version: Version, name: str, *, override: bool = False) -> Channel:
    """The channel of this name.

    Raises:
        NotFoundError: no instance, not one of single values, or made in another branch.
    """
    instance = version.repo.instances.get(name)
    channel = instance and _channel(instance, version, read_book(version.repo), override=override)
    if not channel:
        raise NotFoundError(f"the experiment has no channel {shown(name)}")
    return channel


def _channel(instance: DataInstance, version: Version, book: Book, *, override: bool = False) -> Channel | None:
    if instance.missing or not at_home(instance, version, book):
        return None
    view: object = instance.at(version, override=override)
    info = view.volume_info() if is_volume(view) else None
    return Channel(instance, version, view, info) if info is not None and info.channels == 1 else None


def at_home(instance: DataInstance, version: Version, book: Book) -> bool:
    """Whether an instance was made at this version or an ancestor: then it is a channel there."""
    repo = version.repo
    homes = [repo.repos.find(uuid) for uuid in (instance.record.root, *book.homes.get(instance.name, ()))]
    known = [home for home in homes if home is not None and home.repo is repo]
    return not known or any(home == version or repo.dag.is_ancestor(home.id, version.id) for home in known)


# --- coordinate frames -----------------------------------------------------------------------------------------------


def frame_of(version: Version) -> Frame:
    """The coordinate frame of an experiment."""
    made = experiment_of(version)
    if made is not None:
        return made.frame
    return frame_around(_OF_VERSION + version.uuid, (channel.info for channel in channels(version)))


def frames(kernel: Kernel) -> list[str]:
    """Names of all coordinate frames: of those that clients made, and of the experiments that have their own."""
    names = {name for repo in kernel.repos for name in read_book(repo).frames}
    for repo in kernel.repos:
        if not _keeps_frames(repo):
            names |= {frame_name(find_experiment(repo, name)) for name in experiments(repo)}
    return sorted(names)


def frame_name(version: Version) -> str:
    """Name of an experiment's coordinate frame."""
    made = experiment_of(version)
    return made.frame.name if made is not None else _OF_VERSION + version.uuid


def find_frame(kernel: Kernel, name: str) -> Frame:
    """The coordinate frame of this name.

    Raises:
        NotFoundError: there is none.
    """
    for repo in kernel.repos:
        book = read_book(repo)
        known = {**{each.frame.name: each.frame for each in book.experiments.values()}, **book.frames}
        if name in known:
            return known[name]
    version = kernel.repos.find(name.removeprefix(_OF_VERSION)) if is_computed(name) else None
    if version is None:
        raise NotFoundError(f"no coordinate frame {shown(name)}")
    return frame_of(version)


def is_computed(name: str) -> bool:
    """Whether a coordinate frame of this name is around the voxels that a version has."""
    return name.startswith(_OF_VERSION)


def keep_frame(kernel: Kernel, frame: Frame) -> None:
    """Keep a frame that a client made.

    Raises:
        InvalidInputError: there is one of this name.
    """
    with kernel.repos.lock:
        if is_computed(frame.name) or frame.name in frames(kernel):
            raise InvalidInputError(f"there is a coordinate frame {shown(frame.name)} already, or it cannot be one")
        home = next((repo for repo in kernel.repos if _keeps_frames(repo)), None)
        home = home or kernel.repos.create(FRAMES, "coordinate frames that clients of bossDB's API made")
        change_book(home, lambda book: book.frames.update({frame.name: frame}))


def _keeps_frames(repo: Repo) -> bool:
    return repo.alias == FRAMES or bool(read_book(repo).frames)
