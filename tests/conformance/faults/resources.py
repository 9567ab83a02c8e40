"""Faults that many keys, many openings or a full disk show."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, ToyView

from dvidkit.engine import Batch, Loss
from dvidkit.store import Store


class ScansAreCapped(Fault):
    """A scan ends after 4,000 rows."""

    breaks = ("LIM-3",)
    steps = 0

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            return itertools.islice(super().walk(keys, keys_only=keys_only), 4000)


class DescriptorsLeak(Fault):
    """Each opening keeps a descriptor."""

    breaks = ("LIM-5",)
    steps = 0
    isolate = True

    class store(ToyStore):
        def close(self) -> None:
            if not self.closed:
                os.open(os.devnull, os.O_RDONLY)
            super().close()


class DescriptorOfEachScan(Fault):
    """Pages that are not read to their end keep a descriptor."""

    breaks = ("LIM-5",)
    steps = 0
    isolate = True

    class view(ToyView):
        def scan_pages(
            self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
        ) -> Iterator[list[Any]]:
            held = os.open(os.devnull, os.O_RDONLY)
            yield from super().scan_pages(begin, end, reverse=reverse, keys_only=keys_only)
            os.close(held)


class MemoryOfEachGet(Fault):
    """Each ``get`` of an absent key keeps eight kilobytes."""

    breaks = ("LIM-5",)
    steps = 0
    isolate = True

    class store(ToyStore):
        def get(self, key: bytes, /) -> bytes | None:
            found = super().get(key)
            if found is None:
                self.kept = (getattr(self, "kept", None), bytearray(8192))
            return found


class SizesAreOfKeys(Fault):
    """Sizes count keys and no values."""

    breaks = ("SIZE-2",)
    steps = 0

    class store(ToyStore):
        def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
            return [sum(map(len, self.now().select(*span))) for span in ranges]


class PartsAreLarger(Fault):
    """The fewer rows a range has, the larger it is said to be."""

    breaks = ("SIZE-3",)
    steps = 0

    class store(ToyStore):
        def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
            return [1 << 20 >> min(20, len(self.now().select(*span)) // 16) for span in ranges]


class LosesWhatWasRefused(Fault):
    """On a full disk a refused write takes earlier rows with it."""

    breaks = ("DUR-7",)
    steps = 0
    loss = Loss.PROCESS

    class store(ToyStore):
        def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
            from dvidkit.errors import StoreFull

            if sum(len(value or b"") for _, value in batch) > 1 << 15 and len(self.rows) > 40:
                self.rows = dict(list(self.rows.items())[:-5])
                raise StoreFull("the disk is full", engine="toy")
            super().write(batch, durable=durable, expect=expect)


class RangesAskEveryVersion(Fault):
    """A range read asks for each TKey at every version of the DAG."""

    breaks = ("VER-12",)
    steps = 0

    class kernel(Store):
        def get_range(self, ctx: Any, first: bytes, last: bytes, **how: Any) -> Any:
            rows = super().get_range(ctx, first, last, **how)
            for _ in rows:
                for version in ctx.dag:
                    hash(version)
            return rows
