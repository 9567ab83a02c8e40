"""Versions as handles: what people hold of a node of a repo's DAG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from dvidkit.keys import VersionID
from dvidkit.records import NodeRecord

if TYPE_CHECKING:
    from dvidkit.repo import Repo

MASTER: Final = "master"
"""What the branch of the root is called; it is stored as the empty name."""


class Version:
    """A version of a repo. A handle: what it says is always of now.

    ``version["name"]`` is the data instance of that name as this version sees it.
    """

    __slots__ = ("id", "repo")

    def __init__(self, repo: Repo, version: VersionID) -> None:
        self.repo = repo
        self.id = version

    @property
    def record(self) -> NodeRecord:
        """What is stored about it."""
        return self.repo.nodes[self.id]

    @property
    def uuid(self) -> str:
        """32 hexadecimal digits, or the tag's own text for a tagged version."""
        return self.record.uuid

    @property
    def branch(self) -> str:
        """Name of its branch; ``master`` for the root's."""
        return self.record.branch or MASTER

    @property
    def locked(self) -> bool:
        """Whether it is committed."""
        return self.record.locked

    @property
    def parents(self) -> tuple[Version, ...]:
        """In the order of the merge."""
        return tuple(Version(self.repo, parent) for parent in self.repo.dag.parents(self.id))

    @property
    def children(self) -> tuple[Version, ...]:
        """In the order they were made."""
        return tuple(Version(self.repo, child) for child in self.repo.dag.children(self.id))

    def __getitem__(self, name: str) -> Any:
        return self.repo.instance(name).at(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and (self.repo, self.id) == (other.repo, other.id)

    def __hash__(self) -> int:
        return hash((id(self.repo), self.id))

    def __repr__(self) -> str:
        return f"<Version {self.uuid[:8]} {self.branch}{' locked' if self.locked else ''}>"

    def commit(self, note: str = "", log: Sequence[str] = ()) -> None:
        """See ``Repo.commit``."""
        self.repo.commit(self, note, log)

    def new_version(self, note: str = "", uuid: str | None = None) -> Version:
        """See ``Repo.new_version``."""
        return self.repo.new_version(self, note, uuid)

    def make_branch(self, name: str, note: str = "", uuid: str | None = None) -> Version:
        """See ``Repo.branch``."""
        return self.repo.branch(self, name, note, uuid)
