"""What LMDB's exceptions mean in dvidkit's terms."""

from __future__ import annotations

import errno
from typing import Final

import lmdb

from dvidkit.errors import (
    CorruptData,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreForked,
    StoreFull,
    StoreLocked,
    StorePoisoned,
)

_CORRUPT: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.BadDbiError,
    lmdb.CursorFullError,
)
_FULL_CODES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def closed_error() -> StoreClosed:
    """The store was closed."""
    return StoreClosed("the store is closed", engine="lmdb")


def busy_error() -> StoreBusy:
    """A snapshot or scan was ended because the map had to move."""
    return StoreBusy("LMDB's map was enlarged while this was being read; read again", engine="lmdb")


def forked_error() -> StoreForked:
    """A snapshot or scan is used in a forked child."""
    return StoreForked("the store was opened before this process was forked", engine="lmdb")


def translate(error: lmdb.Error, path: str) -> StoreError:
    """The error of the tree for a driver's error."""
    text = f"LMDB: {error}"
    if "closed/deleted/dropped" in str(error):
        return closed_error()
    if "already open in this process" in str(error):
        return StoreLocked(text, engine="lmdb", path=path, owner="this process")
    if isinstance(error, _CORRUPT):
        return CorruptData(text, engine="lmdb", path=path)
    if isinstance(error, lmdb.PanicError):
        # A commit could not write its last page: nothing is damaged, but LMDB answers nothing until it is opened again.
        return StorePoisoned(text, engine="lmdb", path=path)
    if isinstance(error, lmdb.MapFullError) or getattr(error, "code", 0) in _FULL_CODES:
        return StoreFull(text, engine="lmdb", path=path)
    if isinstance(error, lmdb.ReadonlyError):
        return ReadOnlyStore(text, engine="lmdb", path=path)
    if isinstance(error, (lmdb.ReadersFullError, lmdb.MapResizedError)):
        return StoreBusy(text, engine="lmdb", path=path)
    return StoreError(text, engine="lmdb", path=path)
