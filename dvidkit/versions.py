"""The version DAG, and the rule that says which of several stored entries a version sees.

For a TKey, let *C* be the versions that are the requested version or one of its ancestors and hold an entry (a value
or a tombstone). The **maximal elements** of *C* are those that no other element of *C* descends from. The versioned
read is the one maximal element that is a value, nothing if there is none, and a conflict if there are several.

Source: the rule is DVID's ``findMatch`` (``datastore/repo_local.go``) stated on sets, so that parent order, n-way and
nested merges all follow from one sentence.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from dvidkit.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from dvidkit.keys import TOMBSTONE_TAIL, VALUE_TAIL, VersionID, u32

_CACHED_ANCESTRIES: Final = 512


class Ancestry:
    """What one version can see: itself and all its ancestors, in an order in which descendants come last.

    Immutable: a version's parents never change. Versions are keyed by their four big-endian bytes, as they stand in
    data keys, so that no number is decoded on the way.

    Attributes:
        version: the version whose view this is.
        ranks: position of every visible version; an ancestor's rank is less than its descendant's.
        ordered: the visible versions in order of rank.
        monotone: ids and ranks agree, so entries of a TKey are stored in rank order.
        chain: no merge among the visible versions, so the entry of greatest rank decides alone.
        cuts: versions of which every visible version of lesser rank is an ancestor; they decide alone too.
        decides: for monotone ids, the key suffixes of the cuts: an entry with one of these, found last at or before
            the version, is the answer; true if it is a value, false if it is a tombstone.
    """

    __slots__ = ("_dag", "chain", "cuts", "decides", "monotone", "ordered", "ranks", "version")

    def __init__(self, dag: VersionDAG, version: VersionID, parents: Mapping[int, Sequence[int]]) -> None:
        visible = _reachable(version, parents)
        edges = [(node, parent) for node in visible for parent in parents[node]]
        self._dag = dag
        self.version = version
        self.monotone = all(parent < node for node, parent in edges)
        self.chain = len(edges) == len(visible) - 1 and all(len(parents[node]) < 2 for node in visible)
        order = sorted(visible) if self.monotone else sorted(visible, key=dag.position)
        self.ranks: dict[bytes, int] = {node.to_bytes(4, "big"): rank for rank, node in enumerate(order)}
        self.ordered: tuple[bytes, ...] = tuple(self.ranks)
        self.cuts = frozenset(self.ranks) if self.chain else _cuts(order, parents)
        self.decides: dict[bytes, bool] = {}
        if self.monotone:
            self.decides.update((version + VALUE_TAIL, True) for version in self.cuts)
            self.decides.update((version + TOMBSTONE_TAIL, False) for version in self.cuts)

    def __contains__(self, version: bytes) -> bool:
        return version in self.ranks

    def maximal(self, versions: Iterable[bytes]) -> list[bytes]:
        """The maximal elements of ``versions``, all of which must be visible; greatest rank first."""
        ranks = self.ranks
        found: list[bytes] = []
        covered: set[bytes] = set()
        for version in sorted(versions, key=ranks.__getitem__, reverse=True):
            if version in covered:
                continue
            found.append(version)
            if version in self.cuts:
                break
            covered.update(self._dag.ancestry(VersionID(int.from_bytes(version, "big"))).ranks)
        return found


def _reachable(version: int, parents: Mapping[int, Sequence[int]]) -> set[int]:
    seen = {version}
    todo = [version]
    while todo:
        for parent in parents[todo.pop()]:
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return seen


def _cuts(order: Sequence[int], parents: Mapping[int, Sequence[int]]) -> frozenset[bytes]:
    """Versions at which, walking down from the last, no other line of descent is open."""
    cuts: set[bytes] = set()
    open_lines: set[int] = set()
    for node in reversed(order):
        open_lines.discard(node)
        if not open_lines:
            cuts.add(node.to_bytes(4, "big"))
        open_lines.update(parents[node])
    return frozenset(cuts)


class VersionDAG:
    """Versions and their parents. Versions are only added, each after its parents, so there is never a cycle.

    Thread-safe. ``revision`` grows with every change, so that what was derived from the DAG can say what it saw.
    """

    def __init__(self, parents: Mapping[int, Sequence[int]] | None = None) -> None:
        self._lock = threading.Lock()
        self._parents: dict[int, tuple[int, ...]] = {}
        self._children: dict[int, list[int]] = {}
        self._position: dict[int, int] = {}
        self._ancestries: OrderedDict[int, Ancestry] = OrderedDict()
        for version, its_parents in (parents or {}).items():
            self.add(version, its_parents)

    @property
    def revision(self) -> int:
        """Number of versions ever added."""
        return len(self._position)

    def __len__(self) -> int:
        return len(self._parents)

    def __contains__(self, version: int) -> bool:
        return version in self._parents

    def __iter__(self) -> Iterator[VersionID]:
        return map(VersionID, list(self._parents))

    def add(self, version: int, parents: Sequence[int] = ()) -> None:
        """Add a version below its parents; nothing happens to the DAG if it is refused.

        Raises:
            OutOfBounds, BadType: a version id that is not a u32.
            AlreadyExistsError: the version is there already.
            NotFoundError: a parent is not.
            InvalidInputError: the same parent twice, or the version as its own parent.
        """
        u32(version, "version")
        with self._lock:
            if version in self._parents:
                raise AlreadyExistsError(f"version {version} is already in the DAG", version=version)
            if version in parents or len(set(parents)) != len(parents):
                raise InvalidInputError(f"version {version} cannot have the parents {list(parents)}", version=version)
            for parent in parents:
                if parent not in self._parents:
                    raise NotFoundError(f"parent version {parent} is not in the DAG", version=parent)
            self._position[version] = len(self._position)
            self._parents[version] = tuple(parents)
            self._children[version] = []
            for parent in parents:
                self._children[parent].append(version)

    def parents(self, version: int) -> tuple[VersionID, ...]:
        """Parents in the order given to ``add``."""
        return tuple(VersionID(parent) for parent in self._known(version, self._parents))

    def children(self, version: int) -> tuple[VersionID, ...]:
        """Children in the order they were added."""
        return tuple(VersionID(child) for child in self._known(version, self._children))

    def position(self, version: int) -> int:
        """Order of arrival; a parent's is less than its child's."""
        return self._position[version]

    def is_ancestor(self, ancestor: int, version: int) -> bool:
        """Whether ``version`` descends from ``ancestor`` or is it."""
        return u32(ancestor, "version") in self.ancestry(version).ranks

    def ancestry(self, version: int) -> Ancestry:
        """The view of a version, computed once and kept while it is in use.

        Raises:
            NotFoundError: the version is not in the DAG.
        """
        with self._lock:
            found = self._ancestries.get(version)
            if found is not None:
                self._ancestries.move_to_end(version)
                return found
        self._known(version, self._parents)
        made = Ancestry(self, VersionID(version), self._parents)
        with self._lock:
            self._ancestries[version] = made
            while len(self._ancestries) > _CACHED_ANCESTRIES:
                self._ancestries.popitem(last=False)
        return made

    @staticmethod
    def _known(version: int, table: Mapping[int, Sequence[int]]) -> Sequence[int]:
        try:
            return table[version]
        except KeyError:
            raise NotFoundError(f"version {version} is not in the DAG", version=version) from None
