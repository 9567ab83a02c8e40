"""Copies of one data instance, into the same repo or another, in the same store or another, under a new instance id.

``copy_instance`` takes every version, tombstones too: rows keep their TKeys and values, instance and version ids become
those of the target, where a version is known by its UUID. ``flatten_instance`` takes what one version sees. Rows are
copied first, under an id that is taken; the instance appears when they are all there and were compared. So a copy that
was interrupted is not seen, and the same copy, started again, goes on from what is there.

Sync links and the mutation log stay behind: they are about other instances, and about what was done to the source.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby

from dvidkit.access import paged
from dvidkit.copymarks import CopyMark, clear_mark, mark_key, marks, refuse_unfinished, set_mark
from dvidkit.engine import Item
from dvidkit.errors import CorruptData, InstanceExists, InvalidInputError, NotFoundError, VersionLocked, shown
from dvidkit.instance import DataInstance
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, data_suffix, instance_prefix, instance_range
from dvidkit.metadata import now
from dvidkit.records import InstanceRecord
from dvidkit.repo import Repo, Version
from dvidkit.repos import Repos, check_name
from dvidkit.rowcopy import CopyReport, Job, OnProgress, Rows, Stretch, check_fits, plain_rows, sealed_rows
from dvidkit.segment import Segment
from dvidkit.slots import recorded_rows
from dvidkit.store import Store
from dvidkit.transfer import may_exceed


def copy_instance(
    instance: DataInstance, repo: Repo, *, name: str = "", on_progress: OnProgress | None = None
) -> tuple[DataInstance, CopyReport]:
    """Copy a data instance with every version of its data into ``repo``.

    Args:
        instance: the source; it is not changed.
        repo: where to; it must have every version of the source's repo, by UUID. See ``copy_versions``.
        name: of the copy; the source's unless given.

    Raises:
        InstanceExists, InvalidInputError: the name is taken, or cannot be one.
        NotFoundError: the repo lacks versions of the source's repo.
        UnsupportedError: the target's engine lacks a capability that the datatype needs.
        LimitError: a row is over a limit of the target's engine. In all these cases nothing was written.
        CorruptData: a row of the source fails its checksum, or is of a version its repo does not have.
    """
    versions = _version_map(instance.repo, repo)
    plan = _Plan(instance, repo, name or instance.name, root=_twin(instance.record.root, repo))
    begin, end = instance_range(instance.id)
    sealed = instance.store.record.integrity
    with instance.store.instant() as access:

        def rows(new_id: int) -> Rows:
            found = chain.from_iterable(plain_rows(access, begin, end, sealed=sealed))
            return paged(_relabelled(found, new_id, versions), keys_only=False)

        return plan.run(rows, on_progress, recorded_rows(access, instance.id) if sealed else None)


def flatten_instance(
    instance: DataInstance, at: Version, to: Version, *, name: str = "", on_progress: OnProgress | None = None
) -> tuple[DataInstance, CopyReport]:
    """Copy what one version sees of a data instance into one version, as its only data.

    Args:
        instance: the source; it is not changed.
        at: the version that is read.
        to: an open version, of the repo that gets the copy.
        name: of the copy; the source's unless given.

    Raises:
        VersionConflict: a merge left keys in conflict at ``at``; nothing was written.
        VersionLocked: ``to`` is committed.
        InstanceExists, InvalidInputError, UnsupportedError, LimitError, CorruptData: as ``copy_instance``.
    """
    if at.repo is not instance.repo:
        raise InvalidInputError(f"{at} is no version of the repo of {instance}")
    if to.locked:
        raise VersionLocked(f"version {to.uuid} is committed and takes no writes", uuid=to.uuid)
    plan = _Plan(instance, to.repo, name or instance.name, root=to.uuid, flattened=at.uuid)
    suffix = data_suffix(to.id if instance.versioned else to.repo.root.id)
    with instance.store.snapshot() as snapshot:
        ctx = instance.context(at)
        ranges = _class_ranges(instance)
        for first, last in ranges:
            snapshot.send_keys_in_range(ctx, first, last, _Nowhere())

        def rows(new_id: int) -> Rows:
            prefix = instance_prefix(new_id)
            pairs = chain.from_iterable(snapshot.iter_range(ctx, first, last) for first, last in ranges)
            return paged(((prefix + tkey + suffix, value) for tkey, value in pairs), keys_only=False)

        return plan.run(rows, on_progress, None)


def copy_versions(repo: Repo, repos: Repos) -> Repo:
    """A repo in another store with the same versions: UUIDs, branches, notes, logs and commit states.

    Data instances are not copied. If the other store has the repo already, that one is returned as it is.

    Raises:
        UUIDExists: another repo there has some of the versions.
    """
    there = repos.find(repo.uuid)
    if there is not None:
        return there.repo
    return repos.adopt(repo.record, list(repo.nodes.values()))


# --- what is to be done ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """A copy of ``source`` as ``name`` in ``repo``, made at version ``root``; of one version if ``flattened``."""

    source: DataInstance
    repo: Repo
    name: str
    root: str
    flattened: str = ""

    def run(
        self, rows: Callable[[int], Rows], on_progress: OnProgress | None, total: int | None
    ) -> tuple[DataInstance, CopyReport]:
        """Copy the rows that ``rows`` gives for an instance id, then make the instance known."""
        self._check_name()
        target = self._load(0).store
        refuse_unfinished(self.source.store)
        begun = self._begun(target)
        if may_exceed(self.source.store, target):
            check_fits([_stretch(target, 0, rows)], target.engine.limits, _uncounted)
        new_id = self._begin(target) if begun is None else begun
        job = Job(target, [_stretch(target, new_id, rows)], begun is not None, _nothing, on_progress, total)
        report = job.run(check=False)
        return self._publish(target, new_id), report

    def _check_name(self) -> None:
        check_name(self.name)
        if self.name in self.repo.instances:
            text = f"repo {self.repo.uuid} has a data instance {self.name!r} already"
            raise InstanceExists(text, name=self.name)

    def _load(self, new_id: int) -> DataInstance:
        """The copy as it will be; raises if its store cannot have it."""
        was = self.source.record
        kernel = self.repo.repos.kernel
        record = InstanceRecord(
            new_id,
            uuids.uuid4().hex,
            self.name,
            was.typename,
            was.type_version,
            self.root,
            now(),
            settings=was.settings,
            store=kernel.alias_for(was.typename, self.name, self.repo.uuid, self.source.settings.tags),
        )
        return DataInstance.load(self.repo, record, kernel)

    def _mark(self) -> CopyMark:
        source = self.source
        return CopyMark(source.store.record.uuid, now(), source.uuid, self.flattened, self.repo.uuid, self.name)

    def _begun(self, target: Store) -> int | None:
        """The instance id under which this copy was begun before."""
        mark = self._mark()
        return next((number for number, other in marks(target) if other.continues(mark)), None)

    def _begin(self, target: Store) -> int:
        repos = self.repo.repos
        with repos.lock:
            change = repos.change_of(self.repo)
            new_id = change.next_id("instance")
            change.write()
        set_mark(target, self._mark(), new_id)
        return new_id

    def _publish(self, target: Store, new_id: int) -> DataInstance:
        """Make the instance known; where one store keeps both, in one batch with the end of its mark."""
        repos = self.repo.repos
        with repos.lock:
            self._check_name()
            made = self._load(new_id)
            change = repos.change_of(self.repo)
            change.put_instance(self.repo.id, made.record)
            change.log(
                "newinstance",
                self.repo.record,
                version=self.root,
                Typename=made.record.typename,
                Dataname=self.name,
            )
            if target is repos.metadata.store:
                change.also(Segment([(mark_key(new_id), None)]))
            change.write()
            self.repo.instances[self.name] = made
        if target is not repos.metadata.store:
            clear_mark(target, new_id)
        return made


def _stretch(target: Store, new_id: int, rows: Callable[[int], Rows]) -> Stretch:
    return Stretch(*instance_range(new_id), lambda: sealed_rows(rows(new_id), seal_for=target.record.integrity))


def _uncounted(rows: int) -> None:
    pass


def _nothing() -> None:
    pass


class _Nowhere:
    """A channel that keeps nothing: reading keys into it only finds conflicts."""

    def put(self, item: bytes | None, /) -> None:
        pass


# --- versions and keys of the target ---------------------------------------------------------------------------------


def _twin(uuid: str, repo: Repo) -> str:
    """The UUID if the repo has this version, else its root's."""
    return uuid if any(node.uuid == uuid for node in repo.nodes.values()) else repo.uuid


