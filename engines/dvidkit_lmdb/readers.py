"""Read transactions of an LMDB environment: pooled for single reads, held by snapshots and scans.

A pooled reader is a transaction with a cursor, taken by one thread at a time. It stays valid until the next commit:
then the idle ones are given up, so that none of them keeps old pages from being used again. While the environment is
resized or a write is rolled back nobody may be reading (py-lmdb would wait for a moment without readers, which under
load never comes), so the pool can be held: whoever wants to read then waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import lmdb

from dvidkit_lmdb.failures import closed_error

_PATIENCE: Final = 30.0
_STEP: Final = 0.01


class Reader:
    """A read transaction and its cursor, as of one commit."""

    __slots__ = ("commit", "cursor", "txn")

    def __init__(self, env: lmdb.Environment, commit: int) -> None:
        self.commit = commit
        self.txn = env.begin()
        self.cursor = self.txn.cursor()


class Readers:
    """The pool. ``take`` and ``give`` cost two list operations where an idle reader is at hand.

    Attributes:
        idle: readers nobody uses; popping and appending are atomic.
        commit: number of commits so far; a reader of an earlier one is not used again.
        current: ``commit``, or -1 while the pool is held: only readers of this commit may go back to ``idle`` as
            they are.
    """

    def __init__(self, env: lmdb.Environment) -> None:
        self._env = env
        self.idle: list[Reader] = []
        self.commit = 0
        self.current = 0
        self._out = 0
        self._held = False
        self._closed = False
        self._changed = threading.Condition()

    def take(self) -> Reader:
        """A reader that sees every commit so far.

        Raises:
            StoreClosed: after ``close``.
        """
        try:
            reader = self.idle.pop()
        except IndexError:
            return self._new()
        return reader if reader.commit == self.commit else self.replaced(reader)

    def replaced(self, reader: Reader) -> Reader:
        """Exchange a reader of the past for one of now."""
        self._discard(reader)
        return self._new()

    def give(self, reader: Reader) -> None:
        """Give a reader back."""
        if reader.commit == self.current:
            self.idle.append(reader)
        else:
            self._discard(reader)

    def committed(self) -> None:
        """Let go of the idle readers, which are now of the past."""
        self.commit += 1
        self.current = self.commit
        self._drain()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait until no pooled reader is out, and keep it so for the block."""
        with self._changed:
            while self._held:
                self._changed.wait()
            self._held = True
            self.current = -1
        try:
            end = time.monotonic() + _PATIENCE
            while self._out and time.monotonic() < end:
                self._drain()
                with self._changed:
                    self._changed.wait_for(lambda: self._out == 0, _STEP)
            yield
        finally:
            with self._changed:
                self._held = False
                self.current = self.commit
                self._changed.notify_all()

    def close(self) -> None:
        """Wait for the readers that are out; from now on ``take`` raises."""
        with self.held():
            self._closed = True

    def pause(self) -> None:
        """Return when the pool is not held; for scans and snapshots, between two steps."""
        if self._held:
            with self._changed:
                self._changed.wait_for(lambda: not self._held)

    def _new(self) -> Reader:
        with self._changed:
            while self._held:
                self._changed.wait()
            if self._closed:
                raise closed_error()
            reader = Reader(self._env, self.commit)
            self._out += 1
            return reader

    def _discard(self, reader: Reader) -> None:
        reader.cursor.close()
        reader.txn.abort()
        with self._changed:
            self._out -= 1
            self._changed.notify_all()

    def _drain(self) -> None:
        while self.idle:
            try:
                self._discard(self.idle.pop())
            except IndexError:
                return
