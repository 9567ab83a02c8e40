"""Reading and changing the metadata of a store, one atomic change at a time.

Every change carries the revision it was made from as an expectation: of two processes that change metadata of one
store at once, the second is told (``ConflictError``), everything is read again, and it may retry. A write that failed
may still have been made, as a disk may fail in its last step; that too is found out before the next change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from dvidkit import records
from dvidkit.context import MetadataContext
from dvidkit.errors import BadConfig, ConflictError
from dvidkit.keys import U32_MAX, metadata_key
from dvidkit.mutationlog import MutationRecord, log_segment
from dvidkit.records import InstanceRecord, NodeRecord, RepoRecord
from dvidkit.segment import Segment
from dvidkit.store import Store

_CTX: Final = MetadataContext()
_REVISION: Final = records.REVISION.key()
_REVISION_KEY: Final = metadata_key(_REVISION)


class Everything(msgspec.Struct, frozen=True):
    """All metadata of a store: repos by id, versions and instances with the id of their repo."""

    repos: list[RepoRecord]
    nodes: list[tuple[int, NodeRecord]]
    instances: list[tuple[int, InstanceRecord]]


class Change:
    """Records to be written together. Ids it hands out are only taken if it is written."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._pairs: dict[bytes, bytes | None] = {}
        self._segments: list[Segment] = []

    def next_id(self, counter: str, *, least: int = 1) -> int:
        """A new id, not below ``least``; they grow."""
        tkey = records.COUNTER.key(counter.encode())
        stored = self._pairs.get(tkey) or self._metadata.store.get(_CTX, tkey)
        number = max(least, int.from_bytes(stored, "big") if stored else 1)
        if number > U32_MAX:
            raise BadConfig(f"the store has no {counter} ids left", setting=counter)
        self._pairs[tkey] = (number + 1).to_bytes(8, "big")
        return number

    def reserve(self, counter: str, count: int, *, start: int) -> int:
        """Take ``count`` numbers in a row, none below ``start``; the first of them."""
        tkey = records.COUNTER.key(counter.encode())
        stored = self._pairs.get(tkey) or self._metadata.store.get(_CTX, tkey)
        first = max(start, int.from_bytes(stored, "big") if stored else 0)
        self._pairs[tkey] = (first + count).to_bytes(8, "big")
        return first

    def put_repo(self, record: RepoRecord) -> None:
        """Write a repo's record."""
        self._pairs[records.repo_tkey(record.id)] = records.encode(record)

    def put_node(self, repo: int, record: NodeRecord) -> None:
        """Write a version's record."""
        self._pairs[records.node_tkey(repo, record.version)] = records.encode(record)

    def put_instance(self, repo: int, record: InstanceRecord) -> None:
        """Write an instance's record."""
        self._pairs[records.instance_tkey(repo, record.id)] = records.encode(record)

    def log(self, action: str, repo: RepoRecord, *, version: str = "", user: str = "", **fields: Any) -> None:
        """Append to the mutation log what is done to a repo, under DVID's names."""
        store = self._metadata.store
        record = MutationRecord(action, repo.root, version, time=now(), user=user, fields=fields)
        self._segments.append(log_segment(record, version=repo.id, sealed=store.record.integrity))

    def also(self, segment: Segment) -> None:
        """Write this with the records, in the same batch."""
        self._segments.append(segment)

    def delete_tkey(self, tkey: bytes) -> None:
        """Remove a record."""
        self._pairs[tkey] = None

    def write(self) -> None:
        """Write all of it, if the metadata is still as it was when it was read.

        Raises:
            ConflictError: somebody else changed it meanwhile; nothing was written, and everything was read again.
        """
        self._metadata.write(self._pairs, self._segments)


