"""Faults that only show when several threads are at work."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, ToyView

from dvidkit.store import Store


class LostUpdate(Fault):
    """``write`` copies the rows, changes the copy, and puts it in their place, without a lock."""

    breaks = ("CONC-2", "CONC-1")

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            self.now().check()
            self.expected(expect or {})
            rows = dict(self.rows)
            self.apply(rows, batch)
            time.sleep(0)
            self.rows = rows


class ChecksFirst(Fault):
    """``expect`` is checked before the lock is taken: two writers may both find what they expect."""

    breaks = ("CONC-2",)

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            self.now().check()
            self.expected(expect or {})
            super().write(batch, durable=durable)


class StaleCache(Fault):
    """A read that began before a write puts what it found into a cache after the write has cleared it."""

    breaks = ("CONC-2",)

    class store(ToyStore):
        cache: Any = None

        def get(self, key: bytes, /) -> bytes | None:
            self.cache = {} if self.cache is None else self.cache
            if key not in self.cache:
                self.cache[key] = super().get(key)
            self.now().check()
            found: bytes | None = self.cache.get(key)
            return found

        def write(self, batch: Any, /, **options: Any) -> None:
            super().write(batch, **options)
            self.cache = {}


class IdleCursor(Fault):
    """Idle views are used again until the store has been told of a write that is made already: reads go back."""

    breaks = ("CONC-2",)
    steps = 0

    class store(ToyStore):
        idle: Any = None
        commit = 0

        def get(self, key: bytes, /) -> bytes | None:
            self.idle = [] if self.idle is None else self.idle
            try:
                commit, view = self.idle.pop()
            except IndexError:
                commit, view = self.commit, self.now()
            if commit != self.commit:
                commit, view = self.commit, self.now()
            try:
                found: bytes | None = view.get(key)
                return found
            finally:
                if commit == self.commit:
                    self.idle.append((commit, view))

        def write(self, batch: Any, /, **options: Any) -> None:
            with self.writing:
                super().write(batch, **options)
                time.sleep(0.002)
                self.commit += 1


class TornBatch(Fault):
    """A batch is made visible row by row."""

    breaks = ("CONC-3",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            for change in batch:
                super().apply(rows, [change])
                self.rows = dict(rows)


class ScanOfSeveralInstants(Fault):
    """A scan of the store looks at the rows anew for each key."""

    breaks = ("CONC-3",)

    class store(ToyStore):
        def scan(self, begin: bytes, end: bytes, /, **how: bool) -> Iterator[Any]:
            self.now().check()
            for row in list(super().scan(begin, end, **how)):
                key = row[0] if isinstance(row, tuple) else row
                value = self.rows.get(key)
                if value is not None:
                    yield row if row is key else (key, value)


class AcknowledgedAfterClosing(Fault):
    """A write that comes while the store is being closed is answered, and lost."""

    breaks = ("CONC-4",)
    steps = 0

    class store(ToyStore):
        def close(self) -> None:
            if not self.closed:
                self.save()
                time.sleep(0.002)
                self.closed = True
                if self.claim is not None:
                    self.claim.release()


class CrashesWhenClosed(Fault):
    """A read that is under way when the store is closed crashes the process, as plyvel's does."""

    breaks = ("CONC-4",)
    steps = 0
    isolate = True

    class view(ToyView):
        def get(self, key: bytes, /) -> bytes | None:
            self.check()
            found = self.rows.get(key)
            time.sleep(0.0001)
            if self.store.closed:
                os.kill(os.getpid(), signal.SIGSEGV)
            return found


class LocksInTwoOrders(Fault):
    """Scans take two locks in one order, writes in the other."""

    breaks = ("CONC-5",)
    steps = 0
    isolate = True

    class store(ToyStore):
        reading: Any = None

        def locks(self) -> tuple[Any, Any]:
            with self.writing:
                self.reading = self.reading or threading.RLock()
            return self.reading, self.writing

        def scan(self, begin: bytes, end: bytes, /, **how: bool) -> Iterator[Any]:
            first, second = self.locks()
            with first:
                time.sleep(0.0001)
                with second:
                    return super().scan(begin, end, **how)

        def write(self, batch: Any, /, **options: Any) -> None:
            first, second = self.locks()
            with second:
                time.sleep(0.0001)
                with first:
                    super().write(batch, **options)


class DeletesWhatIsBeside(Fault):
    """``delete_range`` puts back what it had read of the other keys: what was written meanwhile is gone."""

    breaks = ("CONC-6",)

    class store(ToyStore):
        def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
            kept = dict(self.rows)
            for key in list(kept):  # From 3.12 on a comprehension is one line to a schedule.
                if begin <= key < end:
                    del kept[key]
            time.sleep(0.0005)
            self.rows = kept


class NothingOfForks(Fault):
    """The store does not notice that it is in a forked child."""

    breaks = ("CONC-7",)
    steps = 0

    class kernel(Store):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._life.forked = lambda: None  # type: ignore[method-assign]


class LargeBatchInTwoSteps(Fault):
    """A batch of more than sixty-four changes is shown in two steps."""

    breaks = ("CONC-3",)
    steps = 0

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            super().write(batch[:64], durable=durable, expect=expect)
            if len(batch) > 64:
                time.sleep(0.002)
                super().write(batch[64:], durable=durable)


class RangeDeletedInTwoSteps(Fault):
    """``delete_range`` shows its first half deleted, then all."""

    breaks = ("CONC-3",)
    steps = 0

    class store(ToyStore):
        def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
            keys = self.now().select(begin, end)
            self.write([(key, None) for key in keys[: len(keys) // 2]], durable=durable)
            time.sleep(0.002)
            super().delete_range(begin, end, durable=durable)
