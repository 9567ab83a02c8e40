"""Read transactions of an LMDB environment: pooled for single reads, held by snapshots and scans.

A pooled reader is a transaction with a cursor, taken by one thread at a time. It stays valid until the next commit:
then the idle ones are given up, so that none of them keeps old pages from being used again. While the environment is
resized or a write is rolled back nobody may be reading (py-lmdb would wait for a moment without readers, which under
load never comes), so the readers can be held: whoever wants to read then waits.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import lmdb

from dvidkit.errors import StoreError
from dvidkit_lmdb.failures import closed_error

_PATIENCE: Final = 30.0
_STEP: Final = 0.01


class Reader:
    """A read transaction and its cursor, as of one commit."""

    __slots__ = ("commit", "cursor", "txn")

    def __init__(self, txn: lmdb.Transaction[bytes], commit: int) -> None:
        self.commit = commit
        self.txn = txn
        self.cursor = txn.cursor()


class Readers:
    """The pool. ``take`` and ``give`` cost two list operations where an idle reader is at hand.

    Attributes:
        idle: readers nobody uses; popping and appending are atomic.
        commit: number of beginnings and ends of commits so far; a reader of an earlier one is not used again.
        current: ``commit``, or -1 while readers are held or a commit is made: only readers of this commit may go back
            to ``idle`` as they are.
        holding: readers are held; for scans and snapshots, which look before each step and then ``pause``.
    """

    def __init__(self, env: lmdb.Environment, failure: Callable[[lmdb.Error], StoreError]) -> None:
        self._env = env
        self._failure = failure
        self.idle: list[Reader] = []
        self.commit = 0
        self.current = 0
        self.holding = False
        self._out = 0
        self._closed = False
        self._changed = threading.Condition()

    def begin(self) -> lmdb.Transaction[bytes]:
        """A read transaction that is the caller's; slots of dropped readers are swept up if there is none left.

        Raises:
            StoreBusy: more scans and snapshots are open than LMDB has slots for.
        """
        try:
            return self._env.begin()
        except lmdb.ReadersFullError:
            self._drain()
            gc.collect()
        except lmdb.Error as error:
            raise self._failure(error) from error
        try:
            self._env.reader_check()
            return self._env.begin()
        except lmdb.Error as error:
            raise self._failure(error) from error

    def begin_lending(self) -> lmdb.Transaction[memoryview] | None:
        """A read transaction whose values are not copied; ``None`` if LMDB has no slot left for it."""
        try:
            return self._env.begin(buffers=True)
        except lmdb.Error:
            return None

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

    def committing(self) -> None:
        """A commit begins. Until ``committed`` no reader is used twice, as it is not known which of them show it.

        If idle ones were kept, a read that comes later could be given one that does not, and see undone what an
        earlier read has seen done.
        """
        self.commit += 1
        self.current = -1

    def committed(self) -> None:
        """Let go of the idle readers, which are now of the past."""
        self.commit += 1
        self.current = self.commit
        self._drain()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait until no pooled reader is out, and keep it so for the block."""
        with self._changed:
            while self.holding:
                self._changed.wait()
            self.holding = True
            self.current = -1
        try:
            end = time.monotonic() + _PATIENCE
            self._drain()
            while self._out and time.monotonic() < end:
                with self._changed:
                    self._changed.wait_for(lambda: self._out == 0, _STEP)
                self._drain()
            yield
        finally:
            with self._changed:
                self.holding = False
                self.current = self.commit
                self._changed.notify_all()

    def close(self) -> None:
        """Wait for the readers that are out; from now on ``take`` raises."""
        with self.held():
            self._closed = True

    def forked(self) -> None:
        """In a forked child: nobody reads any more, and the readers, whose slots are the parent's, are not told."""
        self.idle.clear()
        self.holding = False
        self._closed = True
        self._changed = threading.Condition()

    def pause(self) -> None:
        """Return when readers are not held."""
        with self._changed:
            self._changed.wait_for(lambda: not self.holding)

    def _new(self) -> Reader:
        with self._changed:
            while self.holding:
                self._changed.wait()
            if self._closed:
                raise closed_error()
            self._out += 1
            commit = self.commit
        try:
            return Reader(self.begin(), commit)
        except BaseException:
            self._returned()
            raise

    def _discard(self, reader: Reader) -> None:
        reader.cursor.close()
        reader.txn.abort()
        self._returned()

    def _returned(self) -> None:
        with self._changed:
            self._out -= 1
            self._changed.notify_all()

    def _drain(self) -> None:
        while self.idle:
            try:
                reader = self.idle.pop()
            except IndexError:
                return
            self._discard(reader)
