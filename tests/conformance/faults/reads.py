"""Faults of reading: ranges, order, values, views."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, ToyView


class InclusiveEnd(Fault):
    """``scan`` includes its end."""

    breaks = ("ENG-SCAN-2",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(key for key in self.rows if begin <= key <= end)


class ExclusiveBegin(Fault):
    """``scan`` leaves out its begin."""

    breaks = ("ENG-SCAN-2",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(key for key in self.rows if begin < key < end)


class PrefixConfusion(Fault):
    """``scan`` takes keys that begin with its end."""

    breaks = ("ENG-SCAN-2",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(key for key in self.rows if begin <= key < end or (key.startswith(end) and begin < end))


class ReverseAscends(Fault):
    """``reverse`` is ignored."""

    breaks = ("ENG-SCAN-5",)

    class view(ToyView):
        def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
            return super().scan(begin, end, keys_only=keys_only)


class ReverseIncludesEnd(Fault):
    """A reverse scan begins at its end, included."""

    breaks = ("ENG-SCAN-5",)

    class view(ToyView):
        def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
            return super().scan(begin, end + b"\0" if reverse else end, reverse=reverse, keys_only=keys_only)


class SignedBytes(Fault):
    """Bytes are compared as signed numbers."""

    breaks = ("ENG-SCAN-1",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(super().select(begin, end), key=lambda key: [(byte ^ 0x80) for byte in key])


class Shortlex(Fault):
    """Shorter keys come first."""

    breaks = ("ENG-SCAN-1",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(super().select(begin, end), key=lambda key: (len(key), key))


class InsertionOrder(Fault):
    """Keys come in the order in which they were written."""

    breaks = ("ENG-SCAN-1",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return [key for key in self.rows if begin <= key < end]


class DropsEmptyValues(Fault):
    """A scan leaves out rows whose value is empty."""

    breaks = ("ENG-GET-3",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return [key for key in super().select(begin, end) if self.rows[key]]


class EmptyIsAbsent(Fault):
    """``get`` takes an empty value for none."""

    breaks = ("ENG-GET-3",)

    class view(ToyView):
        def get(self, key: bytes, /) -> bytes | None:
            return super().get(key) or None


class MissingIsEmpty(Fault):
    """``get`` of a missing key is ``b""``."""

    breaks = ("ENG-GET-1",)

    class view(ToyView):
        def get(self, key: bytes, /) -> bytes | None:
            return super().get(key) or b""


class KeysOnlyIsEmpty(Fault):
    """``keys_only`` reads nothing."""

    breaks = ("ENG-SCAN-6",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            return iter(()) if keys_only else super().walk(keys, keys_only=False)


class KeysOnlyIgnored(Fault):
    """``keys_only`` yields pairs."""

    breaks = ("ENG-SCAN-6",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            return super().walk(keys, keys_only=False)


class LiveSnapshots(Fault):
    """A snapshot reads what is there now."""

    breaks = ("ENG-SNAP-1",)

    class store(ToyStore):
        def snapshot(self) -> Any:
            view = super().snapshot()
            self.views = [*getattr(self, "views", []), view]
            return view

        def write(self, *args: Any, **options: Any) -> None:
            super().write(*args, **options)
            for view in getattr(self, "views", []):
                view.rows = self.rows


class LiveIterators(Fault):
    """An iterator reads values as they are when it comes to them."""

    breaks = ("ENG-SCAN-7",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            for key in keys:
                self.check()
                value = self.store.rows.get(key)
                if value is not None:
                    yield key if keys_only else (key, value)


class LastPageLost(Fault):
    """A scan of more than 1,000 rows loses the last, incomplete page."""

    breaks = ("ENG-SCAN-3",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            keys = super().select(begin, end)
            return keys[: len(keys) // 1000 * 1000] if len(keys) > 1000 else keys


class PageBorderTwice(Fault):
    """The row at each page border comes twice."""

    breaks = ("ENG-SCAN-3",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            keys = super().select(begin, end)
            return [key for n, key in enumerate(keys) for _ in range(2 if n and n % 128 == 0 else 1)]


class ShortScan(Fault):
    """A scan ends in silence after 500 rows."""

    breaks = ("ENG-SCAN-3",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return super().select(begin, end)[:500]


class ReturnsBytearray(Fault):
    """``get`` returns a ``bytearray``."""

    breaks = ("ENG-GET-5",)

    class view(ToyView):
        def get(self, key: bytes, /) -> Any:
            value = super().get(key)
            return None if value is None else bytearray(value)


class ReturnsMemoryview(Fault):
    """``scan`` yields values as ``memoryview``."""

    breaks = ("ENG-GET-5",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            for row in super().walk(keys, keys_only=keys_only):
                yield row if keys_only else (row[0], memoryview(row[1]))


class InvertedRangeRaises(Fault):
    """An inverted range is an error."""

    breaks = ("ENG-SCAN-4",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            if begin > end:
                raise ValueError("end key comes before start key")
            return super().select(begin, end)


class SeekLastIncludesEnd(Fault):
    """``seek_last_before`` is off by one: it finds its end."""

    breaks = ("ENG-SEEK-1",)

    class view(ToyView):
        def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Any:
            return super().seek_last_before(end + b"\0", floor, keys_only=keys_only)


class SeekIgnoresFloor(Fault):
    """``seek_last_before`` goes below its floor."""

    breaks = ("ENG-SEEK-1",)

    class view(ToyView):
        def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Any:
            return super().seek_last_before(end, b"", keys_only=keys_only)


class SeekFirstIgnoresEnd(Fault):
    """``seek_first_from`` goes past its end."""

    breaks = ("ENG-SEEK-2",)

    class view(ToyView):
        def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Any:
            return super().seek_first_from(begin, b"\xff" * 9, keys_only=keys_only)


class LastAtCeiling(Fault):
    """``scan_last_before`` takes the row at its ceiling."""

    breaks = ("ENG-LAST-1",)

    class view(ToyView):
        def scan_last_before(self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False) -> Any:
            size = len(ceiling)
            last = {row[0][:-size]: row for row in self.scan(begin, end) if row[0][-size:] <= ceiling}
            yield [row[0] if keys_only else row for row in last.values()]


class ManySorted(Fault):
    """``get_many`` answers in the order of the keys."""

    breaks = ("ENG-MANY-1",)

    class view(ToyView):
        def get_many(self, keys: Any, /) -> Any:
            return super().get_many(sorted(keys))


class ManyWithoutAbsent(Fault):
    """``get_many`` leaves out what is not there."""

    breaks = ("ENG-MANY-1",)

    class view(ToyView):
        def get_many(self, keys: Any, /) -> Any:
            return [value for value in super().get_many(keys) if value is not None]


class PagesLoseReverse(Fault):
    """``scan_pages`` reverses each page and not the pages."""

    breaks = ("ENG-PAGES-1",)

    class view(ToyView):
        def scan_pages(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Any:
            for page in super().scan_pages(begin, end, keys_only=keys_only):
                yield page[::-1] if reverse else page


class StaleMethods(Fault):
    """``seek_last_before`` belongs to the state of the moment it was looked up, not called."""

    breaks = ("ENG-SEEK-1",)

    class store(ToyStore):
        def __getattribute__(self, name: str) -> Any:
            if name == "seek_last_before":
                return self.now().seek_last_before
            return super().__getattribute__(name)


class LendsOfNow(Fault):
    """``lend`` of a snapshot shows what was written since."""

    breaks = ("ENG-LEND-1",)

    class view(ToyView):
        @contextmanager
        def lend(self, keys: Any, /) -> Iterator[Any]:
            yield self.store.get_many(keys)


class LendsWithoutAbsent(Fault):
    """``lend`` leaves out what is not there."""

    breaks = ("ENG-LEND-1",)

    class view(ToyView):
        @contextmanager
        def lend(self, keys: Any, /) -> Iterator[Any]:
            yield [value for value in self.get_many(keys) if value is not None]


class LendsWritable(Fault):
    """What is lent can be written to."""

    breaks = ("ENG-LEND-1",)
    steps = 0

    class view(ToyView):
        @contextmanager
        def lend(self, keys: Any, /) -> Iterator[Any]:
            yield [None if value is None else memoryview(bytearray(value)) for value in self.get_many(keys)]
