"""A store in memory, its snapshots and its scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dvidkit.engine import Batch, Item, OpenReport
from dvidkit.errors import ConflictError, StoreClosed, shown
from dvidkit.history import History, View

_PAGE_ROWS: Final = 1024
_PAGE_BYTES: Final = 1 << 20


class _Rows(History[bytes]):
    """The content of one store."""

    def __init__(self) -> None:
        super().__init__(len)
        self.closed = False

    def check(self, view: View | None) -> None:
        """Raise ``StoreClosed`` if the store, or the view, was closed."""
        if self.closed or (view is not None and view.released):
            raise StoreClosed(f"the {'store' if self.closed else 'snapshot'} is closed", engine="memory")


class _Reads:
    """Reads of one view; with ``None``, of the store as it is at each call."""

    def __init__(self, rows: _Rows, view: View | None) -> None:
        self._rows = rows
        self._view = view

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        with self._rows.lock:
            self._rows.check(self._view)
            return self._rows.at(key, self._view)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        with self._rows.lock:
            self._rows.check(self._view)
            if self._view is None:
                return list(map(self._rows.now.get, keys))
            return [self._rows.at(key, self._view) for key in keys]

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        return self._row_by_row(self._begun(), begin, end, reverse=reverse, keys_only=keys_only)

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        return self._pages(self._begun(), begin, end, reverse=reverse, keys_only=keys_only)

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader.scan_last_before``."""
        return self._lasts(self._begun(), begin, end, ceiling, keys_only=keys_only)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``."""
        return self._nearest(floor, end, reverse=True, keys_only=keys_only)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        return self._nearest(begin, end, reverse=False, keys_only=keys_only)

    def _nearest(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Item | bytes | None:
        with self._rows.lock:
            self._rows.check(self._view)
            row = self._rows.nearest(begin, end, self._view, reverse=reverse)
        return row[0] if row is not None and keys_only else row

    def _begun(self) -> View:
        """The view of a scan, which stays open as long as somebody has the scan."""
        with self._rows.lock:
            self._rows.check(self._view)
            return self._view or self._rows.enter()

    def _pages(self, view: View, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[list[Any]]:
        while True:
            with self._rows.lock:
                self._rows.check(view)
                rows, key = self._rows.page(begin, end, view, _PAGE_ROWS, _PAGE_BYTES, reverse=reverse)
            if rows:
                yield [key for key, _ in rows] if keys_only else rows
            if key is None:
                return
            begin, end = (begin, key) if reverse else (key + b"\0", end)

    def _row_by_row(self, view: View, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[Any]:
        for page in self._pages(view, begin, end, reverse=reverse, keys_only=keys_only):
            for row in page:
                self._rows.check(view)
                yield row

    def _lasts(self, view: View, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Iterator[list[Any]]:
        while True:
            with self._rows.lock:
                self._rows.check(view)
                rows, key = self._rows.last_of_groups(begin, end, ceiling, view, _PAGE_ROWS, _PAGE_BYTES)
            if rows:
                yield [key for key, _ in rows] if keys_only else rows
            if key is None:
                return
            begin = key + b"\0"


class MemorySnapshot(_Reads):
    """A view held open until it is closed, or nobody has it or a scan of it any more."""

    def __init__(self, rows: _Rows) -> None:
        self._held = rows.enter()
        super().__init__(rows, self._held)

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self._rows.leave(self._held)


class MemoryStore(_Reads):
    """See ``ByteStore``."""

    report = OpenReport(created=True)

    def __init__(self) -> None:
        super().__init__(_Rows(), None)

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``; ``durable`` makes no difference in memory."""
        changes = dict(batch)
        rows = self._rows
        with rows.lock:
            rows.check(None)
            for key, value in (expect or {}).items():
                if rows.now.get(key) != value:
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            rows.change(changes)

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter.delete_range``."""
        rows = self._rows
        with rows.lock:
            rows.check(None)
            if begin < end:
                rows.change(dict.fromkeys(rows.keys.irange(begin, end, inclusive=(True, False))))

    def snapshot(self) -> MemorySnapshot:
        """See ``ByteStore.snapshot``."""
        with self._rows.lock:
            self._rows.check(None)
            return MemorySnapshot(self._rows)

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """See ``Sizer.approximate_sizes``; here the sizes are exact."""
        with self._rows.lock:
            self._rows.check(None)
            return [self._size(begin, end) for begin, end in ranges]

    def _size(self, begin: bytes, end: bytes) -> int:
        now = self._rows.now
        keys = self._rows.keys.irange(begin, end, inclusive=(True, False)) if begin < end else ()
        return sum(len(key) + len(now[key]) for key in keys if key in now)

    def close(self) -> None:
        """See ``ByteStore.close``; what was written is gone."""
        with self._rows.lock:
            self._rows.closed = True
            self._rows.clear()
