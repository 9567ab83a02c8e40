"""Byte stores over drivers that read through cursors: what all of them do alike, done once.

An engine built on this writes a ``Cursor``, and a ``CursorStore`` with three methods. It then has pooled single reads,
snapshots that threads may share, ``expect``, a close that waits for whoever is reading, no write after a failed one,
and nothing touched in a forked child.
"""

from __future__ import annotations

import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from types import MappingProxyType
from typing import Any, Final

from dvidkit.cursors import Cursor, CursorPool, Pages, leak
from dvidkit.engine import Batch, Item, OpenReport
from dvidkit.errors import ConflictError, ReadOnlyStore, StoreClosed, StoreError, StoreForked, StorePoisoned, shown
from dvidkit.storedir import StoreDirectory

_NOTHING: Final[Mapping[bytes, bytes | None]] = MappingProxyType({})


class CursorView:
    """A snapshot: a cursor that lives until ``close``. Threads take turns."""

    def __init__(self, store: CursorStore, cursor: Cursor) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._cursor: Cursor | None = cursor

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        self._open()
        with self._lock:
            return self._open().get(key)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        self._open()
        with self._lock:
            return self._open().get_many(keys)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``."""
        self._open()
        with self._lock:
            return self._open().last_before(end, floor, keys_only)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        self._open()
        with self._lock:
            return self._open().first_from(begin, end, keys_only)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        for page in self.scan_pages(begin, end, reverse=reverse, keys_only=keys_only):
            for row in page:
                self._open()
                yield row

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        yield from self._stepwise(self._open().pages(begin, end, reverse=reverse, keys_only=keys_only))

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader.scan_last_before``."""
        yield from self._stepwise(self._open().last_of_groups(begin, end, ceiling, keys_only=keys_only))

    def close(self) -> None:
        """See ``Snapshot.close``. In a forked child the driver is not told."""
        if self._store.forked:
            return
        with self._lock:
            cursor, self._cursor = self._cursor, None
            if cursor is not None:
                self._store.cursors.discard(cursor)

    def __del__(self) -> None:
        if getattr(self, "_cursor", None) is not None:
            self.close()

    def abandon(self) -> None:
        """In a forked child: keep what the driver made from being freed."""
        leak(self._cursor)

    def _open(self) -> Cursor:
        """The cursor; looked at once, for without the lock another thread may take it away meanwhile."""
        cursor = self._cursor
        if cursor is None or self._store.forked:
            raise self._store.closed_error()
        return cursor

    def _stepwise(self, pages: Pages) -> Iterator[list[Any]]:
        try:
            while (page := self._next(pages)) is not None:
                yield page
        finally:
            if not self._store.forked:
                pages.close()

    def _next(self, pages: Pages) -> list[Any] | None:
        self._open()
        with self._lock:
            self._open()
            return next(pages, None)


