"""What becomes of RocksDB in a forked child.

RocksDB's threads belong to the process, not to a store, and are missing in a child. There opening any store hangs for
ever, and so, or with a crash, ends an orderly exit: RocksDB waits for its threads when the C library shuts down.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from dvidkit.deferred import deferred

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = deferred("ctypes")


@cache
def call_in_children(act: Callable[[], object]) -> None:
    """From now on call this in every forked child; asked again for the same, do nothing."""
    os.register_at_fork(after_in_child=act)


def skip_shutdown() -> None:
    """Leave out what the C library, when this process exits, would still do for libraries loaded until now.

    Python has then shut down already: its own handlers have run and its files are flushed. The exit status stays. A
    system without glibc's ``on_exit`` has no such way.
    """
    libc = ctypes.CDLL(None)
    with suppress(AttributeError):
        libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)
