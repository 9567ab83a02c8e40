"""Faults of opening and of looking after a store, which a blind trial brought."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any, ClassVar

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyEngine, ToyStore

from dvidkit.engine import Capability, StoreConfig
from dvidkit.errors import StoreLocked
from dvidkit.storedir import StoreDirectory


class CompactingLosesEmpty(Fault):
    """Compaction takes rows with empty values for deleted ones."""

    breaks = ("ENG-COMPACT-1",)
    features = ToyEngine.features | {Capability.COMPACT}

    class store(ToyStore):
        def compact(self, begin: bytes, end: bytes, /) -> None:
            self.rows = {key: value for key, value in self.rows.items() if value or not begin <= key < end}


class CompactingChangesViews(Fault):
    """What is written after a compaction is seen by the snapshots before it."""

    breaks = ("ENG-COMPACT-1",)
    steps = 6
    features = ToyEngine.features | {Capability.COMPACT}

    class store(ToyStore):
        compacted = False

        def compact(self, begin: bytes, end: bytes, /) -> None:
            self.compacted = True

        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            before = self.rows
            super().write(batch, durable=durable, expect=expect)
            if self.compacted:
                before.clear()
                before.update(self.rows)
                self.rows, self.compacted = before, False


class _Backed(ToyStore):
    """The toy store with a right backup."""

    def rows_of_now(self) -> Any:
        return dict(self.rows)

    def backup(self, path: str, /) -> None:
        self.now().check()
        other = _Backed(StoreConfig("toy", path), persistent=True)
        other.rows = {**other.rows, **self.rows_of_now()}
        other.close()


class BackupOfAThousand(Fault):
    """A backup has the first thousand rows."""

    breaks = ("ENG-BACKUP-1",)
    steps = 0
    features = ToyEngine.features | {Capability.BACKUP}

    class store(_Backed):
        def backup(self, path: str, /) -> None:
            if os.path.exists(path):
                raise StoreLocked("something is there", path=path, engine="toy", owner="")
            super().backup(path)

        def rows_of_now(self) -> Any:
            return dict(islice(sorted(self.rows.items()), 1000))


class BackupIntoAStore(Fault):
    """A backup to a path where a store is adds its rows to that."""

    breaks = ("ENG-BACKUP-1",)
    steps = 0
    features = ToyEngine.features | {Capability.BACKUP}

    class store(_Backed):
        pass


class LockedByName(Fault):
    """What is open is known by its path as it was given, once links are resolved; a relative path is another."""

    breaks = ("ENG-OPEN-3",)
    steps = 0

    class store(ToyStore):
        held: ClassVar[set[str]] = set()

        def claimed(self, config: StoreConfig) -> StoreDirectory | None:
            name = os.path.realpath(config.path) if config.path.startswith("/") else config.path
            if name in self.held:
                raise StoreLocked("open already", path=name, engine="toy", owner="")
            claim = _Unlocked(config, config.engine, 1)
            self.held.add(name)
            self.name = name
            return claim

        def close(self) -> None:
            super().close()
            self.held.discard(self.name)


class _Unlocked(StoreDirectory):
    """A directory that anybody may have at once."""

    def _lock(self, *, exclusive: bool) -> None:
        """Nothing."""


class RefusedButHeld(Fault):
    """A store whose file is damaged is refused, and stays locked."""

    breaks = ("REP-4",)
    steps = 0

    class store(ToyStore):
        kept: ClassVar[list[int]] = []

        def load(self, path: Any) -> None:
            try:
                super().load(path)
            except BaseException:
                assert self.claim is not None
                self.kept.append(os.dup(self.claim._fds[0]))
                raise
