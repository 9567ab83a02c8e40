"""Reads of one LevelDB snapshot.

plyvel's raw iterator looks at LevelDB's status after every step. Its other iterator, twice as fast over a range, does
not where it runs off the end: a damaged last block ends it early without a word, a damaged index makes the store look
empty, and descending it loses a row that is the begin of its range. So that one only reads forward, and to a row that
the raw iterator has seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import plyvel

from dvidkit.apart import APART, HIGH, apart_key, is_apart, is_whole, row_key, stored_key
from dvidkit.apartstore import ApartCursor
from dvidkit.cursors import Pages
from dvidkit.engine import Item
from dvidkit.errors import CorruptData, StoreError, shown
from dvidkit_leveldb.database import Database

_PAGE_ROWS: Final = 1024


class LevelCursor(ApartCursor):
    """See ``Cursor``. Every block that is read is checked."""

    __slots__ = ("_apart", "_database", "_others", "_raw", "_snapshot", "item", "key", "prev", "read", "seek")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot = database.db.snapshot()
        self.read = self._snapshot.get
        self.simple = not database.apart
        self._apart: Any = None
        self._others: set[Any] = set()
        self._begin()

    def _begin(self) -> None:
        raw = self._raw = self._snapshot.raw_iterator(verify_checksums=True)
        self.seek, self.prev, self.key, self.item = raw.seek, raw.prev, raw.key, raw.item

    # --- one row -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        """See ``ByteReader.get``."""
        stored = stored_key(key)
        try:
            value: bytes | None = self._snapshot.get(stored, verify_checksums=True)
        except plyvel.Error as error:
            raise self.failed(error) from error
        return self._value_apart(stored, value) if value is not None and is_apart(value) else value

    def last_before(self, end: bytes, floor: bytes, keys_only: bool = False) -> Any:
        """See ``SeekReader.seek_last_before``."""
        if end >= HIGH:
            row = self._last_at_an_edge(stored_key(end), stored_key(floor))
        else:
            try:
                self.seek(end)
                self.prev()
                if keys_only:
                    key = self.key()
                    return key if key >= floor else None
                row = self.item()
            except plyvel.Error:
                row = self._last_at_an_edge(end, floor)
            else:
                if row[0] < floor:
                    return None
                if self.simple:
                    return row
        if row is None:
            return None
        return row_key(row[0]) if keys_only else self.whole_row(*row)

    def first_from(self, begin: bytes, end: bytes, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        end = stored_key(end)
        try:
            self.seek(stored_key(begin))
            key: bytes = self.key()
            if key >= end:
                return None
            return row_key(key) if keys_only else self.whole_row(*self.item())
        except plyvel.IteratorInvalidError:
            return None
        except plyvel.Error as error:
            raise self.failed(error) from error

    def _last_at_an_edge(self, end: bytes, floor: bytes) -> Item | None:
        """The last row of ``[floor, end)`` where LevelDB may have nothing from ``end`` on, or nothing before it."""
        raw = self._raw
        try:
            raw.seek(end)
            if raw.valid():
                raw.prev()
            else:
                raw.seek_to_last()
            row: Item | None = raw.item() if raw.valid() else None
            return None if row is None or row[0] < floor else row
        except plyvel.Error as error:
            raise self.failed(error) from error

    def whole_row(self, stored: bytes, value: bytes) -> Item:
        """See ``ApartCursor``."""
        return row_key(stored), self._value_apart(stored, value) if is_apart(value) else value

    def _value_apart(self, stored: bytes, pointer: bytes) -> bytes:
        """The value that is set apart. LevelDB does not check it, for we do."""
        place = apart_key(stored)
        try:
            if self._apart is None:
                self._apart = self._snapshot.raw_iterator(verify_checksums=False)
            self._apart.seek(place)
            found, value = self._apart.item()
        except plyvel.IteratorInvalidError:
            found, value = b"", b""
        except plyvel.Error as error:
            raise self.failed(error) from error
        if found != place or not is_whole(stored, pointer, value):
            key = row_key(stored)
            raise CorruptData(
                f"the value of key {shown(key)} fails its checksum", engine="leveldb", path=self._database.path, key=key
            )
        return bytes(value)

    # --- ranges ------------------------------------------------------------------------------------------------------

    def pages(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Pages:
        """See ``PageReader.scan_pages``."""
        if begin >= end:
            return
        walk = self._backward if reverse else self._forward
        for page in walk(stored_key(begin), stored_key(end), keys_only=keys_only):
            yield from self._finished(page, keys_only=keys_only)

    def _forward(self, begin: bytes, end: bytes, *, keys_only: bool) -> Pages:
        """Rows in order, by plyvel's fast iterator, which may not be believed that a range is over.

        So it is sent as far as a row that is known to be there, the first from ``end`` on or the last of all, and must
        arrive.
        """
        bound = self._bound(end)
        if bound is None or bound < begin:
            return
        rows = self._keep(
            self._snapshot.iterator(
                start=begin, stop=bound, include_stop=True, include_value=not keys_only, verify_checksums=True
            )
        )
        size, last = 1, b""
        try:
            while page := list(islice(rows, size)):
                size = min(4 * size, _PAGE_ROWS)
                last = page[-1] if keys_only else page[-1][0]
                if last >= end:
                    page.pop()
                if page:
                    yield page
        except plyvel.Error as error:
            raise self.failed(error) from error
        finally:
            self._release(rows)
        if last != bound:
            raise self._ended_early(last)

    def _bound(self, end: bytes) -> bytes | None:
        """The first LevelDB key from ``end`` on; if there is none the last of all; if there is none, ``None``."""
        raw = self._raw
        try:
            raw.seek(end)
            if not raw.valid():
                raw.seek_to_last()
            return raw.key() if raw.valid() else None
        except plyvel.Error as error:
            raise self.failed(error) from error

    def _ended_early(self, last: bytes) -> CorruptData:
        return CorruptData(
            f"LevelDB cannot read on behind key {shown(last)}", engine="leveldb", path=self._database.path
        )

    def _backward(self, begin: bytes, end: bytes, *, keys_only: bool) -> Pages:
        raw = self._keep(self._snapshot.raw_iterator(verify_checksums=True))
        try:
            raw.seek(end)
            if raw.valid():
                raw.prev()
            else:
                raw.seek_to_last()
            size = 1
            while page := _before(raw, size, begin, keys_only=keys_only):
                size = min(4 * size, _PAGE_ROWS)
                yield page
        except plyvel.Error as error:
            raise self.failed(error) from error
        finally:
            self._release(raw)

    def last_of_groups(self, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Pages:
        """See ``LastReader.scan_last_before``. A group costs a seek and a step back, however many rows it has."""
        begin, end = stored_key(begin), stored_key(end)
        raw = self._keep(self._snapshot.raw_iterator(verify_checksums=True))
        try:
            page: list[Any] = []
            size = 1
            for row in _last_of_groups(raw, begin, end, ceiling, keys_only=keys_only):
                page.append(row)
                if len(page) == size:
                    yield from self._finished(page, keys_only=keys_only)
                    page, size = [], min(4 * size, _PAGE_ROWS)
            if page:
                yield from self._finished(page, keys_only=keys_only)
        except plyvel.Error as error:
            raise self.failed(error) from error
        finally:
            self._release(raw)

    def stored_rows(self) -> Iterator[Item]:
        """Everything there is, as LevelDB has it; for a copy."""
        raw = self._keep(self._snapshot.raw_iterator(verify_checksums=True))
        try:
            raw.seek_to_first()
            while raw.valid():
                yield raw.item()
                raw.next()
        except plyvel.Error as error:
            raise self.failed(error) from error
        finally:
            self._release(raw)

    def is_readable(self, stored: bytes, value: bytes) -> bool:
        """Whether the value of this LevelDB row, if it is set apart, is there and whole."""
        try:
            self.whole_row(stored, value)
        except CorruptData:
            return False
        return True

    def orphans(self, begin: bytes, end: bytes) -> Iterator[bytes]:
        """Where, between two places of values set apart, there is one that no row points to."""
        raw = self._keep(self._snapshot.raw_iterator(verify_checksums=True))
        try:
            raw.seek(begin)
            while raw.valid() and (place := raw.key()) < end:
                if self.is_orphan(place):
                    yield place
                raw.next()
        except plyvel.Error as error:
            raise self.failed(error) from error
        finally:
            self._release(raw)

    def is_orphan(self, place: bytes) -> bool:
        """Whether no row points to this place of a value set apart."""
        try:
            row = self._snapshot.get(place[len(APART) :], verify_checksums=True)
        except plyvel.Error as error:
            raise self.failed(error) from error
        return row is None or not is_apart(row)

    # --- the driver's objects ----------------------------------------------------------------------------------------

    def _keep(self, iterator: Any) -> Any:
        self._others.add(iterator)
        return iterator

    def _release(self, iterator: Any) -> None:
        if not self._database.directory.forked:
            self._others.discard(iterator)
            iterator.close()

    def failed(self, error: plyvel.Error) -> StoreError:
        """The error of the tree, and a new iterator: LevelDB's keep an error for good."""
        self.spoil()
        self._raw.close()
        self._begin()
        return self._database.failure(error)

    def close(self) -> None:
        """See ``Cursor.close``."""
        for raw in (*self._others, self._raw, self._apart):
            if raw is not None:
                raw.close()
        self._snapshot.close()


