"""Faults that lose, invent or exchange one row outside of the data when the store is opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore

from dvidkit.checksum import seal
from dvidkit.store import Store

VERSIONS = (b"\x00\x13", b"\x00\x14")
COUNTERS = (b"\x00\x11", b"\x00\x12")
LOG = (b"\x03\x03", b"\x03\x04")
INDEX = (b"\x03\x04", b"\x03\x05")


class _Reopened(ToyStore):
    """A toy store that does something to its rows when it is opened again."""

    bounds: ClassVar[tuple[bytes, bytes]] = VERSIONS

    def load(self, path: Path) -> None:
        super().load(path)
        assert self.claim is not None
        if not self.claim.created:
            rows = dict(self.rows)
            self.disturb(rows)
            self.rows = rows

    def last(self) -> bytes:
        """The last key of ``bounds``."""
        return self.now().select(*self.bounds)[-1]

    def disturb(self, rows: dict[bytes, bytes]) -> None:
        """Lose the last row."""
        del rows[self.last()]


class _Adding(_Reopened):
    def disturb(self, rows: dict[bytes, bytes]) -> None:
        """A whole row beside the last one."""
        key = self.last()
        new = key[:-1] + bytes((key[-1] ^ 0x40,))
        rows[new] = seal(new, rows[key][:-4])


class _Exchanging(_Adding):
    def disturb(self, rows: dict[bytes, bytes]) -> None:
        """A whole row instead of the last one."""
        super().disturb(rows)
        del rows[self.last()]


class _Reopening(Fault):
    steps = 0


class LosesAVersion(_Reopening):
    """The metadata record of the newest version is gone after reopening."""

    breaks = ("REP-6",)

    class store(_Reopened):
        pass


class InventsACounter(_Reopening):
    """A counter that nobody made is there after reopening."""

    breaks = ("REP-6",)

    class store(_Adding):
        bounds = COUNTERS


class OldVersionRecord(_Reopening):
    """The metadata record of a version is, after reopening, as it was first written."""

    breaks = ("REP-6",)

    class store(_Reopened):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.written: dict[bytes, bytes] = {}
            super().__init__(*args, **options)

        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, batch)
            self.written = {**rows, **self.written}

        def save(self) -> None:
            changed = [key for key in self.now().select(*VERSIONS) if self.written.get(key) != self.rows[key]]
            if self.written and changed:
                self.rows = {**self.rows, changed[-1]: self.written[changed[-1]]}
            super().save()

        def disturb(self, rows: dict[bytes, bytes]) -> None:
            """Nothing; it was done on closing."""


class LosesALogRecord(_Reopening):
    """The last record of the mutation log is gone after reopening; its row of the index is not."""

    breaks = ("REP-6",)

    class store(_Reopened):
        bounds = LOG


class LosesALogIndex(_Reopening):
    """The last row of the mutation log's index is gone after reopening; its record is not."""

    breaks = ("REP-6",)

    class store(_Reopened):
        bounds = INDEX


class LosesALogEntry(_Reopening):
    """The last entry of the mutation log is gone after reopening: record and row of the index."""

    breaks = ("REP-6",)

    class store(_Reopened):
        bounds = INDEX

        def disturb(self, rows: dict[bytes, bytes]) -> None:
            key = self.last()
            del rows[key], rows[LOG[0] + key[-8:]]


class InventsALogRecord(_Reopening):
    """A record of the mutation log that nobody wrote is there after reopening."""

    breaks = ("REP-6",)

    class store(_Adding):
        bounds = LOG


class ExchangesALogIndex(_Reopening):
    """After reopening a row of the mutation log's index is of another record."""

    breaks = ("REP-6",)

    class store(_Exchanging):
        bounds = INDEX


class CountsDataAlone(Fault):
    """Completeness records count the rows of data, and no others."""

    breaks = ("REP-5",)
    steps = 0

    class kernel(Store):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._committer._records._outside = False  # type: ignore[attr-defined]


class CountsTwice(Fault):
    """A row that is written again is counted again."""

    breaks = ("REP-7",)
    steps = 0

    class kernel(Store):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._committer._records._gone = lambda *_: (0, 0, 0)  # type: ignore[attr-defined]


class ForgetsTheLog(Fault):
    """Entries that are taken out of the mutation log stay counted."""

    breaks = ("REP-7",)
    steps = 0

    class kernel(Store):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._committer._records._relogged = lambda was, *_: was  # type: ignore[attr-defined]
