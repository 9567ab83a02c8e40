"""Counters of what a store has read and written, as DVID's ``storage.Monitor`` reports them to ``/api/load``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counters:
    """Totals since the store was opened. Kept without a lock: under many threads a count may be missed.

    Attributes:
        gets: point and range reads answered (DVID: GET requests).
        puts: batches written (DVID: PUT requests).
        key_bytes_read, key_bytes_written: bytes of full keys.
        value_bytes_read, value_bytes_written: bytes of stored values; reads count ranges and ``get_many``, where
            counting costs nothing beside the work.
    """

    gets: int = 0
    puts: int = 0
    key_bytes_read: int = 0
    key_bytes_written: int = 0
    value_bytes_read: int = 0
    value_bytes_written: int = 0


class Monitor:
    """A store's counters, and their rates since the last time somebody asked.

    Attributes:
        counters: the totals a store adds to; ``total`` is what to read.
    """

    def __init__(self, gets: Callable[[], int]) -> None:
        self.counters = Counters()
        self._gets = gets
        self._last = Counters()
        self._since = time.monotonic()

    @property
    def total(self) -> Counters:
        """The totals as of now."""
        self.counters.gets = self._gets()
        return self.counters

    def per_second(self) -> dict[str, float]:
        """Each counter's growth per second since the previous call (since opening, at the first)."""
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        rates = {}
        total = self.total
        for field in fields(Counters):
            value = getattr(total, field.name)
            rates[field.name] = (value - getattr(self._last, field.name)) / seconds
            setattr(self._last, field.name, value)
        self._since = now
        return rates
