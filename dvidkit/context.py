"""Contexts: where an operation reads and writes.

A context holds the parts of the full key that do not change from call to call, so that a read builds its key by one
concatenation. Contexts are immutable, but for a hint of no consequence, and may be shared between threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from dvidkit.keys import (
    SUFFIX_SIZE,
    InstanceID,
    TKeyClass,
    VersionID,
    data_suffix,
    instance_prefix,
    tombstone_suffix,
)
from dvidkit.versions import Ancestry, VersionDAG

_AFTER_ALL: Final = b"\xff" * SUFFIX_SIZE


class MetadataContext:
    """The metadata key space: unversioned, shared by the whole store, never touched by an instance."""

    __slots__ = ()
    prefix: Final = b"\x00"

    def __repr__(self) -> str:
        return "MetadataContext()"


class DataContext:
    """One instance without versions: entries carry a fixed version id, and a delete leaves nothing behind.

    Attributes:
        instance: instance id.
        version: the id its entries carry; 0 unless the instance belongs to a repo, where it is the root's.
        prefix: ``01 | instance``.
        suffix: what follows the TKey of every entry.
        slot: ``instance | version``, as completeness records name it.
        classes: TKey classes of the instance's datatype by class byte; empty where none were given.
    """

    __slots__ = ("classes", "instance", "prefix", "slot", "suffix", "version")

    def __init__(self, instance: int, version: int = 0, classes: Iterable[TKeyClass] = ()) -> None:
        self.instance = InstanceID(instance)
        self.version = VersionID(version)
        self.prefix = instance_prefix(instance)
        self.suffix = data_suffix(version)
        self.slot = self.prefix[1:] + self.suffix[:4]
        self.classes = _by_id(classes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(instance={self.instance}, version={self.version})"


class VersionedContext:
    """One instance as one version sees it.

    Attributes:
        instance, version, prefix, slot, classes: as in ``DataContext``.
        ancestry: what the version sees.
        suffix: what follows the TKey of a value written here.
        tombstone: what follows the TKey of a deletion made here.
        decides: see ``Ancestry``.
        ceiling: with the TKey before it, sorts after every entry this version might see.
        near: a hint: the entry that was read last was found where it was looked for first, so the next is, too.
    """

    __slots__ = (
        "ancestry",
        "ceiling",
        "classes",
        "decides",
        "instance",
        "near",
        "prefix",
        "slot",
        "suffix",
        "tombstone",
        "version",
    )

    def __init__(self, instance: int, version: int, dag: VersionDAG, classes: Iterable[TKeyClass] = ()) -> None:
        self.instance = InstanceID(instance)
        self.version = VersionID(version)
        self.ancestry: Ancestry = dag.ancestry(version)
        self.prefix = instance_prefix(instance)
        self.suffix = data_suffix(version)
        self.slot = self.prefix[1:] + self.suffix[:4]
        self.tombstone = tombstone_suffix(version)
        self.decides = self.ancestry.decides
        self.ceiling = self.suffix[:4] + _AFTER_ALL[4:] if self.ancestry.monotone else _AFTER_ALL
        self.classes = _by_id(classes)
        self.near = True

    def __repr__(self) -> str:
        return f"VersionedContext(instance={self.instance}, version={self.version})"


Context = MetadataContext | DataContext | VersionedContext
InstanceContext = DataContext | VersionedContext


def _by_id(classes: Iterable[TKeyClass]) -> Mapping[int, TKeyClass]:
    return MappingProxyType({tkey_class.id: tkey_class for tkey_class in classes})