class Metadata:
    """The metadata records of one store.

    Attributes:
        store: where they are.
        revision: the revision that was read; ``stale`` says whether it still holds.
        doubtful: a write failed, and whether it was made is not known.
        reread: called, by the thread that changes something, when what was read no longer holds.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.revision = self._stored_revision()
        self.doubtful = False
        self.reread: Callable[[], object] = self.read

    def change(self) -> Change:
        """Begin a change.

        Raises:
            ConflictError: a write that had failed was made after all; everything was read again, so check and retry.
        """
        if self.doubtful and self.stale():
            self.reread()
            raise ConflictError("a change of the metadata that had failed was made after all", key=_REVISION_KEY)
        return Change(self)

    def write(self, pairs: dict[bytes, bytes | None], segments: Sequence[Segment] = ()) -> None:
        """Write records, segments and the next revision, if the revision is still the one that was read."""
        following = self.revision + 1
        segment = self.store.segment(_CTX, [*pairs.items(), (_REVISION, following.to_bytes(8, "big"))])
        before = self.revision.to_bytes(8, "big") if self.revision else None
        try:
            self.store.commit([segment, *segments], expect={_REVISION_KEY: before}, durable=True)
        except ConflictError:
            self.reread()
            raise
        except BaseException:
            self.doubtful = True
            raise
        self.revision, self.doubtful = following, False

    def stale(self) -> bool:
        """Whether another process has changed the metadata since it was read."""
        return self.revision != self._stored_revision()

    def read(self) -> Everything:
        """All records, of one instant, which becomes the revision that changes are made from."""
        with self.store.snapshot() as snapshot:
            stored = snapshot.get(_CTX, _REVISION)
            self.revision = int.from_bytes(stored, "big") if stored else 0
            self.doubtful = False
            repos = snapshot.get_range(_CTX, records.REPO.min(), records.REPO.max())
            nodes = snapshot.get_range(_CTX, records.NODE.min(), records.NODE.max())
            instances = snapshot.get_range(_CTX, records.INSTANCE.min(), records.INSTANCE.max())
        return Everything(
            [records.decode(value, RepoRecord) for _, value in repos],
            [(_repo_of(tkey), records.decode(value, NodeRecord)) for tkey, value in nodes],
            [(_repo_of(tkey), records.decode(value, InstanceRecord)) for tkey, value in instances],
        )

    def _stored_revision(self) -> int:
        stored = self.store.get(_CTX, _REVISION)
        return int.from_bytes(stored, "big") if stored else 0


def without_orphans(everything: Everything) -> tuple[Everything, list[str]]:
    """What can be used, and a line for each record that cannot: what it belongs to is not there.

    Nothing that dvidkit writes leaves such records; a store that was damaged or mended by hand may have them, and is
    to be opened all the same.
    """
    there: dict[int, set[int]] = {repo.id: set() for repo in everything.repos}
    nodes: list[tuple[int, NodeRecord]] = []
    left: list[str] = []
    for repo, node in everything.nodes:
        if repo in there and there[repo].issuperset(node.parents):
            there[repo].add(node.version)
            nodes.append((repo, node))
        else:
            left.append(f"version {node.uuid} is of repo {repo}, which does not exist or lacks its parents")
    rooted = {repo.id for repo in everything.repos if repo.deleted} | {repo for repo, node in nodes if not node.parents}
    left += [f"repo {repo.id} has no root version {repo.root}" for repo in everything.repos if repo.id not in rooted]
    instances = [(repo, each) for repo, each in everything.instances if repo in rooted]
    left += [
        f"instance {each.name!r} is of repo {repo}, which does not exist or has no root"
        for repo, each in everything.instances
        if repo not in rooted
    ]
    repos = [repo for repo in everything.repos if repo.id in rooted]
    return Everything(repos, [pair for pair in nodes if pair[0] in rooted], instances), left


def now() -> str:
    """The time as metadata and logs record it: RFC 3339, UTC, microseconds."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{_to_the_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=2)
def _to_the_second(seconds: int) -> str:
    """Remembered, because many things happen in one second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _repo_of(tkey: bytes) -> int:
    return int.from_bytes(tkey[2:6], "big")
