"""Giving back the room of what was overwritten and deleted, a little with each write.

A finished journal of which less than half still counts is cleaned: its rows that still count are written again at the
end of the newest journal; once they are on disk, the journal is taken out of the manifest; then its file is removed. A
crash at any point leaves a store that says the same. A deletion is carried along as long as there is an older journal,
which might have a value of that key.

All of it is done by threads that write, while they keep other writers out; readers see no difference.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from dvidkit.errors import CorruptData, StoreError
from dvidkit_filesystem.entries import Entry, weight_of
from dvidkit_filesystem.journal import MOVED, START, Scan
from dvidkit_filesystem.journals import Journals
from dvidkit_filesystem.reads import Content
from dvidkit_filesystem.segment import Segment, values_of

_STEP: Final = 2 << 20
"""Bytes that are written again at a time."""

_WORTH: Final = 0.5
"""Part of a journal that must have become useless before it is cleaned by itself."""

_LOOK_EVERY: Final = 256


class Cleaner:
    """Cleans one store's journals."""

    def __init__(self, content: Content, journals: Journals) -> None:
        self._content = content
        self._journals = journals
        self._steps: Iterator[None] | None = None
        self._compacting = False
        self._writes = 0
        self._newest = 0
        self._waiting: list[tuple[int, int]] = []

    # --- when --------------------------------------------------------------------------------------------------------

    def after_write(self) -> None:
        """Go on with what is being cleaned, or look now and then whether something is to be."""
        if self._compacting:
            return
        if self._waiting:
            self._forget()
        if self._steps is None:
            self._steps = self._next()
        if self._steps is not None:
            try:
                if next(self._steps, self) is self:
                    self._steps = None
            except StoreError:
                self._steps = None

    def _next(self) -> Iterator[None] | None:
        self._writes += 1
        newest = self._journals.newest
        if newest == self._newest and self._writes % _LOOK_EVERY:
            return None
        self._newest = newest
        segment = self._worst()
        return None if segment is None else self._clean(segment)

    def everything(self) -> Generator[None]:
        """The steps of cleaning every journal that has anything to give back, the active one too."""
        self._steps = None
        self._compacting = True
        try:
            journals = self._journals
            if journals.active.live < journals.active.end - START:
                journals.roll()
            for number in sorted(set(journals.segments) - journals.cleaned - {journals.newest}):
                segment = journals.segments[number]
                if self._useless(segment) > 0:
                    yield from self._clean(segment)
            self._forget()
        finally:
            self._compacting = False

    def _worst(self) -> Segment | None:
        """The finished journal with the greatest useless part, if that is worth it."""
        finished = [
            segment
            for number, segment in self._journals.segments.items()
            if number not in self._journals.cleaned and segment is not self._journals.active and not segment.damaged
        ]
        worst = max(finished, key=lambda segment: self._useless(segment) / segment.end, default=None)
        return worst if worst is not None and self._useless(worst) > _WORTH * worst.end else None

    def _useless(self, segment: Segment) -> int:
        """Bytes that cleaning the journal would give back."""
        needed = segment.live + (segment.deletions if self._has_older(segment) else 0)
        return max(0, segment.end - needed)

    def _has_older(self, segment: Segment) -> bool:
        return segment.number > min(set(self._journals.segments) - self._journals.cleaned)

    # --- how ---------------------------------------------------------------------------------------------------------

    def _clean(self, segment: Segment) -> Iterator[None]:
        journals = self._journals
        scan = Scan(journals.files, segment.descriptor, segment.number, journals.uuid)
        carry = self._has_older(segment)
        rows: dict[bytes, Entry | None] = {}
        size = 0
        for record in scan.records():
            for key, entry in record.rows:
                if self._counts(key, entry, carry):
                    rows[key] = entry
                    size += weight_of(key, entry)
                    if size > _STEP:
                        self._move(segment, rows, carry)
                        rows, size = {}, 0
                        yield
        self._move(segment, rows, carry)
        if scan.end != segment.end:
            segment.damaged = True
            raise CorruptData(f"{segment.path} is damaged at byte {scan.end}", engine="filesystem", path=segment.path)
        yield
        journals.drop(segment.number)
        with self._content.lock:
            self._waiting.append((self._content.advance(), segment.number))
        self._forget()

    def _counts(self, key: bytes, entry: Entry | None, carry: bool) -> bool:
        """Whether a row of the journal still says something: what the index has, or that a key is gone."""
        if entry is None:
            return carry and key not in self._content.now
        return self._content.now.get(key) == entry

    def _move(self, segment: Segment, rows: dict[bytes, Entry | None], carry: bool) -> None:
        """Write the rows again, unless they were changed since they were looked at, and point the index there."""
        rows = {key: entry for key, entry in rows.items() if self._counts(key, entry, carry)}
        if not rows:
            return
        kept = [(key, entry) for key, entry in rows.items() if entry is not None]
        try:
            values: dict[bytes, bytes | None] = dict(values_of(self._content.segments, kept))
        except CorruptData:
            segment.damaged = True
            raise
        values.update((key, None) for key, entry in rows.items() if entry is None)
        entries = self._journals.append(values, kind=MOVED, durable=False)
        active = self._journals.active
        with self._content.lock:
            for key, entry in entries.items():
                if entry is None:
                    active.deletions += weight_of(key, None)
                else:
                    segment.live -= weight_of(key, rows[key])
                    active.live += weight_of(key, entry)
                    self._content.replace(key, entry)

    def _forget(self) -> None:
        """Let go of cleaned journals that no open view can need."""
        with self._content.lock:
            oldest = self._content.oldest()
            for sequence, number in [each for each in self._waiting if each[0] <= oldest]:
                self._waiting.remove((sequence, number))
                self._journals.forget(number)
