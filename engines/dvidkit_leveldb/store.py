"""An open LevelDB store behind the engine contract.

What plyvel would let through is stopped here: closing under a running call (the process dies), a batch whose building
failed (it writes the part before), blocks that are not checked, files open in other programs, a store that is lost
sight of (``CURRENT`` gone) and made anew, a second opener through a link, writes after a failed one (acknowledged, and
gone after reopening).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, cast

import plyvel

from dvidkit import closedrecord
from dvidkit.apart import apart_key, stored_key
from dvidkit.apartstore import ApartStore
from dvidkit.engine import Batch, Limits, OpenReport, StoreConfig
from dvidkit.errors import UnsupportedError
from dvidkit.storedir import StoreDirectory, close_on_exec
from dvidkit_leveldb.copying import copy_rows
from dvidkit_leveldb.cursor import LevelCursor
from dvidkit_leveldb.database import CHECKED, LAYOUT, LISTS, Database
from dvidkit_leveldb.points import first_from_of, get_of, last_before_of
from dvidkit_leveldb.syncing import sync_logs

_CLOCK_STEP: Final = 20_000_000
"""Nanoseconds, and more than the clock of any file system takes to move on."""


class LevelDBStore(ApartStore):
    """See ``ByteStore``."""

    _database: Database

    def __init__(self, config: StoreConfig, limits: Limits) -> None:
        self._max_value = limits.max_value
        if config.read_only:
            raise UnsupportedError("LevelDB writes to every store it opens", capability="read_only")
        directory = StoreDirectory(config, "leveldb", LAYOUT)
        self._records = config.durability != "volatile"
        try:
            closedrecord.begin(directory, read_only=False)
            self._database = Database(directory, config)
            if directory.created:
                directory.made()
        except BaseException:
            directory.release()
            raise
        super().__init__(directory, OpenReport(created=directory.created))
        self.get = get_of(self.cursors)  # type: ignore[method-assign]
        self.seek_last_before = last_before_of(self.cursors)  # type: ignore[method-assign]
        self.seek_first_from = first_from_of(self.cursors)  # type: ignore[method-assign]
        self._listed = 0
        self._unsynced = False
        self._mark_files()

    def _cursor(self) -> LevelCursor:
        return LevelCursor(self._database)

    def _shut(self) -> None:
        self._database.db.close()
        if self._records and self._failed is None:
            closedrecord.note(self.directory, LISTS, CHECKED)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _changes(self, *, durable: bool) -> Any:
        self._unsynced |= not durable
        return self._database.db.write_batch(sync=durable)

    def _apply(self, batch: Batch, *, durable: bool) -> None:
        """What was buffered is on the disk before what is durable; see ``syncing``."""
        unsynced = self._unsynced
        super()._apply(batch, durable=durable and not unsynced)
        if durable and unsynced:
            sync_logs(self.directory.data, present=True)
            self._unsynced = False

    def _write(self, changes: Any) -> None:
        try:
            changes.write()
        except plyvel.Error as error:
            raise self._database.failure(error) from error
        finally:
            changed = self._mark_files()
        if changed and self._unsynced:
            sync_logs(self.directory.data, present=False)

    def _mark_files(self) -> bool:
        """Keep LevelDB's files out of programs this process starts; it opens new ones as it goes. Whether it may have.

        A directory's time moves in steps: what was made in the same step as the last file seen shows only later.
        """
        data = self.directory.data
        changed = data.stat().st_mtime_ns
        if changed != self._listed:
            close_on_exec(data)
            self._listed = changed if time.time_ns() - changed > _CLOCK_STEP else 0
            return True
        return False

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """See ``Sizer.approximate_sizes``. What was written last and is still in memory counts for nothing."""
        with self.cursors.inside():
            sizes = self._database.db.approximate_sizes
            return [
                sum(sizes((begin, end), (apart_key(begin), apart_key(end)))) if begin < end else 0
                for begin, end in ((stored_key(begin), stored_key(end)) for begin, end in ranges)
            ]

    def compact(self, begin: bytes, end: bytes, /) -> None:
        """See ``Compactor.compact``."""
        begin, end = stored_key(begin), stored_key(end)
        if begin >= end:
            return
        with self.cursors.inside():
            places = [(begin, end)]
            if self._database.apart:
                places.append((apart_key(begin), apart_key(end)))
                self._sweep(*places[1])
            try:
                # LevelDB looks at its tables before it makes one of what is in memory: that is done first.
                for start, stop in ((begin, begin), *places):
                    self._database.db.compact_range(start=start, stop=stop)
            except plyvel.Error as error:
                raise self._database.failure(error) from error
            finally:
                self._mark_files()

    def backup(self, path: str, /) -> None:
        """See ``Backer.backup``."""
        with self._reading() as cursor:
            copy_rows(cast(LevelCursor, cursor).stored_rows(), path)