class CursorStore(ABC):
    """See ``ByteStore``. A subclass makes cursors, applies batches and shuts its driver.

    After a failed write no other is taken (``StorePoisoned``) until the store was opened again: what a driver did with
    the failed one cannot be known, and some lose what they acknowledge afterwards.
    """

    def __init__(self, directory: StoreDirectory, report: OpenReport, *, read_only: bool = False) -> None:
        self._read_only = read_only
        self.directory = directory
        self.report = report
        self.cursors = CursorPool(self._cursor, self.closed_error)
        self._path = str(directory.path)
        self._views: weakref.WeakSet[CursorView] = weakref.WeakSet()
        self._viewing = threading.Lock()
        self._writing = threading.Lock()
        self._failed: StoreError | None = None
        self._closed = False
        os.register_at_fork(after_in_child=_InChild(self))

    # --- what an engine adds -----------------------------------------------------------------------------------------

    @abstractmethod
    def _cursor(self) -> Cursor:
        """A new cursor of now."""

    @abstractmethod
    def _apply(self, batch: Batch, *, durable: bool) -> None:
        """Write the batch, all or nothing. One at a time."""

    @abstractmethod
    def _shut(self) -> None:
        """Close the driver. There are no cursors left and nobody writes."""

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        cursor = self.cursors.take()
        try:
            return cursor.get(key)
        finally:
            self.cursors.give(cursor)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        cursor = self.cursors.take()
        try:
            return cursor.get_many(keys)
        finally:
            self.cursors.give(cursor)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Any:
        """See ``SeekReader.seek_last_before``. Taking and giving are written out, for it is every versioned read."""
        cursors = self.cursors
        try:
            cursor = cursors.idle.pop()
        except IndexError:
            cursor = cursors.take()
        if cursor.commit != cursors.commit:
            cursor = cursors.replaced(cursor)
        try:
            return cursor.last_before(end, floor, keys_only)
        finally:
            if cursors.current == cursor.commit:
                cursors.idle.append(cursor)
            else:
                cursors.give(cursor)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Any:
        """See ``SeekReader.seek_first_from``."""
        cursor = self.cursors.take()
        try:
            return cursor.first_from(begin, end, keys_only)
        finally:
            self.cursors.give(cursor)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        with closing(self.snapshot()) as view:
            yield from view.scan(begin, end, reverse=reverse, keys_only=keys_only)

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        with closing(self.snapshot()) as view:
            yield from view.scan_pages(begin, end, reverse=reverse, keys_only=keys_only)

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader.scan_last_before``."""
        with closing(self.snapshot()) as view:
            yield from view.scan_last_before(begin, end, ceiling, keys_only=keys_only)

    def snapshot(self) -> CursorView:
        """See ``ByteStore.snapshot``."""
        if self.forked:
            raise self.closed_error()
        with self._viewing:
            view = CursorView(self, self.cursors.new())
            self._views.add(view)
            return view

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        self._in_turn(
            (lambda: self._apply(batch, durable=durable)) if batch else None, durable=durable, expect=expect or {}
        )

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter.delete_range``."""
        with self._write_turn():
            batch = [(key, None) for page in self.scan_pages(begin, end, keys_only=True) for key in page]
            settle = self._applied(lambda: self._apply(batch, durable=durable), durable=durable) if batch else None
        if settle is not None:
            settle()

    def _in_turn(
        self, apply: Callable[[], None] | None, *, durable: bool, expect: Mapping[bytes, bytes | None] = _NOTHING
    ) -> None:
        """Check what is expected and make one change, while nobody else does."""
        settle = None
        with self._write_turn():
            for key, value in expect.items():
                if self.get(key) != value:
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            if apply is not None:
                settle = self._applied(apply, durable=durable)
        if settle is not None:
            settle()

    def _applied(self, apply: Callable[[], None], *, durable: bool) -> Callable[[], None] | None:
        self._guarded(apply)
        return self._settling() if durable else None

    def _settling(self) -> Callable[[], None] | None:
        """After a durable write, in its turn: what is left to do out of turn, until it is durable."""
        return None

    @contextmanager
    def _write_turn(self) -> Iterator[None]:
        if self.forked:
            raise self.closed_error()
        with self._writing:
            if self._closed:
                raise self.closed_error()
            if self._read_only:
                raise ReadOnlyStore("the store was opened read-only", engine=self.directory.engine, path=self._path)
            if self._failed is not None:
                raise StorePoisoned(
                    f"a write failed ({self._failed}); the store must be opened again before the next",
                    engine=self.directory.engine,
                    path=self._path,
                ) from self._failed
            yield

    def _guarded(self, write: Callable[[], None]) -> None:
        """Write something, in one's turn."""
        self.cursors.committing()
        try:
            write()
        except StoreError as error:
            self._failed = error
            raise
        finally:
            self.cursors.committed()

    # --- the end -----------------------------------------------------------------------------------------------------

    @property
    def forked(self) -> bool:
        """Whether this is a forked child, where the driver's objects are not to be touched."""
        return self.directory.forked

    def closed_error(self) -> StoreClosed:
        """What every call raises after ``close``, and in a forked child."""
        if self.forked:
            return StoreForked(
                "the store was opened before this process was forked", engine=self.directory.engine, path=self._path
            )
        return StoreClosed("the store is closed", engine=self.directory.engine, path=self._path)

    def close(self) -> None:
        """See ``ByteStore.close``."""
        if self.forked:
            return
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self.cursors.refuse()
            with self._viewing:
                views = list(self._views)
            for view in views:
                view.close()
            self.cursors.wait()
            try:
                self._shut()
            finally:
                self.directory.release()

    def abandon(self) -> None:
        """In a forked child: leave the driver's objects alone, also at exit. Each of its locks may be held for ever."""
        leak(self)
        for view in list(self._views):
            view.abandon()
        self.cursors.abandon()


class _InChild:
    """What ``os.register_at_fork`` calls; it does not keep the store alive."""

    def __init__(self, store: CursorStore) -> None:
        self._store = weakref.ref(store)

    def __call__(self) -> None:
        store = self._store()
        if store is not None:
            store.abandon()
