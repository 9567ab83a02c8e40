"""The repos of a kernel: making them, finding versions by name, and what is allocated over all of them."""

from __future__ import annotations

import re
import threading
import uuid as uuids
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dvidkit.deferred import logger
from dvidkit.errors import (
    AmbiguousUUID,
    ConflictError,
    InstanceExists,
    InvalidInputError,
    UnknownUUID,
    UUIDExists,
    VersionLocked,
    shown,
)
from dvidkit.instance import DataInstance
from dvidkit.keys import VersionID
from dvidkit.metadata import Change, Everything, Metadata, now, without_orphans
from dvidkit.passcodes import seal_passcode
from dvidkit.records import InstanceRecord, NodeRecord, RepoRecord
from dvidkit.repo import Repo, Version
from dvidkit.upkeep import Deletions

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype
    from dvidkit.kernel import Kernel

_LOG: Final = logger("dvidkit.kernel.repos")
_UUID: Final = re.compile(r"[0-9a-f]{32}")
_REFERENCE: Final = re.compile(r"(?P<prefix>[^:~^]*)(?::(?P<branch>[^~^]*))?(?P<steps>(?:[~^][0-9]{0,9})*)")
_STEP: Final = re.compile(r"([~^])([0-9]*)")
_RESERVED_NAMES: Final = frozenset({"log", "branch", "note", "commit", "newversion"})
_SHOWN_MATCHES: Final = 5
_MUTATION_STRIDE: Final = 100
FIRST_MUTATION_ID: Final = 1_000_000_000
"""The mutation id that a new repo hands out first (DVID: the same)."""


