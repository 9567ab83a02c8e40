"""A new LevelDB store made of rows: what a backup and a repair write."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Final

import plyvel

from dvidkit.backups import backup_directory
from dvidkit.engine import Item, StoreConfig
from dvidkit_leveldb.database import LAYOUT, Database
from dvidkit_leveldb.failures import translate

_CHUNK: Final = 4 << 20


def copy_rows(rows: Iterable[Item], path: str) -> None:
    """Make a new store at ``path`` of LevelDB's own rows; it is not marked as a store before it is whole.

    Raises:
        StoreMismatch: there is something at ``path``.
        StoreFull, StoreError: and what was begun has been taken away again.
    """
    with backup_directory(path, "leveldb", LAYOUT) as directory:
        database = Database(directory, StoreConfig("leveldb", path))
        with closing(database.db):
            write_rows(database, rows)


def write_rows(database: Database, rows: Iterable[Item]) -> None:
    """Put LevelDB's own rows into a database, and wait until they are on disk."""
    changes, size = database.db.write_batch(sync=True), 0
    try:
        for key, value in rows:
            changes.put(key, value)
            size += len(key) + len(value)
            if size > _CHUNK:
                changes.write()
                changes, size = database.db.write_batch(sync=True), 0
        changes.write()
    except plyvel.Error as error:
        raise translate(error, database.path) from error
