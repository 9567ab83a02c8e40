"""Reads of the index and, where values are long, of the journals they lie in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from dvidkit.engine import Item
from dvidkit.errors import StoreClosed, StoreError, StoreForked
from dvidkit.history import History, View
from dvidkit_filesystem.entries import Entry, length_of
from dvidkit_filesystem.segment import Segment, values_of

_PAGE_ROWS: Final = 1024
_PAGE_BYTES: Final = 1 << 20


class Content(History[Entry]):
    """The index of one store, and the journals that have its values. ``segments`` is looked into under the lock.

    A segment stays there as long as a view might need it.
    """

    def __init__(self, segments: dict[int, Segment], path: str) -> None:
        super().__init__(length_of)
        self.segments = segments
        self.path = path
        self.closed = False
        self.forked = False

    def check(self, view: View | None = None) -> None:
        """Raise ``StoreClosed`` if the store, or the view, was closed."""
        if self.closed or (view is not None and view.released):
            raise self.closed_error()

    def closed_error(self) -> StoreError:
        """Why there is nothing more to be had."""
        if self.forked:
            return StoreForked(
                "the store was opened before this process was forked", engine="filesystem", path=self.path
            )
        what = "store" if self.closed else "snapshot"
        return StoreClosed(f"the {what} is closed", engine="filesystem", path=self.path)


class Reads:
    """Reads of one view; with ``None``, of the store as it is at each call."""

    def __init__(self, content: Content, view: View | None) -> None:
        self._content = content
        self._view = view

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        content = self._content
        with content.lock:
            content.check(self._view)
            entry = content.at(key, self._view)
            if not isinstance(entry, int):
                return entry if entry is None else entry[:-4]
            segment = content.segments[entry >> 72]
        return segment.value(key, entry)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader.get_many``."""
        content = self._content
        with content.lock:
            view = self._begun()
            entries = [(key, content.at(key, view)) for key in keys]
        rows = dict(self._values([(key, entry) for key, entry in entries if entry is not None], view))
        return [rows.get(key) for key in keys]

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_last_before``."""
        return self._nearest(floor, end, reverse=True, keys_only=keys_only)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader.seek_first_from``."""
        return self._nearest(begin, end, reverse=False, keys_only=keys_only)

    def _nearest(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Item | bytes | None:
        content = self._content
        with content.lock:
            content.check(self._view)
            row = content.nearest(begin, end, self._view, reverse=reverse)
            if row is None or keys_only:
                return row if row is None else row[0]
            key, entry = row
            if not isinstance(entry, int):
                return key, entry[:-4]
            segment = content.segments[entry >> 72]
        return key, segment.value(key, entry)

    # --- ranges ------------------------------------------------------------------------------------------------------

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

    def _begun(self) -> View:
        """The view of a scan, which stays open as long as somebody has the scan."""
        with self._content.lock:
            self._content.check(self._view)
            return self._view or self._content.enter()

    def _pages(self, view: View, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[list[Any]]:
        content = self._content
        room = _PAGE_BYTES if not keys_only else 1 << 62
        while True:
            with content.lock:
                content.check(view)
                rows, key = content.page(begin, end, view, _PAGE_ROWS, room, reverse=reverse)
            if rows:
                yield [row[0] for row in rows] if keys_only else self._values(rows, view)
            if key is None:
                return
            begin, end = (begin, key) if reverse else (key + b"\0", end)

    def _row_by_row(self, view: View, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[Any]:
        for page in self._pages(view, begin, end, reverse=reverse, keys_only=keys_only):
            for row in page:
                self._content.check(view)
                yield row

    def _lasts(self, view: View, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Iterator[list[Any]]:
        content = self._content
        room = _PAGE_BYTES if not keys_only else 1 << 62
        while True:
            with content.lock:
                content.check(view)
                rows, key = content.last_of_groups(begin, end, ceiling, view, _PAGE_ROWS, room)
            if rows:
                yield [row[0] for row in rows] if keys_only else self._values(rows, view)
            if key is None:
                return
            begin = key + b"\0"

    def _values(self, rows: list[tuple[bytes, Entry]], view: View) -> list[Item]:
        """Key and value of rows of a view, which keeps the journals open that have them."""
        try:
            return values_of(self._content.segments, rows)
        except KeyError:
            self._content.check(view)
            raise


class FilesystemSnapshot(Reads):
    """A view held open until it is closed, or nobody has it or a scan of it any more."""

    def __init__(self, content: Content) -> None:
        self._held = content.enter()
        super().__init__(content, self._held)

    def close(self) -> None:
        """See ``Snapshot.close``."""
        if not self._content.forked:
            self._content.leave(self._held)
