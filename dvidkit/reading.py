"""Reads of DVID's storage interface, over a store as it is or over one snapshot of it.

A missing key is ``None``, never an error. TKey ranges are closed at both ends, need not name existing keys, and an
inverted one is empty. Where a merge left several live values for a TKey, a read raises ``VersionConflict``; a range
read does so after it has read everything, with all conflicts and the rest of its result in the error, or, if it is
given a list as ``conflicts``, adds them there and returns the rest.

Source: DVID ``storage/keyvalue.go`` (``KeyValueGetter``, ``OrderedKeyValueGetter``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from operator import itemgetter
from typing import Any, Final, Protocol, cast

from dvidkit import checksum
from dvidkit.access import Access
from dvidkit.bounds import bounded
from dvidkit.context import Context, MetadataContext
from dvidkit.contract import well_formed
from dvidkit.engine import Capabilities
from dvidkit.errors import BadType, StoreClosed, StoreError, shown
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE, as_bytes, max_version_key
from dvidkit.points import KeyValue, PointReader, bytes_of, not_context, report
from dvidkit.ranges import VisibleRange
from dvidkit.resolve import Conflict

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)
_TKEY: Final = slice(PREFIX_SIZE, -SUFFIX_SIZE)
_WHOLE: Final = slice(None, -checksum.SIZE)
_data_tkey: Final = itemgetter(_TKEY)
_metadata_tkey: Final = itemgetter(slice(1, None))


class Channel(Protocol):
    """Where ``send_keys_in_range`` puts keys: any queue."""

    def put(self, item: bytes | None, /) -> object:
        """Take one key, or ``None`` for the end."""
        ...


class Reader(PointReader):
    """The read half of the storage interface. ``Store`` and ``StoreSnapshot`` are readers."""

    _capabilities: Capabilities

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
        report(found, conflicts, result)
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
        report(found, conflicts, result)
        return result

    def iter_range(
        self, ctx: Context, first: bytes, last: bytes, *, conflicts: list[Conflict] | None = None
    ) -> Iterator[KeyValue]:
        """``get_range`` one pair at a time, all of one instant, holding a page of it in memory.

        Conflicts are raised at the end, after everything else was yielded. After the store or snapshot was closed the
        next step raises ``StoreClosed``, also inside a page.
        """
        found: list[Conflict] = []
        access = self._access
        for rows in self._pages(ctx, first, last, keys_only=False, conflicts=found):
            for pair in self._pairs(ctx, rows):
                if self._ended(access):
                    raise self._end()
                yield pair
        report(found, conflicts, None)

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
        report(found, conflicts, None)

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
        with self._instant() as access:
            if first > last or limit == 0:
                return
            left = limit
            seen = self._seen(access, ctx, first, last, keys_only=keys_only, conflicts=conflicts)
            for rows in seen:
                if left is not None:
                    rows = rows[:left]
                    left -= len(rows)
                self._gets += len(rows)
                self._total.key_bytes_read += bytes_of(rows, bytes if keys_only else _key_of)
                yield rows
                if left == 0:
                    seen.close()
                    end = rows[-1] if keys_only else rows[-1][0]
                    conflicts[:] = [each for each in conflicts if ctx.prefix + each.tkey < end]
                    return

    def _seen(
        self, access: Access, ctx: Context, first: bytes, last: bytes, *, keys_only: bool, conflicts: list[Conflict]
    ) -> Generator[list[Any], None, None]:
        if isinstance(ctx, MetadataContext):
            yield from access.pages(b"\x00" + first, b"\x00" + last + b"\x00", keys_only=keys_only)
            return
        if not hasattr(ctx, "ceiling") and not hasattr(ctx, "suffix"):
            raise not_context(ctx)
        seen = VisibleRange(
            access,
            ctx,
            ctx.prefix + first,
            max_version_key(ctx.instance, last),
            keys_only=keys_only,
            seek_cost=self._capabilities.seek_cost,
        )
        try:
            if well_formed(ctx, first) and well_formed(ctx, last):
                yield from seen
            else:
                yield from bounded(access, ctx, seen, first, last, keys_only=keys_only)
        finally:
            conflicts.extend(conflict for conflict in seen.conflicts if first <= conflict.tkey <= last)

    def _ended(self, begun: Access) -> bool:
        """Whether a scan that began with this access is over: the store was closed, opened anew, or forked."""
        return self._access is not begun

    def _end(self) -> StoreError:
        """What such a scan raises."""
        try:
            self._access.get(b"\x00")
        except StoreError as error:
            return error
        return StoreClosed("the store was opened anew while it was read")

    def _pairs(self, ctx: Context, rows: list[KeyValue]) -> list[KeyValue]:
        """(TKey, value) of stored rows, checked."""
        self._total.value_bytes_read += bytes_of(rows, _value_of)
        if self._sealed:
            checksum.check(rows)
        if isinstance(ctx, MetadataContext):
            return [(key[1:], value[:-4] if self._sealed else value) for key, value in rows]
        tkey, whole = _TKEY, _WHOLE
        if self._sealed:
            return [(key[tkey], stored[whole]) for key, stored in rows]
        return [(key[tkey], value) for key, value in rows]

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
        begun = self._access
        with self._instant() as access:
            for page in access.pages(first, end, keys_only=keys_only):
                values: list[Any] = [None] * len(page) if keys_only else self._unseal_rows(cast(list[KeyValue], page))
                keys = cast(list[bytes], page) if keys_only else [row[0] for row in cast(list[KeyValue], page)]
                for pair in zip(keys, values, strict=True):
                    if cancel is not None and cancel.is_set():
                        return
                    if self._ended(begun):
                        raise self._end()
                    yield pair
