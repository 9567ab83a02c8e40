"""Faults of writing: batches, expectations, limits, deletes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, ToyView

from dvidkit.engine import Limits
from dvidkit.errors import ConflictError


class NotAtomic(Fault):
    """Changes are made one by one; an error leaves the first of them."""

    breaks = ("ENG-WRITE-5",)
    steps = 0

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            self.now().check()
            self.expected(expect or {})
            for change in batch:
                super().write([change], durable=durable)


class FirstWins(Fault):
    """Of several changes to one key the first holds."""

    breaks = ("ENG-WRITE-2",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, list(reversed(batch)))


class PutsBeforeDeletes(Fault):
    """All deletes of a batch come after all puts."""

    breaks = ("ENG-WRITE-2",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, sorted(batch, key=lambda change: change[1] is None))


class BorrowedIsKept(Fault):
    """A borrowed value is looked at when it is read, not when it is written."""

    breaks = ("ENG-BORROW-1",)
    steps = 0
    persistent = False

    class store(ToyStore):
        def apply(self, rows: dict[bytes, Any], batch: Any) -> None:
            rows.update(batch)
            for key in [key for key, value in rows.items() if value is None]:
                del rows[key]

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            for row in super().walk(keys, keys_only=keys_only):
                yield row if keys_only else (row[0], bytes(row[1]))


class BorrowedComesBack(Fault):
    """What is read is the view that was written, over a copy of its bytes."""

    breaks = ("ENG-BORROW-1",)
    steps = 0
    persistent = False

    class store(ToyStore):
        def apply(self, rows: dict[bytes, Any], batch: Any) -> None:
            super().apply(rows, batch)
            lent = [(key, value) for key, value in batch if isinstance(value, memoryview)]
            rows.update((key, memoryview(bytes(value))) for key, value in lent)


class ExpectIgnored(Fault):
    """Expectations are not looked at."""

    breaks = ("ENG-EXPECT-1",)

    class store(ToyStore):
        def expected(self, expect: Mapping[bytes, bytes | None]) -> None:
            return


class ExpectAfterwards(Fault):
    """The batch is applied and then the expectation is checked: refused, but there."""

    breaks = ("ENG-EXPECT-1",)

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            before = dict(self.rows)
            super().write(batch, durable=durable)
            if any(before.get(key) != value for key, value in (expect or {}).items()):
                raise ConflictError("changed meanwhile", key=b"")


class ExpectFirstOnly(Fault):
    """Only the first expectation is checked."""

    breaks = ("ENG-EXPECT-3",)

    class store(ToyStore):
        def expected(self, expect: Mapping[bytes, bytes | None]) -> None:
            super().expected(dict(list(expect.items())[:1]))


class ExpectEmptyIsAbsent(Fault):
    """An empty value meets the expectation of none."""

    breaks = ("ENG-EXPECT-2",)

    class store(ToyStore):
        def expected(self, expect: Mapping[bytes, bytes | None]) -> None:
            for key, value in expect.items():
                if (self.rows.get(key) or None) != (value or None):
                    raise ConflictError("changed meanwhile", key=key)


class ExpectOfTheBatch(Fault):
    """Expectations are compared with what the batch makes."""

    breaks = ("ENG-EXPECT-4",)

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            rows = dict(self.rows)
            self.apply(rows, batch)
            if any(rows.get(key) != value for key, value in (expect or {}).items()):
                raise ConflictError("changed meanwhile", key=b"")
            super().write(batch, durable=durable)


class KeepsTheBatch(Fault):
    """The caller's list is kept and written at the next read."""

    breaks = ("ENG-WRITE-7",)
    steps = 0

    class store(ToyStore):
        waiting: Any = ()

        def now(self) -> ToyView:
            waiting, self.waiting = self.waiting, ()
            if waiting:
                rows = dict(self.rows)
                self.apply(rows, waiting)
                self.rows = rows
            return super().now()

        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            self.now().check()
            self.expected(expect or {})
            self.waiting = batch


class KeysCut(Fault):
    """Keys are cut at 255 bytes."""

    breaks = ("ENG-GET-4",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, [(key[:255], value) for key, value in batch])

        def get(self, key: bytes, /) -> bytes | None:
            return super().get(key[:255])


class KeysFolded(Fault):
    """Keys differ by more than case only."""

    breaks = ("ENG-GET-4",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, [(key.lower(), value) for key, value in batch])

        def get(self, key: bytes, /) -> bytes | None:
            return super().get(key.lower())


class DeletesExtensions(Fault):
    """A delete takes every key that begins with its key."""

    breaks = ("ENG-WRITE-3",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            for key, value in batch:
                if value is None:
                    for other in [other for other in rows if other.startswith(key)]:
                        del rows[other]
                else:
                    rows[key] = value


class DeleteOfAbsentRaises(Fault):
    """Deleting what is absent is an error."""

    breaks = ("ENG-WRITE-3",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            for key, value in batch:
                if value is None:
                    del rows[key]
                else:
                    rows[key] = value


class BatchCapped(Fault):
    """Changes after the first 1,000 of a batch are dropped."""

    breaks = ("ENG-WRITE-6",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, batch[:1000])


class DeleteRangeInclusive(Fault):
    """``delete_range`` takes its end."""

    breaks = ("ENG-DELR-1",)

    class store(ToyStore):
        def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
            super().delete_range(begin, end + b"\0", durable=durable)


class InvertedDeleteRangeRaises(Fault):
    """``delete_range`` of an inverted range raises, as RocksDB's does."""

    breaks = ("ENG-DELR-2",)

    class store(ToyStore):
        def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
            if begin > end:
                raise ValueError("end key comes before start key")
            super().delete_range(begin, end, durable=durable)


class LimitsNotHonoured(Fault):
    """2,000 bytes of key are declared and 500 taken."""

    breaks = ("ENG-LIM-1",)
    limits = Limits(max_key=2000)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            if any(len(key) > 500 for key, _ in batch):
                raise ValueError("key too long")
            super().apply(rows, batch)


class ValuesCut(Fault):
    """Values are cut at 65,535 bytes."""

    breaks = ("ENG-LIM-2", "ENG-GET-5")

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, [(key, value if value is None else value[:65_535]) for key, value in batch])


class NulEndsValues(Fault):
    """Values end at their first NUL byte."""

    breaks = ("ENG-GET-5",)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, [(key, value if value is None else value.split(b"\0")[0]) for key, value in batch])
