"""Faults that only the death of the process shows."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, encoded

from dvidkit.engine import Batch, Loss
from dvidkit.errors import StoreLocked
from dvidkit.keys import instance_range
from dvidkit.store import Store


class SavedStore(ToyStore):
    """The toy store, made safe: every write is in the file, whole, before it returns."""

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        super().write(batch, durable=durable, expect=expect)
        self.save()

    def save(self) -> None:
        assert self.claim is not None
        replace(self.claim.data / self.file, self.rows)


def replace(path: Path, rows: Any) -> None:
    """The file is the old one or the new one."""
    new = path.with_suffix(".new")
    new.write_bytes(encoded(rows))
    os.replace(new, path)


class CrashFault(Fault):
    """A fault of an engine that promises to survive kill -9."""

    steps = 0
    store = SavedStore
    loss = Loss.PROCESS
    profile = "ci"


class AcknowledgesFirst(CrashFault):
    """A write is acknowledged before it is in the file; the next one brings it there."""

    breaks = ("DUR-4",)

    class store(SavedStore):
        def save(self) -> None:
            late, self.late = getattr(self, "late", self.rows), self.rows
            assert self.claim is not None
            replace(self.claim.data / self.file, self.rows if self.closed else late)


class BufferedWaitsInTheProcess(CrashFault):
    """What is buffered comes to the file with the next durable write, or with ``close``."""

    breaks = ("DUR-4",)
    profile = "quick"

    class store(SavedStore):
        def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
            ToyStore.write(self, batch, durable=durable, expect=expect)
            if durable:
                self.save()


class TornBatch(CrashFault):
    """A batch goes to the file change by change."""

    breaks = ("BATCH-9",)

    class store(SavedStore):
        def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
            super().write([], durable=durable, expect=expect)
            for change in batch:
                super().write([change], durable=durable)


class LosesTheLast(CrashFault):
    """Recovery drops the last write, as if its record were torn."""

    breaks = ("DUR-4",)

    class store(SavedStore):
        def save(self) -> None:
            assert self.claim is not None
            path = self.claim.data / self.file
            link = path.with_suffix(".link")
            link.unlink(missing_ok=True)  # a kill fell between the next two
            if self.closed:
                path.with_suffix(".before").unlink(missing_ok=True)
            elif path.exists():
                os.link(path, link)
                os.replace(link, path.with_suffix(".before"))
            super().save()

        def load(self, path: Path) -> None:
            before = path.with_suffix(".before")
            super().load(before if before.exists() else path)


class RaisesTheDead(CrashFault):
    """What was deleted since the store was opened is back after a crash."""

    breaks = ("DUR-4",)

    class store(SavedStore):
        def save(self) -> None:
            assert self.claim is not None
            self.ever = {**getattr(self, "ever", {}), **self.rows}
            replace(self.claim.data / self.file, self.rows if self.closed else self.ever)


class RecoversOnce(CrashFault):
    """Recovery takes the file away, and a crash before it is back leaves nothing."""

    breaks = ("DUR-6",)

    class store(SavedStore):
        def load(self, path: Path) -> None:
            super().load(path)
            path.unlink(missing_ok=True)
            time.sleep(0.03)
            replace(path, self.rows)


class StaleLock(CrashFault):
    """After a crash the store says that it is still open."""

    breaks = ("DUR-4",)

    class store(SavedStore):
        def load(self, path: Path) -> None:
            lock = path.with_suffix(".lock")
            if lock.exists():
                raise StoreLocked("the store is open", engine="toy", owner="somebody who died")
            super().load(path)
            lock.touch()

        def save(self) -> None:
            super().save()
            assert self.claim is not None
            if self.closed:
                (self.claim.data / self.file).with_suffix(".lock").unlink(missing_ok=True)


class DiesRecovering(CrashFault):
    """The process dies when it opens what a crash has left."""

    breaks = ("DUR-4",)

    class store(SavedStore):
        def load(self, path: Path) -> None:
            super().load(path)
            if self.rows and not path.with_suffix(".closed").exists():
                os.abort()
            path.with_suffix(".closed").unlink(missing_ok=True)

        def save(self) -> None:
            super().save()
            assert self.claim is not None
            if self.closed:
                (self.claim.data / self.file).with_suffix(".closed").touch()


class DeletesTooMuch(CrashFault):
    """``delete_range`` first deletes the whole instance and then puts back what is outside of the range."""

    breaks = ("DEL-6",)

    class kernel(Store):
        def delete_range(self, ctx: Any, first: bytes, last: bytes, *, durable: bool | None = None) -> None:
            super().delete_range(ctx, first, last, durable=durable)
            begin, end = instance_range(ctx.instance)
            kept = [(key, value) for key, value in self.raw_range_query(begin, end) if value is not None]
            for some in range(0, len(kept), 40):
                self.raw_write([(key, None) for key, _ in kept[some : some + 40]])
            time.sleep(0.05)
            for some in range(0, len(kept), 40):
                self.raw_write(kept[some : some + 40])
