"""Making a range of a store hold exactly given rows, and nothing else.

Filling compares before it writes: rows that are there already are left, others are put, what should not be there is
deleted. So a copy that was interrupted is simply filled again, and a copy is proven by comparing once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Final, Literal, cast

from dvidkit import checksum
from dvidkit.access import Access
from dvidkit.checksum import seal
from dvidkit.engine import Item, Limits
from dvidkit.errors import CorruptData, LimitError, shown
from dvidkit.segment import Changes
from dvidkit.store import Store

_BATCH_BYTES: Final = 8 << 20
_BATCH_ROWS: Final = 10_000
_LEDGER_ROOM: Final = 4
"""A batch may carry one completeness record for each of its rows, so it is kept this many times below the limit."""

_key_of: Final = itemgetter(0)
_value_of: Final = itemgetter(1)

Rows = Iterator[list[Item]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A half-open range of a store's keys, and the rows that it is to hold.

    Attributes:
        begin, end: the range.
        rows: begins to read the rows, as the store keeps them, ascending, in pages; the same each time.
    """

    begin: bytes
    end: bytes
    rows: Callable[[], Rows]


Phase = Literal["limits", "copy", "compare"]


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is; ``total`` is an estimate, ``None`` where there is none."""

    phase: Phase
    rows: int
    total: int | None


OnProgress = Callable[[CopyProgress], object]


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy did.

    Attributes:
        rows: rows that the copy holds.
        written: rows written or deleted by this call; fewer than ``rows`` where an interrupted copy was continued.
        resumed: it was continued.
    """

    rows: int
    written: int
    resumed: bool


@dataclass(slots=True)
class Job:
    """A copy as it is to be done; ``run`` does it.

    Attributes:
        target: what is written to.
        stretches: what it is to hold.
        resumed: some of it may be there already.
        begin: called when nothing can be refused any more, before the first row is written.
        total: rows, where that is known.
    """

    target: Store
    stretches: Sequence[Stretch]
    resumed: bool
    begin: Callable[[], object]
    on_progress: OnProgress | None = None
    total: int | None = None

    def run(self, *, check: bool) -> CopyReport:
        """Check (unless the target's limits are known to do), copy, compare.

        Raises:
            LimitError: a row would be refused; nothing was written.
            CorruptData: a row of the source, or the copy, is not what it should be.
        """
        if check:
            self._phase("limits", lambda count: check_fits(self.stretches, self.target.engine.limits, count))
        if not self.resumed:
            self.begin()
        written = 0

        def copy(count: Callable[[int], object]) -> None:
            nonlocal written
            written = fill(self.target, self.stretches, empty=not self.resumed, count=count)

        self._phase("copy", copy)
        rows = self._phase("compare", lambda count: compare(self.target, self.stretches, count))
        return CopyReport(rows, written, self.resumed)

    def _phase(self, phase: Phase, work: Callable[[Callable[[int], object]], object]) -> int:
        done = 0

        def count(rows: int) -> None:
            nonlocal done
            done += rows
            if self.on_progress is not None:
                self.on_progress(CopyProgress(phase, done, self.total))

        work(count)
        return done


def plain_rows(access: Access, begin: bytes, end: bytes, *, sealed: bool) -> Rows:
    """Rows of a range with their plain values, checked.

    Raises:
        CorruptData: naming the first row that is not what was written.
    """
    for page in cast(Rows, access.pages(begin, end)):
        if sealed:
            checksum.check(page)
            yield [(key, value[: -checksum.SIZE]) for key, value in page]
        else:
            yield page


def stored_rows(access: Access, begin: bytes, end: bytes, *, sealed: bool, seal_for: bool) -> Rows:
    """Rows of a range, checked, in the form in which a store with (``seal_for``) or without checksums keeps them."""
    if not (sealed and seal_for):
        return sealed_rows(plain_rows(access, begin, end, sealed=sealed), seal_for=seal_for)
    return _checked(cast(Rows, access.pages(begin, end)))


def sealed_rows(rows: Rows, *, seal_for: bool) -> Rows:
    """Plain rows in the form in which a store with or without checksums keeps them."""
    if not seal_for:
        return rows
    return ([(key, seal(key, value)) for key, value in page] for page in rows)


def _checked(pages: Rows) -> Rows:
    for page in pages:
        checksum.check(page)
        yield page


