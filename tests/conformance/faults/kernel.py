"""Faults of the Store: a broken kernel over a right engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dvidkit_conformance.planting import Fault

from dvidkit.batch import Batch
from dvidkit.errors import VersionConflict
from dvidkit.store import Store


class ForgetsEmptyValues(Fault):
    """``get`` takes an empty value for none."""

    breaks = ("KV-5",)

    class kernel(Store):
        def get(self, ctx: Any, tkey: bytes) -> bytes | None:
            return super().get(ctx, tkey) or None


class ExistsMeansNonEmpty(Fault):
    """``exists`` asks for a value that is not empty."""

    breaks = ("KV-10",)

    class kernel(Store):
        def exists(self, ctx: Any, tkey: bytes) -> bool:
            return bool(self.get(ctx, tkey))


class OpenRanges(Fault):
    """Ranges leave out their last TKey."""

    breaks = ("ORD-3",)

    class kernel(Store):
        def get_range(self, ctx: Any, first: bytes, last: bytes, **options: Any) -> Any:
            return [row for row in super().get_range(ctx, first, last, **options) if row[0] != last]


class RangesHideConflicts(Fault):
    """A range leaves out what is in conflict and says nothing."""

    breaks = ("MERGE-4",)

    class kernel(Store):
        def get_range(self, ctx: Any, first: bytes, last: bytes, **options: Any) -> Any:
            try:
                return super().get_range(ctx, first, last, **options)
            except VersionConflict as error:
                return error.result


class ConflictTakesFirst(Fault):
    """In a conflict some value is returned."""

    breaks = ("MERGE-4",)

    class kernel(Store):
        def get(self, ctx: Any, tkey: bytes) -> bytes | None:
            try:
                return super().get(ctx, tkey)
            except VersionConflict:
                return b""


class DeleteRangeOneByOne(Fault):
    """``delete_range`` deletes what is not in conflict before it raises."""

    breaks = ("MERGE-4",)
    steps = 6

    class kernel(Store):
        def delete_range(self, ctx: Any, first: bytes, last: bytes, **options: Any) -> None:
            try:
                super().delete_range(ctx, first, last, **options)
            except VersionConflict as error:
                for tkey in error.result:
                    self.delete(ctx, tkey)
                raise


class DeleteRangeOpen(Fault):
    """``delete_range`` leaves its last TKey."""

    breaks = ("DEL-2",)

    class kernel(Store):
        def delete_range(self, ctx: Any, first: bytes, last: bytes, **options: Any) -> None:
            for tkey in self.keys_in_range(ctx, first, last):
                if tkey != last:
                    self.delete(ctx, tkey)


class NeedlessTombstones(Fault):
    """``delete_range`` writes a tombstone for every TKey that was ever there."""

    breaks = ("TOMB-8",)

    class kernel(Store):
        def delete_range(self, ctx: Any, first: bytes, last: bytes, **options: Any) -> None:
            super().delete_range(ctx, first, last, **options)
            if hasattr(ctx, "ancestry"):
                span = (ctx.prefix + first, ctx.prefix + last + b"\xff" * 9)
                for tkey in {key[5:-9] for key, _ in list(self.raw_range_query(*span, keys_only=True))}:
                    if first <= tkey <= last:
                        self.delete(ctx, tkey)


class DeleteLeavesTheValue(Fault):
    """A delete sets the tombstone and leaves the version's own value."""

    breaks = ("TOMB-5",)

    class kernel(Store):
        def delete(self, ctx: Any, tkey: bytes, **options: Any) -> None:
            if hasattr(ctx, "tombstone"):
                self.raw_put(ctx.prefix + tkey + ctx.tombstone, b"")
            else:
                super().delete(ctx, tkey, **options)


class PutLeavesTheTombstone(Fault):
    """A put does not clear its version's tombstone."""

    breaks = ("TOMB-4",)

    class kernel(Store):
        def put(self, ctx: Any, tkey: bytes, value: bytes, **options: Any) -> None:
            if hasattr(ctx, "tombstone"):
                self.raw_put(ctx.prefix + tkey + ctx.suffix, value)
            else:
                super().put(ctx, tkey, value, **options)


class BatchCommitsOnError(Fault):
    """A ``with`` block that raises commits what it has."""

    breaks = ("BATCH-1",)
    steps = 0

    class kernel(Store):
        def new_batch(self, ctx: Any) -> Batch:
            class Eager(Batch):
                def __exit__(self, *error: object) -> None:
                    self.commit()

            return Eager(self, ctx)


class PutRangeOneByOne(Fault):
    """``put_range`` puts one by one as it reads its pairs."""

    breaks = ("BATCH-1",)
    steps = 0

    class kernel(Store):
        def put_range(self, ctx: Any, pairs: Iterable[tuple[bytes, bytes]], **options: Any) -> None:
            for tkey, value in pairs:
                self.put(ctx, tkey, value, **options)


class DeleteAllKeepsTombstones(Fault):
    """``delete_all`` removes values only."""

    breaks = ("DEL-3",)

    class kernel(Store):
        def delete_all(self, ctx: Any, **options: Any) -> None:
            span = (ctx.prefix, ctx.prefix + b"\xff" * 300)
            for key, _ in list(self.raw_range_query(*span)):
                if key[-1] == 0x03:
                    self.raw_delete(key)


class DeleteAllTakesTheNext(Fault):
    """``delete_all`` goes one instance too far."""

    breaks = ("INST-2",)

    class kernel(Store):
        def delete_all(self, ctx: Any, **options: Any) -> None:
            super().delete_all(ctx, **options)
            following = b"\x01" + min(ctx.instance + 1, 0xFFFFFFFF).to_bytes(4, "big")
            for key, _ in list(self.raw_range_query(following, following + b"\xff" * 300)):
                self.raw_delete(key)


class VersionIsAsked(Fault):
    """``get_version`` is the version that was asked for."""

    breaks = ("VER-8",)

    class kernel(Store):
        def get_version(self, ctx: Any, tkey: bytes) -> Any:
            return getattr(ctx, "version", 0) if self.exists(ctx, tkey) else None


class ChecksNothing(Fault):
    """Checksums are cut off and not looked at."""

    breaks = ("REP-3",)
    steps = 0

    class kernel(Store):
        def get(self, ctx: Any, tkey: bytes) -> bytes | None:
            stored = self._access.get(ctx.prefix + tkey + getattr(ctx, "suffix", b""))
            return None if stored is None else stored[:-4]
