"""An open store: one index, its journals, one writer at a time."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

from dvidkit.engine import Batch, OpenReport, StoreConfig
from dvidkit.errors import BadConfig, ConflictError, CorruptData, ReadOnlyStore, shown
from dvidkit.storedir import StoreDirectory, os_error
from dvidkit_filesystem.cleaning import Cleaner
from dvidkit_filesystem.copying import copy_rows
from dvidkit_filesystem.entries import MAX_KEY, Entry, journal_of, length_of, weight_of
from dvidkit_filesystem.files import Files
from dvidkit_filesystem.journal import BATCH, LAYOUT
from dvidkit_filesystem.journals import LEAST_LENGTH, Journals
from dvidkit_filesystem.reads import Content, FilesystemSnapshot, Reads
from dvidkit_filesystem.recovery import Recovery

_OPTION: Final = "journal_size"
_LEAST_OPTION: Final = 1 << 12
_MOST_OPTION: Final = 1 << 36


class FilesystemStore(Reads):
    """See ``ByteStore``."""

    def __init__(self, config: StoreConfig, files: Files) -> None:
        length = _journal_size(config)
        self._read_only = config.read_only
        self._directory = StoreDirectory(config, "filesystem", LAYOUT)
        self._journals = Journals(files, str(self._directory.data), uuid_of(self._directory), length)
        content = Content(self._journals.segments, str(self._directory.path))
        super().__init__(content, None)
        try:
            self._open(content)
        except BaseException as error:
            self._journals.abandon()
            self._directory.release()
            if isinstance(error, OSError):
                raise os_error(error, f"cannot open {config.path}", "filesystem", config.path) from error
            raise
        self._writing = threading.RLock()
        self._compacting = threading.Lock()
        self._cleaner = Cleaner(content, self._journals)
        self._directory.on_fork = self._forked

    def _open(self, content: Content) -> None:
        recovery = Recovery(self._journals, self._read_only)
        if self._directory.created:
            self._journals.begin()
            self._directory.made()
            self.report = OpenReport(created=True)
        else:
            recovery.run()
            self.report = recovery.report
        content.load(recovery.index)

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        with self._writing:
            self._refuse_to_write()
            for key, value in (expect or {}).items():
                if self._differs(key, value):
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            self._commit(dict(batch), durable=durable)

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter.delete_range``."""
        with self._writing:
            self._refuse_to_write()
            with self._content.lock:
                keys = self._content.keys.irange(begin, end, inclusive=(True, False)) if begin < end else ()
                changes: dict[bytes, bytes | None] = dict.fromkeys(keys)
            self._commit(changes, durable=durable)

    def _refuse_to_write(self) -> None:
        self._content.check()
        if self._read_only:
            raise ReadOnlyStore("the store was opened read-only", engine="filesystem", path=self._content.path)
        self._journals.refuse_if_broken()

    def _differs(self, key: bytes, value: bytes | None) -> bool:
        entry = self._content.now.get(key)
        if entry is None or value is None:
            return entry is not None or value is not None
        return length_of(entry) != len(value) or self.get(key) != value

    def _commit(self, changes: dict[bytes, bytes | None], *, durable: bool) -> None:
        """Write what changes anything, and show it to readers once it is as safe as it is to be."""
        now = self._content.now
        if None in changes.values():
            changes = {key: value for key, value in changes.items() if value is not None or key in now}
        if not changes:
            if durable:
                self._journals.sync()
            return
        entries = self._journals.append(changes, kind=BATCH, durable=durable)
        try:
            self._show(entries)
        except BaseException as error:
            self._journals.broken = error
            raise
        self._cleaner.after_write()

    def _show(self, entries: Mapping[bytes, Entry | None]) -> None:
        content, segments, active = self._content, self._journals.segments, self._journals.active
        now = content.now
        for key, entry in entries.items():
            old = now.get(key)
            if old is not None:
                segments[journal_of(old)].live -= weight_of(key, old)
            if entry is None:
                active.deletions += weight_of(key, None)
            else:
                active.live += weight_of(key, entry)
        with content.lock:
            content.change(entries)

    def snapshot(self) -> FilesystemSnapshot:
        """See ``ByteStore.snapshot``."""
        with self._content.lock:
            self._content.check()
            return FilesystemSnapshot(self._content)

    # --- upkeep ------------------------------------------------------------------------------------------------------

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """See ``Sizer.approximate_sizes``; here the sizes are exact, of rows as they lie in the journals."""
        with self._content.lock:
            self._content.check()
            return [self._size(begin, end) for begin, end in ranges]

    def _size(self, begin: bytes, end: bytes) -> int:
        now = self._content.now
        keys = self._content.keys.irange(begin, end, inclusive=(True, False)) if begin < end else ()
        return sum(weight_of(key, now[key]) for key in keys if key in now)

    def compact(self, begin: bytes, end: bytes, /) -> None:
        """See ``Compactor.compact``. Every journal that has anything to give back is cleaned, whatever the range.

        Others write between the steps.
        """
        with self._compacting, closing(self._cleaner.everything()) as steps:
            done = False
            while not done:
                with self._writing:
                    self._refuse_to_write()
                    done = begin >= end or next(steps, self) is self

    def backup(self, path: str, /) -> None:
        """See ``Backer.backup``. Row by row, every one of them checked."""
        with closing(self.snapshot()) as view:
            copy_rows(view.scan_pages(b"\x00", b"\xff" * (MAX_KEY + 1)), path)

    def close(self) -> None:
        """See ``ByteStore.close``."""
        if self._content.forked:
            return
        with self._writing:
            with self._content.lock:
                if self._content.closed:
                    return
                self._content.closed = True
            self._journals.close()
            with self._content.lock:
                self._content.clear()
                self._journals.abandon()
            self._directory.release()

    def _forked(self) -> None:
        """In a forked child: nothing of this is the child's."""
        content = self._content
        content.closed = content.forked = True
        content.lock = threading.RLock()
        self._writing = threading.RLock()
        self._compacting = threading.Lock()


def uuid_of(directory: StoreDirectory) -> bytes:
    """The store's uuid as its files have it.

    Raises:
        CorruptData: the marker's uuid is none.
    """
    try:
        return bytes.fromhex(directory.uuid).rjust(16, b"\0")
    except ValueError:
        directory.release()
        raise CorruptData(
            f"the marker of {directory.path} has no uuid", engine="filesystem", path=str(directory.path)
        ) from None


def _journal_size(config: StoreConfig) -> int:
    for name, value in config.options.items():
        if name != _OPTION:
            raise BadConfig(f"engine 'filesystem' has no option {name!r}", setting=name)
        if type(value) is not int or not _LEAST_OPTION <= value <= _MOST_OPTION:
            raise BadConfig(f"option {name!r} of engine 'filesystem' cannot be {shown(value)}", setting=name)
    return int(config.options.get(_OPTION, LEAST_LENGTH))
