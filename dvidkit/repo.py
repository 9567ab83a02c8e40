"""A repo: versions in a DAG, and the data instances whose values they hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dvidkit.errors import (
    BadType,
    BranchExists,
    InvalidInputError,
    NotFoundError,
    StoreBusy,
    UnknownInstance,
    VersionLocked,
    VersionUnlocked,
    shown,
)
from dvidkit.gate import VersionGate
from dvidkit.keys import VersionID
from dvidkit.metadata import now
from dvidkit.records import NodeRecord, RepoRecord
from dvidkit.version import MASTER, Version
from dvidkit.versions import VersionDAG

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.instance import DataInstance
    from dvidkit.repos import Repos


_COMMIT_PATIENCE: Final = 30.0


class Repo:
    """A repo of a kernel; obtained from ``Repos``. Thread-safe.

    Attributes:
        record: what is stored about it.
        dag: versions and parents.
        nodes: records of its versions by version id.
        instances: data instances by name.
    """

    def __init__(self, repos: Repos, record: RepoRecord) -> None:
        self.repos = repos
        self.record = record
        self.dag = VersionDAG()
        self.nodes: dict[int, NodeRecord] = {}
        self.instances: dict[str, DataInstance] = {}
        self._gate = VersionGate()
        self._ids = threading.Lock()
        self._next_mutation = self._last_reserved = 0

    def __repr__(self) -> str:
        return f"<Repo {self.uuid[:8]} {self.record.alias!r}: {len(self.nodes)} versions>"

    @property
    def id(self) -> int:
        """Number of the repo in its store."""
        return self.record.id

    @property
    def uuid(self) -> str:
        """The UUID of its root version."""
        return self.record.root

    @property
    def alias(self) -> str:
        """A name for people."""
        return self.record.alias

    @property
    def root(self) -> Version:
        """The first version."""
        return Version(self, VersionID(next(iter(self.nodes))))

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, parents before children."""
        return tuple(Version(self, VersionID(version)) for version in list(self.nodes))

    # --- branches ----------------------------------------------------------------------------------------------------

    def branches(self) -> Mapping[str, Version]:
        """The newest version of each branch by the branch's name, the root's first."""
        heads: dict[str, Version] = {}
        for version in self.versions:
            if not self.nodes[version.id].hidden:
                heads[version.branch] = version
        return heads

    def head(self, branch: str = MASTER) -> Version:
        """The newest version of a branch.

        Raises:
            NotFoundError: no such branch.
        """
        try:
            return self.branches()[branch or MASTER]
        except KeyError:
            raise NotFoundError(f"no branch {shown(branch)} in repo {self.uuid}", branch=branch) from None

    def branch_versions(self, branch: str = MASTER) -> tuple[Version, ...]:
        """From the newest version of the branch to the root, through first parents."""
        line = [self.head(branch)]
        while line[-1].parents:
            line.append(line[-1].parents[0])
        return tuple(line)

    # --- versions ----------------------------------------------------------------------------------------------------

    def commit(self, version: Version, note: str = "", log: Sequence[str] = ()) -> None:
        """Lock the version for ever: no more writes, and it can have children. Waits for mutations under way.

        Raises:
            VersionLocked: it is committed already.
            StoreBusy: a mutation did not end within 30 seconds.
        """
        with self._alone(version), self.repos.lock:
            record = version.record
            if record.locked:
                raise VersionLocked(f"version {version.uuid} is committed already", uuid=version.uuid)
            lines = (*record.log, *stamped(log))
            committed = msgspec.structs.replace(record, locked=True, note=note or record.note, log=lines, updated=now())
            self._write_node(committed, "commit", Note=note, Log=list(log))

    def set_note(self, version: Version, note: str, *, override: bool = False) -> None:
        """Replace the note of an open version; with ``override`` of a committed one too.

        Raises:
            VersionLocked: it is committed.
        """
        with self.repos.lock, self.writing(version, override=override):
            self._write_node(msgspec.structs.replace(version.record, note=note, updated=now()), "nodenote", Note=note)

    def add_log(self, version: Version, lines: Sequence[str], *, override: bool = False) -> None:
        """Append to the log of an open version, with ``override`` of a committed one; each line gets the time.

        Raises:
            VersionLocked: it is committed.
        """
        with self.repos.lock, self.writing(version, override=override):
            log = (*version.record.log, *stamped(lines))
            self._write_node(
                msgspec.structs.replace(version.record, log=log, updated=now()), "nodelog", Log=list(lines)
            )

    def new_version(self, parent: Version, note: str = "", uuid: str | None = None) -> Version:
        """An open version below a committed one, on the same branch.

        Raises:
            VersionUnlocked: the parent is not committed.
            BranchExists: the parent has a child on its branch already.
        """
        return self._add([parent], parent.record.branch, note, uuid)

    def branch(self, parent: Version, name: str, note: str = "", uuid: str | None = None) -> Version:
        """An open version below a committed one, on a new branch.

        Raises:
            VersionUnlocked: the parent is not committed.
            BranchExists: the repo has a branch of this name, or it is ``master``.
            InvalidInputError: no name, or one that could not stand in ``:branch~n``.
        """
        check_branch_name(name)
        if name == parent.branch:
            return self.new_version(parent, note, uuid)
        with self.repos.lock:
            if name in {version.branch for version in self.versions} | {MASTER}:
                raise BranchExists(f"the repo has a branch {name!r} already", branch=name)
            return self._add([parent], name, note, uuid)

    def merge(self, parents: Sequence[Version], note: str = "", uuid: str | None = None) -> Version:
        """An open version below several committed ones, which sees what each of them sees.

        No data is looked at: where parents disagree on a key, reading it raises ``VersionConflict`` until it is
        written at the new version or below. The version continues the branch of the first parent.

        Raises:
            InvalidInputError: fewer than two parents, the same one twice, one that another descends from, or one of
                another repo.
            VersionUnlocked: a parent is not committed.
            BranchExists: the first parent's branch goes on already.
        """
        self.check_merge(parents)
        return self._add(list(parents), parents[0].record.branch, note, uuid)

    def check_merge(self, parents: Sequence[Version]) -> None:
        """Raise what ``merge`` would raise for these parents."""
        if len(parents) < 2 or len(set(parents)) < len(parents):
            raise InvalidInputError(f"a merge needs two or more different parents, not {list(parents)}")
        for parent in parents:
            self._check_mine(parent)
        for parent in parents:
            others = [other for other in parents if other != parent]
            if any(self.dag.is_ancestor(parent.id, other.id) for other in others):
                raise InvalidInputError(f"{parent} is an ancestor of another parent of the merge")
        self._check_child(parents, parents[0].record.branch)

    def _add(self, parents: list[Version], branch: str, note: str, uuid: str | None) -> Version:
        with self.repos.lock:
            self._check_child(parents, branch)
            return self.repos.add_version(self, parents, branch, note, uuid)

    def _check_mine(self, version: Version) -> None:
        if version.repo is not self:
            raise InvalidInputError(f"{version} is a version of another repo")

    def _check_child(self, parents: Sequence[Version], branch: str) -> None:
        for parent in parents:
            self._check_mine(parent)
            if not parent.locked:
                raise VersionUnlocked(f"version {parent.uuid} is not committed", uuid=parent.uuid)
        if any(child.record.branch == branch for child in parents[0].children):
            raise BranchExists(
                f"version {parents[0].uuid} has a child on branch {branch or MASTER!r} already", branch=branch or MASTER
            )

    def _write_node(self, record: NodeRecord, action: str, **fields: Any) -> None:
        change = self.repos.change_of(self)
        change.put_node(self.id, record)
        change.log(action, self.record, version=record.uuid, **fields)
        change.write()
        self.nodes[record.version] = record

    @property
    def mutation_id(self) -> int:
        """The next mutation id, as far as this process knows; 0 before it has handed one out."""
        return self._next_mutation

    def next_mutation_id(self) -> int:
        """A mutation id: greater than every one before it, also those of earlier processes."""
        with self._ids:
            if self._next_mutation == self._last_reserved:
                self._next_mutation, self._last_reserved = self.repos.reserve_mutation_ids(self)
            self._next_mutation += 1
            return self._next_mutation - 1

    # --- about the repo ----------------------------------------------------------------------------------------------

    def describe(self, alias: str | None = None, description: str | None = None) -> None:
        """Change the names for people; ``None`` leaves one as it is."""
        with self.repos.lock:
            self._change(
                alias=self.record.alias if alias is None else alias,
                description=self.record.description if description is None else description,
            )

    def log(self, lines: Sequence[str]) -> None:
        """Append to the repo's log; each line gets the time before it."""
        with self.repos.lock:
            self._change(log=(*self.record.log, *stamped(lines)))

    def set_properties(self, properties: Mapping[str, Any]) -> None:
        """Set free properties; others stay."""
        with self.repos.lock:
            self._change(properties={**self.record.properties, **properties})

    def _change(self, **fields: Any) -> None:
        with self.repos.lock:
            record = msgspec.structs.replace(self.record, updated=now(), **fields)
            change = self.repos.change_of(self)
            change.put_repo(record)
            change.write()
            self.record = record

    # --- who may write, and when -------------------------------------------------------------------------------------

    def enter(self, version: Version, *, override: bool = False) -> None:
        """Begin a mutation of the version: until ``leave`` it cannot be committed.

        With ``override``, or if the kernel is in full-write mode, a committed version is written all the same.

        Raises:
            VersionLocked: it is committed, or about to be.
        """
        if version.repo is not self:
            self._check_mine(version)
        allowed = override or self.repos.kernel.full_write
        entered = self._gate.enter(version.id, force=allowed)
        if entered and (allowed or not self.nodes[version.id].locked):
            return
        if entered:
            self._gate.leave(version.id)
        raise VersionLocked(f"version {version.uuid} is committed and takes no writes", uuid=version.uuid)

    def leave(self, version: Version) -> None:
        """End a mutation of the version."""
        self._gate.leave(version.id)

    @contextmanager
    def writing(self, version: Version, *, override: bool = False) -> Iterator[None]:
        """``enter`` and ``leave`` around a block."""
        self.enter(version, override=override)
        try:
            yield
        finally:
            self.leave(version)

    @contextmanager
    def _alone(self, version: Version) -> Iterator[None]:
        """Keep new mutations of the version out, and wait for those under way."""
        self._check_mine(version)
        with self._gate.alone(version.id, _COMMIT_PATIENCE) as hindered:
            if version.locked or hindered == "closing":
                raise VersionLocked(f"version {version.uuid} is committed already", uuid=version.uuid)
            if hindered:
                raise StoreBusy(f"a mutation of version {version.uuid} is still under way")
            yield

    # --- instances ---------------------------------------------------------------------------------------------------

    def create_instance(
        self, typename: str | type[Datatype], name: str, version: Version | None = None, **settings: Any
    ) -> DataInstance:
        """A new data instance.

        Args:
            typename: name of an installed datatype, or a datatype class.
            name: unique in the repo.
            version: open version it is made at; the head of master unless given.
            settings: see the datatype's ``Settings``; names as in Python (``block_size``) or DVID (``BlockSize``).

        Raises:
            UnknownDatatype, InstanceExists, VersionLocked, BadConfig: nothing was made.
            UnsupportedError: the store's engine lacks a capability that the datatype needs.
        """
        return self.repos.create_instance(self, typename, name, version or self.head(), settings)

    def instance_of_uuid(self, uuid: str) -> DataInstance | None:
        """The data instance of this data UUID, or ``None``."""
        return next((each for each in list(self.instances.values()) if each.uuid == uuid), None)

    def instance(self, name: str) -> DataInstance:
        """The data instance of this name.

        Raises:
            UnknownInstance: there is none.
        """
        try:
            return self.instances[name]
        except (KeyError, TypeError):
            raise UnknownInstance(f"repo {self.uuid} has no data instance {shown(name)}", name=str(name)) from None


def check_branch_name(name: str) -> None:
    """Refuse the name of a branch that a reference to a version would not read as one.

    Raises:
        InvalidInputError: empty, not text, with ``:``, ``~``, ``^``, a control character or surrounding space.
    """
    good = isinstance(name, str) and name and name == name.strip() and name.isprintable()
    if not good or set(name) & set(":~^"):
        raise InvalidInputError(f"a branch cannot be called {shown(name)}")


def stamped(lines: Sequence[str]) -> list[str]:
    """Log lines as DVID keeps them: the time, two spaces, the text.

    Raises:
        BadType: not several texts.
    """
    if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
        raise BadType(f"log lines are a list of texts, not {shown(lines)}")
    time = now()
    return [f"{time}  {line}" for line in lines]


__all__ = ["MASTER", "Repo", "Version", "check_branch_name", "stamped"]
