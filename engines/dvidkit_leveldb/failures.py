"""What plyvel's exceptions mean in dvidkit's terms.

LevelDB has four kinds of error and says the rest in text, with the system's words for its own errors; so the words are
compared with those the system has.
"""

from __future__ import annotations

import errno
import os
from typing import Final

import plyvel

from dvidkit.errors import CorruptData, StoreError, StoreFull, StoreLocked

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_GONE: Final = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EINVAL)
"""A file is not there, or shorter than what LevelDB looks for in it."""
_HELD: Final = (errno.EAGAIN, errno.EACCES)


def translate(error: plyvel.Error, path: str, *, opening: bool = False) -> StoreError:
    """The error of the tree for a driver's error.

    Args:
        error: what plyvel raised.
        path: of the store.
        opening: the store was being opened: what it lacks then, it had before.
    """
    said = str(error)
    text = f"LevelDB: {said}"
    kind: type[StoreError] = StoreError
    if isinstance(error, plyvel.CorruptionError) or (opening and "does not exist" in said):
        kind = CorruptData
    elif isinstance(error, plyvel.IOError):
        kind = _of_system(said, opening=opening)
    return kind(text, engine="leveldb", path=path)


def _of_system(said: str, *, opening: bool) -> type[StoreError]:
    if _says(said, _FULL):
        return StoreFull
    if opening and "lock" in said.lower() and ("already held" in said or _says(said, _HELD)):
        return StoreLocked
    return CorruptData if _says(said, _GONE) else StoreError


def _says(text: str, codes: tuple[int, ...]) -> bool:
    return any(os.strerror(code) in text for code in codes)
