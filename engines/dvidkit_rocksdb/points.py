"""Reads of single keys by pooled cursors: what every read of one key comes down to.

Functions with what they need around them, in which taking and giving a cursor is written out: methods that call others
would take a third of a read's time more. What is not the plain case is left to the cursor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dvidkit.apart import HIGH, POINTER_SIZE
from dvidkit.cursors import CursorPool
from dvidkit.engine import Item
from dvidkit_rocksdb.database import Database


def get_of(cursors: CursorPool, database: Database) -> Callable[[bytes], bytes | None]:
    """``ByteReader.get``, by RocksDB's own, which asks its filters first.

    It reads what is there now: no less than any cursor that a read begun later is given. The cursor that is held
    meanwhile keeps the database open, and reads what is set apart.
    """
    pool: Any = cursors
    pop, append, take, replaced, give = pool.idle.pop, pool.idle.append, pool.take, pool.replaced, pool.give
    read = database.db.get

    def get(key: bytes, /) -> bytes | None:
        try:
            cursor = pop()
        except IndexError:
            cursor = take()
        if cursor.commit != cursors.commit:
            cursor = replaced(cursor)
        try:
            if key < HIGH:
                value: bytes | None = read(key)
                if value is None or len(value) != POINTER_SIZE:
                    return value
            found: bytes | None = cursor.get(key)
            return found
        except Exception as error:
            raise database.failure(error) from error
        finally:
            if cursor.commit == cursors.current:
                append(cursor)
            else:
                give(cursor)

    return get


def last_before_of(cursors: CursorPool) -> Callable[..., Any]:
    """``SeekReader.seek_last_before``."""
    pool: Any = cursors
    pop, append, take, replaced, give = pool.idle.pop, pool.idle.append, pool.take, pool.replaced, pool.give

    def seek_last_before(end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        try:
            cursor = pop()
        except IndexError:
            cursor = take()
        if cursor.commit != cursors.commit:
            cursor = replaced(cursor)
        try:
            if end < HIGH:
                cursor.back(end)
                key: bytes | None = cursor.key()
                if key is not None and key != end:
                    if key < floor:
                        return None
                    if keys_only:
                        return key
                    value: bytes = cursor.value()
                    return (key, value) if len(value) != POINTER_SIZE else cursor.whole_row(key, value)
            found: Item | bytes | None = cursor.last_before(end, floor, keys_only)
            return found
        finally:
            if cursor.commit == cursors.current:
                append(cursor)
            else:
                give(cursor)

    return seek_last_before


def first_from_of(cursors: CursorPool) -> Callable[..., Any]:
    """``SeekReader.seek_first_from``."""
    pool: Any = cursors
    pop, append, take, replaced, give = pool.idle.pop, pool.idle.append, pool.take, pool.replaced, pool.give

    def seek_first_from(begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        try:
            cursor = pop()
        except IndexError:
            cursor = take()
        if cursor.commit != cursors.commit:
            cursor = replaced(cursor)
        try:
            if keys_only and end < HIGH:
                cursor.seek(begin)
                key: bytes | None = cursor.key()
                if key is not None:
                    return key if key < end else None
            found: Item | bytes | None = cursor.first_from(begin, end, keys_only)
            return found
        finally:
            if cursor.commit == cursors.current:
                append(cursor)
            else:
                give(cursor)

    return seek_first_from
