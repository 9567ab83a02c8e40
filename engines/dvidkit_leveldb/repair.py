"""Making a damaged LevelDB store openable, without inventing anything.

1. A log is cut where it is first damaged: what was written after that is lost.
2. If LevelDB still cannot read all of the store, or its list of tables is not what it was when the store was closed,
   its own repair sets unreadable pieces of tables aside (in ``data/lost``) and makes a new list of tables. Where newer
   rows were in such a piece, older values of their keys may show.
3. Rows whose value was set apart and is damaged are deleted.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Final

import plyvel

from dvidkit import closedrecord
from dvidkit.apart import APART, apart_key
from dvidkit.engine import OpenReport, StoreConfig
from dvidkit.errors import CorruptData
from dvidkit.storedir import StoreDirectory, os_error
from dvidkit_leveldb.cursor import LevelCursor
from dvidkit_leveldb.database import LAYOUT, Database
from dvidkit_leveldb.failures import translate
from dvidkit_leveldb.logfile import sound_length

_LOST: Final = "lost"


def repair(path: str) -> OpenReport:
    """See ``Engine.repair``."""
    config = StoreConfig("leveldb", path, create=False)
    directory = StoreDirectory(config, "leveldb", LAYOUT)
    try:
        return _repair(directory, config)
    except OSError as error:
        raise os_error(error, f"cannot repair {path}", "leveldb", path) from error
    finally:
        directory.release()


def _repair(directory: StoreDirectory, config: StoreConfig) -> OpenReport:
    differs = closedrecord.difference(directory)
    closedrecord.forget(directory)
    relist = differs.startswith(("CURRENT", "MANIFEST"))
    damaged = None if relist else _damaged_rows(directory, config)
    dropped, notes = 0, [f"{differs} since the store was closed; rows may be missing"] if differs else []
    if damaged is None:
        dropped, cuts = _cut_logs(directory.data)
        notes += cuts
        damaged = None if relist else _damaged_rows(directory, config)
    if damaged is None:
        notes += _rebuild(directory)
        damaged = _damaged_rows(directory, config)
    if damaged is None:
        raise CorruptData("LevelDB cannot repair this store", engine="leveldb", path=config.path)
    if damaged:
        notes.append(f"{len(damaged)} rows were lost, for their large values are damaged")
        _delete(directory, config, damaged)
    return OpenReport(dropped_bytes=dropped, notes=tuple(notes))


def _damaged_rows(directory: StoreDirectory, config: StoreConfig) -> list[bytes] | None:
    """LevelDB keys of the rows whose value is damaged; ``None`` if LevelDB cannot read the store."""
    try:
        database = Database(directory, config)
    except CorruptData:
        return None
    with closing(database.db):
        cursor = LevelCursor(database)
        try:
            return [key for key, value in cursor.stored_rows() if key < APART and not cursor.is_readable(key, value)]
        except CorruptData:
            return None
        finally:
            cursor.close()


def _cut_logs(data: Path) -> tuple[int, list[str]]:
    dropped, notes = 0, []
    for log in sorted(data.glob("*.log")):
        content = log.read_bytes()
        sound = sound_length(content)
        if sound < len(content):
            (data / _LOST).mkdir(exist_ok=True)
            shutil.copy2(log, data / _LOST / log.name)
            os.truncate(log, sound)
            dropped += len(content) - sound
            notes.append(f"the log {log.name} was damaged and cut; all of it is kept in {_LOST}")
    return dropped, notes


def _rebuild(directory: StoreDirectory) -> list[str]:
    try:
        plyvel.repair_db(os.fsencode(directory.data), paranoid_checks=True)
    except plyvel.Error as error:
        raise translate(error, str(directory.path), opening=True) from error
    return [f"LevelDB rebuilt its list of tables; rows may be missing, and what it gave up is kept in {_LOST}"]


def _delete(directory: StoreDirectory, config: StoreConfig, rows: list[bytes]) -> None:
    database = Database(directory, config)
    with closing(database.db):
        changes = database.db.write_batch(sync=True)
        for row in rows:
            changes.delete(row)
            changes.delete(apart_key(row))
        changes.write()
