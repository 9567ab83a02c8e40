"""An open my-engine store: the five methods, and what each of them owes.

The rows are a dictionary and a sorted list of its keys. A reader that needs one instant takes both as they are; the
next write then changes copies. That makes snapshots cost nothing until something is written.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dvidkit import Batch, Capability, OpenReport, StoreConfig
from dvidkit.errors import BadConfig, ConflictError, StoreClosed, UnsupportedError, shown
from dvidkit.storedir import StoreDirectory
from dvidkit_my_engine.log import Log

_ENGINE: Final = "my-engine"
_LAYOUT: Final = 1
"""Version of the engine's files. Raise it when they change; a release refuses layouts it does not know."""


class _Rows:
    """All rows of one instant."""

    def __init__(self, keys: list[bytes], values: dict[bytes, bytes]) -> None:
        self.keys = keys
        self.values = values
        self.held = False
        """A reader holds them, so they must not change any more."""

    def apply(self, batch: Batch) -> None:
        """Make the changes in order."""
        for key, value in batch:
            if value is not None:
                if key not in self.values:
                    insort(self.keys, key)
                self.values[key] = value
            elif self.values.pop(key, None) is not None:
                del self.keys[bisect_left(self.keys, key)]


class _Reader:
    """``get`` and ``scan``, of the store as it is or of a snapshot."""

    def check_open(self) -> None:
        """Raise what every call raises after ``close``."""
        raise NotImplementedError

    def _hold(self) -> _Rows:
        """The rows of this instant, which are not changed any more."""
        raise NotImplementedError

    def get(self, key: bytes, /) -> bytes | None:
        """Owes: the value, ``None`` if absent; an empty value is a value. Any key at all may be asked for."""
        return self._hold().values.get(key)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """Owes: every row with ``begin <= key < end``, in unsigned byte order, of one instant, to the end or an error.

        An inverted range is empty. After ``close`` the next step raises. Abandoned, it holds nothing.
        """
        return self._steps(self._hold(), begin, end, reverse=reverse, keys_only=keys_only)

    def _steps(self, rows: _Rows, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Iterator[Any]:
        places = range(bisect_left(rows.keys, begin), bisect_left(rows.keys, end))
        for place in reversed(places) if reverse else places:
            self.check_open()
            key = rows.keys[place]
            yield key if keys_only else (key, rows.values[key])


class MyEngineSnapshot(_Reader):
    """A view of one instant."""

    def __init__(self, store: MyEngineStore, rows: _Rows) -> None:
        self._store: MyEngineStore | None = store
        self._rows = rows

    def check_open(self) -> None:
        """See ``_Reader``."""
        if self._store is None:
            raise StoreClosed("the snapshot is closed", engine=_ENGINE)
        self._store.check_open()

    def _hold(self) -> _Rows:
        self.check_open()
        return self._rows

    def close(self) -> None:
        """Owes: to release the view; may be called twice, and need not be called at all."""
        self._store = None


class MyEngineStore(_Reader):
    """See ``dvidkit.ByteStore``. Every method may be called from any thread at any time."""

    def __init__(self, config: StoreConfig) -> None:
        # Refuse what you do not know or do not do: a typo in a setting must not go unnoticed.
        for option in config.options:
            raise BadConfig(f"engine {_ENGINE!r} has no option {option!r}", setting=option)
        if config.read_only:
            raise UnsupportedError(f"engine {_ENGINE!r} cannot open read-only", capability=Capability.READ_ONLY)
        # The directory locks out other openers, knows other engines' stores, and says whether this is a new one.
        self._directory = StoreDirectory(config, _ENGINE, _LAYOUT)
        self._closed = False
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._rows = _Rows([], {})
        try:
            self._log = Log(self._directory.data / "log", _ENGINE, create=self._directory.created)
            self.report = self._load()
        except BaseException:
            self._directory.release()
            raise

    def _load(self) -> OpenReport:
        """Read the log; a new store is complete, and may say so, when its files are on the disk."""
        for batch in self._log.replay():
            self._rows.apply(batch)
        if self._directory.created:
            self._directory.made()
        return OpenReport(created=self._directory.created, dropped_bytes=self._log.dropped)

    def check_open(self) -> None:
        """See ``_Reader``."""
        if self._closed:
            raise StoreClosed("the store is closed", engine=_ENGINE)

    def _hold(self) -> _Rows:
        with self._reading:
            self.check_open()
            self._rows.held = True
            return self._rows

    def get(self, key: bytes, /) -> bytes | None:
        """See ``_Reader.get``; without holding the rows, so that the next write need not copy them."""
        with self._reading:
            self.check_open()
            return self._rows.values.get(key)

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """Owes: all changes in order, or none: for readers, for errors and for crashes.

        When it returns, later reads see it and it survives what ``capabilities`` says. ``expect`` is checked at the
        same instant. A failed write leaves nothing behind, not even for the next opener.
        """
        with self._writing:
            self.check_open()
            for key, value in (expect or {}).items():
                if self._rows.values.get(key) != value:
                    raise ConflictError(f"key {shown(key)} was changed meanwhile", key=key)
            if not batch:
                return
            self._log.append(batch, durable=durable)
            with self._reading:
                if self._rows.held:
                    self._rows = _Rows(self._rows.keys.copy(), self._rows.values.copy())
                self._rows.apply(batch)

    def snapshot(self) -> MyEngineSnapshot:
        """Owes: any number of reads, all of this instant, whatever is written meanwhile."""
        return MyEngineSnapshot(self, self._hold())

    def close(self) -> None:
        """Owes: to wait for running writes and release files and locks; twice is once; then everything raises."""
        with self._writing, self._reading:
            if self._closed:
                return
            self._closed = True
            self._log.close()
            self._directory.release()
