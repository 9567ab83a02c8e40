"""What can be done to a DAG beyond committing and branching: tags, resolved merges, another master, hidden branches.

Every operation is one change of the metadata: refused, it leaves every byte as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from dvidkit.context import VersionedContext
from dvidkit.errors import BranchExists, InvalidInputError, UUIDExists, VersionUnlocked, shown
from dvidkit.instance import DataInstance
from dvidkit.keys import VersionID, max_tkey, min_tkey
from dvidkit.metadata import now
from dvidkit.records import NodeRecord
from dvidkit.repo import MASTER, Repo, Version, check_branch_name, stamped
from dvidkit.resolve import Conflict
from dvidkit.segment import Segment
from dvidkit.versions import VersionDAG

_TAG_BRANCH: Final = "tag-"


def tag(version: Version, name: str, note: str = "") -> Version:
    """A committed child of a committed version whose UUID is the tag itself, so that the tag names it for ever.

    Raises:
        InvalidInputError: a tag that could not stand in a URL or reads as part of another name.
        UUIDExists, BranchExists: the tag is taken.
        VersionUnlocked: the version is not committed.

    Source: DVID ``repoTagHandler`` (``server/web.go``).
    """
    repo, repos = version.repo, version.repo.repos
    good = isinstance(name, str) and name.isprintable() and 0 < len(name) <= 255 and name not in (".", "..")
    if not good or set(name) & set("/:~^ "):
        raise InvalidInputError(f"a tag cannot be {shown(name)}", tag=name)
    with repos.lock:
        if repos.known(name):
            raise UUIDExists(f"there is a version {name!r} already", uuid=name)
        if not version.locked:
            raise VersionUnlocked(f"version {version.uuid} is not committed", uuid=version.uuid)
        branch = _TAG_BRANCH + name
        if branch in repo.branches():
            raise BranchExists(f"the repo has a branch {branch!r} already", branch=branch)
        change = repos.change_of(repo)
        node = repos.allot_version(change, [version], branch, note, name)
        line = f'Tag of version {version.uuid} with "{name}"'
        node = msgspec.structs.replace(node, locked=True, note=note or line, log=tuple(stamped([line])))
        change.put_node(repo.id, node)
        change.log("tag", repo.record, Parent=version.uuid, Child=name, Branch=branch, Tag=name, Note=note)
        change.write()
        return repos.place(repo, node)


def resolve(repo: Repo, names: Sequence[str], parents: Sequence[Version], note: str = "") -> Version:
    """Merge versions, deciding every conflict in the named instances by the order of the parents.

    Where parents disagree on a key, what the first of them that has it sees is written at the new version, so the
    answer is there from its first moment. Instances that are not named keep their conflicts.

    Raises:
        InvalidInputError, VersionUnlocked, BranchExists, UnknownInstance: as for a merge; nothing was made.

    Source: the priority rule is DVID's (``datastore.MergeResolve``); that the winning values are written at the merge,
    and not tombstones in extra versions above it, is ours (docs/decisions/0007).
    """
    repos = repo.repos
    instances = [repo.instance(name) for name in dict.fromkeys(names)]
    for instance in instances:
        instance.usable()
    with repos.lock:
        repo.check_merge(parents)
        change = repos.change_of(repo)
        branch = parents[0].record.branch
        node = repos.allot_version(change, parents, branch, note, repos.new_uuid())
        for instance in instances:
            if not instance.versioned:
                continue
            if instance.store is not repos.metadata.store:
                raise InvalidInputError(f"{instance} is kept apart from the metadata; resolve it by writing its keys")
            change.also(_decisions(instance, node, parents))
        change.put_node(repo.id, node)
        change.log(
            "resolve", repo.record, Parents=[p.uuid for p in parents], Child=node.uuid, Data=list(names), Note=note
        )
        change.write()
        return repos.place(repo, node)


def _decisions(instance: DataInstance, node: NodeRecord, parents: Sequence[Version]) -> Segment:
    """The value of every conflicted key of an instance, as the first parent that has it sees it."""
    repo = instance.repo
    dag = VersionDAG({each: repo.dag.parents(each) for each in (version.id for version in repo.versions)})
    dag.add(node.version, node.parents)
    classes = instance.datatype.tkey_classes
    merged = VersionedContext(instance.id, node.version, dag, classes)
    views = [VersionedContext(instance.id, parent.id, repo.dag, classes) for parent in parents]
    conflicts: list[Conflict] = []
    for tkey_class in classes:
        instance.store.keys_in_range(merged, min_tkey(tkey_class.id), max_tkey(tkey_class.id), conflicts=conflicts)
    pairs = [(conflict.tkey, _first(instance, views, conflict.tkey)) for conflict in conflicts]
    return instance.store.segment(merged, pairs)


def _first(instance: DataInstance, views: Sequence[VersionedContext], tkey: bytes) -> bytes | None:
    for view in views:
        value = instance.store.get(view, tkey)
        if value is not None:
            return value
    return None


def make_master(version: Version, old_master: str) -> None:
    """Call the branch that begins at this version master, and the master beside it by another name.

    Raises:
        InvalidInputError: the version does not begin a branch beside master.
        BranchExists: the new name of the old master is taken.

    Source: DVID ``MakeMaster`` (``datastore/repo_local.go``).
    """
    repo = version.repo
    with repo.repos.lock:
        branch = version.record.branch
        siblings = version.parents[0].children if version.parents else ()
        masters = [sibling for sibling in siblings if sibling.branch == MASTER]
        begins = branch and version.parents and version.parents[0].record.branch != branch
        if not begins or not masters:
            raise InvalidInputError(f"version {version.uuid} does not begin a branch beside master")
        check_branch_name(old_master)
        if old_master in {*(each.branch for each in repo.versions), MASTER}:
            raise BranchExists(f"the old master cannot be called {old_master!r}", branch=old_master)
        renamed = {each.version: "" for each in _line(repo, version.id, branch)}
        renamed |= {each.version: old_master for each in _line(repo, masters[0].id, "")}
        _rewrite(repo, lambda node: msgspec.structs.replace(node, branch=renamed[node.version]), renamed)


def hide_branch(repo: Repo, branch: str) -> None:
    """Leave the versions of a branch out of listings and names. Their data stays, and their children keep it.

    Raises:
        InvalidInputError: master, or a branch that was merged or goes on under another name.
        NotFoundError: no such branch.
    """
    with repo.repos.lock:
        if branch in ("", MASTER):
            raise InvalidInputError("master cannot be hidden")
        repo.head(branch)
        nodes = {version.id for version in repo.versions if version.branch == branch}
        if any(child.id not in nodes for node in nodes for child in Version(repo, VersionID(node)).children):
            raise InvalidInputError(f"branch {branch!r} goes on in others, so it cannot be hidden", branch=branch)
        _rewrite(repo, lambda node: msgspec.structs.replace(node, hidden=True, updated=now()), nodes)


def _line(repo: Repo, first: int, branch: str) -> list[NodeRecord]:
    """The versions of a branch from one of them down."""
    line, todo = [], [first]
    while todo:
        node = repo.nodes[todo.pop()]
        line.append(node)
        todo += [child for child in repo.dag.children(node.version) if repo.nodes[child].branch == branch]
    return line


def _rewrite(repo: Repo, function: Callable[[NodeRecord], NodeRecord], versions: Iterable[int]) -> None:
    change = repo.repos.change_of(repo)
    records = [function(repo.nodes[version]) for version in versions]
    for record in records:
        change.put_node(repo.id, record)
    change.write()
    repo.nodes.update({record.version: record for record in records})