def _before(raw: Any, size: int, begin: bytes, *, keys_only: bool) -> list[Any]:
    """The rows from here back to ``begin``; none at the end of the range."""
    page: list[Any] = []
    row_at = raw.key if keys_only else raw.item
    try:
        for _ in range(size):
            row = row_at()
            if (row if keys_only else row[0]) < begin:
                break
            page.append(row)
            raw.prev()
    except plyvel.IteratorInvalidError:
        pass
    return page


def _last_of_groups(raw: Any, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Iterator[Any]:
    size = len(ceiling)
    after = b"\xff" * size + b"\x00"
    seek, back, key_at, row_at = raw.seek, raw.prev, raw.key, raw.key if keys_only else raw.item
    key = _key_from(raw, begin)
    while key is not None and key < end:
        group = key[:-size]
        bound = group + ceiling
        if bound > end:
            bound = end
        if key < bound:
            seek(bound)
            try:
                following = key_at()
                back()
            except plyvel.IteratorInvalidError:
                following = None
                raw.seek_to_last()
            yield row_at()
        else:
            following = key
        if following is not None and following[:-size] == group:
            following = _key_from(raw, group + after)
        key = following


def _key_from(raw: Any, begin: bytes) -> bytes | None:
    raw.seek(begin)
    key: bytes | None = raw.key() if raw.valid() else None
    return key
