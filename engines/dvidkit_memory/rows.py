"""The content of a store in memory, with as much of its past as somebody is looking at.

``now`` maps keys to values. Every write has a sequence number; a view is the number of the last write it sees. A row
that changes while views are open leaves an entry ``(until, old value)`` in its past: views below ``until`` see the old
value (``None``: no row). Each entry is listed under the newest view that needs it; when that view ends the entry is
listed under the next one, or dropped. So writing costs nothing extra without views, and no view ever costs more than
the rows that changed while it was open.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from sortedcontainers import SortedList

from dvidkit.engine import Batch
from dvidkit.errors import ConflictError, StoreClosed, shown

_PAGE_BYTES: Final = 1 << 20
_BULK: Final = 64

_until: Final = itemgetter(0)


class View:
    """One open view: a number, held until ``release`` or until nobody has the view any more.

    The store may just be at work in this very thread when a view is dropped, so dropping only leaves word.
    """

    __slots__ = ("_left", "released", "sequence")

    def __init__(self, sequence: int, left: deque[int]) -> None:
        self.sequence = sequence
        self.released = False
        self._left = left

    def release(self) -> None:
        """End the view. Idempotent."""
        if not self.released:
            self.released = True
            self._left.append(self.sequence)

    __del__ = release


class Rows:
    """The rows of one store. Every method takes the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._closed = False
        self._sequence = 0
        self._now: dict[bytes, bytes] = {}
        self._past: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self._keys: SortedList = SortedList()
        self._counts: dict[int, int] = {}
        self._views: list[int] = []
        self._needed: dict[int, list[bytes]] = {}
        self._left: deque[int] = deque()

    def check_open(self) -> None:
        """Raise ``StoreClosed`` after ``close``."""
        if self._closed:
            raise StoreClosed("the store is closed", engine="memory")

    # --- views -------------------------------------------------------------------------------------------------------

    def enter(self) -> View:
        """Begin a view of now."""
        with self.lock:
            self.check_open()
            self._sweep()
            if self._sequence not in self._counts:
                self._views.append(self._sequence)
            self._counts[self._sequence] = self._counts.get(self._sequence, 0) + 1
            return View(self._sequence, self._left)

    def leave(self, view: View) -> None:
        """End a view, and forget what only it could see."""
        view.release()
        with self.lock:
            self._sweep()

    def _sweep(self) -> None:
        """Forget what only views that ended could see."""
        while self._left:
            view = self._left.popleft()
            self._counts[view] -= 1
            if not self._counts[view]:
                del self._counts[view]
                del self._views[bisect_left(self._views, view)]
                for key in self._needed.pop(view, ()):
                    self._forget(key, view)

    def _forget(self, key: bytes, view: int) -> None:
        past = self._past[key]
        at = bisect_right(past, view, key=_until)
        since = past[at - 1][0] if at else 0
        older = bisect_left(self._views, past[at][0]) - 1
        if older >= 0 and self._views[older] >= since:
            self._needed.setdefault(self._views[older], []).append(key)
            return
        del past[at]
        if not past:
            del self._past[key]
            if key not in self._now:
                self._keys.remove(key)

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, key: bytes, view: View | None) -> bytes | None:
        """The value in this view, or now."""
        with self.lock:
            self.check_open()
            return self._now.get(key) if view is None else self._at(key, view.sequence)

    def get_many(self, keys: Sequence[bytes], view: View | None) -> list[bytes | None]:
        """The values in this view, or now."""
        with self.lock:
            self.check_open()
            if view is None:
                return list(map(self._now.get, keys))
            return [self._at(key, view.sequence) for key in keys]

    def _at(self, key: bytes, sequence: int) -> bytes | None:
        past = self._past.get(key)
        if past is not None and sequence < past[-1][0]:
            return past[bisect_right(past, sequence, key=_until)][1]
        return self._now.get(key)

    def page(
        self, begin: bytes, end: bytes, view: View | None, size: int, *, reverse: bool, keys_only: bool
    ) -> tuple[list[Any], bytes | None]:
        """Some rows from the near end of the range, and the last key looked at (``None`` at the far end)."""
        with self.lock:
            self.check_open()
            if begin >= end:
                return [], None
            near = islice(self._keys.irange(begin, end, inclusive=(True, False), reverse=reverse), size)
            page: list[Any] = []
            key, room = None, _PAGE_BYTES
            for key in near:
                value = self._now.get(key) if view is None else self._at(key, view.sequence)
                if value is not None:
                    page.append(key if keys_only else (key, value))
                    room -= len(value)
                    if room < 0:
                        break
            return page, key

    def sizes(self, begin: bytes, end: bytes) -> int:
        """Bytes of keys and values in the range."""
        with self.lock:
            self.check_open()
            if begin >= end:
                return 0
            now = self._now
            keys = self._keys.irange(begin, end, inclusive=(True, False))
            return sum(len(key) + len(now[key]) for key in keys if key in now)

    # --- writing -----------------------------------------------------------------------------------------------------

    def apply(self, batch: Batch, expect: Mapping[bytes, bytes | None]) -> None:
        """Check the expectations and make every change under the next number."""
        changes = dict(batch)
        with self.lock:
            self.check_open()
            self._sweep()
            for key, value in expect.items():
                if self._now.get(key) != value:
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            self._sequence += 1
            if self._views:
                self._remember(changes)
            self._change(changes)

    def _remember(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Keep the old values for the newest view; it is below the new number and needs those since the last past."""
        newest = self._views[-1]
        needed = self._needed.setdefault(newest, [])
        for key, value in changes.items():
            old = self._now.get(key)
            if old is None and value is None:
                continue
            past = self._past.get(key)
            if past is None:
                if old is None:
                    self._keys.add(key)
                self._past[key] = [(self._sequence, old)]
            elif newest >= past[-1][0]:
                past.append((self._sequence, old))
            else:
                continue
            needed.append(key)

    def _change(self, changes: Mapping[bytes, bytes | None]) -> None:
        now, past = self._now, self._past
        puts = {key: value for key, value in changes.items() if value is not None}
        new = [key for key in puts if key not in now and key not in past]
        now.update(puts)
        if len(new) > _BULK:
            self._keys.update(new)
        else:
            for key in new:
                self._keys.add(key)
        if len(puts) < len(changes):
            for key, value in changes.items():
                if value is None and now.pop(key, None) is not None and key not in past:
                    self._keys.remove(key)

    def close(self) -> None:
        """Forget everything. Idempotent."""
        with self.lock:
            self._closed = True
            self._keys.clear()
            self._now.clear()
            self._past.clear()
            self._needed.clear()
