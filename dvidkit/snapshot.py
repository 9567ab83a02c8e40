"""Reads of one instant of a store: for one call, or for as long as somebody holds them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dvidkit.access import Access
from dvidkit.context import VersionedContext
from dvidkit.engine import Snapshot
from dvidkit.errors import StoreClosed
from dvidkit.holders import without_holders
from dvidkit.lifecycle import Lifecycle, Refusing, keep_for_ever
from dvidkit.reading import Reader

if TYPE_CHECKING:
    from dvidkit.store import Store


class Instant(AbstractContextManager[Access]):
    """A snapshot for the length of one call. In a forked child it is left alone: its locks may be held for ever."""

    __slots__ = ("_access", "_life", "_snapshot")

    def __init__(self, snapshot: Snapshot, life: Lifecycle) -> None:
        self._snapshot = snapshot
        self._life = life
        self._access = Access(snapshot, life.engine.capabilities.features)

    def __enter__(self) -> Access:
        return self._access

    def __exit__(self, *error: object) -> None:
        if self._life.in_child:
            keep_for_ever(self._snapshot)
        else:
            self._snapshot.close()


class StoreSnapshot(Reader):
    """All reads of a store, of one instant. Use as a context manager or call ``close``; dropping it closes it too."""

    def __init__(self, store: Store, life: Lifecycle, snapshot: Snapshot) -> None:
        self._snapshot: Snapshot | None = snapshot
        self._use(Access(snapshot, store.engine.capabilities.features))
        self._sealed = store.record.integrity
        self._capabilities = store.engine.capabilities
        self._limits = store.engine.limits
        self._total = store.monitor.counters
        first: dict[VersionedContext, bytes] = {}
        self._look_first(first, without_holders(first))
        self._life = life
        life.watch(self)

    def _ended(self, begun: Access) -> bool:
        return self._access is not begun or self._life.closed

    def forked(self, refusing: Access) -> Snapshot | None:
        """In a forked child: refuse every read; the engine's snapshot, which must not even be freed, is handed over."""
        snapshot, self._snapshot = self._snapshot, None
        self._use(refusing)
        return snapshot

    def close(self) -> None:
        """Release the view. Idempotent; afterwards every read, and the next step of a range, raises ``StoreClosed``."""
        if self._snapshot is not None:
            if not self._life.closed:
                self._use(Refusing(self._closed_error))
            self._snapshot.close()

    def _closed_error(self) -> StoreClosed:
        return StoreClosed("the snapshot is closed", engine=self._life.engine.name, path=self._life.config.path)

    def __enter__(self) -> StoreSnapshot:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
