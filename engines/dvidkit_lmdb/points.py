"""Reads of single keys by pooled readers: what every read of one key comes down to.

Functions with what they need around them, in which taking and giving a reader is written out: a method that calls
others would take a tenth of a read's time more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lmdb

from dvidkit.engine import Item
from dvidkit.errors import StoreError
from dvidkit_lmdb.readers import Readers

Failure = Callable[[lmdb.Error], StoreError]


def get_of(readers: Readers, failure: Failure) -> Callable[[bytes], bytes | None]:
    """``ByteReader.get``."""
    idle = readers.idle
    pop, append, take, replaced, give = idle.pop, idle.append, readers.take, readers.replaced, readers.give

    def get(key: bytes, /) -> bytes | None:
        try:
            reader = pop()
        except IndexError:
            reader = take()
        if reader.commit != readers.commit:
            reader = replaced(reader)
        try:
            return reader.txn.get(key) if key else None
        except lmdb.Error as error:
            raise failure(error) from error
        finally:
            if reader.commit == readers.current:
                append(reader)
            else:
                give(reader)

    return get


def last_before_of(readers: Readers, failure: Failure) -> Callable[..., Any]:
    """``SeekReader.seek_last_before``."""
    idle = readers.idle
    pop, append, take, replaced, give = idle.pop, idle.append, readers.take, readers.replaced, readers.give

    def seek_last_before(end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        try:
            reader = pop()
        except IndexError:
            reader = take()
        if reader.commit != readers.commit:
            reader = replaced(reader)
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
            raise failure(error) from error
        finally:
            if reader.commit == readers.current:
                append(reader)
            else:
                give(reader)

    return seek_last_before


def first_from_of(readers: Readers, failure: Failure) -> Callable[..., Any]:
    """``SeekReader.seek_first_from``."""
    idle = readers.idle
    pop, append, take, replaced, give = idle.pop, idle.append, readers.take, readers.replaced, readers.give

    def seek_first_from(begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        try:
            reader = pop()
        except IndexError:
            reader = take()
        if reader.commit != readers.commit:
            reader = replaced(reader)
        try:
            cursor = reader.cursor
            if not cursor.set_range(begin):
                return None
            if keys_only:
                key = cursor.key()
                return key if key < end else None
            item = cursor.item()
            return item if item[0] < end else None
        except lmdb.Error as error:
            raise failure(error) from error
        finally:
            if reader.commit == readers.current:
                append(reader)
            else:
                give(reader)

    return seek_first_from
