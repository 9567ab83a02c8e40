"""Cursors: a driver's iterators, wrapped so that they can be pooled, counted and given up.

A driver's iterator shows one instant, may be used by one thread at a time, and brings the process down if the database
is closed under it. So each is wrapped as a ``Cursor``. Those for single reads wait in a ``CursorPool``, exchanged
after a commit. The pool knows every cursor there is; a store built on it (``dvidkit.cursorstore``) shuts its driver
when there is none left, and that is what makes closing safe.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from dvidkit.engine import Item
from dvidkit.errors import StoreError

_STEP: Final = 0.01
_SPOILED: Final = -1
_NEVER: Final = -2

Pages = Generator[list[Any], None, None]


class Cursor(ABC):
    """Reads of one instant, by one thread at a time. A driver's error becomes one of the tree and spoils the cursor.

    Attributes:
        commit: number of the commit it shows; kept by the pool.
    """

    __slots__ = ("__weakref__", "commit")

    commit: int

    def spoil(self) -> None:
        """Never use this cursor again: drivers keep an error in an iterator for good."""
        self.commit = _SPOILED

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """See ``ByteReader.get``."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        return list(map(self.get, keys))

    @abstractmethod
    def last_before(self, end: bytes, floor: bytes, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``."""

    @abstractmethod
    def first_from(self, begin: bytes, end: bytes, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""

    @abstractmethod
    def pages(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Pages:
        """See ``PageReader.scan_pages``; several may be under way, stepped in turn with the other reads."""

    @abstractmethod
    def last_of_groups(self, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Pages:
        """See ``LastReader.scan_last_before``; several may be under way."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds of the driver. Called once."""


class CursorPool:
    """Cursors for single reads. ``take`` and ``give`` cost two list operations where an idle one is at hand.

    Every cursor there is, idle or out, is held in a weak set: one that is dropped (a thread interrupted between two
    steps) frees the driver's objects as it goes, and is then not waited for.

    Attributes:
        idle: cursors nobody uses; popping and appending are atomic.
        commit: number of beginnings and ends of commits so far; a cursor of an earlier one is not used again.
        current: ``commit``, or an impossible one while a commit is made and once closed: only cursors of this commit
            go back to ``idle``.
    """

    def __init__(self, make: Callable[[], Cursor], refusal: Callable[[], StoreError]) -> None:
        self.idle: list[Cursor] = []
        self.commit = 0
        self.current = 0
        self._make = make
        self._refusal = refusal
        self._alive: weakref.WeakSet[Cursor] = weakref.WeakSet()
        self._busy = 0
        self._closed = False
        self._changed = threading.Condition()

    def take(self) -> Cursor:
        """A cursor that shows every commit so far.

        Raises:
            StoreClosed: after ``refuse``.
        """
        try:
            cursor = self.idle.pop()
        except IndexError:
            return self.new()
        return cursor if cursor.commit == self.commit else self.replaced(cursor)

    def replaced(self, cursor: Cursor) -> Cursor:
        """Exchange a cursor of the past for one of now."""
        self.discard(cursor)
        return self.new()

    def give(self, cursor: Cursor) -> None:
        """Give a cursor back."""
        if cursor.commit == self.current:
            self.idle.append(cursor)
        else:
            self.discard(cursor)

    def new(self) -> Cursor:
        """A cursor of now that is the caller's until ``discard``."""
        self.enter()
        try:
            commit = self.commit
            cursor = self._make()
            cursor.commit = commit
            with self._changed:
                self._alive.add(cursor)
            return cursor
        finally:
            self.leave()

    def discard(self, cursor: Cursor) -> None:
        """Close a cursor for good."""
        try:
            cursor.close()
        finally:
            with self._changed:
                self._alive.discard(cursor)
                self._changed.notify_all()

    def committing(self) -> None:
        """A commit begins. Until ``committed``, no cursor is used twice.

        Of two cursors made meanwhile one may show the commit and the other, made earlier, not yet; if idle ones were
        kept, a reader that comes later could be given the older one, and see undone what another has seen done.
        """
        with self._changed:
            self.commit += 1
            self.current = _NEVER

    def committed(self) -> None:
        """Let go of the idle cursors, which are now of the past."""
        with self._changed:
            self.commit += 1
            if not self._closed:
                self.current = self.commit
        self._drain()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """``enter`` and ``leave``."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def refuse(self) -> None:
        """From now on ``take``, ``new`` and ``inside`` raise, and what is given back is closed."""
        with self._changed:
            self._closed = True
            self.current = _NEVER

    def wait(self) -> None:
        """After ``refuse``: return when there is no cursor left and nobody inside."""
        self._drain()
        with self._changed:
            while self._busy or len(self._alive):
                self._changed.wait(_STEP)
                self._drain()

    def abandon(self) -> None:
        """In a forked child: no cursor is handed out any more, and none is touched."""
        leak(list(self.idle))
        self.idle.clear()
        self._changed = threading.Condition()
        self._closed = True

    def enter(self) -> None:
        """Keep the store open until ``leave``.

        Raises:
            StoreClosed: after ``refuse``.
        """
        with self._changed:
            if self._closed:
                raise self._refusal()
            self._busy += 1

    def leave(self) -> None:
        """Undo an ``enter``."""
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def _drain(self) -> None:
        while self.idle:
            try:
                cursor = self.idle.pop()
            except IndexError:
                return
            self.discard(cursor)


def leak(thing: object) -> None:
    """Keep an object from ever being freed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
