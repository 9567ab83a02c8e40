"""Who is writing a version or an instance, so that its end can wait for them and keep others out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class VersionGate:
    """Counts the mutations under way of each version of a repo."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._busy: dict[int, int] = {}
        self._closing: set[int] = set()

    def enter(self, version: int, *, force: bool = False) -> bool:
        """Begin a mutation; false, and nothing is begun, if the version is about to be committed."""
        with self._lock:
            if version in self._closing and not force:
                return False
            self._busy[version] = self._busy.get(version, 0) + 1
            return True

    def leave(self, version: int) -> None:
        """End a mutation."""
        with self._lock:
            left = self._busy[version] - 1
            if left:
                self._busy[version] = left
            else:
                del self._busy[version]
                if version in self._closing:
                    self._changed.notify_all()

    @contextmanager
    def alone(self, version: int, seconds: float) -> Iterator[str]:
        """Keep new mutations out for the block, which begins when those under way have ended.

        Yields what hindered it: ``closing`` (somebody else is alone already), ``busy`` (mutations did not end in
        time), or nothing.
        """
        with self._changed:
            closing = version in self._closing
            self._closing.add(version)
        if closing:
            yield "closing"
            return
        try:
            with self._changed:
                ended = self._changed.wait_for(lambda: version not in self._busy, seconds)
            yield "" if ended else "busy"
        finally:
            with self._changed:
                self._closing.discard(version)


class Users:
    """Counts the mutations under way of a data instance. What is to end is marked first, and then waited for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._count = 0

    def enter(self) -> None:
        """Begin a mutation; whoever does must look afterwards whether the instance is to end."""
        with self._lock:
            self._count += 1

    def leave(self) -> None:
        """End a mutation."""
        with self._lock:
            self._count -= 1
            if not self._count:
                self._changed.notify_all()

    def gone(self, seconds: float) -> bool:
        """Wait until nobody is left, for so long at most; whether nobody is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, seconds)
