"""Versioned range reads: pages of stored rows in, pages of what a version sees out.

Work is done by the page, by functions that loop in C; a row costs a Python statement only where it must. A page goes
through these steps:

1. the 9-byte suffixes (version, client, mark) on the page, as a set, say whether anything is invisible or a tombstone;
2. if no TKey stands twice, every visible row is the answer for its TKey;
3. else the last visible row of a TKey decides, where ids grow with descent and no merge lies between; the few TKeys
   for which that is not so are resolved one by one.

Rows of the page's last TKey wait for the next page. Where many rows stand for each TKey, rows are not read but
skipped: one seek to the row that decides, one to the next TKey, until a look at a page says that it no longer pays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator
from itertools import compress, islice
from operator import itemgetter, ne
from typing import Any, Final

from dvidkit.access import Access
from dvidkit.context import DataContext, InstanceContext, VersionedContext
from dvidkit.errors import VersionConflict
from dvidkit.keys import DATA_MARK, PREFIX_SIZE, SUFFIX_SIZE
from dvidkit.resolve import Conflict, version_of, winner

_key_of: Final = itemgetter(0)
_suffix_of: Final = itemgetter(slice(-SUFFIX_SIZE, None))
_tkey_of: Final = itemgetter(slice(PREFIX_SIZE, -SUFFIX_SIZE))

_AFTER: Final = b"\xff" * SUFFIX_SIZE

_INVISIBLE: Final = 0
_TOMBSTONE: Final = 1
_VALUE: Final = 2

Steps = Generator[list[Any], None, bytes | None]
"""Pages, and at the end where to go on in the other way, or ``None`` at the end of the range."""

_SKIPS: Final = 256
"""TKeys read by seeking before a page is read again to see whether it still pays."""
_PUSHED_SKIPS: Final = 8192
"""The same where the engine seeks by itself, at a fraction of the price."""
_ROW_BYTES: Final = 512
"""Value bytes that cost about as much to pass over as a row does."""


class VisibleRange:
    """What a context sees of the half-open full-key range, in pages, ascending.

    Iterate once. A page is a list of stored rows, one for each live TKey: the full key with ``keys_only``, else
    ``(key, stored value)``. Conflicted TKeys are left out and listed in ``conflicts``.
    """

    def __init__(
        self,
        access: Access,
        ctx: InstanceContext,
        begin: bytes,
        end: bytes,
        *,
        keys_only: bool = False,
        seek_cost: int = 8,
    ) -> None:
        self.conflicts: list[Conflict] = []
        self._access = access
        self._ctx = ctx
        self._begin = begin
        self._end = end
        self._keys_only = keys_only
        self._seek_cost = seek_cost
        self._kinds: dict[bytes, int] = {}
        self._last_decides = isinstance(ctx, DataContext) or (ctx.ancestry.chain and ctx.ancestry.monotone)

    def __iter__(self) -> Iterator[list[Any]]:
        position: bytes | None = self._begin
        while position is not None and position < self._end:
            position = yield from self._read(position)
            if position is not None:
                position = yield from self._skip(position)

    # --- reading rows ------------------------------------------------------------------------------------------------

    def _read(self, begin: bytes) -> Steps:
        """Yield pages; return the base from which to skip once that pays, or ``None`` at the end."""
        waiting: list[Any] = []
        for page in self._access.pages(begin, self._end, keys_only=self._keys_only):
            rows = waiting + page if waiting else page
            keys = self._keys(rows)
            if self._alike(keys):
                waiting = [rows.pop()]
                if rows:
                    yield rows
                continue
            tkeys = list(map(_tkey_of, keys))
            distinct = 1 + sum(map(ne, tkeys, islice(tkeys, 1, None)))
            cut = bisect_left(tkeys, tkeys[-1])
            if cut:
                yield self._resolve(tkeys[:cut], rows[:cut], keys[:cut], several=distinct <= cut)
            if self._skipping_pays(rows, distinct):
                return self._ctx.prefix + bytes(tkeys[-1])
            waiting = rows[cut:] if cut else self._thin(rows, keys)
        if waiting:
            keys = self._keys(waiting)
            yield self._resolve(list(map(_tkey_of, keys)), waiting, keys, several=len(waiting) > 1)
        return None

    def _alike(self, keys: list[bytes]) -> bool:
        """Whether every key is a visible value of one and the same version: the page of a store without history."""
        suffix = keys[0][-SUFFIX_SIZE:]
        if keys[-1][-SUFFIX_SIZE:] != suffix or self._kinds_of({suffix})[suffix] != _VALUE:
            return False
        step, rows = len(keys[0]), len(keys)
        if list(map(len, keys)).count(step) < rows:
            return set(map(_suffix_of, keys)) == {suffix}
        joined, first = b"".join(keys), step - SUFFIX_SIZE
        return all(joined[first + place :: step] == suffix[place : place + 1] * rows for place in range(SUFFIX_SIZE))

    def _keys(self, rows: list[Any]) -> list[bytes]:
        return rows if self._keys_only else list(map(_key_of, rows))

    def _thin(self, rows: list[Any], keys: list[bytes]) -> list[Any]:
        """Of rows of one TKey, what may still decide, so that ten thousand versions are not carried along."""
        kinds = self._kinds_of(set(map(_suffix_of, keys)))
        visible = [row for row, key in zip(rows, keys, strict=True) if kinds[key[-SUFFIX_SIZE:]]]
        return visible[-1:] if self._last_decides else visible

    def _resolve(self, tkeys: list[bytes], rows: list[Any], keys: list[bytes], *, several: bool) -> list[Any]:
        """What the context sees of these rows, which are all rows of their TKeys."""
        suffixes = set(map(_suffix_of, keys))
        kinds = self._kinds_of(suffixes)
        present = {kinds[suffix] for suffix in suffixes}
        if _INVISIBLE in present:
            seen = [kinds[key[-SUFFIX_SIZE:]] for key in keys]
            tkeys, rows = list(compress(tkeys, seen)), list(compress(rows, seen))
        if several:
            rows = self._decide(tkeys, rows)
        if _TOMBSTONE in present:
            rows = list(compress(rows, [key[-1] == DATA_MARK for key in self._keys(rows)]))
        return rows

    def _kinds_of(self, suffixes: set[bytes]) -> dict[bytes, int]:
        """Of each suffix: invisible, tombstone or value; remembered, as a range holds few."""
        kinds = self._kinds
        for suffix in suffixes - kinds.keys():
            kinds[suffix] = self._kind_of(suffix)
        return kinds

    def _kind_of(self, suffix: bytes) -> int:
        ctx = self._ctx
        if isinstance(ctx, DataContext):
            return _VALUE if suffix == ctx.suffix else _INVISIBLE
        if suffix[:4] not in ctx.ancestry.ranks:
            return _INVISIBLE
        return _VALUE if suffix[-1] == DATA_MARK else _TOMBSTONE

    def _decide(self, tkeys: list[bytes], rows: list[Any]) -> list[Any]:
        """One row per TKey, of visible rows of which some TKey may have several."""
        last = dict(zip(tkeys, rows, strict=True))
        ctx = self._ctx
        if not self._last_decides and len(last) < len(rows):
            assert isinstance(ctx, VersionedContext)
            groups: dict[bytes, list[Any]] = {}
            for tkey, row in zip(tkeys, rows, strict=True):
                groups.setdefault(tkey, []).append(row)
            decided = ((tkey, self._decide_one(ctx, tkey, group)) for tkey, group in groups.items())
            last = {tkey: row for tkey, row in decided if row is not None}
        return list(last.values())

    def _decide_one(self, ctx: VersionedContext, tkey: bytes, group: list[Any]) -> Any:
        by_version = {key[-9:-5]: row for key, row in zip(self._keys(group), group, strict=True)}
        last = next(reversed(by_version))
        if ctx.ancestry.monotone and last in ctx.ancestry.cuts:
            return by_version[last]
        maximal = [by_version[version] for version in ctx.ancestry.maximal(by_version)]
        live = {key: row for key, row in zip(self._keys(maximal), maximal, strict=True) if key[-1] == DATA_MARK}
        if len(live) > 1:
            self.conflicts.append(Conflict(tkey, tuple(map(version_of, live))))
            return None
        return next(iter(live.values()), None)

    # --- skipping rows -----------------------------------------------------------------------------------------------

    def _skipping_pays(self, rows: list[Any], distinct: int) -> bool:
        """Whether a TKey costs less by seeking than by reading its rows: by the engine's hint and the bytes between."""
        if len(rows) < 2 * distinct or not isinstance(self._ctx, VersionedContext):
            return False
        if self._pushed_down():
            seeks = 0.5
        elif self._access.seeks:
            seeks = 2.0
        else:
            return False
        weight = 1.0
        if not self._keys_only:
            weight += sum([len(row[1]) for row in rows]) / (len(rows) * _ROW_BYTES)
        return (len(rows) / distinct - 1) * weight > seeks * self._seek_cost

    def _pushed_down(self) -> bool:
        return self._access.last is not None and self._ctx.ancestry.monotone  # type: ignore[union-attr]

    def _skip(self, base: bytes) -> Steps:
        """Read some TKeys from ``base`` on by seeking; return where to read rows again, or ``None`` at the end."""
        if self._pushed_down():
            return (yield from self._skip_in_engine(base))
        ctx, access, end = self._ctx, self._access, self._end
        assert isinstance(ctx, VersionedContext)
        found: list[Any] = []
        following: bytes | None = base
        for _ in range(_SKIPS):
            self._find(access, ctx, base, found)
            following = access.first_from(base + _AFTER, end, keys_only=True)
            if following is None:
                break
            base = following[:-SUFFIX_SIZE]
        if found:
            yield found
        return base if following is not None else None

    def _skip_in_engine(self, base: bytes) -> Steps:
        """The same where the engine does the seeking: it names the last row of each TKey that might be visible."""
        ctx, access = self._ctx, self._access
        assert isinstance(ctx, VersionedContext)
        assert access.last is not None
        decides, count, key = ctx.decides, 0, base
        rows: list[Any]
        for rows in access.last(base, self._end, ctx.ceiling, keys_only=self._keys_only):
            keys = self._keys(rows)
            live = [decides.get(suffix) for suffix in map(_suffix_of, keys)]
            if None in live:
                rows = self._settle(ctx, rows, live)
            elif False in live:
                rows = list(compress(rows, live))
            if rows:
                yield rows
            key = keys[-1]
            count += len(keys)
            if count > _PUSHED_SKIPS:
                following: bytes | None = access.first_from(key[:-SUFFIX_SIZE] + _AFTER, self._end, keys_only=True)
                return following
        return None

    def _settle(self, ctx: VersionedContext, rows: list[Any], live: list[bool | None]) -> list[Any]:
        """The live rows, of rows some of which (``None``) do not decide alone."""
        settled: list[Any] = []
        for key, row, alive in zip(self._keys(rows), rows, live, strict=True):
            if alive is None:
                self._find(self._access, ctx, key[:-SUFFIX_SIZE], settled)
            elif alive:
                settled.append(row)
        return settled

    def _find(self, access: Access, ctx: VersionedContext, base: bytes, found: list[Any]) -> None:
        try:
            row = winner(access, ctx, base, keys_only=self._keys_only)
        except VersionConflict as error:
            self.conflicts.extend(error.conflicts)
        else:
            if row is not None:
                found.append(row)
