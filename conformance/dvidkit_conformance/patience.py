"""Telling a process that hangs from one that is slow, because the machine is busy with others.

Who stands still uses no processor time, and who runs in circles uses much. Who gets little of it, but uses what it
gets, does neither, and is waited for.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_STILL: Final = 0.02
"""The share of the time below which a process stands still; on a busy machine even the last gets more."""
_LONGEST: Final = 10
"""Times the limit after which a process hangs in any case."""
_TICK: Final = 1.0


class Patience:
    """How long to wait for a word of a process.

    Args:
        pid: the process.
        limit: seconds of silence after which it hangs: of time, if it stands still, else of processor time.
    """

    def __init__(self, pid: int, limit: float) -> None:
        self._pid = pid
        self._limit = limit
        self.heard()

    def heard(self) -> None:
        """It has said something."""
        self._since, self._used = time.monotonic(), used(self._pid)

    @property
    def tick(self) -> float:
        """Seconds to wait before asking whether it hangs."""
        return min(_TICK, self._limit)

    @property
    def over(self) -> bool:
        """Whether it hangs."""
        silent = time.monotonic() - self._since
        if silent < self._limit:
            return False
        spent = used(self._pid) - self._used
        return spent < _STILL * silent or spent > self._limit or silent > _LONGEST * self._limit


def used(pid: int) -> float:
    """Seconds of processor time that a process and its ended children have used; 0 where that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0
