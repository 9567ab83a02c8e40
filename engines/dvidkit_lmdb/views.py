"""Reads of one LMDB transaction, and pages of a scan."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import lmdb

from dvidkit.access import bounded_pages, paged
from dvidkit.engine import Item
from dvidkit.errors import StoreError
from dvidkit_lmdb.failures import closed_error, forked_error

if TYPE_CHECKING:
    from dvidkit_lmdb.store import LmdbStore


Result = TypeVar("Result")


def last_before(cursor: lmdb.Cursor[bytes], end: bytes, floor: bytes, *, keys_only: bool) -> Any:
    """The last entry of ``[floor, end)``; see ``SeekReader``."""
    if not (cursor.prev() if cursor.set_range(end) else cursor.last()):
        return None
    if keys_only:
        key = cursor.key()
        return key if key >= floor and key < end else None
    item = cursor.item()
    return item if item[0] >= floor and item[0] < end else None


def first_from(cursor: lmdb.Cursor[bytes], begin: bytes, end: bytes, *, keys_only: bool) -> Any:
    """The first entry of ``[begin, end)``; see ``SeekReader``."""
    if not cursor.set_range(begin):
        return None
    if keys_only:
        key = cursor.key()
        return key if key < end else None
    item = cursor.item()
    return item if item[0] < end else None


def rows_of(cursor: lmdb.Cursor[bytes], begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[Any]:
    """The driver's iterator from the near end of the range on; it does not stop at the far end."""
    if not reverse:
        placed = cursor.set_range(begin)
        if not placed:
            return iter(())
        return cursor.iternext(values=False) if keys_only else cursor.iternext()
    placed = cursor.prev() if cursor.set_range(end) else cursor.last()
    if not placed:
        return iter(())
    return cursor.iterprev(values=False) if keys_only else cursor.iterprev()


def get_many(cursor: lmdb.Cursor[bytes], keys: Sequence[bytes]) -> list[bytes | None]:
    """The value of each key in one call of the driver."""
    try:
        found = dict(cursor.getmulti(keys))
    except lmdb.BadValsizeError:
        found = dict(cursor.getmulti([key for key in keys if key]))
    return [found.get(key) for key in keys]


def last_of_groups(
    cursor: lmdb.Cursor[bytes], begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool
) -> Iterator[Any]:
    """The rows of ``LastReader.scan_last_before``; a group costs one seek if all of it is below the ceiling.

    Between two rows the cursor must not be moved by others.
    """
    size = len(ceiling)
    seek, back, last, key_at = cursor.set_range, cursor.prev, cursor.last, cursor.key
    row_at = cursor.key if keys_only else cursor.item
    key = key_at() if seek(begin) else end
    while key < end:
        group = key[:-size]
        following = key_at() if seek(min(group + ceiling, end)) else end
        if back() if following is not end else last():
            row: Any = row_at()
            found = row if keys_only else row[0]
            if found[:-size] == group and found >= begin:
                yield row
        if following[:-size] == group and following is not end:
            following = key_at() if seek(group + b"\xff" * size) else end
        if following <= key:
            raise lmdb.CorruptedError("a search for a greater key found a lesser one")
        key = following


def _next_page(pages: Iterator[list[Any]]) -> list[Any] | None:
    return next(pages, None)


class TxnView:
    """Reads of one transaction that lives until ``close``: a snapshot, or what a scan holds.

    LMDB lets one thread at a time use a transaction, so every step takes the view's lock; but not while readers are
    held, for whoever holds them may be about to end this view.
    """

    def __init__(self, store: LmdbStore, txn: lmdb.Transaction[bytes]) -> None:
        self._readers = store.readers
        self._failure = store.failure
        self._lock = threading.Lock()
        self._txn: lmdb.Transaction[bytes] | None = txn
        self._cursor = txn.cursor()
        self._lender: lmdb.Transaction[memoryview] | None = None
        self._ended: Callable[[], StoreError] = closed_error

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        return self._step(self._get, key)

    def _get(self, key: bytes) -> bytes | None:
        return self._open().get(key) if key else None

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        return self._step(get_many, self._cursor, keys)

    @contextmanager
    def lend(self, keys: Sequence[bytes], /) -> Iterator[Sequence[bytes | memoryview | None]]:
        """See ``Lender.lend``. The view's lock is held for the block, so the map stays where it is."""
        lock = self._taken()
        try:
            values = self._lendable(keys)
            try:
                yield values
            finally:
                for value in values:
                    if type(value) is memoryview:
                        with suppress(BufferError):
                            value.release()
        except lmdb.Error as error:
            raise self._failure(error) from error
        finally:
            lock.release()

    def _lendable(self, keys: Sequence[bytes]) -> Sequence[bytes | memoryview | None]:
        """Values in the map, by a second transaction; if there was a commit since the view's began, copies."""
        txn = self._open()
        if self._lender is None:
            self._lender = self._readers.begin_lending()
        if self._lender is None or self._lender.id() != txn.id():
            return get_many(self._cursor, keys)
        return list(map(self._lender.get, keys))

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``."""
        found: Item | bytes | None = self._step(last_before, self._cursor, end, floor, keys_only=keys_only)
        return found

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        found: Item | bytes | None = self._step(first_from, self._cursor, begin, end, keys_only=keys_only)
        return found

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        for page in self.scan_pages(begin, end, reverse=reverse, keys_only=keys_only):
            for row in page:
                if self._txn is None:
                    raise self._ended()
                yield row

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        cursor = self._step(self._new_cursor)
        if begin >= end:
            return
        rows = self._step(rows_of, cursor, begin, end, reverse=reverse, keys_only=keys_only)
        yield from self._stepwise(bounded_pages(rows, begin if reverse else end, reverse=reverse, keys_only=keys_only))

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader.scan_last_before``."""
        cursor = self._step(self._new_cursor)
        pages = paged(last_of_groups(cursor, begin, end, ceiling, keys_only=keys_only), keys_only=keys_only)
        yield from self._stepwise(pages)

    def _stepwise(self, pages: Iterator[list[Any]]) -> Iterator[list[Any]]:
        while (page := self._step(_next_page, pages)) is not None:
            yield page

    def _new_cursor(self) -> lmdb.Cursor[bytes]:
        return self._open().cursor()

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self.end(closed_error)

    def end(self, why: Callable[[], StoreError]) -> None:
        """Close the view; later steps raise what ``why`` makes."""
        with self._lock:
            txn, self._txn = self._txn, None
            if txn is not None:
                self._ended = why
                self._cursor.close()
                txn.abort()
                if self._lender is not None:
                    self._lender.abort()

    def forked(self) -> None:
        """In a forked child: end the view without telling LMDB, whose reader slot is the parent's."""
        self._lock = threading.Lock()
        self._txn = self._lender = None
        self._ended = forked_error

    def _open(self) -> lmdb.Transaction[bytes]:
        if self._txn is None:
            raise self._ended()
        return self._txn

    def _step(self, function: Callable[..., Result], *args: Any, **options: Any) -> Result:
        lock = self._taken()
        try:
            return function(*args, **options)
        except lmdb.Error as error:
            raise self._failure(error) from error
        finally:
            lock.release()

    def _taken(self) -> threading.Lock:
        """The view's lock, taken, with the view open and readers not held."""
        readers = self._readers
        while True:
            if readers.holding and self._txn is not None:
                readers.pause()
            lock = self._lock
            lock.acquire()
            if self._txn is not None and not readers.holding:
                return lock
            lock.release()
            self._open()