def check_fits(stretches: Sequence[Stretch], limits: Limits, count: Callable[[int], object]) -> None:
    """Refuse rows that the engine would refuse later, before anything is written.

    Raises:
        LimitError: which limit, what it is, and the key that is over it.
    """
    for stretch in stretches:
        for page in stretch.rows():
            longest, largest = max(map(len, map(_key_of, page))), max(map(len, map(_value_of, page)))
            if any(got > getattr(limits, what) for what, got in _needs(longest, largest).items()):
                _refuse(page, limits)
            count(len(page))


def _needs(key: int, value: int) -> dict[str, int]:
    """What a batch of one row of these lengths and its completeness record takes, by the name of the limit."""
    return {"max_key": key, "max_value": value, "max_batch_bytes": 2 * key + value + 64}


def _refuse(page: list[Item], limits: Limits) -> None:
    for key, value in page:
        for what, got in _needs(len(key), len(value)).items():
            limit = getattr(limits, what)
            if got > limit:
                text = f"key {shown(key)} cannot be copied: {got} is over the target engine's {what} of {limit}"
                raise LimitError(text, what=what, limit=limit, got=got, key=key)


def fill(target: Store, stretches: Sequence[Stretch], *, empty: bool, count: Callable[[int], object]) -> int:
    """Make each range hold its rows.

    Args:
        target: what is written to; batches of some megabytes, each as durable as the store was opened.
        stretches: what it is to hold.
        empty: the ranges are known to hold nothing, so nothing is compared.
        count: called with the number of rows that are there now, page by page.

    Returns:
        Changes that were made.
    """
    batches = _Batches(target)
    for stretch in stretches:
        for changes, rows in _differences(target, stretch, empty=empty):
            batches.add(changes)
            count(rows)
    batches.flush()
    return batches.written


def compare(target: Store, stretches: Sequence[Stretch], count: Callable[[int], object]) -> None:
    """Refuse ranges that do not hold exactly their rows.

    Raises:
        CorruptData: naming the first key that differs.
    """
    for stretch in stretches:
        for changes, rows in _differences(target, stretch, empty=False):
            if changes:
                key = min(key for key, _ in changes)
                raise CorruptData(f"the copy differs from its source at key {shown(key)}", key=key)
            count(rows)


def _differences(target: Store, stretch: Stretch, *, empty: bool) -> Iterator[tuple[Changes, int]]:
    """Changes that would make the range hold its rows, and how many rows they settle."""
    place = stretch.begin
    for page in stretch.rows():
        after = page[-1][0] + b"\x00"
        if empty:
            yield cast(Changes, page), len(page)
        else:
            yield from _page_differences(target, page, place, after)
        place = after
    if not empty:
        yield from _page_differences(target, [], place, stretch.end)


def _page_differences(target: Store, page: list[Item], begin: bytes, end: bytes) -> Iterator[tuple[Changes, int]]:
    wanted = dict(page)
    with target.instant() as access:
        for there in cast(Rows, access.pages(begin, end)):
            extra: Changes = []
            for key, value in there:
                if key not in wanted:
                    extra.append((key, None))
                elif wanted[key] == value:
                    del wanted[key]
            if extra:
                yield extra, 0
    yield list(wanted.items()), len(page)


class _Batches:
    """Changes on their way to a store, written when there are enough of them."""

    def __init__(self, target: Store) -> None:
        limits = target.engine.limits
        self._target = target
        self._max_rows = max(1, min(_BATCH_ROWS, limits.max_batch_ops // _LEDGER_ROOM))
        self._max_bytes = min(_BATCH_BYTES, limits.max_batch_bytes // _LEDGER_ROOM)
        self._changes: Changes = []
        self._size = 0
        self.written = 0

    def add(self, changes: Changes) -> None:
        for start in range(0, len(changes), self._max_rows):
            self._take(changes[start : start + self._max_rows])

    def _take(self, changes: Changes) -> None:
        size = sum([len(key) + len(value or b"") for key, value in changes])
        if self._changes and (
            self._size + size > self._max_bytes or len(self._changes) + len(changes) > self._max_rows
        ):
            self.flush()
        if size > self._max_bytes and len(changes) > 1:
            for start, stop in pairwise((0, len(changes) // 2, len(changes))):
                self._take(changes[start:stop])
            return
        self._changes += changes
        self._size += size

    def flush(self) -> None:
        if self._changes:
            self._target.write_own(self._changes)
            self.written += len(self._changes)
        self._changes, self._size = [], 0
