"""Reads of DVID's storage interface, over a store as it is or over one snapshot of it.

A missing key is ``None``, never an error. TKey ranges are closed at both ends, need not name existing keys, and an
inverted one is empty. Where a merge left several live values for a TKey, a read raises ``VersionConflict``; a range
read does so after it has read everything, with all conflicts and the rest of its result in the error, or, if it is
given a list as ``conflicts``, adds them there and returns the rest.

Source: DVID ``storage/keyvalue.go`` (``KeyValueGetter``, ``OrderedKeyValueGetter``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import compress
from operator import itemgetter
from typing import Any, Final, Protocol, cast

from dvidkit import checksum
from dvidkit.access import Access
from dvidkit.checksum import SEAL, crc32
from dvidkit.context import Context, InstanceContext, MetadataContext, VersionedContext
from dvidkit.contract import well_formed
from dvidkit.engine import Capabilities, Limits
from dvidkit.errors import BadType, LimitError, VersionConflict, shown
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, VersionID, as_bytes, max_version_key
from dvidkit.monitor import Counters
from dvidkit.ranges import VisibleRange
from dvidkit.resolve import Conflict, conflict_error, version_of, winner

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)
_TKEY: Final = slice(PREFIX_SIZE, -SUFFIX_SIZE)
_WHOLE: Final = slice(None, -checksum.SIZE)
_unsealed: Final = itemgetter(_WHOLE)
_data_tkey: Final = itemgetter(_TKEY)
_metadata_tkey: Final = itemgetter(slice(1, None))
_SAMPLE: Final = 32

KeyValue = tuple[bytes, bytes]


class Channel(Protocol):
    """Where ``send_keys_in_range`` puts keys: any queue."""

    def put(self, item: bytes | None, /) -> object:
        """Take one key, or ``None`` for the end."""
        ...


class Reader:
    """The read half of the storage interface. ``Store`` and ``StoreSnapshot`` are readers."""

    _access: Access
    _last_before: Callable[..., Any]
    _sealed: bool
    _capabilities: Capabilities
    _limits: Limits
    _total: Counters
    _gets: int = 0

    def _use(self, access: Access) -> None:
        """Read through this from now on."""
        self._access = access
        self._last_before = access.last_before

    def _instant(self) -> AbstractContextManager[Access]:
        """Reads of one instant; a snapshot's own reads are that already."""
        return nullcontext(self._access)

    # --- one TKey ----------------------------------------------------------------------------------------------------

    def get(self, ctx: Context, tkey: bytes) -> bytes | None:
        """The value that the context sees, or ``None``. An empty value is a value.

        Raises:
            VersionConflict: merged versions each wrote a value.
            CorruptData: the stored bytes are not what was written.
        """
        try:
            base = ctx.prefix + tkey
            end = base + ctx.ceiling  # type: ignore[union-attr]
        except (TypeError, AttributeError):
            return self._get_plain(ctx, tkey)
        entry = self._last_before(end, base)
        if entry is None:
            self._refuse_long(base)
            return None
        key, stored = entry
        try:
            live = ctx.decides[key[-9:]]  # type: ignore[union-attr]
        except KeyError:
            return self._get_searching(cast(VersionedContext, ctx), base)
        if len(key) != len(end):
            return self._get_searching(cast(VersionedContext, ctx), base)
        if not live:
            return None
        self._gets += 1
        if self._sealed:
            if crc32(stored, crc32(key, SEAL)) != SEAL:
                raise checksum.corrupt(key)
            return stored[:-4]  # type: ignore[no-any-return]
        return stored  # type: ignore[no-any-return]

    def exists(self, ctx: Context, tkey: bytes) -> bool:
        """Whether ``get`` would return a value; raises when ``get`` would raise ``VersionConflict``."""
        try:
            base = ctx.prefix + tkey
            end = base + ctx.ceiling  # type: ignore[union-attr]
        except (TypeError, AttributeError):
            return self._access.get(self._plain_key(ctx, tkey)) is not None
        key = self._last_before(end, base, keys_only=True)
        if key is None:
            self._refuse_long(base)
            return False
        if len(key) == len(end):
            live = ctx.decides.get(key[-9:])  # type: ignore[union-attr]
            if live is not None:
                return live
        with self._instant() as access:
            return winner(access, cast(VersionedContext, ctx), base, keys_only=True) is not None

    def _get_searching(self, ctx: VersionedContext, base: bytes) -> bytes | None:
        """``get`` where the last entry does not decide alone."""
        with self._instant() as access:
            entry = winner(access, ctx, base)
        if entry is None:
            return None
        self._gets += 1
        key, stored = entry
        return checksum.unseal(key, stored) if self._sealed else stored

    def _refuse_long(self, base: bytes) -> None:
        """A key that no engine could hold is not merely absent."""
        if len(base) + SUFFIX_SIZE > self._limits.max_key:
            raise self._too_long(base)

    def get_version(self, ctx: Context, tkey: bytes) -> VersionID | None:
        """The version that wrote the value ``get`` returns, or ``None`` where ``get`` does."""
        if not isinstance(ctx, VersionedContext):
            found = self._access.get(self._plain_key(ctx, tkey)) is not None
            return getattr(ctx, "version", VersionID(0)) if found else None
        with self._instant() as access:
            key = winner(access, ctx, ctx.prefix + as_bytes(tkey, "TKey"), keys_only=True)
        return None if key is None else version_of(key)

    def get_many(
        self, ctx: Context, tkeys: Sequence[bytes], *, conflicts: list[Conflict] | None = None
    ) -> list[bytes | None]:
        """``get`` of each TKey, in order, all of one instant; a TKey in conflict counts as ``None`` in the result."""
        tkeys = [as_bytes(tkey, "TKey") for tkey in tkeys]
        found: list[Conflict] = []
        with self._instant() as access:
            if isinstance(ctx, VersionedContext):
                entries = [self._winner_or_conflict(access, ctx, tkey, found) for tkey in tkeys]
            else:
                keys = [self._plain_key(ctx, tkey) for tkey in tkeys]
                stored = access.get_many(keys)
                entries = [None if value is None else (key, value) for key, value in zip(keys, stored, strict=True)]
        present = [entry for entry in entries if entry is not None]
        values = iter(self._unseal_rows(present))
        result = [None if entry is None else next(values) for entry in entries]
        _report(found, conflicts, result)
        return result

    @contextmanager
    def lent(
        self, ctx: Context, tkeys: Sequence[bytes], *, conflicts: list[Conflict] | None = None
    ) -> Iterator[list[memoryview | None]]:
        """``get_many`` for the length of a ``with`` block, without copying values where the engine can lend them.

        For large values that are decoded at once. See ``Lender.lend`` for what may be done in the block: nothing with
        the store, by the thread that entered it.

        Raises:
            VersionConflict: a TKey is in conflict and no list was given for that; before the block.
            CorruptData: a stored value is not what was written; before the block.
        """
        found: list[Conflict] = []
        with self._instant() as access:
            keys = [self._key_of_winner(access, ctx, as_bytes(tkey, "TKey"), found) for tkey in tkeys]
            _report(found, conflicts, None)
            present = [key for key in keys if key is not None]
            with access.lend(present) as stored:
                values = map(self._unseal_view, present, stored)
                views = [None if key is None else next(values) for key in keys]
                try:
                    yield views
                finally:
                    for view in views:
                        if view is not None:
                            with suppress(BufferError):
                                view.release()

    def _key_of_winner(self, access: Access, ctx: Context, tkey: bytes, found: list[Conflict]) -> bytes | None:
        """The full key that ``get`` would read, if there is a value."""
        if not isinstance(ctx, VersionedContext):
            return self._plain_key(ctx, tkey)
        base = ctx.prefix + tkey
        end = base + ctx.ceiling
        key: bytes | None = access.last_before(end, base, keys_only=True)
        if key is None:
            self._refuse_long(base)
            return None
        live = ctx.decides.get(key[-9:]) if len(key) == len(end) else None
        if live is None:
            try:
                key = winner(access, ctx, base, keys_only=True)
            except VersionConflict as error:
                found.extend(error.conflicts)
                return None
            return key
        return key if live else None

    def _unseal_view(self, key: bytes, stored: bytes | memoryview | None) -> memoryview | None:
        if stored is None:
            return None
        view = memoryview(stored)
        self._gets += 1
        self._total.value_bytes_read += len(view)
        if not self._sealed:
            return view
        if crc32(view, crc32(key, SEAL)) != SEAL:
            raise checksum.corrupt(key)
        return view[_WHOLE]

    @staticmethod
    def _winner_or_conflict(access: Access, ctx: VersionedContext, tkey: bytes, found: list[Conflict]) -> Any:
        try:
            return winner(access, ctx, ctx.prefix + tkey)
        except VersionConflict as error:
            found.extend(error.conflicts)
            return None

    def _get_plain(self, ctx: Context, tkey: bytes) -> bytes | None:
        key = self._plain_key(ctx, tkey)
        stored = self._access.get(key)
        if stored is None:
            return None
        self._gets += 1
        return checksum.unseal(key, stored) if self._sealed else stored

    def _plain_key(self, ctx: Context, tkey: bytes) -> bytes:
        try:
            key = ctx.prefix + tkey
        except (TypeError, AttributeError):
            raise _not_bytes(tkey) if hasattr(ctx, "prefix") else _not_context(ctx) from None
        if not isinstance(ctx, MetadataContext):
            key += ctx.suffix
        if len(key) > self._limits.max_key:
            raise self._too_long(key)
        return key

    def _too_long(self, key: bytes) -> LimitError:
        limit = self._limits.max_key
        return LimitError(
            f"the key {shown(key)} is longer than {limit} bytes", what="max_key", limit=limit, got=len(key)
        )

    # --- ranges ------------------------------------------------------------------------------------------------------

    def get_range(
        self,
        ctx: Context,
        first: bytes,
        last: bytes,
        *,
        limit: int | None = None,
        conflicts: list[Conflict] | None = None,
    ) -> list[KeyValue]:
        """(TKey, value) of every live TKey from ``first`` to ``last``, both included, ascending; at most ``limit``."""
        found: list[Conflict] = []
        result: list[KeyValue] = []
        for rows in self._pages(ctx, first, last, keys_only=False, limit=limit, conflicts=found):
            result += self._pairs(ctx, rows)
        _report(found, conflicts, result)
        return result

    def keys_in_range(
        self,
        ctx: Context,
        first: bytes,
        last: bytes,
        *,
        limit: int | None = None,
        conflicts: list[Conflict] | None = None,
    ) -> list[bytes]:
        """The TKeys that ``get_range`` would return, without reading values."""
        found: list[Conflict] = []
        result: list[bytes] = []
        tkey_of = _metadata_tkey if isinstance(ctx, MetadataContext) else _data_tkey
        for rows in self._pages(ctx, first, last, keys_only=True, limit=limit, conflicts=found):
            result += map(tkey_of, rows)
        _report(found, conflicts, result)
        return result

    def iter_range(
        self, ctx: Context, first: bytes, last: bytes, *, conflicts: list[Conflict] | None = None
    ) -> Iterator[KeyValue]:
        """``get_range`` one pair at a time, all of one instant, holding a page of it in memory.

        Conflicts are raised at the end, after everything else was yielded.
        """
        found: list[Conflict] = []
        for rows in self._pages(ctx, first, last, keys_only=False, conflicts=found):
            yield from self._pairs(ctx, rows)
        _report(found, conflicts, None)

    def process_range(
        self,
        ctx: Context,
        first: bytes,
        last: bytes,
        function: Callable[[bytes, bytes], object],
        *,
        conflicts: list[Conflict] | None = None,
    ) -> None:
        """Call ``function(tkey, value)`` for each pair of ``get_range``, in order. What it raises ends the read."""
        for tkey, value in self.iter_range(ctx, first, last, conflicts=conflicts):
            function(tkey, value)

    def send_keys_in_range(
        self, ctx: Context, first: bytes, last: bytes, channel: Channel, *, conflicts: list[Conflict] | None = None
    ) -> None:
        """Put the *full* key of each pair of ``get_range`` on the channel, then ``None``, also after an error."""
        found: list[Conflict] = []
        try:
            for rows in self._pages(ctx, first, last, keys_only=True, conflicts=found):
                for key in rows:
                    channel.put(key)
        finally:
            channel.put(None)
        _report(found, conflicts, None)

    def _pages(
        self,
        ctx: Context,
        first: bytes,
        last: bytes,
        *,
        keys_only: bool,
        conflicts: list[Conflict],
        limit: int | None = None,
    ) -> Iterator[list[Any]]:
        first, last = as_bytes(first, "first TKey"), as_bytes(last, "last TKey")
        if limit is not None and (type(limit) is not int or limit < 0):
            raise BadType(f"limit must be a whole number, not {shown(limit)}")
        if first > last or limit == 0:
            return
        with self._instant() as access:
            left = limit
            for rows in self._seen(access, ctx, first, last, keys_only=keys_only, conflicts=conflicts):
                if left is not None:
                    rows = rows[:left]
                    left -= len(rows)
                self._gets += len(rows)
                yield rows
                if left == 0:
                    return

    def _seen(
        self, access: Access, ctx: Context, first: bytes, last: bytes, *, keys_only: bool, conflicts: list[Conflict]
    ) -> Iterator[list[Any]]:
        if isinstance(ctx, MetadataContext):
            yield from access.pages(b"\x00" + first, b"\x00" + last + b"\x00", keys_only=keys_only)
            return
        if not hasattr(ctx, "ceiling") and not hasattr(ctx, "suffix"):
            raise _not_context(ctx)
        seen = VisibleRange(
            access,
            ctx,
            ctx.prefix + first,
            max_version_key(ctx.instance, last),
            keys_only=keys_only,
            seek_cost=self._capabilities.seek_cost,
        )
        if well_formed(ctx, first) and well_formed(ctx, last):
            yield from seen
        else:
            yield from self._bounded(access, ctx, seen, first, last, keys_only=keys_only)
        conflicts.extend(conflict for conflict in seen.conflicts if first <= conflict.tkey <= last)

    def _bounded(
        self,
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
        prefix_of_last = self._stored_prefix(access, ctx, last)
        if prefix_of_last is None or prefix_of_last < first:
            return
        seen.conflicts[:] = [conflict for conflict in seen.conflicts if conflict.tkey != prefix_of_last]
        row = self._row_of(access, ctx, prefix_of_last, seen.conflicts, keys_only=keys_only)
        if row is not None:
            yield [row]

    @staticmethod
    def _stored_prefix(access: Access, ctx: InstanceContext, last: bytes) -> bytes | None:
        """The one stored TKey that is a proper prefix of ``last``, if there is one: its entries surround it."""
        place = ctx.prefix + last
        for key in (
            access.first_from(place, ctx.prefix + b"\xff" * (len(last) + SUFFIX_SIZE + 1), keys_only=True),
            access.last_before(place, ctx.prefix, keys_only=True),
        ):
            tkey = b"" if key is None else key[len(ctx.prefix) : -SUFFIX_SIZE]
            if key is not None and _proper_prefix(tkey, last):
                return bytes(tkey)
        return None

    def _row_of(
        self, access: Access, ctx: InstanceContext, tkey: bytes, conflicts: list[Conflict], *, keys_only: bool
    ) -> Any:
        base = ctx.prefix + tkey
        if isinstance(ctx, VersionedContext):
            entry = self._winner_or_conflict(access, ctx, tkey, conflicts)
        else:
            stored = access.get(base + ctx.suffix)
            entry = None if stored is None else (base + ctx.suffix, stored)
        return entry[0] if entry is not None and keys_only else entry

    def _pairs(self, ctx: Context, rows: list[KeyValue]) -> list[KeyValue]:
        """(TKey, value) of stored rows, checked."""
        self._total.value_bytes_read += _bytes_of(rows)
        if self._sealed:
            checksum.check(rows)
        if isinstance(ctx, MetadataContext):
            return [(key[1:], value[:-4] if self._sealed else value) for key, value in rows]
        tkey, whole = _TKEY, _WHOLE
        if self._sealed:
            return [(key[tkey], stored[whole]) for key, stored in rows]
        return [(key[tkey], value) for key, value in rows]

    def _unseal_rows(self, rows: list[KeyValue]) -> list[bytes]:
        """The values of stored rows, checked."""
        values = list(map(_value_of, rows))
        self._total.value_bytes_read += _bytes_of(rows)
        if not self._sealed:
            return values
        checksum.check(rows)
        return list(map(_unsealed, values))

    # --- raw reads ---------------------------------------------------------------------------------------------------

    def raw_range_query(
        self, first: bytes, last: bytes, *, keys_only: bool = False, cancel: threading.Event | None = None
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """Every stored (full key, value) from ``first`` to ``last``, both included: all versions and tombstones.

        With ``keys_only`` the values are ``None``. All of one instant. Setting ``cancel``, or dropping the iterator,
        ends it before the next pair. dvidkit's own records are not shown.
        """
        first, last = as_bytes(first, "first key"), as_bytes(last, "last key")
        end = min(last + b"\x00", b"\x03")
        with self._instant() as access:
            for page in access.pages(first, end, keys_only=keys_only):
                values: list[Any] = [None] * len(page) if keys_only else self._unseal_rows(cast(list[KeyValue], page))
                keys = cast(list[bytes], page) if keys_only else [row[0] for row in cast(list[KeyValue], page)]
                for pair in zip(keys, values, strict=True):
                    if cancel is not None and cancel.is_set():
                        return
                    yield pair


def _bytes_of(rows: list[KeyValue]) -> int:
    """Bytes of the values: of all where they are few, from a sample where counting would cost as much as reading."""
    sample = rows if len(rows) < _SAMPLE else rows[:: len(rows) // _SAMPLE]
    return sum([len(value) for _, value in sample]) * len(rows) // (len(sample) or 1)


def _report(found: list[Conflict], wanted: list[Conflict] | None, result: Any) -> None:
    if wanted is not None:
        wanted.extend(found)
    elif found:
        raise conflict_error(found, result)


def _not_bytes(tkey: object) -> BadType:
    return BadType(f"a TKey must be bytes, not {type(tkey).__name__}: {shown(tkey)}")


def _not_context(ctx: object) -> BadType:
    return BadType(f"not a context: {shown(ctx)}")


def _proper_prefix(tkey: bytes, longer: bytes) -> bool:
    return longer.startswith(tkey) and tkey != longer
