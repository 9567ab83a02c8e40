"""What rocksdict's exceptions mean in dvidkit's terms.

rocksdict raises a bare ``Exception`` with RocksDB's text, or one of Python's own for what its Rust side noticed. So
what happened is told by the text: first by the kind that RocksDB puts in front, then by the system's words within.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from rocksdict import DbClosedError

from dvidkit.errors import (
    CorruptData,
    DvidkitError,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreMismatch,
)

_TEXTS: Final[tuple[tuple[str, type[StoreError]], ...]] = (
    ("does not match existing comparator", StoreMismatch),
    ("(create_if_missing is false)", CorruptData),
    ("lock hold by current process", StoreLocked),
    ("While lock file", StoreLocked),
    ("Not implemented: Not supported operation in read only mode", ReadOnlyStore),
    ("Already borrowed", StoreBusy),
    ("Already mutably borrowed", StoreBusy),
    ("DB instance already closed", StoreClosed),
    ("Shutdown in progress", StoreClosed),
    ("Corruption: ", CorruptData),
    ("Resource busy: ", StoreBusy),
    ("Operation timed out: ", StoreBusy),
    ("Operation failed. Try again.: ", StoreBusy),
)
_SYSTEM: Final[tuple[tuple[int, type[StoreError]], ...]] = (
    (errno.ENOSPC, StoreFull),
    (errno.EDQUOT, StoreFull),
    (errno.EFBIG, StoreFull),
    (errno.EROFS, ReadOnlyStore),
    (errno.ENOENT, CorruptData),
)


def translate(error: Exception, path: str) -> DvidkitError:
    """The error of the tree for what rocksdict raised; one of the tree stays as it is."""
    if isinstance(error, DvidkitError):
        return error
    return _kind(error)(f"RocksDB: {error}", engine="rocksdb", path=path)


def _kind(error: Exception) -> type[StoreError]:
    if isinstance(error, DbClosedError):
        return StoreClosed
    said = str(error)
    for text, kind in _TEXTS:
        if text in said:
            return kind
    for code, kind in _SYSTEM:
        if os.strerror(code) in said:
            return kind
    return StoreError
