"""A sorted map in memory with versions of rows, so that snapshots cost nothing and hold only what they need.

Every write has a sequence number; a row is a list of (number, value), ``None`` for deleted. A reader at number *n* sees
of each row the last entry not above *n*. An entry that no open view can see any more is dropped when its row is next
written, or when the last view that saw it goes.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from sortedcontainers import SortedList

from dvidkit.engine import Batch, Item, OpenReport
from dvidkit.errors import ConflictError, StoreClosed, shown

_PAGE_ROWS: Final = 1024
_PAGE_BYTES: Final = 1 << 20

Versions = list[tuple[int, bytes | None]]


class _Rows:
    """The rows, and which sequence numbers are being read. Every method takes the lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.sequence = 0
        self.closed = False
        self._keys: SortedList = SortedList()
        self._versions: dict[bytes, Versions] = {}
        self._views: Counter[int] = Counter()
        self._stale: set[bytes] = set()

    def check_open(self) -> None:
        if self.closed:
            raise StoreClosed("the store is closed", engine="memory")

    def enter(self) -> int:
        """Begin a view of now."""
        with self.lock:
            self.check_open()
            self._views[self.sequence] += 1
            return self.sequence

    def leave(self, sequence: int) -> None:
        """End a view, and drop what only it could see."""
        with self.lock:
            self._views[sequence] -= 1
            if self._views[sequence] > 0:
                return
            del self._views[sequence]
            for key in list(self._stale):
                self._prune(key)

    def get(self, key: bytes, sequence: int | None) -> bytes | None:
        """The value at this number, or now."""
        with self.lock:
            self.check_open()
            versions = self._versions.get(key)
            if versions is None:
                return None
            return versions[-1][1] if sequence is None else _at(versions, sequence)

    def page(
        self, begin: bytes, end: bytes, sequence: int, size: int, *, reverse: bool, keys_only: bool
    ) -> tuple[list[Any], bytes | None]:
        """Some live rows from the near end of the range, and the last key looked at (``None`` at the far end)."""
        with self.lock:
            self.check_open()
            if begin >= end:
                return [], None
            near = self._keys.irange(begin, end, inclusive=(True, False), reverse=reverse)
            page: list[Any] = []
            key, room = None, _PAGE_BYTES
            for key in islice(near, size):
                value = _at(self._versions[key], sequence)
                if value is not None:
                    page.append(key if keys_only else (key, value))
                    room -= len(value)
                    if room < 0:
                        break
            return page, key

    def apply(self, batch: Batch, expect: Mapping[bytes, bytes | None]) -> None:
        """Check the expectations and make every change under the next number."""
        with self.lock:
            self.check_open()
            for key, value in expect.items():
                if self.get(key, None) != value:
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            self.sequence += 1
            for key, value in batch:
                self._set(key, value)

    def sizes(self, begin: bytes, end: bytes) -> int:
        """Bytes of keys and values in the range."""
        with self.lock:
            self.check_open()
            if begin >= end:
                return 0
            keys = self._keys.irange(begin, end, inclusive=(True, False))
            values = ((key, self._versions[key][-1][1]) for key in keys)
            return sum(len(key) + len(value) for key, value in values if value is not None)

    def close(self) -> None:
        """Forget everything."""
        with self.lock:
            self.closed = True
            self._keys.clear()
            self._versions.clear()

    def _set(self, key: bytes, value: bytes | None) -> None:
        versions = self._versions.get(key)
        if versions is None:
            if value is None:
                return
            versions = self._versions[key] = []
            self._keys.add(key)
        if versions and versions[-1][0] == self.sequence:
            versions.pop()
        versions.append((self.sequence, value))
        self._prune(key)

    def _prune(self, key: bytes) -> None:
        versions = self._versions.get(key)
        if versions is None:
            self._stale.discard(key)
            return
        views = sorted(self._views)
        following = [number for number, _ in versions[1:]]
        seen = [
            any(version[0] <= view < after for view in views)
            for version, after in zip(versions, following, strict=False)
        ]
        kept = [version for version, visible in zip(versions, seen, strict=False) if visible] + versions[-1:]
        if len(kept) == 1 and kept[0][1] is None:
            del self._versions[key]
            self._keys.remove(key)
            self._stale.discard(key)
            return
        self._versions[key] = kept
        if len(kept) > 1:
            self._stale.add(key)
        else:
            self._stale.discard(key)


