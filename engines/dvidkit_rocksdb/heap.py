"""What RocksDB's background work leaves of large values in the process's memory.

glibc gives a large piece back to the system when it is freed, but with each it raises the size from which it does. Then
pieces of up to 32 MiB are kept for later, and merging tables of values of a MiB left 500 MiB of free memory behind.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from dvidkit.deferred import deferred

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = deferred("ctypes")

_MAPPED_FROM: Final = 512 << 10
"""Bytes: blocks of images and keys are smaller and stay cheap; values that RocksDB holds several of at once are not."""
_KEPT_ON_TOP: Final = 64 << 20
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


@cache
def give_back_large_pieces() -> None:
    """From now on memory of half a MiB and more goes back to the system when it is freed, in the whole process.

    A setting of the user (``MALLOC_…``, ``GLIBC_TUNABLES``) stays. A system without glibc has no such way.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_ON_TOP)
