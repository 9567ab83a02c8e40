"""Changes on their way into a store: checked, given their full keys, sealed. Done by the batch, not by the row."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, islice, repeat
from operator import add, itemgetter, lt
from typing import Any, Final, NamedTuple, cast

import msgspec

from dvidkit.checksum import SEAL, crc32, seal
from dvidkit.context import Context, InstanceContext, MetadataContext, VersionedContext
from dvidkit.contract import check_declared
from dvidkit.errors import BadType, shown
from dvidkit.keys import as_bytes

Pairs = Sequence[tuple[bytes, bytes | None]]
Changes = list[tuple[bytes, bytes | None]]

_CRC: Final = struct.Struct("<I")
_first: Final = itemgetter(0)
_second: Final = itemgetter(1)
_BYTES: Final = {bytes}
_AT_ONCE: Final = 128
_BYTES_OR_NONE: Final = {bytes, type(None)}


class Sizes(NamedTuple):
    """Bytes of keys and values as they are stored: the most that one has, and all together."""

    longest: int = 0
    largest: int = 0
    keys: int = 0
    values: int = 0

    @classmethod
    def of(cls, keys: Sequence[bytes], values: Collection[bytes], *, alike: bool = False) -> Sizes:
        """Of these; deletes have no value. ``alike`` if all keys are known to be equally long."""
        longest, all_keys = (len(keys[0]), len(keys[0]) * len(keys)) if alike else lengths(keys)
        largest, all_values = lengths(values)
        return cls(longest, largest, all_keys, all_values)

    @classmethod
    def of_changes(cls, changes: Changes) -> Sizes:
        """Of a batch."""
        if len(changes) == 1:
            ((key, value),) = changes
            return cls(len(key), len(value or b""), len(key), len(value or b""))
        return cls.of(list(map(_first, changes)), list(filter(None, map(_second, changes))))


def lengths(parts: Collection[bytes]) -> tuple[int, int]:
    """Bytes of the longest, and of all together; in batches most keys, and often the values, are equally long."""
    found = set(map(len, parts))
    if len(found) == 1:
        (length,) = found
        return length, length * len(parts)
    return max(found, default=0), sum(map(len, parts))


class Segment(msgspec.Struct):
    """Changes of one kind within a write.

    Attributes:
        changes: full key and stored value; ``None`` deletes.
        slot: ``instance | version`` if all are data keys of one slot, else ``None``.
        versioned: keys are data keys of a versioned context: a put clears the version's tombstone, a delete sets it.
        prefix: for TKeys without declared classes, the instance prefix under which they must be prefix-free.
        deletes: some change is a delete.
        crcs: sum of the CRCs of all values, where it is known.
        sizes: of the changes, where they are known.
        ascending: all are puts, their keys in order, each once.
        stamp: makes the changes when it is the write's turn, from its number in the order of all stamped writes; the
            last of them is a row of the log's index, of ``slot``.
    """

    changes: Changes
    slot: bytes | None = None
    versioned: bool = False
    prefix: bytes | None = None
    deletes: bool = True
    crcs: int | None = None
    sizes: Sizes | None = None
    ascending: bool = False
    stamp: Callable[[int], Changes] | None = None


def joined(segments: Iterable[Segment]) -> list[Segment] | None:
    """The same changes with one segment for each slot; ``None`` where keys of different segments may meet otherwise.

    What is to be read and recorded of a slot is so for all of it at once. Slots have no key in common, and within one
    the changes keep their order, as the stamps do.
    """
    slots: dict[bytes, list[Segment]] = {}
    stamps: list[Segment] = []
    for each in segments:
        if each.stamp is not None:
            stamps.append(each)
        elif each.slot is None or each.prefix is not None:
            return None
        else:
            slots.setdefault(each.slot, []).append(each)
    return [*map(_one_of, slots.values()), *stamps]


def _one_of(segments: list[Segment]) -> Segment:
    """The changes of segments of one slot, one after the other, as one segment."""
    if len(segments) == 1:
        return segments[0]
    changes = list(chain.from_iterable(each.changes for each in segments))
    crcs = [each.crcs for each in segments if each.crcs is not None]
    return Segment(
        changes,
        segments[0].slot,
        segments[0].versioned,
        deletes=any(each.deletes for each in segments),
        crcs=sum(crcs) if len(crcs) == len(segments) else None,
    )


def segment(ctx: Context, pairs: Pairs, *, sealed: bool, deletes: bool = True) -> Segment:
    """The stored form of (TKey, value) puts and (TKey, ``None``) deletes of one context. Nothing is written.

    Without ``deletes`` a value of ``None`` is of a wrong type, too.

    Raises:
        BadType: a TKey or value that is not bytes-like, or no context.
        BadKey: a TKey that is not of a class its datatype declares.
    """
    if not isinstance(ctx, Context):
        raise BadType(f"not a context: {shown(ctx)}")
    if len(pairs) == 1 and (deletes or pairs[0][1] is not None):
        return _segment_of_one(ctx, *pairs[0], sealed=sealed)
    tkeys, values, some_deletes = _split(pairs)
    if some_deletes and not deletes:
        raise _no_puts(pairs)
    return _assembled(ctx, tkeys, values, sealed=sealed, deletes=some_deletes) if tkeys else Segment([])


def _assembled(ctx: Context, tkeys: list[bytes], values: list[bytes | None], *, sealed: bool, deletes: bool) -> Segment:
    alike = len(set(map(len, tkeys))) == 1
    if isinstance(ctx, MetadataContext):
        keys = framed(ctx.prefix, tkeys, b"", alike=alike)
    else:
        if ctx.classes:
            check_declared(ctx, tkeys, alike=alike)
        keys = framed(ctx.prefix, tkeys, ctx.suffix, alike=alike)
    crcs: int | None = None
    if sealed:
        values, crcs = _seal_all(keys, values, deletes=deletes)
    return _segment_of(ctx, keys, values, deletes=deletes, crcs=crcs, alike=alike)


def _segment_of(
    ctx: Context,
    keys: list[bytes],
    values: Sequence[bytes | None],
    *,
    deletes: bool,
    crcs: int | None,
    alike: bool = False,
) -> Segment:
    """Full keys and stored values as a segment; ``alike`` if all keys are known to be equally long."""
    changes = list(zip(keys, values, strict=True))
    stored = cast(list[bytes], values if not deletes else list(filter(None, values)))
    sizes = Sizes.of(keys, stored, alike=alike)
    if isinstance(ctx, MetadataContext):
        return Segment(changes, sizes=sizes)
    return Segment(
        changes,
        slot=ctx.slot,
        versioned=isinstance(ctx, VersionedContext),
        prefix=None if ctx.classes else ctx.prefix,
        deletes=deletes,
        crcs=crcs,
        sizes=sizes,
        ascending=crcs is not None and all(map(lt, keys, islice(keys, 1, None))),
    )


class Stored(NamedTuple):
    """A value as it is stored: made by a datatype that builds large ones where they stay, for ``Part.put_stored``.

    Attributes:
        value: the bytes; of a store with checksums with the checksum behind them (``checksum.seal_in_place``). For an
            engine that declares ``BORROW`` it may be a view, whose bytes do not change until the mutation is written.
        crc: the checksum as a number, 0 without.
    """

    value: bytes | memoryview
    crc: int


def stored_segment(ctx: InstanceContext, rows: Mapping[bytes, Stored], *, sealed: bool) -> Segment:
    """Puts of values that are in their stored form already.

    Raises:
        BadKey: a TKey that is not of a class its datatype declares.
    """
    tkeys = list(rows)
    if ctx.classes:
        check_declared(ctx, tkeys)
    values = cast(list[bytes], [row.value for row in rows.values()])
    keys = [ctx.prefix + tkey + ctx.suffix for tkey in tkeys]
    crcs = sum([row.crc for row in rows.values()]) if sealed else None
    return _segment_of(ctx, keys, values, deletes=False, crcs=crcs)


def _segment_of_one(ctx: Context, tkey: bytes, value: bytes | None, *, sealed: bool) -> Segment:
    """``segment`` of a single change, of which there are many."""
    if type(tkey) is not bytes:
        tkey = as_bytes(tkey, "TKey")
    if value is not None and type(value) is not bytes:
        value = as_bytes(value, "value")
    if isinstance(ctx, MetadataContext):
        key = ctx.prefix + tkey
        return Segment([(key, seal(key, value) if sealed and value is not None else value)])
    if ctx.classes:
        check_declared(ctx, (tkey,))
    key, crcs = ctx.prefix + tkey + ctx.suffix, None
    if sealed and value is not None:
        crcs = crc32(value, crc32(key, SEAL))
        value += _CRC.pack(crcs)
    unchecked = None if ctx.classes else ctx.prefix
    return Segment([(key, value)], ctx.slot, isinstance(ctx, VersionedContext), unchecked, value is None, crcs)


def _seal_all(keys: list[bytes], values: list[bytes | None], *, deletes: bool) -> tuple[list[bytes | None], int | None]:
    """Sealed values, and the sum of their CRCs if all are puts."""
    if deletes:
        return [None if value is None else seal(key, value) for key, value in zip(keys, values, strict=True)], None
    count = len(keys)
    plain = cast(list[bytes], values)
    sums: list[int] = list(map(crc32, plain, map(crc32, keys, repeat(SEAL))))
    tails = _cut(struct.pack(f"<{count}I", *sums), _CRC.size)
    stored: list[bytes | None] = list(map(add, plain, tails))
    return stored, sum(sums)


def framed(prefix: bytes, tkeys: Sequence[bytes], suffix: bytes, *, alike: bool) -> list[bytes]:
    """``prefix | TKey | suffix`` of each. ``alike`` TKeys, of one length, are joined and cut in a third of the time."""
    if not alike or len(tkeys) < _AT_ONCE:
        return [prefix + tkey + suffix for tkey in tkeys]
    whole = b"".join((prefix, (suffix + prefix).join(tkeys), suffix))
    return _cut(whole, len(prefix) + len(tkeys[0]) + len(suffix))


def _cut(whole: bytes, size: int) -> list[bytes]:
    """The pieces of this size, of which there are a whole number."""
    even = len(whole) // (_AT_ONCE * size) * _AT_ONCE * size
    many = struct.Struct(f"{size}s" * _AT_ONCE).iter_unpack(memoryview(whole)[:even])
    pieces: list[bytes] = list(chain.from_iterable(many))
    return pieces + [whole[start : start + size] for start in range(even, len(whole), size)]


def _split(pairs: Pairs) -> tuple[list[bytes], list[bytes | None], bool]:
    """TKeys, values, both as ``bytes``, and whether some value is ``None``."""
    tkeys = list(map(_first, pairs))
    values = list(map(_second, pairs))
    if set(map(type, tkeys)) - _BYTES:
        tkeys = [as_bytes(tkey, "TKey") for tkey in tkeys]
    kinds = set(map(type, values))
    if kinds - _BYTES_OR_NONE:
        values = [None if value is None else as_bytes(value, "value") for value in values]
    return tkeys, values, type(None) in kinds


def puts(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The pairs of a ``put_range``, read once.

    Raises:
        BadType: not pairs.
    """
    found: list[Any] = list(pairs) if isinstance(pairs, Iterable) else [()]
    good = all(issubclass(kind, (tuple, list)) for kind in set(map(type, found)))
    if not good or (found and set(map(len, found)) != {2}):
        raise _no_puts(pairs)
    return found


def _no_puts(pairs: object) -> BadType:
    return BadType(f"put_range takes pairs of a TKey and a value, both bytes, not {shown(pairs)}")
