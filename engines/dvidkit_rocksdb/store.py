"""An open RocksDB store behind the engine contract.

What rocksdict would let through is stopped here: closing under a running call, a database that stays open because an
iterator is alive, a range the wrong way round (after which nothing can be written), values too large for it (it
crashes), writes that hold every thread up while the disk is waited for, a parent directory made on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from rocksdict import BottommostLevelCompaction, Checkpoint, CompactOptions, WriteBatch

from dvidkit import closedrecord
from dvidkit.apart import APART_END, apart_key, stored_key
from dvidkit.apartstore import ApartStore
from dvidkit.backups import backup_directory
from dvidkit.engine import Batch, Limits, OpenReport, StoreConfig
from dvidkit.errors import LimitError, StoreError
from dvidkit.storedir import StoreDirectory
from dvidkit_rocksdb.copying import sync_files, write_database
from dvidkit_rocksdb.cursor import RocksCursor
from dvidkit_rocksdb.database import CHECKED, LAYOUT, LISTS, Database
from dvidkit_rocksdb.points import first_from_of, get_of, last_before_of
from dvidkit_rocksdb.sizes import estimate
from dvidkit_rocksdb.syncing import GroupSync


class RocksDBStore(ApartStore):
    """See ``ByteStore``."""

    _database: Database

    def __init__(self, config: StoreConfig, limits: Limits) -> None:
        self._max_value = limits.max_value
        directory = StoreDirectory(config, "rocksdb", LAYOUT)
        self._records = not config.read_only and config.durability != "volatile"
        try:
            closedrecord.begin(directory, read_only=config.read_only)
            self._database = Database(directory, config)
            if directory.created:
                directory.made()
        except BaseException:
            directory.release()
            raise
        self._sync = GroupSync(self._flush_log)
        super().__init__(directory, OpenReport(created=directory.created), read_only=config.read_only)
        self.get = get_of(self.cursors, self._database)  # type: ignore[method-assign]
        self.seek_last_before = last_before_of(self.cursors)  # type: ignore[method-assign]
        self.seek_first_from = first_from_of(self.cursors)  # type: ignore[method-assign]

    def _cursor(self) -> RocksCursor:
        return RocksCursor(self._database)

    def _shut(self) -> None:
        try:
            self._database.close()
        except StoreError:
            if self._failed is None:
                raise
        if self._records and self._failed is None:
            closedrecord.note(self.directory, LISTS, CHECKED)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _changes(self, *, durable: bool) -> Any:
        return WriteBatch(raw_mode=True)

    def _fill(self, changes: Any, batch: Batch) -> None:
        try:
            super()._fill(changes, batch)
        except LimitError:
            raise
        except (KeyError, ValueError) as error:
            raise TypeError(f"RocksDB takes keys and values of bytes only: {error}") from error

    def _write(self, changes: Any) -> None:
        try:
            self._database.db.write(changes)
        except Exception as error:
            raise self._database.failure(error) from error
        self._sync.written()

    def _settling(self) -> Callable[[], None]:
        """Wait for the disk after one's turn, so that others may write meanwhile and one wait serves all."""
        ticket = self._sync.ticket
        self.cursors.enter()

        def settle() -> None:
            try:
                self._sync.wait(ticket)
            except StoreError as error:
                self._failed = error
                raise
            finally:
                self.cursors.leave()

        return settle

    def _flush_log(self) -> None:
        try:
            self._database.db.flush_wal(True)
        except Exception as error:
            raise self._database.failure(error) from error

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter.delete_range``. RocksDB must never see a range the wrong way round."""
        begin, end = stored_key(begin), stored_key(end)

        def apply() -> None:
            changes = WriteBatch(raw_mode=True)
            changes.delete_range(begin, end)
            if self._database.apart:
                changes.delete_range(apart_key(begin), apart_key(end))
            self._write(changes)

        self._in_turn(apply if begin < end else None, durable=durable)

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """See ``Sizer.approximate_sizes``. What is not in a table yet counts for nothing."""
        with self.cursors.inside():
            files = self._database.db.live_files()
        sizes = []
        for begin, end in ranges:
            begin, end = stored_key(begin), stored_key(end)
            places = [(begin, end), (apart_key(begin), apart_key(end))] if begin < end else []
            sizes.append(sum(estimate(files, *place) for place in places))
        return sizes

    def compact(self, begin: bytes, end: bytes, /) -> None:
        """See ``Compactor.compact``."""
        begin, end = stored_key(begin), stored_key(end)
        options = CompactOptions()
        options.set_bottommost_level_compaction(BottommostLevelCompaction.force_optimized())
        with self.cursors.inside():
            if begin >= end:
                return
            places = [(begin, end)]
            if self._database.apart:
                places.append((apart_key(begin), apart_key(end)))
                self._sweep(*places[1])
            try:
                for start, stop in places:
                    self._database.db.compact_range(start, stop, options)
            except Exception as error:
                raise self._database.failure(error) from error

    def backup(self, path: str, /) -> None:
        """See ``Backer.backup``.

        RocksDB's checkpoint, whose tables are linked where the file system can; it makes none of a database that is
        open for reading only, which is copied row by row.
        """
        with self.cursors.inside(), backup_directory(path, "rocksdb", LAYOUT) as target:
            self._copy(target.data)

    def _copy(self, data: Path) -> None:
        data.rmdir()
        if self._read_only:
            with self._reading() as cursor:
                pages = cast(RocksCursor, cursor).stored_pages(b"", APART_END)
                write_database(data, StoreConfig("rocksdb", self._database.path), pages)
            return
        try:
            self._database.db.flush()
            Checkpoint(self._database.db).create_checkpoint(str(data))
        except Exception as error:
            raise self._database.failure(error) from None
        sync_files(data)
