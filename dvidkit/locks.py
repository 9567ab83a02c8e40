"""Locks by key, without a lock object for every key."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from zlib import crc32

_STRIPES: Final = 256


class KeyedLocks:
    """256 locks; a key has one of them. Several keys are always locked in the same order, so nobody waits in a ring."""

    def __init__(self) -> None:
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]

    def take(self, keys: Iterable[bytes]) -> list[threading.Lock]:
        """Wait for the locks of all keys; the caller releases each of those returned. See ``hold``."""
        locks = [self._stripes[stripe] for stripe in sorted({crc32(key) % _STRIPES for key in keys})]
        taken: list[threading.Lock] = []
        try:
            for lock in locks:
                lock.acquire()
                taken.append(lock)
        except BaseException:
            for lock in taken:
                lock.release()
            raise
        return locks

    @contextmanager
    def hold(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Hold the locks of all keys for the block. A thread that holds some must not ask for more."""
        locks = self.take(keys)
        try:
            yield
        finally:
            for lock in locks:
                lock.release()
