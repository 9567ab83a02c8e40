"""Faults of resolving: a Store whose ``get`` chooses among the right entries by a wrong rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dvidkit_conformance.planting import Fault

from dvidkit.errors import VersionConflict
from dvidkit.keys import TOMBSTONE_MARK, max_version_key, min_version_key
from dvidkit.store import Store

Entries = Mapping[int, bytes | None]


class Resolving(Store):
    """``get`` scans every entry of a TKey and asks ``choose``."""

    def get(self, ctx: Any, tkey: bytes) -> bytes | None:
        """See ``Store.get``."""
        right = super().get
        if not hasattr(ctx, "ancestry") or not isinstance(tkey, bytes):
            return right(ctx, tkey)
        try:
            wanted = right(ctx, tkey)
        except VersionConflict as error:
            return self.choose(self._entries(ctx, tkey), ctx, error)
        return self.choose(self._entries(ctx, tkey), ctx, wanted)

    def _entries(self, ctx: Any, tkey: bytes) -> dict[int, bytes | None]:
        span = min_version_key(ctx.instance, tkey), max_version_key(ctx.instance, tkey)
        rows = list(self.raw_range_query(*span))
        return {
            int.from_bytes(key[-9:-5], "big"): None if key[-1] == TOMBSTONE_MARK else value
            for key, value in rows
            if len(key) == len(tkey) + 14
        }

    def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
        """The value that is seen: the right one, or the error, unless a fault says otherwise."""
        if isinstance(right, VersionConflict):
            raise right
        value: bytes | None = right
        return value


def ancestors(ctx: Any) -> set[int]:
    """Ids that the context sees."""
    return {int.from_bytes(version, "big") for version in ctx.ancestry.ranks}


class OlderIsAbove(Fault):
    """Every version with an id up to one's own counts as an ancestor."""

    breaks = ("VER-3",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            seen = [version for version in entries if version <= ctx.version]
            return entries[max(seen)] if seen else None


class GreatestIdWins(Fault):
    """Of the entries of ancestors that with the greatest id is taken."""

    breaks = ("VER-5",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            seen = ancestors(ctx) & entries.keys()
            return entries[max(seen)] if seen else None


class OwnVersionOnly(Fault):
    """Nothing is inherited."""

    breaks = ("VER-1",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            return entries.get(ctx.version)


class ChildrenShineThrough(Fault):
    """Where there is no value yet, that of any version is shown."""

    breaks = ("VER-2",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            if not isinstance(right, VersionConflict) and right is None and not ancestors(ctx) & entries.keys():
                return next((value for value in entries.values() if value is not None), None)
            return super().choose(entries, ctx, right)


class TombstonesAreSkipped(Fault):
    """A tombstone is stepped over, and what it hides is back."""

    breaks = ("TOMB-1",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            if right is None:
                live = [version for version in ancestors(ctx) & entries.keys() if entries[version] is not None]
                return entries[max(live)] if live else None
            return super().choose(entries, ctx, right)


class TombstonesWin(Fault):
    """A tombstone on one side of a merge hides a value that was written on the other."""

    breaks = ("MERGE-7",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            seen = {version.to_bytes(4, "big") for version in ancestors(ctx) & entries.keys()}
            if any(entries[int.from_bytes(version, "big")] is None for version in ctx.ancestry.maximal(seen)):
                return None
            return super().choose(entries, ctx, right)


class EveryEntryConflicts(Fault):
    """An entry and that of its ancestor are taken for a conflict at a merge."""

    breaks = ("MERGE-3",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            live = [version for version in ancestors(ctx) & entries.keys() if entries[version] is not None]
            if len(live) > 1 and ctx.version not in live and right is not None:
                raise VersionConflict("two values", conflicts=())
            return super().choose(entries, ctx, right)


class EqualBytesAgree(Fault):
    """Two sides that wrote the same bytes are not in conflict."""

    breaks = ("MERGE-4",)
    steps = 8

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            if isinstance(right, VersionConflict):
                values = {entries.get(int(version)) for version in right.conflicts[0].versions}
                if len(values) == 1:
                    return values.pop()
            return super().choose(entries, ctx, right)


class LastWriterWins(Fault):
    """A conflict is decided by the greatest id, silently."""

    breaks = ("MERGE-4",)
    steps = 8

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            if isinstance(right, VersionConflict):
                return entries[max(int(version) for version in right.conflicts[0].versions)]
            return super().choose(entries, ctx, right)


class OneParentOnly(Fault):
    """What was written on the side of a merge's lesser ids is not seen."""

    breaks = ("MERGE-1",)

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            if right is not None and not isinstance(right, VersionConflict):
                seen = sorted(ancestors(ctx))
                if ctx.version not in entries and len(seen) > 3 and entries.get(seen[1]) == right:
                    return entries.get(seen[0])
            return super().choose(entries, ctx, right)


class MergesStayInConflict(Fault):
    """A write at a merge does not decide its conflict."""

    breaks = ("MERGE-5",)
    steps = 8

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            others = {version.to_bytes(4, "big") for version in (ancestors(ctx) & entries.keys()) - {ctx.version}}
            top = [int.from_bytes(version, "big") for version in ctx.ancestry.maximal(others)]
            if len([version for version in top if entries[version] is not None]) > 1:
                raise VersionConflict("two values", conflicts=())
            return super().choose(entries, ctx, right)


class ShortMemory(Fault):
    """Ancestors further up than a hundred generations are forgotten."""

    breaks = ("VER-10",)
    steps = 0

    class kernel(Resolving):
        def choose(self, entries: Entries, ctx: Any, right: Any) -> bytes | None:
            near = sorted(ancestors(ctx))[-100:]
            if len(near) == 100 and right is not None and not set(near) & entries.keys():
                return None
            return super().choose(entries, ctx, right)