def _version_map(source: Repo, target: Repo) -> Mapping[bytes, bytes]:
    """Version ids of the target by those of the source, as they stand in keys."""
    by_uuid = {node.uuid: version for version, node in target.nodes.items()}
    missing = [node.uuid for node in source.nodes.values() if node.uuid not in by_uuid]
    if missing:
        raise NotFoundError(
            f"repo {target.uuid} lacks {len(missing)} of {len(source.nodes)} versions, {missing[0]} first",
            uuids=tuple(missing),
        )
    return {version.to_bytes(4, "big"): by_uuid[node.uuid].to_bytes(4, "big") for version, node in source.nodes.items()}


def _relabelled(rows: Iterator[Item], new_id: int, versions: Mapping[bytes, bytes]) -> Iterator[Item]:
    """Rows under other instance and version ids; entries of one TKey are put in the order of their new versions."""
    prefix = instance_prefix(new_id)
    for tkey, entries in groupby(rows, key=_tkey_of):
        base = prefix + tkey
        try:
            yield from sorted((base + versions[key[-9:-5]] + key[-5:], value) for key, value in entries)
        except KeyError as error:
            version = int.from_bytes(error.args[0], "big")
            raise CorruptData(f"TKey {shown(tkey)} has an entry of version {version}, which its repo lacks") from None


def _tkey_of(row: Item) -> bytes:
    return row[0][PREFIX_SIZE:-SUFFIX_SIZE]


def _class_ranges(instance: DataInstance) -> list[tuple[bytes, bytes]]:
    """Closed ranges that hold every TKey of the instance, in order."""
    classes = sorted(instance.datatype.tkey_classes, key=lambda tkey_class: tkey_class.id)
    if classes:
        return [(tkey_class.min(), tkey_class.max()) for tkey_class in classes]
    return [(b"", b"\xff" * (instance.store.engine.limits.max_key - PREFIX_SIZE - SUFFIX_SIZE))]
