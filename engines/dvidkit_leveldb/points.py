"""Reads of single keys by pooled cursors: what every read of one key comes down to.

Functions with what they need around them, in which taking and giving a cursor is written out: methods that call others
would take a third of a read's time more. What is not the plain case is left to the cursor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import plyvel

from dvidkit.apart import HIGH, POINTER_SIZE
from dvidkit.cursors import CursorPool
from dvidkit.engine import Item


def get_of(cursors: CursorPool) -> Callable[[bytes], bytes | None]:
    """``ByteReader.get``."""
    pool: Any = cursors
    pop, append, take, replaced, give = pool.idle.pop, pool.idle.append, pool.take, pool.replaced, pool.give

    def get(key: bytes, /) -> bytes | None:
        try:
            cursor = pop()
        except IndexError:
            cursor = take()
        if cursor.commit != cursors.commit:
            cursor = replaced(cursor)
        try:
            if key < HIGH:
                value: bytes | None = cursor.read(key, verify_checksums=True)
                if cursor.simple or value is None or len(value) != POINTER_SIZE:
                    return value
                row: Item = cursor.whole_row(key, value)
                return row[1]
            found: bytes | None = cursor.get(key)
            return found
        except plyvel.Error as error:
            raise cursor.failed(error) from error
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
                try:
                    cursor.seek(end)
                    cursor.prev()
                    if keys_only:
                        key: bytes = cursor.key()
                        return key if key >= floor else None
                    row: Item = cursor.item()
                    if row[0] < floor:
                        return None
                    return row if cursor.simple or len(row[1]) != POINTER_SIZE else cursor.whole_row(*row)
                except plyvel.Error:
                    pass
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
                try:
                    cursor.seek(begin)
                    key: bytes = cursor.key()
                    return key if key < end else None
                except plyvel.Error:
                    pass
            found: Item | bytes | None = cursor.first_from(begin, end, keys_only)
            return found
        finally:
            if cursor.commit == cursors.current:
                append(cursor)
            else:
                give(cursor)

    return seek_first_from
