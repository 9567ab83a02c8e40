"""Engines that are wrong only when the system fails them. A fresh interpreter imports this module by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvidkit_conformance.toy import ToyEngine, ToyStore, encoded

from dvidkit.engine import Batch, Loss, StoreConfig
from dvidkit.storedir import os_error, sync_directory


class Safe(ToyStore):
    """The toy store, made safe: a write is on the disk, whole, before it returns; nothing is wrong with it."""

    def __init__(self, config: StoreConfig, *, persistent: bool) -> None:
        try:
            super().__init__(config, persistent=persistent)
        except OSError as error:
            self.give_up()
            raise os_error(error, "cannot open", "toy", config.path) from error
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        """Whatever happened: the directory is not held any more."""
        self.closed = True
        if getattr(self, "claim", None) is not None:
            self.claim.release()  # type: ignore[union-attr]

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        before = self.rows
        try:
            super().write(batch, durable=durable, expect=expect)
            self.save()
        except BaseException:
            self.rows = before
            raise

    def save(self) -> None:
        assert self.claim is not None
        path = self.claim.data / self.file
        try:
            self.put(path, encoded(self.rows))
            sync_directory(path.parent)
        except OSError as error:
            raise os_error(error, "cannot write", "toy", str(path)) from error

    def put(self, path: Path, data: bytes) -> None:
        """The file is the old one or the new one."""
        new = path.with_suffix(".new")
        with open(new, "wb") as file:
            file.write(data)
            file.flush()
            self.sync(file.fileno())
        os.replace(new, path)

    def sync(self, fd: int) -> None:
        """Wait for the disk."""
        os.fsync(fd)

    def close(self) -> None:
        with self.writing:
            if not self.closed:
                self.give_up()


class IgnoresSync(Safe):
    """That the disk was waited for in vain is overlooked."""

    def sync(self, fd: int) -> None:
        with suppress(OSError):
            os.fsync(fd)


class RetriesSync(Safe):
    """A wait that failed is tried again, and what comes then is believed: the pages may have been dropped."""

    def sync(self, fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            os.fsync(fd)


class LeavesErrors(Safe):
    """The system's errors come out as they are."""

    def save(self) -> None:
        assert self.claim is not None
        self.put(self.claim.data / self.file, encoded(self.rows))


class WritesInPlace(Safe):
    """The file is cut and written anew: if that fails, what it held is gone."""

    def put(self, path: Path, data: bytes) -> None:
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


class BelievesShortWrites(Safe):
    """It is not looked at how much was written."""

    def put(self, path: Path, data: bytes) -> None:
        new = path.with_suffix(".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(new, path)


class SkipsSyncs(Safe):
    """Every third write is not waited for; nothing needs to fail to show it."""

    count = 0

    def sync(self, fd: int) -> None:
        self.count += 1
        if self.count % 3:
            os.fsync(fd)


class WritesChanges(Safe):
    """Nothing is wrong with it: what is there already is not written again, so there is nothing to wait for."""

    def save(self) -> None:
        if getattr(self, "saved", None) != self.rows:
            super().save()
            self.saved = self.rows


class LargeOnesInParts(Safe):
    """A batch of more than a thousand changes is written in two parts."""

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        with self.writing:
            super().write(batch[:1000], durable=durable, expect=expect)
            if len(batch) > 1000:
                super().write(batch[1000:], durable=durable)


FAULTS = (IgnoresSync, RetriesSync, LeavesErrors, WritesInPlace, BelievesShortWrites)


def engine(store: Any) -> ToyEngine:
    """The toy engine with this store."""
    return ToyEngine(store, loss=Loss.POWER)
