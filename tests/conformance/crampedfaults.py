"""Engines that are wrong only when memory is short. A fresh interpreter imports this module by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from callfaults import Safe

from dvidkit.engine import Batch


class Swallows(Safe):
    """A write for which there is no memory is acknowledged."""

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        before = self.rows
        try:
            super().write(batch, durable=durable, expect=expect)
        except MemoryError:
            self.rows = before


class Leaves(Safe):
    """That there is no memory comes out as something else."""

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        try:
            super().write(batch, durable=durable, expect=expect)
        except MemoryError as error:
            raise RuntimeError("no memory") from error


class Dies(Safe):
    """Without memory it ends the process; what was acknowledged is on the disk."""

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        try:
            super().write(batch, durable=durable, expect=expect)
        except MemoryError:
            os.abort()
