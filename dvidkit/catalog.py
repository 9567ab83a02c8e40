"""The metadata of a store read for examination: what can be read is kept, what cannot is a finding.

Unlike ``Metadata.read`` this never stops, and it doubts what it reads: ``contradictions`` says what cannot all be true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dvidkit import records
from dvidkit.engine import Item
from dvidkit.errors import CorruptData, StoreMismatch, shown
from dvidkit.findings import Damage, Findings
from dvidkit.keys import TKeyClass
from dvidkit.records import InstanceRecord, NodeRecord, RepoRecord


@dataclass(slots=True)
class Catalog:
    """What the metadata of a store says.

    Attributes:
        repos: by id.
        nodes: by version id, with the id of the repo.
        instances: by instance id, with the id of the repo.
        counters: the next id of each kind.
        filling: instances that a copy has not completed.
    """

    repos: dict[int, RepoRecord] = field(default_factory=dict)
    nodes: dict[int, tuple[int, NodeRecord]] = field(default_factory=dict)
    instances: dict[int, tuple[int, InstanceRecord]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    filling: set[int] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        """Whether nothing is said of repos, so that nothing can be said of whose data is."""
        return not (self.repos or self.nodes or self.instances)

    def instance_text(self, instance: int) -> str:
        """The instance as a person is told about it."""
        if instance in self.instances:
            return f"instance {self.instances[instance][1].name!r} ({instance})"
        return f"instance {instance}"

    def version_text(self, version: int) -> str:
        """The version likewise."""
        if version in self.nodes:
            return f"version {self.nodes[version][1].uuid} ({version})"
        return f"version {version}"

    def name(self, instance: int | None) -> str:
        """Name of the instance, empty if it is not known."""
        return self.instances[instance][1].name if instance is not None and instance in self.instances else ""

    def uuid(self, version: int | None) -> str:
        """UUID of the version, empty if it is not known."""
        return self.nodes[version][1].uuid if version is not None and version in self.nodes else ""

    def belongs(self, instance: int, version: int) -> bool:
        """Whether the version is one of the instance's repo."""
        return version in self.nodes and self.nodes[version][0] == self.instances[instance][0]


def read_catalog(rows: Iterable[Item], findings: Findings) -> None:
    """Take rows of the metadata space with plain values into the catalog of ``findings``; what is bad is a finding."""
    catalog = findings.catalog
    for key, value in rows:
        try:
            fault = _take(catalog, key[1:], value)
        except (CorruptData, StoreMismatch) as error:
            fault = error.message
        if fault:
            findings.add(Damage.BAD_RECORD, f"metadata record {shown(key)}: {fault}", rows=1, keys=(key,))


def _take(catalog: Catalog, tkey: bytes, value: bytes) -> str:
    """Keep one record; what is wrong with it, or nothing."""
    kind, payload = tkey[:1], tkey[2:]
    numbers = [int.from_bytes(payload[at : at + 4], "big") for at in range(0, len(payload), 4)]
    if kind in (_class(records.REVISION), _class(records.COUNTER)):
        if len(value) != 8:
            return f"a number of {len(value)} bytes, not 8"
        if kind == _class(records.COUNTER):
            catalog.counters[payload[:-1].decode(errors="replace")] = int.from_bytes(value, "big")
        return ""
    if kind == _class(records.REPO) and len(payload) == 4:
        repo = catalog.repos[numbers[0]] = records.decode(value, RepoRecord)
        return "" if repo.id == numbers[0] else f"is of repo {repo.id}"
    if kind == _class(records.NODE) and len(payload) == 8:
        node = records.decode(value, NodeRecord)
        catalog.nodes[numbers[1]] = numbers[0], node
        return "" if node.version == numbers[1] else f"is of version {node.version}"
    if kind == _class(records.INSTANCE) and len(payload) == 8:
        instance = records.decode(value, InstanceRecord)
        catalog.instances[numbers[1]] = numbers[0], instance
        return "" if instance.id == numbers[1] else f"is of instance {instance.id}"
    return ""


def _class(tkey_class: TKeyClass) -> bytes:
    return bytes((tkey_class.id,))


_Wrong = Iterator[tuple[str, int | None, int | None]]
"""(what, instance, version)."""


def contradictions(findings: Findings) -> None:
    """Find what the records of the catalog say that cannot all be true."""
    for check in (_repos, _nodes, _instances, _counters):
        for text, instance, version in check(findings.catalog):
            findings.add(Damage.INCONSISTENT, text, instance, version)


def _repos(catalog: Catalog) -> _Wrong:
    for number, repo in catalog.repos.items():
        if not any(owner == number and node.uuid == repo.root for owner, node in catalog.nodes.values()):
            yield f"repo {number} has no version {repo.root}, which is to be its root", None, None


def _nodes(catalog: Catalog) -> _Wrong:
    uuids = Counter(node.uuid for _, node in catalog.nodes.values())
    for number, (repo, node) in catalog.nodes.items():
        this = catalog.version_text(number)
        if repo not in catalog.repos:
            yield f"{this} is of repo {repo}, which does not exist", None, number
        if uuids[node.uuid] > 1:
            yield f"{this} has a UUID that {uuids[node.uuid]} versions have", None, number
        for parent in node.parents:
            if parent not in catalog.nodes or catalog.nodes[parent][0] != repo:
                yield f"{this} has the parent {parent}, which does not exist in its repo", None, number
            elif parent >= number:
                yield f"{this} has the parent {parent}, which is younger than it", None, number
            elif not catalog.nodes[parent][1].locked:
                yield f"{this} has the parent {parent}, which is not committed", None, number


def _instances(catalog: Catalog) -> _Wrong:
    names = Counter((repo, instance.name) for repo, instance in catalog.instances.values() if not instance.deleted)
    roots = {(repo, node.uuid) for repo, node in catalog.nodes.values()}
    for number, (repo, instance) in catalog.instances.items():
        this = catalog.instance_text(number)
        if repo not in catalog.repos:
            yield f"{this} is of repo {repo}, which does not exist", number, None
        elif (repo, instance.root) not in roots:
            yield f"{this} was made at version {instance.root}, which does not exist in its repo", number, None
        if names[repo, instance.name] > 1:
            yield f"{this} has a name that another instance of repo {repo} has", number, None


def _counters(catalog: Catalog) -> _Wrong:
    there: dict[str, Iterable[int]] = {"repo": catalog.repos, "version": catalog.nodes, "instance": catalog.instances}
    for kind, ids in there.items():
        following = catalog.counters.get(kind, 1)
        for number in sorted(ids):
            if number >= following:
                yield f"{kind} {number} exists, but the next {kind} would be {following}", None, None
                break
