"""A small, slow, right engine that is easy to break: the ground on which faults are planted.

Rows are a dictionary that is replaced, never changed, by each write; a view is one such dictionary. On disk it is one
file. It implements every optional reading protocol in the plainest way.
"""

from __future__ import annotations

import pickle
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from dvidkit.engine import Batch, Capabilities, Capability, Engine, Item, Limits, Loss, OpenReport, StoreConfig
from dvidkit.errors import BadConfig, ConflictError, CorruptData, StoreClosed
from dvidkit.storedir import StoreDirectory

Rows = Mapping[bytes, bytes]
_PAGE = 100
_PAGE_BYTES = 1 << 20


def encoded(rows: Rows) -> bytes:
    """The file: ``crc32 of the rest u32 big-endian | pickle``."""
    data = pickle.dumps(rows)
    return zlib.crc32(data).to_bytes(4, "big") + data


class ToyView:
    """Reads of one state of the rows; of a store that is closed, none."""

    def __init__(self, rows: Rows, store: ToyStore) -> None:
        self.rows = rows
        self.store = store
        self.closed = False

    def check(self) -> None:
        """Raise ``StoreClosed`` if the view or its store is."""
        if self.closed or self.store.closed:
            raise StoreClosed("the store is closed", engine="toy")

    def select(self, begin: bytes, end: bytes) -> list[bytes]:
        """Keys of a half-open range, ascending."""
        return sorted(key for key in self.rows if begin <= key < end)

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        self.check()
        return self.rows.get(key)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        self.check()
        keys = self.select(begin, end)
        return self.walk(keys[::-1] if reverse else keys, keys_only=keys_only)

    def walk(self, keys: list[bytes], *, keys_only: bool) -> Iterator[Any]:
        """One row after the other, as long as the store is open."""
        for key in keys:
            self.check()
            yield key if keys_only else (key, self.rows[key])

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self.closed = True

    # --- optional ----------------------------------------------------------------------------------------------------

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader``."""
        self.check()
        return [self.get(key) for key in keys]

    @contextmanager
    def lend(self, keys: Sequence[bytes], /) -> Iterator[Sequence[bytes | memoryview | None]]:
        """See ``Lender``."""
        self.check()
        found = [self.rows.get(key) for key in keys]
        views = [None if value is None else memoryview(value) for value in found]
        yield views
        for view in filter(None, views):
            view.release()

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader``."""
        return next(self.scan(floor, end, reverse=True, keys_only=keys_only), None)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Item | bytes | None:
        """See ``SeekReader``."""
        return next(self.scan(begin, end, keys_only=keys_only), None)

    def scan_pages(
        self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``PageReader``."""
        rows = self.scan(begin, end, reverse=reverse, keys_only=keys_only)
        page: list[Any] = []
        room = _PAGE_BYTES
        for row in rows:
            page.append(row)
            room -= 0 if keys_only else len(row[1])
            if len(page) == _PAGE or room <= 0:
                self.check()
                yield page
                page, room = [], _PAGE_BYTES
        if page:
            self.check()
            yield page

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader``."""
        size = len(ceiling)
        last = {row[0][:-size]: row for row in self.scan(begin, end) if row[0][-size:] < ceiling}
        if last:
            yield [row[0] if keys_only else row for row in last.values()]


class ToyStore:
    """The open store; every read is one of a view of now."""

    view: ClassVar[type[ToyView]] = ToyView
    file: ClassVar[str] = "rows.pickle"

    def __init__(self, config: StoreConfig, *, persistent: bool) -> None:
        if config.options:
            raise BadConfig("the toy engine has no options", setting="options")
        self.closed = False
        self.writing = threading.RLock()
        self.rows: dict[bytes, bytes] = {}
        self.claim = self.claimed(config) if persistent else None
        self.report = OpenReport(created=self.claim is None or self.claim.created)
        if self.claim is not None:
            try:
                self.load(self.claim.data / self.file)
                self.claim.made()
            except BaseException:
                self.claim.release()
                raise

    def claimed(self, config: StoreConfig) -> StoreDirectory | None:
        """The directory, locked."""
        return StoreDirectory(config, config.engine, 1)

    def load(self, path: Path) -> None:
        """Rows from the file."""
        if self.claim is not None and self.claim.created:
            self.save()
            return
        data = path.read_bytes() if path.exists() else b""
        if zlib.crc32(data[4:]).to_bytes(4, "big") != data[:4]:
            raise CorruptData(f"{path.name} is not what was written")
        self.rows = pickle.loads(data[4:])  # noqa: S301 - the toy's own file

    def save(self) -> None:
        """Rows to the file."""
        if self.claim is not None:
            (self.claim.data / self.file).write_bytes(encoded(self.rows))

    def now(self) -> ToyView:
        """A view of now."""
        return self.view(self.rows, self)

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        with self.writing:
            self.now().check()
            self.expected(expect or {})
            rows = dict(self.rows)
            self.apply(rows, batch)
            self.rows = rows

    def expected(self, expect: Mapping[bytes, bytes | None]) -> None:
        """Raise ``ConflictError`` where an expectation does not hold."""
        for key, value in expect.items():
            if self.rows.get(key) != value:
                raise ConflictError("changed meanwhile", key=key)

    def apply(self, rows: dict[bytes, bytes], batch: Batch) -> None:
        """Make the changes in order."""
        for key, value in batch:
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = bytes(value)

    def snapshot(self) -> ToyView:
        """See ``ByteStore.snapshot``."""
        self.now().check()
        return self.now()

    def close(self) -> None:
        """See ``ByteStore.close``."""
        with self.writing:
            if self.closed:
                return
            self.closed = True
            self.save()
            if self.claim is not None:
                self.claim.release()

    def get(self, key: bytes, /) -> bytes | None:
        """See ``ByteReader.get``."""
        return self.now().get(key)

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        """See ``ByteReader.scan``."""
        return self.now().scan(begin, end, reverse=reverse, keys_only=keys_only)

    def get_many(self, keys: Sequence[bytes], /) -> list[bytes | None]:
        """See ``ManyReader``."""
        return self.now().get_many(keys)

    def seek_last_before(self, end: bytes, floor: bytes, /, *, keys_only: bool = False) -> Any:
        """See ``SeekReader``."""
        return self.now().seek_last_before(end, floor, keys_only=keys_only)

    def seek_first_from(self, begin: bytes, end: bytes, /, *, keys_only: bool = False) -> Any:
        """See ``SeekReader``."""
        return self.now().seek_first_from(begin, end, keys_only=keys_only)

    def scan_pages(self, begin: bytes, end: bytes, /, **how: bool) -> Iterator[list[Any]]:
        """See ``PageReader``."""
        return self.now().scan_pages(begin, end, **how)

    def scan_last_before(
        self, begin: bytes, end: bytes, ceiling: bytes, /, *, keys_only: bool = False
    ) -> Iterator[list[Any]]:
        """See ``LastReader``."""
        return self.now().scan_last_before(begin, end, ceiling, keys_only=keys_only)

    def delete_range(self, begin: bytes, end: bytes, /, *, durable: bool) -> None:
        """See ``RangeDeleter``."""
        with self.writing:
            self.write([(key, None) for key in self.now().select(begin, end)], durable=durable)

    def approximate_sizes(self, ranges: Sequence[tuple[bytes, bytes]], /) -> list[int]:
        """See ``Sizer``."""
        view = self.now()
        view.check()
        return [sum(len(key) + len(self.rows[key]) for key in view.select(*span)) for span in ranges]


class ToyEngine(Engine):
    """The engine; its store's class is a parameter, so that another can be planted."""

    name = "toy"
    version = "0.1"
    summary = "small, slow and right"
    limits = Limits(max_key=2000, max_value=1 << 26, max_batch_ops=1 << 20, max_batch_bytes=1 << 30)
    features: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.GET_MANY,
            Capability.LEND,
            Capability.BORROW,
            Capability.SEEK,
            Capability.LAST,
            Capability.PAGES,
            Capability.DELETE_RANGE,
            Capability.SIZES,
        }
    )

    def __init__(
        self,
        store: type[ToyStore] = ToyStore,
        *,
        features: frozenset[Capability] | None = None,
        persistent: bool = True,
        limits: Limits | None = None,
        loss: Loss | None = None,
    ) -> None:
        self.store = store
        self.persistent = persistent
        self.limits = limits or self.limits  # type: ignore[misc]
        loss = loss or (Loss.CLOSE if persistent else Loss.NONE)
        self.capabilities = Capabilities(  # type: ignore[misc]
            self.features if features is None else features, durable=loss, buffered=loss
        )

    def open(self, config: StoreConfig) -> Any:
        """See ``Engine.open``."""
        return self.store(config, persistent=self.persistent)
