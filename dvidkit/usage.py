"""How much room instances take, and how many versions their keys have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dvidkit.errors import UnsupportedError
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, TOMBSTONE_MARK, instance_range

if TYPE_CHECKING:
    from dvidkit.kernel import Kernel
    from dvidkit.store import Store

KeyUsage = dict[int, dict[int, int]]
"""By TKey class: how many keys have how many versions; under 0 the number of tombstones."""


def key_usage(store: Store, ranges: Sequence[tuple[bytes, bytes]]) -> list[KeyUsage]:
    """For each half-open range of full data keys, its histogram of versions per key.

    Source: DVID ``storage.KeyUsageViewer``.
    """
    return [_usage(store, begin, end) for begin, end in ranges]


def _usage(store: Store, begin: bytes, end: bytes) -> KeyUsage:
    counts: dict[int, Counter[int]] = {}
    with store.instant() as access:
        keys = access.scan(begin, end, keys_only=True)
        for head, group in groupby(keys, key=_head):
            marks = [key[-1] for key in group]
            of_class = counts.setdefault(head[PREFIX_SIZE] if len(head) > PREFIX_SIZE else 0, Counter())
            of_class[len(marks)] += 1
            of_class[0] += marks.count(TOMBSTONE_MARK)
    return {tkey_class: dict(sorted(of_class.items())) for tkey_class, of_class in sorted(counts.items())}


def _head(key: bytes) -> bytes:
    return key[:-SUFFIX_SIZE]


def storage_summary(kernel: Kernel) -> dict[str, Any]:
    """By store and instance id: name, datatype, bytes (``None`` where the engine does not estimate), key usage."""
    summary: dict[str, dict[str, Any]] = {alias: {} for alias in kernel.stores}
    aliases = {id(store): alias for alias, store in kernel.stores.items()}
    for repo in kernel.repos:
        for instance in list(repo.instances.values()):
            bounds = instance_range(instance.id)
            summary[aliases[id(instance.store)]][str(instance.id)] = {
                "InstanceName": instance.name,
                "DataType": instance.record.typename,
                "DataUUID": instance.uuid,
                "RootUUID": repo.uuid,
                "Bytes": _bytes(instance.store, bounds),
                "KeyUsage": key_usage(instance.store, [bounds])[0],
            }
    return summary


def _bytes(store: Store, bounds: tuple[bytes, bytes]) -> int | None:
    try:
        return store.approximate_sizes([bounds])[0]
    except UnsupportedError:
        return None
