"""The journals of an open store: appending to the newest, beginning the next, and letting go of one that was cleaned.

Called by one thread at a time, but for ``segments``, which readers look into.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from dvidkit.errors import StoreError, StorePoisoned
from dvidkit.storedir import os_error
from dvidkit_filesystem import journal, manifest, mark
from dvidkit_filesystem.entries import Entry
from dvidkit_filesystem.files import Files
from dvidkit_filesystem.manifest import Listed, journal_name
from dvidkit_filesystem.mark import Mark, MarkFile
from dvidkit_filesystem.segment import Segment

LEAST_LENGTH: Final = 32 << 20
"""Bytes after which a journal is finished, in a store that is not large."""

_PARTS: Final = 64
"""A large store's journals are this part of it, so that it never has very many files open."""


class Journals:
    """See above.

    Attributes:
        segments: those that are open, by number.
        newest: the number of the one that is written to.
        cleaned: numbers of those that are no longer of the store.
        number: of the next record.
        synced: bytes of the newest journal that are known to be on disk.
        unlisted: the manifest is left as it is.
        broken: why nothing can be written until the store has been opened again.
    """

    def __init__(self, files: Files, folder: str, uuid: bytes, length: int = LEAST_LENGTH) -> None:
        self.files = files
        self.folder = folder
        self.uuid = uuid
        self.segments: dict[int, Segment] = {}
        self.newest = 0
        self.cleaned: set[int] = set()
        self.number = 1
        self.synced = 0
        self.unlisted = False
        self.broken: BaseException | None = None
        self.marks: MarkFile | None = None
        self._length = length

    @property
    def active(self) -> Segment:
        """The journal that is written to."""
        return self.segments[self.newest]

    # --- writing -----------------------------------------------------------------------------------------------------

    def append(self, rows: Mapping[bytes, bytes | None], *, kind: int, durable: bool) -> dict[bytes, Entry | None]:
        """Write the rows as one record, and wait for the disk if it is to be durable; the entries they have now.

        Raises:
            StoreFull, StoreError: nothing was written.
            StorePoisoned: an earlier failure could not be undone.
        """
        self.refuse_if_broken()
        if self.active.end >= max(self._length, self._total() // _PARTS):
            self.roll()
        active = self.active
        start = active.end
        pieces, entries = journal.encode(
            rows,
            kind=kind,
            number=self.number,
            synced=self.synced,
            journal=active.number,
            salt=journal.salt_of(self.uuid, active.number),
            start=start,
        )
        try:
            self.files.write(active.descriptor, pieces, start)
            active.end = start + sum(map(len, pieces))
            if durable:
                self._sync()
        except BaseException as error:
            self._undo(start, error)
            raise self._failed("cannot write", error) from error
        active.last = self.number
        self.number += 1
        return entries

    def _undo(self, start: int, cause: BaseException) -> None:
        """Cut off what was begun at ``start``, unless it is known to be on disk: then only opening again will tell."""
        if self.synced > start:
            self.broken = cause
            return
        self.active.end = start
        try:
            self.files.truncate(self.active.descriptor, start)
        except BaseException as error:
            self.broken = error

    def sync(self) -> None:
        """Wait until everything appended so far is on disk."""
        self.refuse_if_broken()
        if self.synced < self.active.end:
            try:
                self._sync()
            except BaseException as error:
                raise self._failed("cannot write", error) from error

    def _sync(self) -> None:
        """A sync that failed is never tried again: the system may have forgotten what it did not write."""
        try:
            self.files.sync(self.active.descriptor)
        except BaseException as error:
            self.broken = error
            raise
        self.synced = self.active.end
        self._acknowledge()

    def _acknowledge(self, *, closed: bool = False) -> None:
        assert self.marks is not None
        with suppress(OSError):
            self.marks.write(Mark(self.newest, self.synced, closed), sync=closed)

    def refuse_if_broken(self) -> None:
        """Raise ``StorePoisoned`` after a failure that could not be undone."""
        if self.broken is not None:
            raise StorePoisoned(
                f"an earlier write failed ({self.broken}); the store must be opened again before the next",
                engine="filesystem",
                path=self.folder,
                retry_after=0.0,
            ) from self.broken

    def _failed(self, what: str, error: BaseException) -> BaseException:
        if isinstance(error, OSError):
            return os_error(error, f"{what} {self.active.path}", "filesystem", self.folder)
        return error

    # --- the set of journals -----------------------------------------------------------------------------------------

    def roll(self) -> None:
        """Finish the newest journal and begin the next: it is complete before the manifest names it.

        Raises:
            StoreFull, StoreError: the newest journal stays.
        """
        self.sync()
        before = self.newest
        try:
            segment = self.create(before + 1)
        except OSError as error:
            raise self._failed("cannot begin the journal after", error) from error
        self.segments[segment.number] = segment
        self.newest = segment.number
        try:
            self._list()
        except BaseException:
            self.newest = before
            del self.segments[segment.number]
            raise
        self.synced = segment.end
        self._acknowledge()

    def create(self, number: int) -> Segment:
        """A new journal with nothing in it, on disk with its name."""
        path = f"{self.folder}/{journal_name(number)}"
        segment = Segment(self.files, self.files.create(path), path, number, self.number)
        header = journal.file_header(self.uuid, number)
        self.files.write(segment.descriptor, [header], 0)
        self.files.sync(segment.descriptor)
        self.files.sync_directory(self.folder)
        segment.end = len(header)
        return segment

    def drop(self, number: int) -> None:
        """Take a journal that was cleaned out of the store. It stays in ``segments`` for those who still read it.

        Raises:
            StoreFull, StoreError: the journal stays.
        """
        self.sync()
        self.cleaned.add(number)
        try:
            self._list()
        except BaseException:
            self.cleaned.discard(number)
            raise
        with suppress(OSError):
            self.files.unlink(self.segments[number].path)

    def forget(self, number: int) -> None:
        """Nobody reads the cleaned journal any more."""
        self.cleaned.discard(number)
        del self.segments[number]

    def _list(self) -> None:
        """Replace the manifest. A failure to prepare it changes nothing; after one to publish it either may hold."""
        if self.unlisted:
            return
        try:
            manifest.prepare(self.files, self.folder, self._listed(), self.uuid)
        except OSError as error:
            raise self._failed("cannot prepare the manifest after", error) from error
        try:
            manifest.publish(self.files, self.folder)
        except BaseException as error:
            self.broken = error
            raise self._failed("cannot publish the manifest after", error) from error

    def _listed(self) -> list[Listed]:
        finished = [
            Listed(segment.number, segment.first, segment.last, segment.end)
            for number, segment in sorted(self.segments.items())
            if number != self.newest and number not in self.cleaned
        ]
        return [*finished, Listed(self.newest, self.active.first)]

    def _total(self) -> int:
        return sum(segment.end for number, segment in self.segments.items() if number not in self.cleaned)

    # --- the ends ----------------------------------------------------------------------------------------------------

    def begin(self, number: int = 1) -> None:
        """Make the files of a new store; those of a store that is made anew are not listed before ``publish``."""
        self.unlisted = number > 1
        self.segments[number] = self.create(number)
        self.newest = number
        self.synced = self.active.end
        self.marks = mark.create(self.files, f"{self.folder}/{mark.NAME}", self.uuid, Mark(number, self.synced))
        self._list()

    def publish(self) -> None:
        """Make these journals, complete and on disk, the ones that are the store."""
        self.sync()
        self._acknowledge(closed=True)
        self.unlisted = False
        self._list()

    def close(self) -> None:
        """Put everything on disk and say that nothing is missing; unless something failed, which opening will see."""
        if self.marks is None or self.broken is not None:
            return
        with suppress(StoreError):
            self.sync()
            self._acknowledge(closed=True)

    def abandon(self) -> None:
        """Let go of all files, as they are."""
        marks, self.marks = self.marks, None
        if marks is not None:
            marks.close()
        self.segments.clear()
