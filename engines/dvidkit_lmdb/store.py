"""An open LMDB environment behind the engine contract.

What LMDB would let through is stopped here: writes of ``None`` (stored as empty), keys over 511 bytes (silently absent
on reads), a map that is full, reader slots that ran out, a file shorter than its pages (a bus error on reading).
"""

from __future__ import annotations

import gc
import os
import shutil
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, cast

import lmdb

from dvidkit.engine import Batch, Item, OpenReport, StoreConfig
from dvidkit.errors import BadConfig, ConflictError, CorruptData, LimitError, StoreBusy, StoreError, StoreFull, shown
from dvidkit.storedir import StoreDirectory, close_on_exec, os_error
from dvidkit_lmdb.failures import closed_error, translate
from dvidkit_lmdb.readers import Readers
from dvidkit_lmdb.views import TxnView, first_from, get_many

_LAYOUT: Final = 1
_MAP_SIZE: Final = 1 << 40
_SMALLEST_MAP: Final = 1 << 26
_MAX_READERS: Final = 2046
_SPARE_TXNS: Final = 32
_GROW_AT: Final = 0.8
_PAGES_PER_CHANGE: Final = 8
_MAX_KEY: Final = 511

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)


class LmdbStore:
    """See ``ByteStore``."""

    def __init__(self, config: StoreConfig) -> None:
        map_size = _option(config, "map_size", _MAP_SIZE)
        readahead = _option(config, "readahead", True)
        self._durability = config.durability
        self._directory = StoreDirectory(config, "lmdb", _LAYOUT)
        self._path = str(self._directory.path)
        try:
            self._env = self._open_env(config, map_size, readahead=readahead)
            self._check_length()
        except BaseException:
            self._directory.release()
            raise
        if self._directory.created:
            self._env.sync(True)
            self._directory.made()
        close_on_exec(self._directory.data)
        self.report = OpenReport(created=self._directory.created)
        self.readers = Readers(self._env)
        self.views: weakref.WeakSet[TxnView] = weakref.WeakSet()
        self._writing = threading.Lock()
        self._closed = False
        self._map_size: int = self._env.info()["map_size"]

    # --- opening -----------------------------------------------------------------------------------------------------

    def _open_env(self, config: StoreConfig, map_size: int, *, readahead: bool) -> lmdb.Environment:
        while True:
            try:
                return lmdb.open(
                    str(self._directory.data),
                    map_size=map_size,
                    readonly=config.read_only,
                    lock=not config.read_only,
                    create=self._directory.created,
                    metasync=config.durability == "durable",
                    sync=config.durability != "volatile",
                    readahead=readahead,
                    max_readers=_MAX_READERS,
                    max_spare_txns=_SPARE_TXNS,
                    lib_version=0,
                )
            except (MemoryError, lmdb.MemoryError) as error:
                if map_size <= _SMALLEST_MAP:
                    raise StoreError("no address space for LMDB's map", engine="lmdb", path=self._path) from error
                map_size //= 4
            except lmdb.Error as error:
                raise translate(error, self._path) from error
            except OSError as error:
                raise os_error(error, f"cannot open {self._path}", "lmdb", self._path) from error

    def _check_length(self) -> None:
        """A file cut short would be a bus error at the first read of a missing page."""
        expected = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        length = os.path.getsize(self._directory.data / "data.mdb")
        if length < expected and length > 2 * self._env.stat()["psize"]:
            self._env.close()
            raise CorruptData(f"data.mdb has {length} of {expected} bytes", engine="lmdb", path=self._path)

    def begin_view(self) -> lmdb.Transaction[bytes]:
        """A read transaction of its own; slots of dropped or dead readers are swept up if there is none left."""
        self.readers.pause()
        if self._closed:
            raise closed_error()
        try:
            return self._env.begin()
        except lmdb.ReadersFullError:
            gc.collect()
            self._env.reader_check()
        except lmdb.Error as error:
            raise self.failure(error) from error
        try:
            return self._env.begin()
        except lmdb.Error as error:
            raise self.failure(error) from error

    def failure(self, error: lmdb.Error) -> StoreError:
        """The error of the tree for a driver's error."""
        return closed_error() if self._closed else translate(error, self._path)

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        reader = self.readers.take()
        try:
            return reader.txn.get(key)
        except lmdb.Error as error:
            raise self.failure(error) from error
        finally:
            self.readers.give(reader)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        reader = self.readers.take()
        try:
            return get_many(reader.cursor, keys)
        except lmdb.Error as error:
            raise self.failure(error) from error
        finally:
            self.readers.give(reader)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``. Taking and giving are written out, for it is every versioned read."""
        readers = self.readers
        try:
            reader = readers.idle.pop()
        except IndexError:
            reader = readers.take()
        if reader.commit != readers.commit:
            reader = readers.replaced(reader)
        try:
            cursor = reader.cursor
            if not (cursor.prev() if cursor.set_range(end) else cursor.last()):
                return None
            if keys_only:
                key = cursor.key()
                return key if key >= floor else None
            item = cursor.item()
            return item if item[0] >= floor else None
        except lmdb.Error as error:
            raise self.failure(error) from error
        finally:
            if readers.current == reader.commit:
                readers.idle.append(reader)
            else:
                readers.give(reader)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        reader = self.readers.take()
        try:
            found: Item | bytes | None = first_from(reader.cursor, begin, end, keys_only=keys_only)
            return found
        except lmdb.Error as error:
            raise self.failure(error) from error
        finally:
            self.readers.give(reader)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        for page in self.scan_pages(begin, end, reverse=reverse, keys_only=keys_only):
            yield from page

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
        return TxnView(self)

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        size = _checked_size(batch)
        with self._writing:
            if self._closed:
                raise closed_error()
            self._make_room(size, len(batch))
            while not self._commit(batch, expect or {}):
                self._grow(2 * self._map_size)
            self.readers.committed()
            if durable and self._durability != "durable":
                self._sync()

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter.delete_range``."""
        keys = list(self.scan(begin, end, keys_only=True))
        self.write([(key, None) for key in keys], durable=durable)

    def _commit(self, batch: Batch, expect: Mapping[bytes, bytes | None]) -> bool:
        """One transaction; false if the map was full, and then nothing was written."""
        try:
            txn = self._env.begin(write=True)
        except lmdb.Error as error:
            raise self.failure(error) from error
        try:
            for key, value in expect.items():
                if txn.get(key) != value:
                    txn.commit()
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            _apply(txn, batch)
            txn.commit()
        except lmdb.MapFullError:
            self._roll_back(txn)
            return False
        except lmdb.Error as error:
            self._roll_back(txn)
            raise self.failure(error) from error
        except ConflictError:
            raise
        except BaseException:
            self._roll_back(txn)
            raise
        return True

    def _roll_back(self, txn: lmdb.Transaction[bytes]) -> None:
        with self.readers.held():
            txn.abort()

    def _sync(self) -> None:
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise self.failure(error) from error

    # --- the map -----------------------------------------------------------------------------------------------------

    def _make_room(self, size: int, changes: int) -> None:
        """Grow the map before it is needed: to find it full in the middle costs a roll-back."""
        page = 4096
        used = (self._env.info()["last_pgno"] + 1) * page
        need = used + 2 * size + _PAGES_PER_CHANGE * page * min(changes, 4096)
        if need > _GROW_AT * self._map_size:
            self._grow(max(2 * self._map_size, 2 * need))

    def _grow(self, size: int) -> None:
        """Make the map larger. Views that are open then lose their pages: their next step raises ``StoreBusy``."""
        with self.readers.held():
            for view in list(self.views):
                view.close()
            try:
                self._env.set_mapsize(size)
            except (MemoryError, lmdb.Error, OSError) as error:
                raise StoreFull(
                    f"LMDB's map cannot grow from {self._map_size} to {size} bytes", engine="lmdb", path=self._path
                ) from error
            self._map_size = size

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def backup(self, path: str, /) -> None:
        """See ``Backer.backup``."""
        target = StoreDirectory(StoreConfig("lmdb", path), "lmdb", _LAYOUT)
        try:
            if not target.created:
                raise StoreBusy(f"there is a store at {path} already", engine="lmdb", path=path)
            self._env.copy(str(target.data), compact=True)
            target.made()
        except lmdb.Error as error:
            shutil.rmtree(target.path, ignore_errors=True)
            raise self.failure(error) from error
        finally:
            target.release()

    def close(self) -> None:
        """See ``ByteStore.close``."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self.readers.close()
            for view in list(self.views):
                view.close()
            self._env.close()
            self._directory.release()


def _apply(txn: lmdb.Transaction[bytes], batch: Batch) -> None:
    """Puts in runs, each one call of the driver; deletes between them."""
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


def _checked_size(batch: Batch) -> int:
    """Bytes of the batch; what LMDB would misread is refused before a transaction is begun."""
    if not batch:
        return 0
    lengths = list(map(len, map(_key_of, batch)))
    if max(lengths) > _MAX_KEY or min(lengths) == 0:
        got = max(lengths) if max(lengths) > _MAX_KEY else 0
        raise LimitError(f"LMDB takes keys of 1 to 511 bytes, not {got}", what="max_key", limit=_MAX_KEY, got=got)
    return sum(lengths) + sum(map(len, filter(None, map(_value_of, batch))))


def _option(config: StoreConfig, name: str, default: Any) -> Any:
    unknown = set(config.options) - {"map_size", "readahead"}
    if unknown:
        raise BadConfig(f"engine 'lmdb' has no option {min(unknown)!r}", setting=min(unknown))
    value = config.options.get(name, default)
    if type(value) is not type(default) or (name == "map_size" and value < 1 << 20):
        raise BadConfig(f"option {name!r} of engine 'lmdb' cannot be {shown(value)}", setting=name)
    return value
