"""Cursors and stores that keep large values apart from their rows (``dvidkit.apart``), for drivers with sorted keys."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Final, cast

from dvidkit.apart import HIGH, LARGE, POINTER_SIZE, apart_key, belongs_apart, pointer, row_key, stored_key
from dvidkit.cursors import Cursor
from dvidkit.cursorstore import CursorStore
from dvidkit.engine import Batch, Item
from dvidkit.errors import LimitError

_PAGE_BYTES: Final = 1 << 20

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)


class ApartCursor(Cursor):
    """See ``Cursor``. A subclass says how a value that is set apart is read, and what lies where those are."""

    __slots__ = ("simple",)

    simple: bool
    """No value was set apart when the cursor was made."""

    @abstractmethod
    def whole_row(self, stored: bytes, value: bytes) -> Item:
        """The row as it was written, of the driver's row."""

    @abstractmethod
    def orphans(self, begin: bytes, end: bytes) -> Iterator[bytes]:
        """Where, between two places of values set apart, there is one that no row points to."""

    @abstractmethod
    def is_orphan(self, place: bytes) -> bool:
        """Whether no row points to this place of a value set apart."""

    def _finished(self, page: list[Any], *, keys_only: bool) -> Iterator[list[Any]]:
        """The page as the caller gets it: keys as they were written, values in place of pointers, not too large."""
        if keys_only:
            yield page if page[0] < HIGH and page[-1] < HIGH else list(map(row_key, page))
            return
        if self.simple and page[0][0] < HIGH and page[-1][0] < HIGH:
            yield page
            return
        part: list[Item] = []
        room = _PAGE_BYTES
        for stored, value in page:
            whole = (stored, value) if len(value) != POINTER_SIZE and stored < HIGH else self.whole_row(stored, value)
            part.append(whole)
            room -= len(whole[1])
            if room < 0:
                yield part
                part, room = [], _PAGE_BYTES
        if part:
            yield part


def _plain(batch: Batch) -> tuple[list[bytes], list[bytes]] | None:
    """Keys and values if these are puts that are stored as they are: found by passes in C, not by looking at each."""
    keys: list[bytes] = list(map(_key_of, batch))
    values: list[bytes] = list(map(_value_of, batch))
    try:
        sizes = set(map(len, values))
    except TypeError:
        return None
    small = max(sizes) < LARGE and POINTER_SIZE not in sizes
    return (keys, values) if small and max(keys) < HIGH else None


class ApartStore(CursorStore):
    """See ``CursorStore``. Before it opens for others a subclass sets what follows.

    Attributes:
        _database: whose ``apart`` says that some value is, or was, set apart; set before the first one is written.
        _max_value: bytes of the largest value that is taken.
    """

    _database: Any
    _max_value: int

    @abstractmethod
    def _changes(self, *, durable: bool) -> Any:
        """An empty batch of the driver's: it has ``put`` and ``delete``."""

    @abstractmethod
    def _write(self, changes: Any) -> None:
        """Write the driver's batch."""

    def _apply(self, batch: Batch, *, durable: bool) -> None:
        changes = self._changes(durable=durable)
        self._fill(changes, batch)
        self._write(changes)

    def _fill(self, changes: Any, batch: Batch) -> None:
        plain = _plain(batch)
        if plain is not None:
            deque(map(changes.put, *plain), maxlen=0)
            return
        database, put, delete = self._database, changes.put, changes.delete
        for key, value in batch:
            if key >= HIGH:
                key = stored_key(key)
            if value is None:
                delete(key)
                if database.apart:
                    delete(apart_key(key))
            elif len(value) < LARGE and len(value) != POINTER_SIZE:
                put(key, value)
            elif belongs_apart(value):
                self._refuse_huge(value)
                database.apart = True
                put(key, pointer(key, value))
                put(apart_key(key), value)
            else:
                put(key, value)

    def _refuse_huge(self, value: bytes) -> None:
        if len(value) > self._max_value:
            raise LimitError(
                f"a value of {len(value)} bytes is over {self._max_value}",
                what="max_value",
                limit=self._max_value,
                got=len(value),
            )

    def _sweep(self, begin: bytes, end: bytes) -> None:
        """Delete values set apart whose row has since been given a small value."""
        with self._reading() as cursor:
            found = list(cursor.orphans(begin, end))
        if not found:
            return
        with self._write_turn(), self._reading() as cursor:
            changes = self._changes(durable=False)
            for place in filter(cursor.is_orphan, found):
                changes.delete(place)
            self._guarded(lambda: self._write(changes))

    @contextmanager
    def _reading(self) -> Iterator[ApartCursor]:
        cursor = cast(ApartCursor, self.cursors.new())
        try:
            yield cursor
        finally:
            self.cursors.discard(cursor)
