"""What ``repos``, ``repo`` and ``node`` do: to a store that this process opens, or to a server that has it open.

Source: DVID ``server/rpc.go`` (``handleCommand``), whose command speaks to a running server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from dvidkit import branching, upkeep
from dvidkit.cli.stores import is_url, opened_kernel
from dvidkit.errors import UnknownInstance
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo, Version


@dataclass(frozen=True, slots=True)
class Summary:
    """A repo in short.

    Attributes:
        uuid: of its root.
        alias, description: texts of its maker.
        versions: how many it has.
        branches: UUID of the newest version of each.
        instances: data UUIDs of its data instances by name, sorted.
    """

    uuid: str
    alias: str
    description: str
    versions: int
    branches: dict[str, str]
    instances: dict[str, str]

    def instance_called(self, word: str) -> str:
        """The name of the data instance of this data UUID or name.

        Raises:
            UnknownInstance: there is none.
        """
        for name, uuid in self.instances.items():
            if word in (name, uuid):
                return name
        raise UnknownInstance(f"repo {self.uuid} has no data instance {word!r}", name=word)


class Verbs(Protocol):
    """The verbs. A version is named as on the command line; what is made is returned by its UUID.

    Raises:
        DvidkitError, Failure: refused, and nothing was changed.
    """

    def summaries(self) -> list[Summary]:
        """All repos."""
        ...

    def summary(self, version: str) -> Summary:
        """The repo of a version."""
        ...

    def create_repo(self, alias: str, description: str, uuid: str, passcode: str) -> str:
        """A repo with an open root version; ``uuid`` may be empty."""
        ...

    def delete_repo(self, uuid: str, passcode: str) -> None:
        """The repo of this root, with everything in it."""
        ...

    def create_instance(self, version: str, typename: str, name: str, settings: Mapping[str, str]) -> str:
        """A data instance at an open version; its data UUID."""
        ...

    def rename_instance(self, version: str, old: str, new: str, passcode: str) -> None:
        """Another name for a data instance."""
        ...

    def delete_instance(self, version: str, name: str, passcode: str) -> None:
        """A data instance with its data in all versions."""
        ...

    def make_branch(self, version: str, name: str, note: str, uuid: str) -> str:
        """An open version on a new branch below a committed one."""
        ...

    def new_version(self, version: str, note: str, uuid: str) -> str:
        """An open version below a committed one."""
        ...

    def merge(self, versions: Sequence[str], note: str) -> str:
        """An open version below committed ones."""
        ...

    def resolve(self, versions: Sequence[str], data: Sequence[str], note: str) -> str:
        """A merge, in which the first version decides in the instances ``data``."""
        ...

    def make_master(self, version: str, old_master: str) -> None:
        """The branch that begins at the version becomes master, the old master gets a name."""
        ...

    def hide_branch(self, version: str, branch: str) -> None:
        """A branch is left out of listings and names."""
        ...

    def commit(self, version: str, note: str, lines: Sequence[str]) -> str:
        """A version is locked for ever; its UUID."""
        ...

    def set_note(self, version: str, note: str) -> None:
        """Another note for an open version."""
        ...

    def add_log(self, version: str, lines: Sequence[str]) -> None:
        """Lines at the end of the log of an open version."""
        ...

    def tag(self, version: str, name: str, note: str) -> str:
        """A name for a committed version that works as its UUID."""
        ...


@contextmanager
def verbs(store: str, *, write: bool = True) -> Iterator[Verbs]:
    """The verbs of the store at a path, which is open meanwhile, or of the server at a URL."""
    if is_url(store):
        from dvidkit.cli.remote import Server, ServerVerbs

        yield ServerVerbs(Server(store))
        return
    with opened_kernel(store, write=write) as kernel:
        yield StoreVerbs(kernel)


class StoreVerbs:
    """The verbs of a store that is open here."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def summaries(self) -> list[Summary]:
        """All repos."""
        return [_summary(repo) for repo in self._kernel.repos]

    def summary(self, version: str) -> Summary:
        """The repo of a version."""
        return _summary(self._at(version).repo)

    def create_repo(self, alias: str, description: str, uuid: str, passcode: str) -> str:
        """A repo with an open root version; ``uuid`` may be empty."""
        return self._kernel.repos.create(alias, description, root=uuid or None, passcode=passcode).uuid

    def delete_repo(self, uuid: str, passcode: str) -> None:
        """The repo of this root. Returns when the data is removed, so that nothing is left for the next start."""
        upkeep.delete_repo(self._at(uuid).repo, passcode)
        self._kernel.repos.deletions.wait()

    def create_instance(self, version: str, typename: str, name: str, settings: Mapping[str, str]) -> str:
        """A data instance at an open version; its data UUID."""
        at = self._at(version)
        return at.repo.create_instance(typename, name, at, **settings).uuid

    def rename_instance(self, version: str, old: str, new: str, passcode: str) -> None:
        """Another name for a data instance."""
        upkeep.rename_instance(self._at(version).repo.instance(old), new, passcode)

    def delete_instance(self, version: str, name: str, passcode: str) -> None:
        """A data instance. Returns when the data is removed."""
        upkeep.delete_instance(self._at(version).repo.instance(name), passcode)
        self._kernel.repos.deletions.wait()

    def make_branch(self, version: str, name: str, note: str, uuid: str) -> str:
        """An open version on a new branch below a committed one."""
        return self._at(version).make_branch(name, note, uuid or None).uuid

    def new_version(self, version: str, note: str, uuid: str) -> str:
        """An open version below a committed one."""
        return self._at(version).new_version(note, uuid or None).uuid

    def merge(self, versions: Sequence[str], note: str) -> str:
        """An open version below committed ones."""
        parents = [self._at(version) for version in versions]
        return parents[0].repo.merge(parents, note).uuid

    def resolve(self, versions: Sequence[str], data: Sequence[str], note: str) -> str:
        """A merge, in which the first version decides in the instances ``data``."""
        parents = [self._at(version) for version in versions]
        return branching.resolve(parents[0].repo, data, parents, note).uuid

    def make_master(self, version: str, old_master: str) -> None:
        """The branch that begins at the version becomes master, the old master gets a name."""
        branching.make_master(self._at(version), old_master)

    def hide_branch(self, version: str, branch: str) -> None:
        """A branch is left out of listings and names."""
        branching.hide_branch(self._at(version).repo, branch)

    def commit(self, version: str, note: str, lines: Sequence[str]) -> str:
        """A version is locked for ever; its UUID."""
        at = self._at(version)
        at.commit(note, lines)
        return at.uuid

    def set_note(self, version: str, note: str) -> None:
        """Another note for an open version."""
        at = self._at(version)
        at.repo.set_note(at, note)

    def add_log(self, version: str, lines: Sequence[str]) -> None:
        """Lines at the end of the log of an open version."""
        at = self._at(version)
        at.repo.add_log(at, lines)

    def tag(self, version: str, name: str, note: str) -> str:
        """A name for a committed version that works as its UUID."""
        return branching.tag(self._at(version), name, note).uuid

    def _at(self, version: str) -> Version:
        return self._kernel.repos.resolve(version)


def _summary(repo: Repo) -> Summary:
    branches = {name: version.uuid for name, version in repo.branches().items()}
    instances = {name: instance.uuid for name, instance in sorted(repo.instances.items())}
    return Summary(repo.uuid, repo.alias, repo.record.description, len(repo.nodes), branches, instances)
