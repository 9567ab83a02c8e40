"""A sorted map in memory that can be read as of earlier instants; for engines that keep their index themselves.

``now`` maps keys to entries, whatever an entry is to the engine. Every change has a sequence number; a view is the
number of the last change it sees. A key that changes while views are open leaves ``(until, old entry)`` in its past:
views below ``until`` see the old entry (``None``: no such key). Each past entry is listed under the newest view that
needs it; when that view ends, it is listed under the next one, or dropped. So a change costs nothing extra without
views, and no view ever costs more than the keys that changed while it was open.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, islice
from operator import itemgetter
from typing import Final, Generic, TypeVar

from sortedcontainers import SortedList

Entry = TypeVar("Entry")

_BULK: Final = 64
_CROWD: Final = 8
"""Keys of one group after which the rest of the group is skipped by a search."""

_until: Final = itemgetter(0)
_second: Final = itemgetter(1)


class View:
    """One open view: a number, held until ``release`` or until nobody has the view any more.

    The map may just be at work in this very thread when a view is dropped, so dropping only leaves word.
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


class History(Generic[Entry]):
    """See above. The caller holds ``lock`` around every call but ``enter`` and ``leave``.

    Attributes:
        lock: reentrant.
        now: the entries; read it freely, change it through ``change`` and ``replace``.
        keys: every key of ``now``, and those that only a view still sees, in order.
        sequence: number of the last change.
    """

    def __init__(self, weigh: Callable[[Entry], int]) -> None:
        """An empty map; ``weigh`` says how many bytes a row of this entry brings into a page."""
        self.lock = threading.RLock()
        self.now: dict[bytes, Entry] = {}
        self.keys: SortedList = SortedList()
        self.sequence = 0
        self._weigh = weigh
        self._past: dict[bytes, list[tuple[int, Entry | None]]] = {}
        self._counts: dict[int, int] = {}
        self._views: list[int] = []
        self._needed: dict[int, list[bytes]] = {}
        self._left: deque[int] = deque()

    # --- views -------------------------------------------------------------------------------------------------------

    def enter(self) -> View:
        """Begin a view of now."""
        with self.lock:
            self._sweep()
            if self.sequence not in self._counts:
                self._views.append(self.sequence)
            self._counts[self.sequence] = self._counts.get(self.sequence, 0) + 1
            return View(self.sequence, self._left)

    def leave(self, view: View) -> None:
        """End a view, and forget what only it could see."""
        view.release()
        with self.lock:
            self._sweep()

    def oldest(self) -> int:
        """The sequence number of the oldest open view; without any, the number of the next change."""
        self._sweep()
        return self._views[0] if self._views else self.sequence + 1

    @property
    def kept(self) -> int:
        """How many past entries there are."""
        self._sweep()
        return sum(map(len, self._past.values()))

    def _sweep(self) -> None:
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
            if key not in self.now:
                self.keys.remove(key)

    # --- reading -----------------------------------------------------------------------------------------------------

    def at(self, key: bytes, view: View | None) -> Entry | None:
        """The entry in this view, or now; ``None`` if there is none."""
        if view is not None and self._past:
            past = self._past.get(key)
            if past is not None and view.sequence < past[-1][0]:
                return past[bisect_right(past, view.sequence, key=_until)][1]
        return self.now.get(key)

    def page(
        self, begin: bytes, end: bytes, view: View | None, size: int, room: int, *, reverse: bool = False
    ) -> tuple[list[tuple[bytes, Entry]], bytes | None]:
        """Some rows from the near end of the range, and the last key looked at (``None`` at the far end).

        Args:
            begin, end: half-open.
            view: ``None`` for now.
            size: keys to look at, at most.
            room: after so many bytes, as ``weigh`` counts, no row follows.
            reverse: from the end of the range down.
        """
        if begin >= end:
            return [], None
        keys = list(islice(self.keys.irange(begin, end, inclusive=(True, False), reverse=reverse), size))
        return self._cut(self._rows(keys, view), room, keys[-1] if keys else None)

    def last_of_groups(
        self, begin: bytes, end: bytes, ceiling: bytes, view: View | None, size: int, room: int
    ) -> tuple[list[tuple[bytes, Entry]], bytes | None]:
        """``page`` of what ``LastReader.scan_last_before`` wants: of each group the last row before its ceiling."""
        if begin >= end:
            return [], None
        found = list(islice(self._lasts(begin, end, ceiling, view), size))
        rows = [(key, entry) for key in found if (entry := self.at(key, view)) is not None]
        tail = len(ceiling)
        return self._cut(rows, room, rows[-1][0][:-tail] + b"\xff" * tail if len(found) == size else None, tail)

    def _lasts(self, begin: bytes, end: bytes, ceiling: bytes, view: View | None) -> Iterator[bytes]:
        """The keys of ``last_of_groups``: one after another where groups are small, by searches where they are not."""
        tail = len(ceiling)
        past = self._past
        while True:
            group, top, last, crowd = None, b"", None, 0
            for key in self.keys.irange(begin, end, inclusive=(True, False)):
                if key[:-tail] != group:
                    if last is not None:
                        yield last
                    group, last, crowd = key[:-tail], None, 0
                    top = group + ceiling
                if key < top and (not past or self.at(key, view) is not None):
                    last = key
                crowd += 1
                if crowd > _CROWD:
                    break
            else:
                if last is not None:
                    yield last
                return
            row = self.nearest(max(begin, group or b""), min(top, end), view, reverse=True)
            if row is not None:
                yield row[0]
            begin = (group or b"") + b"\xff" * tail + b"\0"

    def nearest(self, begin: bytes, end: bytes, view: View | None, *, reverse: bool) -> tuple[bytes, Entry] | None:
        """The first or last row of the range."""
        if begin >= end:
            return None
        for key in self.keys.irange(begin, end, inclusive=(True, False), reverse=reverse):
            entry = self.at(key, view)
            if entry is not None:
                return key, entry
        return None

    def _rows(self, keys: Sequence[bytes], view: View | None) -> list[tuple[bytes, Entry]]:
        now = self.now
        if not self._past:
            return [(key, now[key]) for key in keys]
        found = ((key, self.at(key, view)) for key in keys)
        return [(key, entry) for key, entry in found if entry is not None]

    def _cut(
        self, rows: list[tuple[bytes, Entry]], room: int, last: bytes | None, tail: int = 0
    ) -> tuple[list[tuple[bytes, Entry]], bytes | None]:
        weights = list(accumulate(map(self._weigh, map(_second, rows))))
        if weights and weights[-1] > room:
            fits = bisect_left(weights, room) + 1
            if fits < len(rows):
                key = rows[fits - 1][0]
                return rows[:fits], key if not tail else key[:-tail] + b"\xff" * tail
        return rows, last

    # --- changing ----------------------------------------------------------------------------------------------------

    def change(self, changes: Mapping[bytes, Entry | None]) -> None:
        """Set each key to its entry, or with ``None`` remove it, under the next sequence number."""
        self._sweep()
        self.sequence += 1
        if self._views:
            self._remember(changes)
        self._apply(changes)

    def replace(self, key: bytes, entry: Entry) -> None:
        """Exchange a key's entry for one that stands for the same value, for every view."""
        self.now[key] = entry

    def advance(self) -> int:
        """Count a change that no view can tell; its number."""
        self.sequence += 1
        return self.sequence

    def load(self, now: dict[bytes, Entry]) -> None:
        """Take over a whole map."""
        self.now = now
        self.keys = SortedList(now)

    def clear(self) -> None:
        """Forget everything, views too."""
        self.now.clear()
        self.keys.clear()
        self._past.clear()
        self._needed.clear()

    def _remember(self, changes: Mapping[bytes, Entry | None]) -> None:
        """Keep old entries for the newest view, which is below the new number and needs those since the last past."""
        newest = self._views[-1]
        needed = self._needed.setdefault(newest, [])
        for key, entry in changes.items():
            old = self.now.get(key)
            if old is None and entry is None:
                continue
            past = self._past.get(key)
            if past is None:
                if old is None:
                    self.keys.add(key)
                self._past[key] = [(self.sequence, old)]
            elif newest >= past[-1][0]:
                past.append((self.sequence, old))
            else:
                continue
            needed.append(key)

    def _apply(self, changes: Mapping[bytes, Entry | None]) -> None:
        now, past = self.now, self._past
        puts = {key: entry for key, entry in changes.items() if entry is not None}
        new = [key for key in puts if key not in now and key not in past]
        now.update(puts)
        if len(new) > _BULK:
            self.keys.update(new)
        else:
            for key in new:
                self.keys.add(key)
        if len(puts) < len(changes):
            for key, entry in changes.items():
                if entry is None and now.pop(key, None) is not None and key not in past:
                    self.keys.remove(key)
