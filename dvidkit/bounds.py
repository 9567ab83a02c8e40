"""Ranges whose ends may be any bytes, and need not be whole TKeys."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from operator import itemgetter
from typing import Any, Final

from dvidkit.access import Access
from dvidkit.context import InstanceContext, VersionedContext
from dvidkit.errors import VersionConflict
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, after_instance
from dvidkit.ranges import VisibleRange
from dvidkit.resolve import Conflict, winner

_key_of: Final = itemgetter(0)
_data_tkey: Final = itemgetter(slice(PREFIX_SIZE, -SUFFIX_SIZE))


def bounded(
    access: Access,
    ctx: InstanceContext,
    seen: VisibleRange,
    first: bytes,
    last: bytes,
    *,
    keys_only: bool,
) -> Iterator[list[Any]]:
    """A range whose ends may be any bytes: rows of TKeys that extend, or are extended by, an end lie across it."""
    for rows in seen:
        tkeys = list(map(_data_tkey, rows if keys_only else map(_key_of, rows)))
        if tkeys and not (first <= tkeys[0] and tkeys[-1] <= last and not _proper_prefix(tkeys[-1], last)):
            inside = [first <= tkey <= last and not _proper_prefix(tkey, last) for tkey in tkeys]
            rows = list(compress(rows, inside))
        if rows:
            yield rows
    prefix_of_last = _stored_prefix(access, ctx, last)
    if prefix_of_last is None or prefix_of_last < first:
        return
    seen.conflicts[:] = [conflict for conflict in seen.conflicts if conflict.tkey != prefix_of_last]
    row = _row_of(access, ctx, prefix_of_last, seen.conflicts, keys_only=keys_only)
    if row is not None:
        yield [row]


def _stored_prefix(access: Access, ctx: InstanceContext, last: bytes) -> bytes | None:
    """The one stored TKey that is a proper prefix of ``last``, if there is one: its entries surround it."""
    place = ctx.prefix + last
    for key in (
        access.first_from(place, after_instance(ctx.prefix), keys_only=True),
        access.last_before(place, ctx.prefix, keys_only=True),
    ):
        tkey = b"" if key is None else key[len(ctx.prefix) : -SUFFIX_SIZE]
        if key is not None and _proper_prefix(tkey, last):
            return bytes(tkey)
    return None


def _row_of(access: Access, ctx: InstanceContext, tkey: bytes, conflicts: list[Conflict], *, keys_only: bool) -> Any:
    base = ctx.prefix + tkey
    if isinstance(ctx, VersionedContext):
        entry = winner_or_conflict(access, ctx, tkey, conflicts)
    else:
        stored = access.get(base + ctx.suffix)
        entry = None if stored is None else (base + ctx.suffix, stored)
    return entry[0] if entry is not None and keys_only else entry


def winner_or_conflict(access: Access, ctx: VersionedContext, tkey: bytes, found: list[Conflict]) -> Any:
    """``winner``, with a conflict added to ``found`` and not raised."""
    try:
        return winner(access, ctx, ctx.prefix + tkey)
    except VersionConflict as error:
        found.extend(error.conflicts)
        return None


def _proper_prefix(tkey: bytes, longer: bytes) -> bool:
    return longer.startswith(tkey) and tkey != longer