def _at(versions: Versions, sequence: int) -> bytes | None:
    for number, value in reversed(versions):
        if number <= sequence:
            return value
    return None


class _View:
    """Reads at one sequence number; ``None`` means as the store is at each call."""

    def __init__(self, rows: _Rows, sequence: int | None) -> None:
        self._rows = rows
        self._sequence = sequence

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        return self._rows.get(key, self._sequence)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        with self._rows.lock:
            return [self._rows.get(key, self._sequence) for key in keys]

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        return chain.from_iterable(self.scan_pages(begin, end, reverse=reverse, keys_only=keys_only))

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        rows = self._rows
        sequence = rows.enter() if self._sequence is None else self._sequence
        return _pages(rows, sequence, begin, end, own=self._sequence is None, reverse=reverse, keys_only=keys_only)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Any:
        """See ``SeekReader.seek_last_before``."""
        return self._nearest(floor, end, reverse=True, keys_only=keys_only)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Any:
        """See ``SeekReader.seek_first_from``."""
        return self._nearest(begin, end, reverse=False, keys_only=keys_only)

    def _nearest(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Item | bytes | None:
        rows = self._rows
        with rows.lock:
            sequence = rows.sequence if self._sequence is None else self._sequence
            while True:
                page, key = rows.page(begin, end, sequence, 1, reverse=reverse, keys_only=keys_only)
                if page or key is None:
                    return page[0] if page else None
                begin, end = (begin, key) if reverse else (key + b"\0", end)


def _pages(
    rows: _Rows, sequence: int, begin: bytes, end: bytes, *, own: bool, reverse: bool, keys_only: bool
) -> Iterator[list[Any]]:
    try:
        while True:
            page, key = rows.page(begin, end, sequence, _PAGE_ROWS, reverse=reverse, keys_only=keys_only)
            if page:
                yield page
            if key is None:
                return
            begin, end = (begin, key) if reverse else (key + b"\0", end)
    finally:
        if own:
            rows.leave(sequence)


class MemorySnapshot(_View):
    """A view of one sequence number, held open until it is closed or dropped."""

    def __init__(self, rows: _Rows) -> None:
        super().__init__(rows, rows.enter())
        assert self._sequence is not None
        self._finalizer = weakref.finalize(self, rows.leave, self._sequence)
        self._finalizer.atexit = False

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        self._check()
        return super().get(key)

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        self._check()
        return super().scan_pages(begin, end, reverse=reverse, keys_only=keys_only)

    def _nearest(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Item | bytes | None:
        self._check()
        return super()._nearest(begin, end, reverse=reverse, keys_only=keys_only)

    def _check(self) -> None:
        if not self._finalizer.alive:
            raise StoreClosed("the snapshot is closed", engine="memory")

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self._finalizer()


class MemoryStore(_View):
    """See ``ByteStore``."""

    report = OpenReport(created=True)

    def __init__(self) -> None:
        super().__init__(_Rows(), None)

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``; ``durable`` makes no difference in memory."""
        self._rows.apply(batch, expect or {})

    def snapshot(self) -> MemorySnapshot:
        """See ``ByteStore.snapshot``."""
        return MemorySnapshot(self._rows)

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """See ``Sizer.approximate_sizes``; here the sizes are exact."""
        return [self._rows.sizes(begin, end) for begin, end in ranges]

    def close(self) -> None:
        """See ``ByteStore.close``; what was written is gone."""
        self._rows.close()
