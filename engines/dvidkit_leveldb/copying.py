"""A new LevelDB store made of rows: what a backup and a repair write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import closing
from typing import Final

import plyvel

from dvidkit.engine import Item, StoreConfig
from dvidkit.errors import StoreMismatch
from dvidkit.storedir import StoreDirectory
from dvidkit_leveldb.database import LAYOUT, Database
from dvidkit_leveldb.failures import translate

_CHUNK: Final = 4 << 20


def copy_rows(rows: Iterable[Item], path: str) -> None:
    """Make a new store at ``path`` of LevelDB's own rows; it is not marked as a store before it is whole.

    Raises:
        StoreMismatch: there is something at ``path``.
        StoreFull, StoreError: and what was begun has been taken away again.
    """
    if os.path.lexists(path):
        raise StoreMismatch(f"{path} exists already, so no backup is made there", engine="leveldb", path=path)
    config = StoreConfig("leveldb", path)
    directory = StoreDirectory(config, "leveldb", LAYOUT)
    try:
        database = Database(directory, config)
        with closing(database.db):
            write_rows(database, rows)
        directory.made()
    except BaseException:
        shutil.rmtree(directory.path, ignore_errors=True)
        raise
    finally:
        directory.release()


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