class Repos:
    """All repos of a kernel's metadata store, read when it is opened.

    Attributes:
        kernel: whose they are.
        metadata: the records.
        lock: held while metadata is changed.
        deletions: what is being removed after it was deleted.
    """

    def __init__(self, kernel: Kernel, metadata: Metadata) -> None:
        self.kernel = kernel
        self.metadata = metadata
        self.lock = threading.RLock()
        self._repos: dict[int, Repo] = {}
        self._by_uuid: dict[str, Version] = {}
        self.deletions = Deletions(self)
        self._load(metadata.read())
        metadata.reread = self.reload

    # --- looking up --------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Repo]:
        return iter(list(self._repos.values()))

    def __len__(self) -> int:
        return len(self._repos)

    def __getitem__(self, reference: str) -> Repo:
        return self.resolve(reference).repo

    def resolve(self, reference: str) -> Version:
        """The version that a text names.

        ``[UUID or unique prefix][:branch][~n or ^n …]``: with a colon, the head of the branch (empty: master) of the
        repo that the prefix names (empty: of the only repo); then ``~n`` goes up n first parents, ``^n`` to the n-th
        parent, as in git. After a branch DVID's ``~n`` and its documented ``^n`` both mean n steps up.

        Raises:
            UnknownUUID: no such version, branch or ancestor.
            AmbiguousUUID: several versions start with the prefix.
        """
        found = self._by_uuid.get(reference)
        if found is not None:
            return found
        match = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        if match is None:
            raise UnknownUUID(f"not a version: {shown(reference)}", uuid=str(reference))
        prefix, branch, steps = match["prefix"], match["branch"], match["steps"]
        if branch is None:
            version = self._by_prefix(prefix)
        else:
            repo = self._by_prefix(prefix).repo if prefix else self._only_repo(reference)
            if branch not in ("", *repo.branches()):
                raise UnknownUUID(f"no branch {branch!r} in repo {repo.uuid}", uuid=reference)
            version = repo.head(branch)
        for sign, count in _STEP.findall(steps):
            version = _step(version, sign, int(count or 1), reference, after_branch=branch is not None)
        return version

    def _by_prefix(self, prefix: str) -> Version:
        matches = [uuid for uuid in list(self._by_uuid) if uuid.startswith(prefix.lower())]
        if not prefix or not matches:
            raise UnknownUUID(f"no version starts with {prefix!r}", uuid=prefix)
        if len(matches) > 1:
            some = tuple(sorted(matches)[:_SHOWN_MATCHES])
            raise AmbiguousUUID(f"{len(matches)} versions start with {prefix!r}", uuid=prefix, matches=some)
        return self._by_uuid[matches[0]]

    def _only_repo(self, reference: str) -> Repo:
        if len(self._repos) != 1:
            raise UnknownUUID(f"{reference!r} names no repo, and there are {len(self._repos)}", uuid=reference)
        return next(iter(self._repos.values()))

    # --- making ------------------------------------------------------------------------------------------------------

    def create(
        self,
        alias: str = "",
        description: str = "",
        *,
        root: str | None = None,
        passcode: str = "",
        properties: Mapping[str, Any] | None = None,
        committed: str | None = None,
    ) -> Repo:
        """A new repo with an open root version.

        Args:
            root: UUID of the root, 32 hexadecimal digits; random unless given.
            properties: free ones, see ``Repo.set_properties``.
            committed: if given, the root is committed at once, with this note.

        Raises:
            UUIDExists: there is a version of this UUID.
            InvalidInputError: not a UUID.
        """
        sealed = seal_passcode(passcode)
        with self.lock:
            uuid, time = self.new_uuid(root), now()
            change = self.metadata.change()
            record = RepoRecord(
                change.next_id("repo"),
                uuid,
                time,
                time,
                alias=alias,
                description=description,
                properties=dict(properties or {}),
                passcode=sealed,
            )
            locked = committed is not None
            node = NodeRecord(change.next_id("version"), uuid, time, time, locked=locked, note=committed or "")
            change.log("newrepo", record, version=uuid, Alias=alias)
            if locked:
                change.log("commit", record, version=uuid, Note=committed, Log=[])
            change.put_repo(record)
            change.put_node(record.id, node)
            change.write()
            repo = self._repos[record.id] = Repo(self, record)
            self.place(repo, node)
            return repo

    def adopt(self, record: RepoRecord, nodes: Sequence[NodeRecord]) -> Repo:
        """A repo with the versions of one in another store, under ids of this one.

        Args:
            record: of the other repo.
            nodes: of all its versions, parents before children.

        Raises:
            UUIDExists: a version of one of the UUIDs is here already; nothing was made.
        """
        with self.lock:
            taken = [node.uuid for node in nodes if node.uuid in self._by_uuid]
            if taken:
                raise UUIDExists(f"there is a version {taken[0]} already", uuid=taken[0])
            change = self.metadata.change()
            ours = msgspec.structs.replace(record, id=change.next_id("repo"))
            ids = {node.version: change.next_id("version") for node in nodes}
            placed = [
                msgspec.structs.replace(
                    node, version=ids[node.version], parents=tuple(ids[parent] for parent in node.parents)
                )
                for node in nodes
            ]
            change.put_repo(ours)
            for node in placed:
                change.put_node(ours.id, node)
            change.log("newrepo", ours, version=ours.root, Alias=ours.alias)
            change.write()
            repo = self._repos[ours.id] = Repo(self, ours)
            for node in placed:
                self.place(repo, node)
            return repo

    def change_of(self, repo: Repo) -> Change:
        """Begin a change of a repo's metadata, with ``lock`` held.

        Raises:
            UnknownUUID: the repo was deleted.
        """
        if repo.record.deleted:
            raise UnknownUUID(f"repo {repo.uuid} was deleted", uuid=repo.uuid)
        return self.metadata.change()

    def add_version(self, repo: Repo, parents: Sequence[Version], branch: str, note: str, uuid: str | None) -> Version:
        """Allocate and record a version whose place was checked."""
        with self.lock:
            change = self.change_of(repo)
            node = self.allot_version(change, parents, branch, note, self.new_uuid(uuid))
            change.put_node(repo.id, node)
            if len(parents) > 1:
                change.log(
                    "merge", repo.record, Parents=[parent.uuid for parent in parents], Child=node.uuid, Note=note
                )
            elif branch == parents[0].record.branch:
                change.log("newversion", repo.record, Parent=parents[0].uuid, Child=node.uuid, Note=note)
            else:
                change.log("branch", repo.record, Parent=parents[0].uuid, Child=node.uuid, Branch=branch, Note=note)
            change.write()
            return self.place(repo, node)

    def allot_version(
        self, change: Change, parents: Sequence[Version], branch: str, note: str, uuid: str
    ) -> NodeRecord:
        """The record of a new open version; its id is taken when the change is written."""
        time, ids = now(), tuple(parent.id for parent in parents)
        return NodeRecord(change.next_id("version"), uuid, time, time, parents=ids, branch=branch, note=note)

    def create_instance(
        self, repo: Repo, typename: str | type[Datatype], name: str, version: Version, settings: Mapping[str, Any]
    ) -> DataInstance:
        """See ``Repo.create_instance``."""
        datatype = self.kernel.plugins.datatype(typename) if isinstance(typename, str) else typename
        check_name(name)
        parsed = datatype.settings.parse(settings)
        with self.lock:
            if name in repo.instances:
                raise InstanceExists(f"repo {repo.uuid} has a data instance {name!r} already", name=name)
            if version.repo is not repo:
                raise InvalidInputError(f"{version} is a version of another repo")
            if version.locked:
                raise VersionLocked(f"version {version.uuid} is committed and takes no writes", uuid=version.uuid)
            change = self.change_of(repo)
            record = InstanceRecord(
                change.next_id("instance", least=self.kernel.least_instance_id),
                uuids.uuid4().hex,
                name,
                datatype.typename,
                datatype.version,
                version.uuid,
                now(),
                settings=parsed.to_builtins(),
                store=self.kernel.alias_for(datatype.typename, name, repo.uuid, parsed.tags),
            )
            instance = DataInstance(repo, record, datatype, parsed, self.kernel.store_for(record))
            change.put_instance(repo.id, record)
            change.log("newinstance", repo.record, version=version.uuid, Typename=record.typename, Dataname=name)
            change.write()
            repo.instances[name] = instance
            return instance

    def reserve_mutation_ids(self, repo: Repo) -> tuple[int, int]:
        """A run of mutation ids that no process has handed out: the first, and the one behind the last."""
        with self.lock:
            try:
                first = self._reserve_mutation_ids(repo)
            except ConflictError:
                first = self._reserve_mutation_ids(repo)
            return first, first + _MUTATION_STRIDE

    def _reserve_mutation_ids(self, repo: Repo) -> int:
        change = self.metadata.change()
        first = change.reserve(f"mutation {repo.id}", _MUTATION_STRIDE, start=self.kernel.least_mutation_id)
        change.write()
        return first

    def find(self, uuid: str) -> Version | None:
        """The version of exactly this UUID or tag, or ``None``."""
        return self._by_uuid.get(uuid)

    def known(self, uuid: str) -> bool:
        """Whether a version has exactly this UUID or tag."""
        return uuid in self._by_uuid

    def new_uuid(self, wanted: str | None = None) -> str:
        """A UUID for a new version: the wanted one, checked, or a random one."""
        if wanted is None:
            return uuids.uuid4().hex
        uuid = wanted.lower() if isinstance(wanted, str) else ""
        if not _UUID.fullmatch(uuid):
            raise InvalidInputError(f"a UUID has 32 hexadecimal digits; {shown(wanted)} has not")
        if uuid in self._by_uuid:
            raise UUIDExists(f"there is a version {uuid} already", uuid=uuid)
        return uuid

    # --- loading -----------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read all metadata again, after another process has changed it. What was handed out before stays in use."""
        with self.lock:
            self._load(self.metadata.read())

    def _load(self, read: Everything) -> None:
        everything, left_out = without_orphans(read)
        for text in left_out:
            _LOG.error("%s; it is left out, `dvidkit verify` says more", text)
        for gone in self._repos.keys() - {record.id for record in everything.repos}:
            self.forget(self._repos[gone])
        instances: dict[int, dict[str, DataInstance]] = {}
        for record in everything.repos:
            repo = self._repos.setdefault(record.id, Repo(self, record))
            repo.record = record
            instances[repo.id] = {}
        for repo_id, node in everything.nodes:
            self.place(self._repos[repo_id], node)
        for repo_id, each in everything.instances:
            repo = self._repos[repo_id]
            known = repo.instance_of_uuid(each.uuid)
            instance = DataInstance.load(repo, each, self.kernel) if known is None else known.refreshed(each)
            if each.deleted:
                self.deletions.add(repo, instance)
            else:
                instances[repo_id][each.name] = instance
        for repo_id, by_name in instances.items():
            self._repos[repo_id].instances = by_name
        for repo in list(self._repos.values()):
            if repo.record.deleted:
                self.forget(repo)
                self.deletions.add(repo, None)

    def forget(self, repo: Repo) -> None:
        """Take a repo that was deleted out of every look-up."""
        self._repos.pop(repo.id, None)
        for node in repo.nodes.values():
            self._by_uuid.pop(node.uuid, None)

    def place(self, repo: Repo, node: NodeRecord) -> Version:
        """Take a recorded version into the DAG, or its new record if it is there."""
        if node.version not in repo.dag:
            repo.dag.add(node.version, node.parents)
        repo.nodes[node.version] = node
        version = self._by_uuid[node.uuid] = Version(repo, VersionID(node.version))
        return version


def _step(version: Version, sign: str, count: int, reference: str, *, after_branch: bool) -> Version:
    if sign == "^" and not after_branch:
        if count == 0:
            return version
        if count > len(version.parents):
            raise UnknownUUID(f"{version.uuid} has {len(version.parents)} parents, not {count}", uuid=reference)
        return version.parents[count - 1]
    for _ in range(count):
        if not version.parents:
            raise UnknownUUID(f"{reference!r} goes above the root", uuid=reference)
        version = version.parents[0]
    return version


def check_name(name: str) -> None:
    """Refuse a name that no URL could carry or that DVID reserves.

    Raises:
        InvalidInputError: empty, not text, with ``/``, a control character or surrounding space, or reserved.
    """
    good = isinstance(name, str) and name == name.strip() and name.isprintable() and "/" not in name
    if not good or not name or len(name) > 255 or name in _RESERVED_NAMES or name in (".", ".."):
        raise InvalidInputError(f"a data instance cannot be called {shown(name)}", name=name)
