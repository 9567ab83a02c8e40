"""Faults that a blind trial brought: views that live long, full pages, long keys, bounds within a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyEngine, ToyStore, ToyView

from dvidkit.engine import Batch, Capability, StoreConfig
from dvidkit.errors import ReadOnlyStore, StoreClosed, StoreError


class _Counting(ToyStore):
    """Counts its writes."""

    writes = 0

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        super().write(batch, durable=durable, expect=expect)
        self.writes += 1


class TiresAfterManyWrites(Fault):
    """A snapshot holds for a hundred writes; after that its ``get`` is of now."""

    breaks = ("ENG-SNAP-1",)
    steps = 130

    class view(ToyView):
        def __init__(self, rows: Any, store: Any) -> None:
            super().__init__(rows, store)
            self.since = store.writes

        def get(self, key: bytes, /) -> bytes | None:
            self.check()
            store: Any = self.store
            return (store.rows if store.writes - self.since > 100 else self.rows).get(key)

    class store(_Counting):
        pass


class SnapshotUsedAgain(Fault):
    """With more than fifty keys, a snapshot is given again as long as there are as many."""

    breaks = ("ENG-SNAP-1",)
    steps = 6

    class store(ToyStore):
        kept: ToyView | None = None

        def snapshot(self) -> ToyView:
            kept = self.kept
            if kept is None or kept.closed or not 50 < len(self.rows) == len(kept.rows):
                self.kept = kept = super().snapshot()
            return kept


class OneSnapshotForTwo(Fault):
    """Two snapshots of one instant are one object, so closing one closes the other."""

    breaks = ("ENG-SNAP-2",)

    class store(ToyStore):
        kept: ToyView | None = None

        def snapshot(self) -> ToyView:
            if self.kept is None or self.kept.closed or self.kept.rows is not self.rows:
                self.kept = super().snapshot()
            return self.kept


class OneCursor(Fault):
    """Iterators of one view stand at one place."""

    breaks = ("ENG-SCAN-3",)
    steps = 8

    class view(ToyView):
        place = 0

        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            self.place = 0
            while self.place < len(keys):
                self.check()
                key = keys[self.place]
                self.place += 1
                yield key if keys_only else (key, self.rows[key])


class FullPagesLoseOne(Fault):
    """Where the rows fill pages of 1,000 to the last, the last row is lost."""

    breaks = ("ENG-PAGES-1",)

    class view(ToyView):
        def scan_pages(
            self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
        ) -> Iterator[list[Any]]:
            rows = list(self.scan(begin, end, reverse=reverse, keys_only=keys_only))
            if rows and len(rows) % 1000 == 0:
                rows.pop()
            return iter([rows] if rows else [])


class RepeatedKeysSlip(Fault):
    """``get_many`` of more than 500 keys answers repeated ones out of place."""

    breaks = ("ENG-MANY-1",)

    class view(ToyView):
        def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
            once = list(dict.fromkeys(keys))
            return super().get_many([*once, *keys[len(once) :]] if len(keys) > 500 else keys)


class GroupsWidened(Fault):
    """``scan_last_before`` begins at the beginning of the group of its bound."""

    breaks = ("ENG-LAST-1",)

    class view(ToyView):
        def scan_last_before(
            self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
        ) -> Iterator[list[Any]]:
            size = len(ceiling)
            begin = begin[:-size] + b"\0" * size if len(begin) > size else begin
            return super().scan_last_before(begin, end, ceiling, keys_only=keys_only)


class LongKeysDescending(Fault):
    """Descending, keys of more than 256 bytes are left out."""

    breaks = ("ENG-LIM-1",)

    class view(ToyView):
        def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
            keys = self.select(begin, end)
            self.check()
            return self.walk([key for key in keys[::-1] if len(key) <= 256] if reverse else keys, keys_only=keys_only)


class LastChunkOfOneByte(Fault):
    """Values are cut into chunks of a mebibyte; a last chunk of one byte is lost."""

    breaks = ("ENG-LIM-2",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Batch) -> None:
            for key, value in batch:
                odd = value is not None and len(value) > 1 << 20 and len(value) % (1 << 20) == 1
                super().apply(rows, [(key, value[:-1] if value is not None and odd else value)])


class LargeOnesAsByteArrays(Fault):
    """``get_many`` gives values of more than 64 KiB as ``bytearray``."""

    breaks = ("ENG-LIM-2",)

    class view(ToyView):
        def get_many(self, keys: Sequence[bytes], /) -> list[Any]:
            found = super().get_many(keys)
            return [bytearray(value) if value is not None and len(value) > 1 << 16 else value for value in found]


class ExpectationsOfTheBatchOnly(Fault):
    """With more than sixteen changes, only expectations of keys that are changed are checked."""

    breaks = ("ENG-EXPECT-3",)

    class store(ToyStore):
        def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
            if expect and len(batch) > 16:
                changed = {key for key, _ in batch}
                expect = {key: value for key, value in expect.items() if key in changed}
            super().write(batch, durable=durable, expect=expect)


class NothingIsAlwaysAnswered(Fault):
    """Asked for no key, ``get_many`` answers even when it is closed."""

    breaks = ("ENG-CLOSE-2", "ENG-CLOSE-3", "ENG-SNAP-3")

    class view(ToyView):
        def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
            return super().get_many(keys) if keys else []


class SizesOfTheClosed(Fault):
    """``approximate_sizes`` answers after ``close``."""

    breaks = ("ENG-CLOSE-2",)
    steps = 0

    class store(ToyStore):
        def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
            return [len(self.view(self.rows, self).select(*span)) for span in ranges]


class TextLeavesAPart(Fault):
    """A value that is no bytes is noticed when it comes; what stood before it is stored."""

    breaks = ("ENG-WRITE-5",)
    steps = 0

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Batch) -> None:
            for key, value in batch:
                if isinstance(value, str):
                    self.rows = rows
                    raise StoreError("a value is no bytes")
                super().apply(rows, [(key, value)])


class EndsQuietlyWhenClosed(Fault):
    """An iterator that has given more than ten rows takes the close of its store for the end of the range."""

    breaks = ("ENG-CLOSE-3",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            given = 0
            try:
                for row in super().walk(keys, keys_only=keys_only):
                    given += 1
                    yield row
            except StoreClosed:
                if given <= 10:
                    raise


class ReadOnlyBorrowsTheFile(Fault):
    """A store that is opened read-only takes its file away, and puts it back when it is closed."""

    breaks = ("ENG-RO-1",)
    steps = 0
    features = ToyEngine.features | {Capability.READ_ONLY}

    class store(ToyStore):
        def __init__(self, config: StoreConfig, *, persistent: bool) -> None:
            self.read_only = config.read_only
            super().__init__(config, persistent=persistent)
            if self.read_only and self.claim is not None:
                (self.claim.data / self.file).unlink()

        def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
            if self.read_only:
                raise ReadOnlyStore("opened read-only")
            super().write(batch, durable=durable, expect=expect)
