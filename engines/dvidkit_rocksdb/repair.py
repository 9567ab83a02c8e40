"""Making a damaged RocksDB store openable, without inventing anything.

1. If the list of tables is not what it was when the store was closed, RocksDB's own repair makes it anew.
2. A damaged log is taken as far as it is sound, as RocksDB does by itself where it is not told to be strict.
3. If the store then cannot be opened, RocksDB's own repair drops the tables that it cannot open.
4. If it cannot be read to the end, all rows that can be read are copied into a new database, which takes the place of
   the old one. RocksDB's own repair would drop the whole of a table for one damaged byte.

Where newer rows were lost, older values of their keys may show.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from rocksdict import Rdict

from dvidkit import closedrecord
from dvidkit.apart import APART, APART_END
from dvidkit.engine import Item, OpenReport, StoreConfig
from dvidkit.errors import CorruptData
from dvidkit.storedir import DATA, StoreDirectory, os_error
from dvidkit_rocksdb.copying import write_database
from dvidkit_rocksdb.cursor import RocksCursor
from dvidkit_rocksdb.database import LAYOUT, Database, options_for
from dvidkit_rocksdb.failures import translate

_NEW: Final = "data.repaired"
_OLD: Final = "data.damaged"


def repair(path: str) -> OpenReport:
    """See ``Engine.repair``."""
    config = StoreConfig("rocksdb", path, create=False)
    _finish_exchange(Path(path))
    directory = StoreDirectory(config, "rocksdb", LAYOUT)
    try:
        return OpenReport(notes=tuple(_repair(directory, config)))
    except OSError as error:
        raise os_error(error, f"cannot repair {path}", "rocksdb", path) from error
    finally:
        directory.release()


def _repair(directory: StoreDirectory, config: StoreConfig) -> list[str]:
    differs = closedrecord.difference(directory)
    closedrecord.forget(directory)
    notes = [f"{differs} since the store was closed; rows may be missing, and older ones may show"] if differs else []
    if differs.startswith(("CURRENT", "MANIFEST")):
        _drop_tables(directory, config)
    if _is_sound(directory, config, forgiving=False):
        return notes
    if _is_sound(directory, config, forgiving=True):
        return [*notes, "the log was damaged: what was written last may be missing"]
    if not _opens(directory, config):
        _drop_tables(directory, config)
        notes.append("tables that could not be opened were dropped, so rows may be missing, and older ones may show")
    lost = _copy(directory, config)
    if lost:
        notes.append(f"{lost} places could not be read, so rows may be missing, and older ones may show; see {_OLD}")
    return notes or ["the store was read to the end and written anew"]


def _is_sound(directory: StoreDirectory, config: StoreConfig, *, forgiving: bool) -> bool:
    """Whether everything can be read; with ``forgiving`` a damaged log is cut first."""
    try:
        database = Database(directory, config, forgiving=forgiving)
    except CorruptData:
        return False
    with closing(database), closing(RocksCursor(database)) as cursor:
        try:
            return all(
                cursor.is_readable(*row)
                for page in cursor.stored_pages(b"", APART_END)
                for row in page
                if row[0] < APART
            )
        except CorruptData:
            return False


def _opens(directory: StoreDirectory, config: StoreConfig) -> bool:
    try:
        Database(directory, config, forgiving=True).close()
    except CorruptData:
        return False
    return True


def _drop_tables(directory: StoreDirectory, config: StoreConfig) -> None:
    try:
        Rdict.repair(str(directory.data), options_for(config, create=False, forgiving=True))
    except Exception as error:
        raise translate(error, str(directory.path)) from None


def _copy(directory: StoreDirectory, config: StoreConfig) -> int:
    """Put all that can be read into a new database in place of this one; return how many times reading broke off."""
    place = directory.path / _NEW
    shutil.rmtree(place, ignore_errors=True)
    gaps: list[bytes] = []
    database = Database(directory, config, forgiving=True)
    with closing(database), closing(RocksCursor(database)) as cursor:
        write_database(place, config, _readable(cursor, _bounds(database), gaps))
    _exchange(directory.path)
    return len(gaps)


def _readable(cursor: RocksCursor, bounds: list[bytes], gaps: list[bytes]) -> Iterator[list[Item]]:
    """RocksDB's rows, without those that cannot be read, or whose value cannot; ``gaps``: where it broke off."""
    begin: bytes | None = b""
    size = 512
    while begin is not None:
        try:
            page = cursor.some(begin, size)
        except CorruptData:
            if size > 1:
                size = 1
                continue
            gaps.append(begin)
            begin = _next_readable(cursor, begin, bounds)
            continue
        if not page:
            return
        begin = page[-1][0] + b"\x00"
        size = min(2 * size, 512)
        rows = [row for row in page if row[0] >= APART or _is_whole(cursor, row)]
        gaps += [b""] * (len(page) - len(rows))
        yield rows


def _is_whole(cursor: RocksCursor, row: Item) -> bool:
    try:
        return cursor.is_readable(*row)
    except CorruptData:
        return False


def _bounds(database: Database) -> list[bytes]:
    """The last key of each table, in order: somewhere behind a damaged place."""
    return sorted(file["end_key"] for file in database.db.live_files() if file["end_key"])


def _next_readable(cursor: RocksCursor, unreadable: bytes, bounds: list[bytes]) -> bytes | None:
    """About the first place behind this one from which RocksDB can read on: sought by halving."""
    good = next((key + b"\x00" for key in bounds if key >= unreadable and _can_read(cursor, key + b"\x00")), None)
    if good is None:
        return None
    width = max(len(unreadable), len(good)) + 1
    low, high = (int.from_bytes(key.ljust(width, b"\x00"), "big") for key in (unreadable, good))
    while high - low > 1:
        middle = (low + high) // 2
        if _can_read(cursor, middle.to_bytes(width, "big")):
            high = middle
        else:
            low = middle
    return high.to_bytes(width, "big")


def _can_read(cursor: RocksCursor, begin: bytes) -> bool:
    try:
        cursor.some(begin, 1)
    except CorruptData:
        return False
    return True


def _exchange(path: Path) -> None:
    """The new data directory in place of the old one. Broken off between the two steps, it is finished next time."""
    shutil.rmtree(path / _OLD, ignore_errors=True)
    (path / DATA).rename(path / _OLD)
    (path / _NEW).rename(path / DATA)


def _finish_exchange(path: Path) -> None:
    if (path / _OLD).is_dir() and (path / _NEW).is_dir() and not (path / DATA).exists():
        (path / _NEW).rename(path / DATA)
