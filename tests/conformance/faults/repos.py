"""Faults that show in a repo: its records are metadata like any other to an engine, and are written again and again."""

from __future__ import annotations

from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore


class FirstValuesReturn(Fault):
    """What was written over in the metadata is back after reopening: locks, notes and heads are forgotten."""

    breaks = ("DAG-4",)
    steps = 3

    class store(ToyStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.first: dict[bytes, bytes] = {}
            super().__init__(*args, **options)

        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, batch)
            for key, value in batch:
                if key.startswith(b"\x00") and value is not None:
                    self.first.setdefault(key, value)

        def save(self) -> None:
            self.rows |= {key: value for key, value in self.first.items() if key in self.rows}
            super().save()
