"""One complete set of reads over any engine: its own where declared, the same thing by the five methods where not."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from dvidkit.engine import ByteReader, Capability, Item

_FIRST_PAGE: Final = 1
_PAGE_ROWS: Final = 1024
_PAGE_BYTES: Final = 1 << 20
_SAMPLE: Final = 32

_value_of: Final = itemgetter(1)

Pages = Iterator[list[Item]] | Iterator[list[bytes]]
Lent = Sequence[bytes | memoryview | None]


class Access:
    """Reads of one store or snapshot, bound once so that a call costs no look-up of what the engine can do.

    Attributes:
        get, get_many, lend, last_before, first_from, pages: as ``get``, ``get_many``, ``lend``,
            ``seek_last_before``, ``seek_first_from`` and ``scan_pages`` of the engine contract.
        scan: the engine's ``scan``.
        last: the engine's ``scan_last_before``, or ``None``.
        seeks: the engine seeks natively, so skipping over rows can pay.
    """

    __slots__ = ("first_from", "get", "get_many", "last", "last_before", "lend", "pages", "scan", "seeks")

    def __init__(self, reader: ByteReader, features: frozenset[Capability]) -> None:
        own: Any = reader
        self.get: Callable[[bytes], bytes | None] = reader.get
        self.scan: Callable[..., Any] = reader.scan
        self.seeks = Capability.SEEK in features
        self.last_before: Callable[..., Any] = own.seek_last_before if self.seeks else self._scan_last_before
        self.first_from: Callable[..., Any] = own.seek_first_from if self.seeks else self._scan_first_from
        self.last: Callable[..., Pages] | None = own.scan_last_before if Capability.LAST in features else None
        self.pages: Callable[..., Pages] = own.scan_pages if Capability.PAGES in features else self._scan_pages
        self.get_many: Callable[[Sequence[bytes]], list[bytes | None]] = (
            own.get_many if Capability.GET_MANY in features else self._get_each
        )
        self.lend: Callable[[Sequence[bytes]], AbstractContextManager[Lent]] = (
            getattr(own, "lend", self._lend_copies) if Capability.LEND in features else self._lend_copies
        )

    def _get_each(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self.get, keys))

    def _lend_copies(self, keys: Sequence[bytes]) -> AbstractContextManager[Lent]:
        return nullcontext(self.get_many(keys))

    def _scan_last_before(self, end: bytes, floor: bytes, *, keys_only: bool = False) -> Item | bytes | None:
        return next(self.scan(floor, end, reverse=True, keys_only=keys_only), None)

    def _scan_first_from(self, begin: bytes, end: bytes, *, keys_only: bool = False) -> Item | bytes | None:
        return next(self.scan(begin, end, keys_only=keys_only), None)

    def _scan_pages(self, begin: bytes, end: bytes, *, reverse: bool = False, keys_only: bool = False) -> Pages:
        return paged(self.scan(begin, end, reverse=reverse, keys_only=keys_only), keys_only=keys_only)


def paged(rows: Iterator[Any], *, keys_only: bool) -> Iterator[list[Any]]:
    """Cut rows into non-empty lists that start with one row and grow to 1024 rows or about a megabyte."""
    size = _FIRST_PAGE
    while page := list(islice(rows, size)):
        size = next_size(page, size, keys_only=keys_only)
        yield page


def bounded_pages(
    rows: Iterator[Any], stop: bytes, *, reverse: bool = False, keys_only: bool = False
) -> Iterator[list[Any]]:
    """``paged``, ended where the rows pass ``stop``; for drivers that can begin a scan at a key but not end it.

    Args:
        rows: keys, or (key, value) pairs, in order, from the first row that is wanted on.
        stop: ascending, the first key that is not wanted; descending (``reverse``), the last that is.
    """
    for page in paged(rows, keys_only=keys_only):
        last = page[-1] if keys_only else page[-1][0]
        if last >= stop if not reverse else last < stop:
            cut = _cut(page, stop, reverse=reverse, keys_only=keys_only)
            if cut:
                yield page[:cut]
            return
        yield page


def _cut(page: list[Any], stop: bytes, *, reverse: bool, keys_only: bool) -> int:
    keys = page if keys_only else [row[0] for row in page]
    return len(keys) - bisect_left(keys[::-1], stop) if reverse else bisect_left(keys, stop)


def next_size(page: list[Any], size: int, *, keys_only: bool) -> int:
    """Rows of the page after this one, so that it stays near a megabyte."""
    if keys_only:
        return _PAGE_ROWS
    sample = page if len(page) < _SAMPLE else page[:: len(page) // _SAMPLE]
    largest = 1 + max(map(len, map(_value_of, sample)))
    return max(1, min(_PAGE_ROWS, 4 * size, _PAGE_BYTES // largest))
