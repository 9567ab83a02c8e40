"""Reads of one instant of a store: for one call, or for as long as somebody holds them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from dvidkit.access import Access
from dvidkit.engine import Capability, Snapshot
from dvidkit.lifecycle import Lifecycle
from dvidkit.reading import Reader

if TYPE_CHECKING:
    from dvidkit.store import Store


class Instant(AbstractContextManager[Access]):
    """A snapshot for the length of one call."""

    __slots__ = ("_access", "_snapshot")

    def __init__(self, snapshot: Snapshot, features: frozenset[Capability]) -> None:
        self._snapshot = snapshot
        self._access = Access(snapshot, features)

    def __enter__(self) -> Access:
        return self._access

    def __exit__(self, *error: object) -> None:
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
        life.watch(self)

    def forked(self, refusing: Access) -> Snapshot | None:
        """In a forked child: refuse every read; the engine's snapshot, which must not even be freed, is handed over."""
        snapshot, self._snapshot = self._snapshot, None
        self._use(refusing)
        return snapshot

    def close(self) -> None:
        """Release the view. Idempotent."""
        if self._snapshot is not None:
            self._snapshot.close()

    def __enter__(self) -> StoreSnapshot:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
