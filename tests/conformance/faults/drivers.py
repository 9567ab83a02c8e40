"""Bugs of real drivers, as measured in plyvel 1.5, py-lmdb 3.0 and rocksdict 0.3, made anew on the toy engine."""

from __future__ import annotations

import copy
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyStore, ToyView, encoded

from dvidkit.engine import Limits, StoreConfig
from dvidkit.errors import CorruptData
from dvidkit.store import Store
from dvidkit.storedir import StoreDirectory


# --- rocksdict -------------------------------------------------------------------------------------------------------
class LowerBoundIsUpper(Fault):
    """The lower bound of a range is taken for its upper one, as rocksdict's option takes it."""

    breaks = ("ENG-SCAN-2",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(key for key in self.rows if key < begin)


class UpperBoundDangles(Fault):
    """The upper bound of a range is not there any more when it is compared, as rocksdict's pointer to it is not."""

    breaks = ("ENG-SCAN-2",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return sorted(key for key in self.rows if key >= begin) if begin < end else []


class InvertedRangePoisons(Fault):
    """After an inverted ``delete_range`` nothing can be written any more; RocksDB needs to be opened again."""

    breaks = ("ENG-DELR-2",)

    class store(ToyStore):
        poisoned = False

        def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
            self.poisoned = self.poisoned or begin > end
            super().delete_range(begin, end, durable=durable)

        def write(self, *args: Any, **options: Any) -> None:
            if self.poisoned:
                raise RuntimeError("Invalid argument: end key comes before start key")
            super().write(*args, **options)


class InvertedRangeDeletes(Fault):
    """An inverted ``delete_range`` deletes what lies between its ends."""

    breaks = ("ENG-DELR-2",)

    class store(ToyStore):
        def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
            super().delete_range(min(begin, end), max(begin, end), durable=durable)


class ShortSeeksFindNothing(Fault):
    """A range whose begin is shorter than three bytes is empty, as with RocksDB's ``prefix_same_as_start``."""

    breaks = ("ENG-SCAN-2",)

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return super().select(begin, end) if len(begin) >= 3 else []


class IteratorsKeepItOpen(Fault):
    """As long as an iterator lives, a closed store stays locked, as rocksdict's does."""

    breaks = ("OPN-4",)
    steps = 0

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            rows = Rows(super().walk(keys, keys_only=keys_only))
            self.store.alive.add(rows)  # type: ignore[attr-defined]
            return rows

    class store(ToyStore):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.alive: weakref.WeakSet[Any] = weakref.WeakSet()

        def close(self) -> None:
            if self.alive and self.claim is not None:
                self.save()
                self.closed = True
            else:
                super().close()


class Rows:
    """An iterator that can be referred to weakly."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self.rows)


# --- damage ----------------------------------------------------------------------------------------------------------
class CheckedStore(ToyStore):
    """Each row has a checksum of its own, so that a damaged one is one row's loss: it is kept as ``None``."""

    def load(self, path: Path) -> None:
        if self.claim is not None and self.claim.created:
            self.save()
            return
        try:
            self.rows = dict(map(self.row, path.read_bytes().splitlines()))
        except (FileNotFoundError, ValueError) as error:
            raise CorruptData("rows cannot be told apart") from error

    def row(self, line: bytes) -> tuple[bytes, Any]:
        """Key and value of a line, ``None`` if its checksum fails."""
        crc, key, value = line.split(b" ")
        whole = crc == b"%08x" % zlib.crc32(key + value)
        return bytes.fromhex(key.decode("ascii")), bytes.fromhex(value.decode("ascii")) if whole else None

    def save(self) -> None:
        if self.claim is not None:
            pairs = [(key.hex().encode(), value.hex().encode()) for key, value in sorted(self.rows.items())]
            lines = [b"%08x %b %b\n" % (zlib.crc32(key + value), key, value) for key, value in pairs]
            (self.claim.data / self.file).write_bytes(b"".join(lines))


class ScansEndAtDamage(Fault):
    """A damaged row is left out of scans without a word, as rocksdict's iterators end at a damaged block."""

    breaks = ("REP-4",)
    steps = 0
    store = CheckedStore

    class view(ToyView):
        def select(self, begin: bytes, end: bytes) -> list[bytes]:
            return [key for key in super().select(begin, end) if self.rows[key] is not None]

        def get(self, key: bytes, /) -> bytes | None:
            return self.whole(key, super().get(key))

        def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Any:
            keys = sorted(key for key in self.rows if floor <= key < end)
            found = keys and self.whole(keys[-1], self.rows[keys[-1]])
            return None if not keys else keys[-1] if keys_only else (keys[-1], found)

        def whole(self, key: bytes, value: Any) -> Any:
            if key in self.rows and value is None:
                raise CorruptData("a row is damaged", key=key)
            return value


class LoggedStore(ToyStore):
    """The last write of a life is in a log, which the next life puts into the rows."""

    def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
        self.before = self.rows
        super().write(batch, durable=durable, expect=expect)

    def save(self) -> None:
        if self.claim is None:
            return
        before = getattr(self, "before", self.rows)
        last = {key: self.rows.get(key) for key in self.rows.keys() | before if self.rows.get(key) != before.get(key)}
        (self.claim.data / self.file).write_bytes(encoded(before))
        (self.claim.data / "last.log").write_bytes(encoded(last))  # type: ignore[arg-type]

    def load(self, path: Path) -> None:
        super().load(path)
        if self.claim is not None and not self.claim.created:
            for key, value in self.log(path.with_name("last.log")).items():
                self.apply(self.rows, [(key, value)])

    def log(self, path: Path) -> dict[bytes, Any]:
        """What the log holds."""
        rows, self.rows = self.rows, {}
        try:
            ToyStore.load(self, path)
            return self.rows
        finally:
            self.rows = rows


class LostLogIsEmpty(Fault):
    """A log that is not there any more is taken for an empty one, as by LevelDB and RocksDB."""

    breaks = ("REP-4",)
    steps = 0

    class store(LoggedStore):
        def log(self, path: Path) -> dict[bytes, Any]:
            return super().log(path) if path.exists() else {}


class DamagedLogIsEmpty(Fault):
    """What is damaged in a log is dropped, as LevelDB does by default."""

    breaks = ("REP-4",)
    steps = 0

    class store(LoggedStore):
        def log(self, path: Path) -> dict[bytes, Any]:
            try:
                return super().log(path)
            except CorruptData:
                return {}


class MadeAnew(Fault):
    """A store whose list of files is gone is made anew, as LevelDB does without ``CURRENT``."""

    breaks = ("REP-4",)
    steps = 0

    class store(ToyStore):
        def load(self, path: Path) -> None:
            if path.exists():
                super().load(path)
            else:
                self.save()


# --- py-lmdb ---------------------------------------------------------------------------------------------------------
class NoneIsEmpty(Fault):
    """``None`` is stored as ``b""``, as py-lmdb does."""

    breaks = ("KV-9",)
    steps = 0

    class kernel(Store):
        def put(self, ctx: Any, tkey: bytes, value: Any, **options: Any) -> None:
            super().put(ctx, tkey, b"" if value is None else value, **options)


class NumbersAreNuls(Fault):
    """A number is stored as so many NUL bytes, as ``bytes(5)`` is."""

    breaks = ("KV-9",)
    steps = 0

    class kernel(Store):
        def put(self, ctx: Any, tkey: bytes, value: Any, **options: Any) -> None:
            super().put(ctx, tkey, bytes(value) if isinstance(value, int) else value, **options)


class KeysCutAt511(Fault):
    """Keys are cut at LMDB's 511 bytes, though more are declared."""

    breaks = ("ENG-LIM-1",)
    limits = Limits(max_key=2000)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, [(key[:511], value) for key, value in batch])

        def get(self, key: bytes, /) -> bytes | None:
            return super().get(key[:511])


class LongKeysAreAbsent(Fault):
    """Keys over 511 bytes are passed over, as by LMDB's ``get`` and ``delete``, though more are declared."""

    breaks = ("ENG-LIM-1",)
    limits = Limits(max_key=2000)

    class store(ToyStore):
        def apply(self, rows: dict[bytes, bytes], batch: Any) -> None:
            super().apply(rows, [(key, value) for key, value in batch if len(key) <= 511])


class DeletingSkips(Fault):
    """An iterator counts rows as they are now: what is deleted on the way makes it skip, as with LMDB's cursors."""

    breaks = ("ENG-SCAN-7",)

    class view(ToyView):
        def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
            gone = 0
            for n in range(len(keys)):
                self.check()
                there = self.store.rows
                gone += n > 0 and keys[n - 1] not in there
                if n + gone < len(keys):
                    key = keys[n + gone]
                    yield key if keys_only else (key, self.rows[key])


class ReadersRunOut(Fault):
    """The hundredth reader is refused by the driver's own error, for slots of readers that were dropped stay taken."""

    breaks = ("LIM-8",)
    steps = 0

    class store(ToyStore):
        slots = 0

        def snapshot(self) -> ToyView:
            self.slots += 1
            if self.slots > 126:
                raise RuntimeError("MDB_READERS_FULL: Environment maxreaders limit reached")
            return super().snapshot()


# --- plyvel ----------------------------------------------------------------------------------------------------------
class ReverseLosesBegin(Fault):
    """A reverse scan leaves out the row at its begin, as plyvel's does."""

    breaks = ("ENG-SCAN-5",)

    class view(ToyView):
        def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
            return super().scan(begin + b"\x00" if reverse else begin, end, reverse=reverse, keys_only=keys_only)


class WritesPartOfABatch(Fault):
    """What comes before the bad change of a batch is written as the error goes by, as by plyvel's ``write_batch``."""

    breaks = ("ENG-WRITE-5",)
    steps = 0

    class store(ToyStore):
        def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
            good = []
            try:
                for key, value in batch:
                    if not isinstance(key, bytes) or not isinstance(value, bytes | None):
                        raise TypeError("keys and values are bytes")
                    good.append((key, value))
            finally:
                super().write(good, durable=durable, expect=expect)


class LockedByName(Fault):
    """The lock is of the path as it was given: by a symbolic link the store opens twice, as LevelDB and RocksDB do."""

    breaks = ("ENG-OPEN-3",)
    steps = 0

    class store(ToyStore):
        claims: ClassVar[dict[str, StoreDirectory]] = {}

        def claimed(self, config: StoreConfig) -> StoreDirectory:
            if not Path(config.path).is_symlink():
                self.claims[config.path] = StoreDirectory(config, config.engine, 1)
                return self.claims[config.path]
            claim = copy.copy(self.claims[str(Path(config.path).resolve())])
            claim._fds, claim._signed, claim.created = [], False, False
            return claim
