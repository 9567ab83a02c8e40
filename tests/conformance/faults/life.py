"""Faults of opening, closing, reopening, errors, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, ToyView

from dvidkit.engine import Capability, OpenReport, StoreConfig
from dvidkit.storedir import StoreDirectory


class DeletesLost(Fault):
    """What was deleted is back after reopening."""

    breaks = ("ENG-DUR-2",)

    class store(ToyStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.ever: dict[bytes, bytes] = {}
            super().__init__(*args, **options)

        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, batch)
            self.ever |= rows

        def save(self) -> None:
            self.rows = {**self.ever, **self.rows}
            super().save()


class StaleReopen(Fault):
    """After reopening there is what there was at the reopening before."""

    breaks = ("ENG-DUR-1",)

    class store(ToyStore):
        found: Any = None

        def load(self, path: Path) -> None:
            super().load(path)
            self.found = dict(self.rows)

        def save(self) -> None:
            if self.found is not None:
                self.rows = self.found
            super().save()


class LastBatchLost(Fault):
    """The last batch is not there after reopening."""

    breaks = ("ENG-DUR-1",)

    class store(ToyStore):
        before: Any = None

        def write(self, *args: Any, **options: Any) -> None:
            self.before = self.rows
            super().write(*args, **options)

        def save(self) -> None:
            self.rows = self.before if self.before is not None else self.rows
            super().save()


class Truncates(Fault):
    """Opening makes a new store each time."""

    breaks = ("ENG-OPEN-1",)

    class store(ToyStore):
        def load(self, path: Path) -> None:
            self.rows = {}


class CreatesOnMissing(Fault):
    """``create=False`` creates."""

    breaks = ("ENG-OPEN-2",)
    steps = 0

    class store(ToyStore):
        def claimed(self, config: StoreConfig) -> StoreDirectory:
            fields = {name: getattr(config, name) for name in StoreConfig.__dataclass_fields__}
            return StoreDirectory(StoreConfig(**{**fields, "create": True}), config.engine, 1)


class OpensTwice(Fault):
    """A second opener is let in."""

    breaks = ("ENG-OPEN-3",)
    steps = 0

    class store(ToyStore):
        def claimed(self, config: StoreConfig) -> StoreDirectory:
            claim = StoreDirectory(config, config.engine, 1)
            claim.made()
            claim.release()
            return claim


class TakesAnyOption(Fault):
    """Unknown options are ignored."""

    breaks = ("ENG-OPEN-4",)
    steps = 0

    class store(ToyStore):
        def __init__(self, config: StoreConfig, *, persistent: bool) -> None:
            fields = {name: getattr(config, name) for name in StoreConfig.__dataclass_fields__}
            super().__init__(StoreConfig(**{**fields, "options": {}}), persistent=persistent)


class LyingReport(Fault):
    """Every store is reported as made just now: a SHOULD, so a deviation."""

    breaks = ("ENG-OPEN-5",)
    steps = 0

    class store(ToyStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.report = OpenReport(created=True)


class CloseTwiceRaises(Fault):
    """A second ``close`` raises, as rocksdict's does."""

    breaks = ("ENG-CLOSE-1",)

    class store(ToyStore):
        def close(self) -> None:
            if self.closed:
                raise RuntimeError("already closed")
            super().close()


class WorksAfterClose(Fault):
    """A closed store answers."""

    breaks = ("ENG-CLOSE-2", "ENG-CLOSE-3")

    class view(ToyView):
        def check(self) -> None:
            return


class IteratorsOutliveTheStore(Fault):
    """An iterator goes on after ``close``."""

    breaks = ("ENG-CLOSE-3",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            return iter([key if keys_only else (key, self.rows[key]) for key in keys])


class IteratorsEndWithTheStore(Fault):
    """After ``close`` an iterator ends as if the range did."""

    breaks = ("ENG-CLOSE-3",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            for key in keys:
                if self.store.closed:
                    return
                yield key if keys_only else (key, self.rows[key])


class NativeErrors(Fault):
    """A closed store raises the driver's own error."""

    breaks = ("ENG-CLOSE-2", "ENG-ERR-1")

    class view(ToyView):
        def check(self) -> None:
            if self.closed or self.store.closed:
                raise RuntimeError("driver: database is closed")


class OneThread(Fault):
    """Only the thread that opened the store may use it, as with sqlite3."""

    breaks = ("ENG-THREAD-1",)
    steps = 0

    class store(ToyStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.owner = threading.get_ident()
            super().__init__(*args, **options)

        def now(self) -> ToyView:
            if threading.get_ident() != self.owner:
                raise RuntimeError("store objects created in a thread can only be used in that same thread")
            return super().now()


class SnapshotCloseTwiceRaises(Fault):
    """A second ``close`` of a snapshot raises."""

    breaks = ("ENG-SNAP-3",)

    class view(ToyView):
        def close(self) -> None:
            self.check()
            super().close()


class ClosingOneClosesAll(Fault):
    """Closing a snapshot closes the others."""

    breaks = ("ENG-SNAP-2",)

    class view(ToyView):
        shared: Any = None

        def close(self) -> None:
            super().close()
            self.store.ended = True  # type: ignore[attr-defined]

        def check(self) -> None:
            super().check()
            if getattr(self.store, "ended", False) and self.rows is not self.store.rows:
                self.closed = True
                super().check()


class SharedStores(Fault):
    """All stores are one."""

    breaks = ("ENG-OPEN-6",)
    steps = 0
    persistent = False

    class store(ToyStore):
        everything: ClassVar[dict[bytes, bytes]] = {}

        def now(self) -> ToyView:
            self.rows = self.everything
            return super().now()

        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(self.everything, batch)


class DeclaresTooMuch(Fault):
    """``compact`` is declared and not there."""

    breaks = ("ENG-CAP-1",)
    steps = 0
    features = frozenset({Capability.COMPACT})
