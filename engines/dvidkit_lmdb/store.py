"""An open LMDB environment behind the engine contract.

What LMDB would let through is stopped here: writes of ``None`` (stored as empty), keys over 511 bytes (silently absent
on reads), a map that is full, reader slots that ran out, a data file that is gone (LMDB would begin a new, empty one)
or shorter than its pages (a bus error on reading).
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from operator import itemgetter
from typing import Any, Final, cast

import lmdb

from dvidkit.engine import Batch, OpenReport, StoreConfig
from dvidkit.errors import (
    ConflictError,
    LimitError,
    StoreClosed,
    StoreError,
    StoreFull,
    shown,
)
from dvidkit.segment import lengths
from dvidkit.storedir import StoreDirectory, close_on_exec
from dvidkit_lmdb.copying import copy_rows
from dvidkit_lmdb.environment import LAYOUT, forget_closed, is_noted, lengthened, note_closed, open_environment
from dvidkit_lmdb.failures import busy_error, closed_error, translate
from dvidkit_lmdb.points import first_from_of, get_of, last_before_of
from dvidkit_lmdb.readers import Readers
from dvidkit_lmdb.views import TxnView, get_many

_GROW_AT: Final = 0.8
_PAGES_PER_CHANGE: Final = 8
_SLACK: Final = 1 << 20
_MAX_KEY: Final = 511

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)


class LmdbStore:
    """See ``ByteStore``.

    Attributes:
        get: see ``ByteReader``.
        seek_last_before, seek_first_from: see ``SeekReader``.
    """

    def __init__(self, config: StoreConfig) -> None:
        self._durability = config.durability
        self._directory = StoreDirectory(config, "lmdb", LAYOUT)
        self._path = str(self._directory.path)
        try:
            self._env, notes = open_environment(self._directory, config)
            if self._directory.created:
                self._make()
        except BaseException:
            self._directory.release()
            raise
        close_on_exec(self._directory.data)
        self.report = OpenReport(created=self._directory.created, notes=notes)
        self.readers = Readers(self._env, self.failure)
        self.get: Callable[[bytes], bytes | None] = get_of(self.readers, self.failure)
        self.seek_last_before: Callable[..., Any] = last_before_of(self.readers, self.failure)
        self.seek_first_from: Callable[..., Any] = first_from_of(self.readers, self.failure)
        self._views: weakref.WeakSet[TxnView] = weakref.WeakSet()
        self._viewing = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        self._map_size: int = self._env.info()["map_size"]
        self._page: int = self._env.stat()["psize"]
        self._data = str(self._directory.data / "data.mdb")
        self._last_page: int = self._env.info()["last_pgno"]
        self._read_only = config.read_only
        self._noted = is_noted(self._directory)
        self._directory.on_fork = self._forked

    def _make(self) -> None:
        try:
            self._env.sync(True)
            self._directory.made()
        except BaseException as error:
            self._env.close()
            if isinstance(error, lmdb.Error):
                raise translate(error, self._path) from error
            raise

    def failure(self, error: lmdb.Error) -> StoreError:
        """The error of the tree for a driver's error."""
        found = closed_error() if self._closed else translate(error, self._path)
        return busy_error() if isinstance(found, StoreClosed) and not self._closed else found

    def _forked(self) -> None:
        self._closed = True
        self._writing = threading.Lock()
        self._viewing = threading.Lock()
        self.readers.forked()
        for view in list(self._views):
            view.forked()

    # --- reading -----------------------------------------------------------------------------------------------------

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        reader = self.readers.take()
        try:
            return get_many(reader.cursor, keys)
        except lmdb.Error as error:
            raise self.failure(error) from error
        finally:
            self.readers.give(reader)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        view = self.snapshot()
        try:
            yield from view.scan(begin, end, reverse=reverse, keys_only=keys_only)
        finally:
            view.close()

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        view = self.snapshot()
        try:
            yield from view.scan_pages(begin, end, reverse=reverse, keys_only=keys_only)
        finally:
            view.close()

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader.scan_last_before``."""
        view = self.snapshot()
        try:
            yield from view.scan_last_before(begin, end, ceiling, keys_only=keys_only)
        finally:
            view.close()

    def snapshot(self) -> TxnView:
        """See ``ByteStore.snapshot``."""
        readers = self.readers
        while True:
            if readers.holding:
                readers.pause()
            with self._viewing:
                if self._closed:
                    raise closed_error()
                if not readers.holding:
                    view = TxnView(self, readers.begin())
                    self._views.add(view)
                    return view

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        size, deletes = _checked_size(batch)
        with self._writing:
            self._write(batch, size, deletes=deletes, durable=durable, expect=expect or {})

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter.delete_range``."""
        with self._writing:
            batch = [(key, None) for key in self.scan(begin, end, keys_only=True)]
            self._write(batch, 0, deletes=True, durable=durable, expect={})

    def _write(
        self, batch: Batch, size: int, *, deletes: bool, durable: bool, expect: Mapping[bytes, bytes | None]
    ) -> None:
        if self._closed:
            raise closed_error()
        if self._noted and not self._read_only:
            forget_closed(self._directory)
            self._noted = False
        self._make_room(size, len(batch))
        try:
            while not self._commit(batch, expect, deletes=deletes):
                self._grow(2 * self._map_size, 2 * self._map_size)
        except lmdb.Error as error:
            raise self._write_failure(error, size) from error
        finally:
            self.readers.committed()
        self._last_page = self._env.info()["last_pgno"]
        lengthened(self._data, (self._last_page + 1) * self._page)
        if durable and self._durability != "durable":
            self._sync()

    def _commit(self, batch: Batch, expect: Mapping[bytes, bytes | None], *, deletes: bool) -> bool:
        """One transaction; false if the map was full, and then nothing was written."""
        txn = self._env.begin(write=True)
        try:
            for key, value in expect.items():
                if (txn.get(key) if key else None) != value:
                    txn.commit()
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            _apply(txn, batch, deletes=deletes)
            self.readers.committing()
            txn.commit()
        except lmdb.MapFullError:
            self._roll_back(txn)
            return False
        except ConflictError:
            raise
        except BaseException:
            self._roll_back(txn)
            raise
        return True

    def _roll_back(self, txn: lmdb.Transaction[bytes]) -> None:
        try:
            with self.readers.held():
                txn.abort()
        except BaseException:
            txn.abort()
            raise

    def _write_failure(self, error: lmdb.Error, size: int) -> StoreError:
        """LMDB calls a write that was cut short, as it is when the disk becomes full, an input/output error."""
        if getattr(error, "code", 0) == errno.EIO and self._is_full(size):
            return StoreFull(f"LMDB: no room for {size} bytes ({error})", engine="lmdb", path=self._path)
        return self.failure(error)

    def _is_full(self, size: int) -> bool:
        need = 2 * size + _SLACK
        disk = os.statvfs(self._data)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        limited = limit != resource.RLIM_INFINITY and os.path.getsize(self._data) + need > limit
        return limited or disk.f_bavail * disk.f_frsize < need

    def _sync(self) -> None:
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise self.failure(error) from error

    # --- the map -----------------------------------------------------------------------------------------------------

    def _make_room(self, size: int, changes: int) -> None:
        """Grow the map before it is needed: to find it full in the middle costs a roll-back."""
        used = (self._last_page + 1) * self._page
        need = used + 2 * size + _PAGES_PER_CHANGE * self._page * min(changes, 4096)
        if need > _GROW_AT * self._map_size:
            self._grow(max(2 * self._map_size, 2 * need), max(self._map_size + self._page, need))

    def _grow(self, wanted: int, least: int) -> None:
        """Make the map larger. Views that are open then lose their pages: their next step raises ``StoreBusy``."""
        size = next((size for size in (wanted, least) if _has_address_space(size - self._map_size)), None)
        if size is None:
            raise self._map_full(least)
        with self._viewing, self.readers.held():
            for view in list(self._views):
                view.end(busy_error)
            try:
                self._env.set_mapsize(-(-size // self._page) * self._page)
            except (MemoryError, lmdb.Error, OSError) as error:
                raise self._map_full(size) from error
            self._map_size = self._env.info()["map_size"]

    def _map_full(self, size: int) -> StoreFull:
        return StoreFull(
            f"LMDB's map cannot grow from {self._map_size} to {size} bytes", engine="lmdb", path=self._path
        )

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def backup(self, path: str, /) -> None:
        """See ``Backer.backup``.

        Copied row by row: LMDB's own copy is one long operation, during which no write could be rolled back.
        """
        with closing(self.snapshot()) as view:
            copy_rows(view.scan_pages(b"\x00", b"\xff" * (_MAX_KEY + 1)), path)

    def close(self) -> None:
        """See ``ByteStore.close``."""
        if self._directory.forked:
            return
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self.readers.close()
            with self._viewing:
                for view in list(self._views):
                    view.close()
            with suppress(lmdb.Error):
                self._note_closed()
            self._env.close()
            self._directory.release()

    def _note_closed(self) -> None:
        """Unless the record still stands: bring what was written to the disk, then record that it is there."""
        if not self._noted and not self._read_only:
            self._env.sync(True)
            note_closed(self._env, self._directory)


def _has_address_space(size: int) -> bool:
    """Whether a map could grow by this much. LMDB itself gives up the old map first, and is lost if it cannot."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ).close()
    except (OSError, OverflowError, MemoryError):
        return False
    return True


def _apply(txn: lmdb.Transaction[bytes], batch: Batch, *, deletes: bool) -> None:
    """Puts in runs, each one call of the driver; deletes between them."""
    if not deletes:
        with txn.cursor() as cursor:
            cursor.putmulti(cast(Sequence[tuple[bytes, bytes]], batch))
        return
    values = list(map(_value_of, batch))
    start = 0
    with txn.cursor() as cursor:
        while start < len(batch):
            try:
                stop = values.index(None, start)
            except ValueError:
                stop = len(batch)
            if start < stop:
                cursor.putmulti(cast(Sequence[tuple[bytes, bytes]], batch[start:stop]))
            start = stop
            while start < len(batch) and values[start] is None:
                txn.delete(batch[start][0])
                start += 1


def _checked_size(batch: Batch) -> tuple[int, bool]:
    """Bytes of the batch, and whether it deletes; what LMDB would misread is refused before a transaction is begun."""
    if not batch:
        return 0, False
    keys: list[bytes] = list(map(_key_of, batch))
    longest, size = lengths(keys)
    if longest > _MAX_KEY or not all(keys):
        got = longest if longest > _MAX_KEY else 0
        raise LimitError(f"LMDB takes keys of 1 to 511 bytes, not {got}", what="max_key", limit=_MAX_KEY, got=got)
    values: list[bytes] = list(map(_value_of, batch))
    try:
        return size + lengths(values)[1], False
    except TypeError:
        return size + sum(map(len, filter(None, values))), True
