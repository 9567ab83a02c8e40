"""One wait for the disk for all who wait at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dvidkit.errors import StoreError


class GroupSync:
    """Makes durable what was written. While one thread waits for the disk, others write; the next wait is for them all.

    Attributes:
        ticket: number of the last write; ``wait`` for it once it is written.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._lock = threading.Lock()
        self._durable = 0
        self._failed: StoreError | None = None
        self.ticket = 0

    def written(self) -> None:
        """Count a write. Called by one writer at a time."""
        self.ticket += 1

    def wait(self, ticket: int) -> None:
        """Return when the write of this number, and all before it, are durable.

        Raises:
            StoreError: the disk failed. That is final: a second attempt might succeed without having written anything.
        """
        with self._lock:
            if self._failed is not None:
                raise self._failed
            if self._durable >= ticket:
                return
            reached = self.ticket
            try:
                self._flush()
            except StoreError as error:
                self._failed = error
                raise
            self._durable = reached
