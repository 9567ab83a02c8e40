"""Changing and deleting what bossDB's clients made: names and texts, channels, experiments, collections, frames.

As in bossDB, a thing that others refer to stays until they are gone: a collection until its experiments are, an
experiment until its channels are, a frame until no experiment has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from dvidkit import upkeep
from dvidkit.branching import hide_branch
from dvidkit.errors import InvalidInputError, NotFoundError, shown
from dvidkit.repo import Repo, Version
from dvidkit_boss import making, places
from dvidkit_boss.book import Book, Experiment, change_book, read_book
from dvidkit_boss.frames import Frame

if TYPE_CHECKING:
    from dvidkit.kernel import Kernel


class ChannelChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says anew of a channel; what is ``None`` stays."""

    name: str | None = None
    description: str | None = None
    sources: Sequence[str] | None = None
    datatype: str | None = None

    def tags(self) -> Mapping[str, str]:
        """What of it is kept as tags of the instance."""
        sources = None if self.sources is None else ",".join(self.sources)
        tags = {making.DESCRIPTION_TAG: self.description, making.SOURCES_TAG: sources}
        return {name: text for name, text in tags.items() if text is not None}


# --- changing --------------------------------------------------------------------------------------------------------


def change_collection(repo: Repo, name: str, description: str | None) -> None:
    """Another name or description of a collection.

    Raises:
        InvalidInputError, AlreadyExistsError: as when one is made of that name; nothing was changed.
    """
    kernel = repo.repos.kernel
    with kernel.repos.lock:
        if name not in (repo.alias, repo.uuid):
            making.check_collection_name(kernel, name)
        repo.describe(repo.alias if name == repo.uuid else name, description)


def change_experiment(repo: Repo, name: str, description: str | None) -> None:
    """Another description of an experiment that a client made.

    Raises:
        InvalidInputError: no client made it.
    """

    def change(book: Book) -> None:
        made = _made(book, name)
        if description is not None:
            book.experiments[name] = msgspec.structs.replace(made, description=description)

    change_book(repo, change)


def change_channel(version: Version, name: str, asked: ChannelChange) -> str:
    """Another name, description or sources of a channel; its name then. The texts hold in every experiment it is in.

    Raises:
        NotFoundError: no such channel.
        InvalidInputError: another type of voxels; another name, and it is in another experiment too.
        InstanceExists: there is something of that name; nothing was changed.
    """
    with version.repo.repos.lock:
        channel = places.find_channel(version, name)
        if asked.datatype not in (None, channel.info.dtype):
            raise InvalidInputError(f"the voxels of channel {shown(name)} are {channel.info.dtype} and stay so")
        if asked.name not in (None, name):
            _alone(version, name)
            upkeep.rename_instance(channel.instance, asked.name or "")
        if asked.tags():
            upkeep.set_tags(channel.instance, asked.tags())
        return channel.instance.name


def change_frame(kernel: Kernel, name: str, asked: Mapping[str, object], description: str) -> Frame:
    """Another description of a coordinate frame that a client made; the frame.

    Args:
        asked: what the client says of the frame; what it says of bounds must be as it is.

    Raises:
        NotFoundError: there is no such frame.
        InvalidInputError: one that no client made, or something else of it would change.
    """
    with kernel.repos.lock:
        frame = places.find_frame(kernel, name)
        known = msgspec.to_builtins(frame)
        other = [field for field in asked if field in known and field != "description" and asked[field] != known[field]]
        if other or places.is_computed(name):
            what = f"its {', '.join(other)}" if other else "it is around the voxels of its version"
            raise InvalidInputError(f"of coordinate frame {shown(name)} only the description can change: {what}")
        described = msgspec.structs.replace(frame, description=description)
        for repo in kernel.repos:
            if any(each.name == name for each in _frames(read_book(repo))):
                change_book(repo, lambda book: _describe(book, described))
        return described


def _describe(book: Book, frame: Frame) -> None:
    for experiment, made in book.experiments.items():
        if made.frame.name == frame.name:
            book.experiments[experiment] = msgspec.structs.replace(made, frame=frame)
    if frame.name in book.frames:
        book.frames[frame.name] = frame


# --- deleting --------------------------------------------------------------------------------------------------------


def delete_collection(repo: Repo, passcode: str = "") -> None:
    """Delete a collection without experiments: its repo.

    Raises:
        InvalidInputError: it has experiments, or no client made it.
        NotAllowed: the repo has a passcode, and it is another.
    """
    with repo.repos.lock:
        left = places.experiments(repo)
        if left:
            raise InvalidInputError(f"the collection has experiments: {', '.join(map(repr, left))}")
        upkeep.delete_repo(repo, passcode)


def delete_experiment(repo: Repo, name: str) -> None:
    """Leave out an experiment without channels. Its branch is hidden, so the name stays taken.

    Raises:
        InvalidInputError: it has channels, no client made it, or the branch cannot be hidden (``master``).
    """
    with repo.repos.lock:
        _made(read_book(repo), name)
        left = [channel.instance.name for channel in places.channels(places.find_experiment(repo, name))]
        if left:
            raise InvalidInputError(f"the experiment has channels: {', '.join(map(repr, left))}")
        hide_branch(repo, name)
        change_book(repo, lambda book: book.experiments.pop(name))


def delete_channel(version: Version, name: str, passcode: str = "") -> None:
    """Delete a channel: its instance, with all voxels. Resumed if the process ends before they are removed.

    Raises:
        NotFoundError: no such channel.
        InvalidInputError: it is a channel of another experiment too.
        NotAllowed: the repo has a passcode, and it is another.
    """
    with version.repo.repos.lock:
        channel = places.find_channel(version, name)
        _alone(version, name)
        upkeep.delete_instance(channel.instance, passcode)


def delete_frame(kernel: Kernel, name: str) -> None:
    """Delete a coordinate frame that no experiment has.

    Raises:
        NotFoundError: there is no such frame.
        InvalidInputError: an experiment has it.
    """
    with kernel.repos.lock:
        places.find_frame(kernel, name)
        if any(name == made.frame.name for repo in kernel.repos for made in read_book(repo).experiments.values()):
            raise InvalidInputError(f"an experiment has the coordinate frame {shown(name)}")
        home = next((repo for repo in kernel.repos if name in read_book(repo).frames), None)
        if home is None:
            raise InvalidInputError(f"the coordinate frame {shown(name)} is around the voxels of its version")
        change_book(home, lambda book: book.frames.pop(name))


# --- what they share -------------------------------------------------------------------------------------------------


def _made(book: Book, name: str) -> Experiment:
    try:
        return book.experiments[name]
    except KeyError:
        raise InvalidInputError(f"no client of bossDB made the experiment {shown(name)}") from None


def _frames(book: Book) -> list[Frame]:
    return [*book.frames.values(), *(made.frame for made in book.experiments.values())]


def _alone(version: Version, name: str) -> None:
    """Refuse what would change a channel of another experiment too: there it is the same instance."""
    repo = version.repo
    for other in places.experiments(repo):
        if other == version.branch:
            continue
        try:
            places.find_channel(places.find_experiment(repo, other), name)
        except NotFoundError:
            continue
        raise InvalidInputError(f"experiment {shown(other)} has the channel {shown(name)} too, as the same instance")
