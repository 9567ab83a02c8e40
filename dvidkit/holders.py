"""Which versions of an instance may hold rows, and so under which key a read looks first.

What a version sees of a key was mostly written by the nearest version above it that wrote anything in the instance. If
that is known, one exact get of the driver takes the place of a seek, a step back and a read. Completeness records say
which versions hold rows; they are read once for an instance and then kept up by the writer.

A table may name versions that hold nothing, but never lacks one that does: a version is added before the batch that
writes there reaches the engine, and none is taken away.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Final

from dvidkit.access import Access
from dvidkit.context import VersionedContext
from dvidkit.errors import StoreError
from dvidkit.keys import VALUE_TAIL
from dvidkit.slots import may_hold_tombstones, recorded_slots

_MOST: Final = 100_000
"""Versions in all tables; beyond, no further instance is looked at."""
_MOST_CONTEXTS: Final = 1024
_DEPTH: Final = 256
"""How many versions above one are looked at to find the nearest that holds rows."""

Table = dict[bytes, bool | None]
"""By version (u32 big-endian): whether it may hold tombstones too, ``None`` before anyone had to know."""
Slots = Iterable[tuple[bytes, bool]]
"""``instance | version``, and whether there may be tombstones."""


class Holders:
    """Tables of a store, and what follows from them. Readers ask from any thread, one writer at a time tells.

    Attributes:
        first: by context, the key suffix of the version to look at first. Whoever uses one looks after the read
            whether it is still there: it is removed before a batch that could make it wrong is written.
    """

    def __init__(self, access: Callable[[], Access], *, sealed: bool, known: bool) -> None:
        """Read records through what ``access`` answers.

        Args:
            access: the reads of the store as it is.
            sealed: whether it has checksums.
            known: whether it has records of every slot that holds rows, and nobody else writes to it.
        """
        self.first: dict[VersionedContext, bytes] = {}
        self._access = access
        self._sealed = sealed
        self._known = known
        self._tables: dict[bytes, Table] = {}
        self._size = 0
        self._writing: list[tuple[bytes, bool]] = []
        self._lock = threading.Lock()

    def first_of(self, ctx: VersionedContext) -> bytes:
        """What ``first`` says from now on: the suffix of a value of the nearest version that holds rows.

        That of the context's own version where no better is known: a row found there is the answer in any case.
        """
        found = ctx.suffix
        if not self._lock.acquire(blocking=False):
            return found
        try:
            with suppress(StoreError, struct.error):
                found = self._nearest(ctx)
            if len(self.first) >= _MOST_CONTEXTS:
                self.first.clear()
            self.first[ctx] = found
            return found
        finally:
            self._lock.release()

    def _nearest(self, ctx: VersionedContext) -> bytes:
        """The suffix of a value of the nearest version in the table, if that decides and no tombstone could hide it."""
        table = self._table(ctx)
        for version in islice(reversed(ctx.ancestry.ordered), _DEPTH if table else 0):
            if table is not None and version in table:
                suffix = version + VALUE_TAIL
                return suffix if suffix in ctx.decides and not self._deleted(table, ctx, version) else ctx.suffix
        return ctx.suffix

    def _deleted(self, table: Table, ctx: VersionedContext, version: bytes) -> bool:
        """Whether the version may hold tombstones. Of the context's own that need not be known."""
        deleted = table[version]
        if deleted is None and version != ctx.suffix[:4]:
            deleted = table[version] = may_hold_tombstones(self._access(), ctx.slot[:4] + version, sealed=self._sealed)
        return bool(deleted)

    def _table(self, ctx: VersionedContext) -> Table | None:
        instance = ctx.slot[:4]
        if instance not in self._tables and self._known and self._size < _MOST:
            slots = recorded_slots(self._access(), ctx.instance, sealed=self._sealed)
            self._tables[instance] = dict.fromkeys([slot[4:] for slot in slots])
            self._size += len(slots)
            self._add(self._writing)
        return self._tables.get(instance)

    def begin(self, slots: Slots) -> None:
        """The writer is about to write a batch that touches these slots."""
        with self._lock:
            self._writing = list(slots)
            if self._add(self._writing):
                self.first.clear()

    def end(self) -> None:
        """The batch is written, or has failed: whoever reads the records from now on sees what they say of it."""
        with self._lock:
            self._writing = []

    def _add(self, slots: Slots) -> bool:
        """Whether the slots add something to the tables there are."""
        added = False
        for slot, deleted in slots:
            table = self._tables.get(slot[:4])
            if table is None:
                continue
            version = slot[4:]
            if version not in table:
                self._size += 1
                table[version] = deleted
                added = True
            elif deleted and not table[version]:
                table[version] = added = True
        return added


def without_holders(first: dict[VersionedContext, bytes]) -> Callable[[VersionedContext], bytes]:
    """``Holders.first_of`` for reads of an instant in the past: always the context's own version."""

    def first_of(ctx: VersionedContext) -> bytes:
        if len(first) >= _MOST_CONTEXTS:
            first.clear()
        first[ctx] = ctx.suffix
        return ctx.suffix

    return first_of
