"""Reads of one instant of RocksDB: all of them by one iterator, which is pinned to the instant it was made.

rocksdict's snapshots make iterators that read live data, its ready-made scans end at a damaged block without a word,
and its range bounds are wrong. So everything is done by seeking and stepping one raw iterator, bounds are compared
here, and where it has nothing more its status is asked for. A page of a scan begins with a seek: between pages the
iterator may have been elsewhere.

A ready-made scan is a quarter faster. So a longer range is read by one where nothing was written since the cursor was
made, which RocksDB's sequence number tells; where it ends before the range does, the raw iterator goes on from there.

Whoever holds the iterator, or a method of it, keeps the database open and locked after it was closed; so no frame that
an error passes through has one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterator
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from dvidkit.apart import (
    APART,
    APART_END,
    HIGH,
    apart_key,
    has_length,
    is_apart,
    is_whole,
    row_key,
    stored_key,
)
from dvidkit.apartstore import ApartCursor
from dvidkit.cursors import Pages
from dvidkit.engine import Item
from dvidkit.errors import CorruptData, shown
from dvidkit_rocksdb.database import Database

_PAGE_ROWS: Final = 1024

_key_of: Final = itemgetter(0)


class RocksCursor(ApartCursor):
    """See ``Cursor``."""

    __slots__ = ("_database", "_iterator", "_ready", "_sequence", "back", "key", "seek", "value")

    _iterator: Any
    seek: Any
    back: Any
    key: Any
    value: Any

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ready: dict[object, Any] = {}
        self._sequence: int = database.db.latest_sequence_number()
        self._iterator = iterator = database.db.iter()
        self.simple = not database.apart
        self.seek, self.back = iterator.seek, iterator.seek_for_prev
        self.key, self.value = iterator.key, iterator.value

    # --- one row -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """See ``ByteReader.get``."""
        return self._get(stored_key(key))

    def _get(self, stored: bytes) -> bytes | None:
        self.seek(stored)
        found = self.key()
        if found != stored:
            if found is None:
                self._check()
            return None
        value: bytes = self.value()
        return self._value_apart(stored, value) if is_apart(value) else value

    def last_before(self, end: bytes, floor: bytes, keys_only: bool = False) -> Any:
        """See ``SeekReader.seek_last_before``."""
        if end >= HIGH:
            end, floor = stored_key(end), stored_key(floor)
        self.back(end)
        key = self.key()
        if key == end:
            self._iterator.prev()
            key = self.key()
        if key is None:
            self._check()
            return None
        if key < floor:
            return None
        if keys_only:
            return row_key(key)
        value = self.value()
        return (key, value) if self.simple and key < HIGH else self.whole_row(key, value)

    def first_from(self, begin: bytes, end: bytes, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        self.seek(stored_key(begin))
        key = self.key()
        if key is None:
            self._check()
            return None
        if key >= stored_key(end):
            return None
        return row_key(key) if keys_only else self.whole_row(key, self.value())

    def whole_row(self, stored: bytes, value: bytes) -> Item:
        """See ``ApartCursor``."""
        return row_key(stored), self._value_apart(stored, value) if is_apart(value) else value

    def _value_apart(self, stored: bytes, pointer: bytes) -> bytes:
        """The value that is set apart; RocksDB has checked it."""
        value = self._value_at(apart_key(stored))
        if value is None or not has_length(pointer, value):
            key = row_key(stored)
            raise CorruptData(
                f"the value of key {shown(key)} is missing", engine="rocksdb", path=self._database.path, key=key
            )
        return value

    def _value_at(self, place: bytes) -> bytes | None:
        self.seek(place)
        found = self.key()
        if found is None:
            self._check()
        return self.value() if found == place else None

    # --- ranges ------------------------------------------------------------------------------------------------------

    def pages(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Pages:
        """See ``PageReader.scan_pages``."""
        begin, end = stored_key(begin), stored_key(end)
        size = 1
        while begin < end:
            page = self._before(begin, end, size, keys_only) if reverse else self._from(begin, end, size, keys_only)
            if not page:
                return
            last = page[-1] if keys_only else page[-1][0]
            begin, end = (begin, last) if reverse else (last + b"\x00", end)
            over = len(page) < size
            yield from self._finished(page, keys_only=keys_only)
            if over:
                return
            size = min(4 * size, _PAGE_ROWS)
            if size == _PAGE_ROWS and not reverse:
                begin = yield from self._by_ready_made(begin, end, keys_only=keys_only)

    def _by_ready_made(self, begin: bytes, end: bytes, *, keys_only: bool) -> Generator[list[Any], None, bytes]:
        """Read on as far as rocksdict's own scan goes, if it shows the same instant; return from where on to look."""
        scan = object()
        if not self._ready_made(scan, begin, keys_only=keys_only):
            return begin
        try:
            while page := list(islice(self._ready[scan], _PAGE_ROWS)):
                last = page[-1] if keys_only else page[-1][0]
                begin = last + b"\x00"
                if last >= end:
                    page = page[: bisect_left(page, end, key=None if keys_only else _key_of)]
                if page:
                    yield from self._finished(page, keys_only=keys_only)
                if last >= end:
                    return end
            return begin
        finally:
            if not self._database.directory.forked:
                self._ready.pop(scan, None)

    def _ready_made(self, scan: object, begin: bytes, *, keys_only: bool) -> bool:
        """Make one, and keep it where ``close`` finds it; false if RocksDB was written to since the cursor was made."""
        db = self._database.db
        if db.latest_sequence_number() != self._sequence:
            return False
        self._ready[scan] = db.keys(from_key=begin) if keys_only else db.items(from_key=begin)
        same: bool = db.latest_sequence_number() == self._sequence
        if not same:
            del self._ready[scan]
        return same

    def _from(self, begin: bytes, end: bytes, size: int, keys_only: bool) -> list[Any]:
        self.seek(begin)
        page, broken_off = _ahead(self._iterator, size, end, keys_only=keys_only)
        if broken_off:
            self._check()
        return page

    def _before(self, begin: bytes, end: bytes, size: int, keys_only: bool) -> list[Any]:
        self.back(end)
        if self.key() == end:
            self._iterator.prev()
        page, broken_off = _back(self._iterator, size, begin, keys_only=keys_only)
        if broken_off:
            self._check()
        return page

    def last_of_groups(self, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Pages:
        """See ``LastReader.scan_last_before``. A group costs a seek and a step back, however many rows it has."""
        following: bytes | None = stored_key(begin)
        end = stored_key(end)
        size = 1
        while following is not None and following < end:
            page, following = _last_of_groups(self._iterator, following, end, ceiling, size, keys_only=keys_only)
            if following is None:
                self._check()
            size = min(4 * size, _PAGE_ROWS)
            if page:
                yield from self._finished(page, keys_only=keys_only)

    # --- RocksDB's own rows ------------------------------------------------------------------------------------------

    def stored_pages(self, begin: bytes, end: bytes) -> Iterator[list[Item]]:
        """RocksDB's rows as it has them."""
        while True:
            page = self._from(begin, end, _PAGE_ROWS // 8, False)
            if not page:
                return
            yield page
            begin = page[-1][0] + b"\x00"

    def some(self, begin: bytes, size: int) -> list[Item]:
        """At most so many of RocksDB's rows, from a place on."""
        return self._from(begin, APART_END, size, False)

    def is_readable(self, stored: bytes, value: bytes) -> bool:
        """Whether the value of this RocksDB row, if it is set apart, is there and whole."""
        if not is_apart(value):
            return True
        found = self._value_at(apart_key(stored))
        return found is not None and is_whole(stored, value, found)

    def orphans(self, begin: bytes, end: bytes) -> Iterator[bytes]:
        """Where, between two places of values set apart, there is one that no row points to."""
        while page := self._from(begin, end, _PAGE_ROWS, True):
            yield from filter(self.is_orphan, page)
            begin = page[-1] + b"\x00"

    def is_orphan(self, place: bytes) -> bool:
        """Whether no row points to this place of a value set apart."""
        row = self._value_at(place[len(APART) :])
        return row is None or not is_apart(row)

    # --- the driver's object -----------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Where the iterator has nothing: because there is nothing, or because RocksDB cannot read on?

        One that failed may go on failing where nothing is damaged, until it has been somewhere else.
        """
        try:
            self._iterator.status()
        except Exception as error:
            self.spoil()
            self.seek(APART_END)
            raise self._database.failure(error) from error

    def close(self) -> None:
        """See ``Cursor.close``."""
        self._iterator = self.seek = self.back = self.key = self.value = None
        self._ready.clear()


def _ahead(iterator: Any, size: int, end: bytes, *, keys_only: bool) -> tuple[list[Any], bool]:
    """The rows from here to ``end``, and whether there was none where one was looked for."""
    page: list[Any] = []
    add, key_at, value_at, step = page.append, iterator.key, iterator.value, iterator.next
    for _ in range(size):
        key = key_at()
        if key is None:
            return page, True
        if key >= end:
            break
        add(key if keys_only else (key, value_at()))
        step()
    return page, False


def _back(iterator: Any, size: int, begin: bytes, *, keys_only: bool) -> tuple[list[Any], bool]:
    """The rows from here back to ``begin``, and whether there was none where one was looked for."""
    page: list[Any] = []
    for _ in range(size):
        key = iterator.key()
        if key is None:
            return page, True
        if key < begin:
            break
        page.append(key if keys_only else (key, iterator.value()))
        iterator.prev()
    return page, False


def _last_of_groups(
    iterator: Any, begin: bytes, end: bytes, ceiling: bytes, size: int, *, keys_only: bool
) -> tuple[list[Any], bytes | None]:
    """Some rows, and the first key of the group after them, or ``None`` if RocksDB has no more."""
    width = len(ceiling)
    after = b"\xff" * width + b"\x00"
    seek, key_at, value_at = iterator.seek, iterator.key, iterator.value
    page: list[Any] = []
    seek(begin)
    key = key_at()
    while key is not None and key < end and len(page) < size:
        group = key[:-width]
        bound = min(group + ceiling, end)
        following = key
        if key < bound:
            seek(bound)
            following = key_at()
            if following is None:
                if _has_failed(iterator):
                    return page, None
                iterator.seek_to_last()
            else:
                iterator.prev()
            row = key_at()
            if row is None:
                return page, None
            page.append(row if keys_only else (row, value_at()))
        if following is not None and following[:-width] == group:
            seek(group + after)
            following = key_at()
        key = following
    return page, key


def _has_failed(iterator: Any) -> bool:
    """Whether the iterator has nothing because RocksDB cannot read on."""
    try:
        iterator.status()
    except Exception:
        return True
    return False
