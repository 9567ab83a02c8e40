"""Reads of single TKeys, over a store as it is or over one snapshot of it.

Source: DVID ``storage/keyvalue.go`` (``KeyValueGetter``); ``get_version``, ``get_many`` and ``lent`` are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from operator import itemgetter
from typing import Any, Final, cast

from dvidkit import checksum
from dvidkit.access import Access
from dvidkit.bounds import winner_or_conflict
from dvidkit.checksum import SEAL, crc32
from dvidkit.context import Context, MetadataContext, VersionedContext
from dvidkit.engine import Limits
from dvidkit.errors import BadType, LimitError, VersionConflict, shown
from dvidkit.keys import SUFFIX_SIZE, VersionID, as_bytes
from dvidkit.monitor import Counters
from dvidkit.resolve import Conflict, conflict_error, version_of, winner

_value_of: Final = itemgetter(1)
_WHOLE: Final = slice(None, -checksum.SIZE)
_unsealed: Final = itemgetter(_WHOLE)
_SAMPLE: Final = 32

KeyValue = tuple[bytes, bytes]


class PointReader:
    """The reads of one TKey, or of several that are named."""

    _access: Access
    _get: Callable[[bytes], bytes | None]
    _last_before: Callable[..., Any]
    _first_from: Callable[..., Any]
    _sealed: bool
    _limits: Limits
    _total: Counters
    _first: dict[Any, bytes]
    _first_of: Callable[[Any], bytes]
    _gets: int = 0

    def _use(self, access: Access) -> None:
        """Read through this from now on."""
        self._access = access
        self._get = access.get
        self._last_before = access.last_before
        self._first_from = access.first_from

    def _look_first(self, first: dict[VersionedContext, bytes], first_of: Callable[[VersionedContext], bytes]) -> None:
        """Look first where these say; see ``Holders``."""
        self._first = first
        self._first_of = first_of

    def _instant(self) -> AbstractContextManager[Access]:
        """Reads of one instant; a snapshot's own reads are that already."""
        return nullcontext(self._access)

    def get(self, ctx: Context, tkey: bytes) -> bytes | None:
        """The value that the context sees, or ``None``. An empty value is a value.

        Raises:
            VersionConflict: merged versions each wrote a value.
            CorruptData: the stored bytes are not what was written.
        """
        try:
            base = ctx.prefix + tkey
            near = ctx.near  # type: ignore[union-attr]
        except (TypeError, AttributeError):
            return self._get_plain(ctx, tkey)
        first = self._first.get(ctx) or self._first_of(ctx)
        if not near or (stored := self._get(key := base + first)) is None or self._first.get(ctx) is not first:
            end = base + ctx.ceiling  # type: ignore[union-attr]
            entry = self._last_before(end, base)
            if entry is None:
                self._refuse_long(base)
                return None
            key, stored = entry
            tail = key[-9:]
            ctx.near = tail == first  # type: ignore[union-attr]
            live = ctx.decides.get(tail)  # type: ignore[union-attr]
            if not live or len(key) != len(end):
                return self._get_searching(cast(VersionedContext, ctx), base, key)
        self._gets += 1
        if self._sealed:
            if crc32(stored, crc32(key, SEAL)) != SEAL:
                raise checksum.corrupt(key)
            return stored[:-4]
        return stored

    def exists(self, ctx: Context, tkey: bytes) -> bool:
        """Whether ``get`` would return a value; raises when ``get`` would raise ``VersionConflict``."""
        try:
            base = ctx.prefix + tkey
            near = ctx.near  # type: ignore[union-attr]
        except (TypeError, AttributeError):
            return self._access.get(self._plain_key(ctx, tkey)) is not None
        first = self._first.get(ctx) or self._first_of(ctx)
        if near:
            key = base + first
            found = self._first_from(key, key + b"\x00", keys_only=True)
            if found is not None and self._first.get(ctx) is first:
                return True
        end = base + ctx.ceiling  # type: ignore[union-attr]
        key = self._last_before(end, base, keys_only=True)
        if key is None:
            self._refuse_long(base)
            return False
        tail = key[-9:]
        ctx.near = tail == first  # type: ignore[union-attr]
        if ctx.decides.get(tail) and len(key) == len(end):  # type: ignore[union-attr]
            return True
        return self._search(cast(VersionedContext, ctx), base, key, keys_only=True) is not None

    def _get_searching(self, ctx: VersionedContext, base: bytes, last: bytes) -> bytes | None:
        """``get`` where the entry with the last key is not what is wanted."""
        entry = self._search(ctx, base, last)
        if entry is None:
            return None
        self._gets += 1
        key, stored = entry
        return checksum.unseal(key, stored) if self._sealed else stored

    def _search(self, ctx: VersionedContext, base: bytes, last: bytes, *, keys_only: bool = False) -> Any:
        """The entry that the context sees, or ``None``, where that with the last key is not a value that decides.

        No write leaves a value beside a tombstone of one version. Where that was done to a store, the value is read,
        as it is where it is looked for first.
        """
        if last == base + ctx.tombstone:
            key = base + ctx.suffix
            stored = self._get(key)
            return None if stored is None else key if keys_only else (key, stored)
        if len(last) == len(base) + SUFFIX_SIZE and ctx.decides.get(last[-SUFFIX_SIZE:]) is False:
            return None
        with self._instant() as access:
            return winner(access, ctx, base, keys_only=keys_only)

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
        if key is None:
            self._refuse_long(ctx.prefix + tkey)
            return None
        return version_of(key)

    def get_many(
        self, ctx: Context, tkeys: Sequence[bytes], *, conflicts: list[Conflict] | None = None
    ) -> list[bytes | None]:
        """``get`` of each TKey, in order, all of one instant; a TKey in conflict counts as ``None`` in the result."""
        tkeys = [as_bytes(tkey, "TKey") for tkey in tkeys]
        found: list[Conflict] = []
        with self._instant() as access:
            if isinstance(ctx, VersionedContext):
                self._refuse_long(ctx.prefix + max(tkeys, key=len, default=b""))
                entries = [winner_or_conflict(access, ctx, tkey, found) for tkey in tkeys]
            else:
                keys = [self._plain_key(ctx, tkey) for tkey in tkeys]
                stored = access.get_many(keys)
                entries = [None if value is None else (key, value) for key, value in zip(keys, stored, strict=True)]
        present = [entry for entry in entries if entry is not None]
        values = iter(self._unseal_rows(present))
        result = [None if entry is None else next(values) for entry in entries]
        report(found, conflicts, result)
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
            report(found, conflicts, None)
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
            raise _not_bytes(tkey) if hasattr(ctx, "prefix") else not_context(ctx) from None
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

    def _unseal_rows(self, rows: list[KeyValue]) -> list[bytes]:
        """The values of stored rows, checked."""
        values = list(map(_value_of, rows))
        self._total.value_bytes_read += bytes_of(rows, _value_of)
        if not self._sealed:
            return values
        checksum.check(rows)
        return list(map(_unsealed, values))


def bytes_of(rows: list[Any], part: Callable[[Any], bytes]) -> int:
    """Bytes of the keys or values: where they are many, from a sample, for counting would cost as much as reading."""
    sample = rows if len(rows) < _SAMPLE else rows[:: len(rows) // _SAMPLE]
    return sum(map(len, map(part, sample))) * len(rows) // (len(sample) or 1)


def report(found: list[Conflict], wanted: list[Conflict] | None, result: Any) -> None:
    """Add what was found to the list that is wanted, or raise it with the rest of the result."""
    if wanted is not None:
        wanted.extend(found)
    elif found:
        raise conflict_error(found, result)


def _not_bytes(tkey: object) -> BadType:
    return BadType(f"a TKey must be bytes, not {type(tkey).__name__}: {shown(tkey)}")


def not_context(ctx: object) -> BadType:
    """The error for what was given in a context's place."""
    return BadType(f"not a context: {shown(ctx)}")
