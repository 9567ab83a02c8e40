"""Faults of a kernel whose engine fails."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dvidkit_conformance.planting import Fault

from dvidkit.errors import StoreError
from dvidkit.store import Store


class SwallowsErrors(Fault):
    """A write that failed is reported as done."""

    breaks = ("ERR-7",)
    steps = 0

    class kernel(Store):
        def write_pairs(self, ctx: Any, pairs: Any, *, durable: bool | None = None) -> None:
            try:
                super().write_pairs(ctx, pairs, durable=durable)
            except StoreError:
                if len(pairs) > 1:
                    raise


class WritesOneByOne(Fault):
    """A batch is written change by change; it is whole only while nothing fails."""

    breaks = ("ERR-7",)
    steps = 0

    class kernel(Store):
        def write_pairs(self, ctx: Any, pairs: Any, *, durable: bool | None = None) -> None:
            for pair in pairs:
                super().write_pairs(ctx, [pair], durable=durable)


class MissingOnError(Fault):
    """A read that fails answers that there is nothing."""

    breaks = ("ERR-7",)
    steps = 0

    class kernel(Store):
        def get(self, ctx: Any, tkey: bytes) -> bytes | None:
            try:
                return super().get(ctx, tkey)
            except StoreError:
                return None


class ShortOnError(Fault):
    """A range that cannot be read on ends there."""

    breaks = ("ERR-7",)
    steps = 0

    class kernel(Store):
        def get_range(self, ctx: Any, first: bytes, last: bytes, **how: Any) -> Any:
            rows: list[Any] = []
            with suppress(StoreError):
                rows.extend(self.iter_range(ctx, first, last))
            return rows


class NeverSuspect(Fault):
    """After a failed write the store goes on as if nothing had happened."""

    breaks = ("ERR-7",)
    steps = 0

    class kernel(Store):
        def write_pairs(self, ctx: Any, pairs: Any, *, durable: bool | None = None) -> None:
            try:
                super().write_pairs(ctx, pairs, durable=durable)
            finally:
                self._life._failure = None
