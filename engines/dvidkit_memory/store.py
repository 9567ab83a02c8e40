"""A store in memory, its snapshots and its scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dvidkit.engine import Batch, Item, OpenReport
from dvidkit.errors import StoreClosed
from dvidkit_memory.rows import Rows, View

_PAGE_ROWS: Final = 1024


class _Reads:
    """Reads of one view; with ``None``, of the store as it is at each call."""

    def __init__(self, rows: Rows, view: View | None) -> None:
        self._rows = rows
        self._view = view

    def _check(self) -> None:
        if self._view is not None and self._view.released:
            raise StoreClosed("the snapshot is closed", engine="memory")

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        self._check()
        return self._rows.get(key, self._view)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        self._check()
        return self._rows.get_many(keys, self._view)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        self._check()
        return _rows(self._rows, self._view or self._rows.enter(), begin, end, reverse=reverse, keys_only=keys_only)

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader.scan_pages``."""
        self._check()
        return _pages(self._rows, self._view or self._rows.enter(), begin, end, reverse=reverse, keys_only=keys_only)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``."""
        return self._nearest(floor, end, reverse=True, keys_only=keys_only)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        return self._nearest(begin, end, reverse=False, keys_only=keys_only)

    def _nearest(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Item | bytes | None:
        self._check()
        with self._rows.lock:
            while True:
                page, key = self._rows.page(begin, end, self._view, 1, reverse=reverse, keys_only=keys_only)
                if page or key is None:
                    return page[0] if page else None
                begin, end = (begin, key) if reverse else (key + b"\0", end)


def _pages(rows: Rows, view: View, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[list[Any]]:
    """Pages of a view; the view stays open as long as somebody has this iterator."""
    while True:
        if view.released:
            raise StoreClosed("the snapshot is closed", engine="memory")
        page, key = rows.page(begin, end, view, _PAGE_ROWS, reverse=reverse, keys_only=keys_only)
        if page:
            yield page
        if key is None:
            return
        begin, end = (begin, key) if reverse else (key + b"\0", end)


def _rows(rows: Rows, view: View, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[Any]:
    for page in _pages(rows, view, begin, end, reverse=reverse, keys_only=keys_only):
        for row in page:
            yield row
            rows.check_open()
            if view.released:
                raise StoreClosed("the snapshot is closed", engine="memory")


class MemorySnapshot(_Reads):
    """A view held open until it is closed, or nobody has it or a scan of it any more."""

    def __init__(self, rows: Rows) -> None:
        self._held = rows.enter()
        super().__init__(rows, self._held)

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self._rows.leave(self._held)


class MemoryStore(_Reads):
    """See ``ByteStore``."""

    report = OpenReport(created=True)

    def __init__(self) -> None:
        super().__init__(Rows(), None)

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
