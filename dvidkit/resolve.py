"""Point reads of one TKey: which stored entry a context sees.

Entries of a TKey are stored in order of version id. Where ids grow from parent to child (the rule for repos made by
dvidkit) the answer is nearly always the last entry at or before the version: one reverse seek. Where it belongs to a
version off the line of descent, the next visible id below is sought, so that siblings cost a seek and not a scan.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import msgspec

from dvidkit.access import Access
from dvidkit.context import VersionedContext
from dvidkit.errors import VersionConflict
from dvidkit.keys import DATA_MARK, SUFFIX_SIZE, VersionID, max_version_key, min_version_key
from dvidkit.versions import Ancestry


class Conflict(msgspec.Struct, frozen=True):
    """Several live values for one TKey: the versions that wrote them, greatest first."""

    tkey: bytes
    versions: tuple[VersionID, ...]


def conflict_error(conflicts: list[Conflict], result: Any = None) -> VersionConflict:
    """The error for these conflicts; ``result`` is what a range read has apart from them."""
    shown = ", ".join(f"{c.tkey!r} in versions {list(c.versions)}" for c in conflicts[:3])
    more = f" and {len(conflicts) - 3} more" if len(conflicts) > 3 else ""
    return VersionConflict(
        f"merged versions each wrote a value and none was chosen: {shown}{more}",
        conflicts=tuple(conflicts),
        result=result,
    )


def version_of(key: bytes) -> VersionID:
    """The version id in a data key."""
    return VersionID(int.from_bytes(key[-9:-5], "big"))


def winner(access: Access, ctx: VersionedContext, base: bytes, *, keys_only: bool = False) -> Any:
    """The stored entry that the context sees for the TKey of ``base`` (``prefix | TKey``).

    Returns:
        ``(key, stored value)``, or the key with ``keys_only``; ``None`` if there is no entry or it is a tombstone.

    Raises:
        VersionConflict: several maximal entries hold values.
    """
    entries = _candidates(access, ctx, base, keys_only=keys_only)
    if len(entries) > 1:
        maximal = {version: entries[version] for version in ctx.ancestry.maximal(entries)}
        entries = {version: entry for version, entry in maximal.items() if _key(entry)[-1] == DATA_MARK}
    if len(entries) > 1:
        raise conflict_error([Conflict(base[len(ctx.prefix) :], _ids(entries))])
    for entry in entries.values():
        return entry if _key(entry)[-1] == DATA_MARK else None
    return None


def _ids(versions: Iterable[bytes]) -> tuple[VersionID, ...]:
    return tuple(VersionID(int.from_bytes(version, "big")) for version in versions)


def _key(entry: Any) -> bytes:
    key: bytes = entry if type(entry) is bytes else entry[0]
    return key


def _candidates(access: Access, ctx: VersionedContext, base: bytes, *, keys_only: bool) -> dict[bytes, Any]:
    """Visible entries by version, down to the first that decides alone (ids in rank order) or all (otherwise)."""
    ancestry = ctx.ancestry
    if not ancestry.monotone:
        return _all_visible(access, ctx, base, keys_only=keys_only)
    found: dict[bytes, Any] = {}
    size = len(base) + SUFFIX_SIZE
    end = base + ctx.ceiling
    while (entry := access.last_before(end, base, keys_only=keys_only)) is not None:
        key: bytes = entry if keys_only else entry[0]
        end = key
        if len(key) != size:
            continue
        version = key[-9:-5]
        if version in ancestry.ranks:
            found.setdefault(version, entry)
            if version in ancestry.cuts:
                break
            end = base + version
        else:
            below = visible_below(ancestry, version)
            if below is None:
                break
            end = base + below + b"\xff\xff\xff\xff\xff"
    return found


def visible_below(ancestry: Ancestry, version: bytes) -> bytes | None:
    """The greatest visible version id less than ``version``, for an ancestry whose ids are in rank order."""
    ordered = ancestry.ordered
    place = bisect_left(ordered, version)
    return ordered[place - 1] if place else None


def _all_visible(access: Access, ctx: VersionedContext, base: bytes, *, keys_only: bool) -> dict[bytes, Any]:
    tkey = base[len(ctx.prefix) :]
    begin, end = min_version_key(ctx.instance, tkey), max_version_key(ctx.instance, tkey)
    size = len(base) + SUFFIX_SIZE
    found: dict[bytes, Any] = {}
    for entry in access.scan(begin, end, keys_only=keys_only):
        key: bytes = entry if keys_only else entry[0]
        if len(key) == size and key[-9:-5] in ctx.ancestry.ranks:
            found[key[-9:-5]] = entry
    return found
