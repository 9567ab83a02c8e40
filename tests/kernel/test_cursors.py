"""Pooled cursors, and stores built on them, over a driver that says when it is misused."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dvidkit.cursors import Cursor, Pages
from dvidkit.cursorstore import CursorStore, CursorView, _InChild
from dvidkit.engine import Batch, Item, OpenReport, StoreConfig
from dvidkit.errors import ConflictError, StoreClosed, StoreError, StorePoisoned
from dvidkit.storedir import StoreDirectory


class Driver:
    """Rows in a dict; knows how many cursors are open, and may be told to fail."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.open = 0
        self.closed = False
        self.fails: StoreError | None = None


class DictCursor(Cursor):
    """A copy of the rows."""

    __slots__ = ("_driver", "_rows")

    def __init__(self, driver: Driver) -> None:
        assert not driver.closed
        if driver.fails is not None:
            raise driver.fails
        driver.open += 1
        self._driver = driver
        self._rows = dict(sorted(driver.rows.items()))

    def get(self, key: bytes) -> bytes | None:
        assert not self._driver.closed
        if key == b"bad":
            self.spoil()
            raise StoreError("bad", engine="dict", path="")
        return self._rows.get(key)

    def last_before(self, end: bytes, floor: bytes, keys_only: bool = False) -> Item | bytes | None:
        found = [row for row in self._rows.items() if floor <= row[0] < end]
        return (found[-1][0] if keys_only else found[-1]) if found else None

    def first_from(self, begin: bytes, end: bytes, keys_only: bool = False) -> Item | bytes | None:
        found = [row for row in self._rows.items() if begin <= row[0] < end]
        return (found[0][0] if keys_only else found[0]) if found else None

    def pages(self, begin: bytes, end: bytes, *, reverse: bool, keys_only: bool) -> Pages:
        for row in self._rows.items():
            if begin <= row[0] < end:
                yield [row[0] if keys_only else row]

    def last_of_groups(self, begin: bytes, end: bytes, ceiling: bytes, *, keys_only: bool) -> Pages:
        yield from self.pages(begin, end, reverse=False, keys_only=keys_only)

    def close(self) -> None:
        assert not self._driver.closed
        self._driver.open -= 1


class DictStore(CursorStore):
    """A store of one dict."""

    def __init__(self, path: Path) -> None:
        directory = StoreDirectory(StoreConfig("dict", str(path)), "dict", 1)
        directory.made()
        self.driver = Driver()
        super().__init__(directory, OpenReport(created=True))

    def _cursor(self) -> Cursor:
        return DictCursor(self.driver)

    def _apply(self, batch: Batch, *, durable: bool) -> None:
        if self.driver.fails is not None:
            raise self.driver.fails
        for key, value in batch:
            self.driver.rows.pop(key, None)
            if value is not None:
                self.driver.rows[key] = value

    def _shut(self) -> None:
        assert self.driver.open == 0
        self.driver.closed = True


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DictStore]:
    """A store with three rows."""
    store = DictStore(tmp_path / "store")
    store.write([(b"a", b"1"), (b"b", b"2"), (b"c", b"3")], durable=False)
    yield store
    store.close()


def test_one_cursor_serves_many_reads(store: DictStore) -> None:
    """Reads one after the other share a cursor; a commit has it exchanged."""
    for _ in range(10):
        assert store.get(b"a") == b"1"
        assert store.get_many([b"a", b"x"]) == [b"1", None]
        assert store.seek_last_before(b"c", b"a") == (b"b", b"2")
        assert store.seek_first_from(b"b", b"z", keys_only=True) == b"b"
    assert store.driver.open == 1
    store.write([(b"a", b"new")], durable=False)
    assert store.driver.open == 0
    assert store.get(b"a") == b"new"


def test_snapshot_reads_as_the_store_did(store: DictStore) -> None:
    """Every read, of the instant at which the snapshot was taken."""
    view = store.snapshot()
    store.delete_range(b"a", b"c", durable=False)
    store.delete_range(b"a", b"c", durable=False)
    assert view.get_many([b"a", b"x"]) == [b"1", None]
    assert view.seek_last_before(b"c", b"a") == (b"b", b"2")
    assert view.seek_first_from(b"b", b"z", keys_only=True) == b"b"
    assert list(view.scan_last_before(b"a", b"z", b"x")) == [[(b"a", b"1")], [(b"b", b"2")], [(b"c", b"3")]]
    assert list(store.scan_last_before(b"a", b"z", b"x", keys_only=True)) == [[b"c"]]
    assert list(store.scan_pages(b"a", b"z", keys_only=True)) == [[b"c"]]
    with pytest.raises(ConflictError):
        store.write([(b"c", None)], durable=False, expect={b"c": b"3", b"a": b"1"})
    store.write([(b"c", None)], durable=False, expect={b"c": b"3", b"a": None})
    assert store.get(b"c") is None


def test_cursor_out_during_a_commit_is_not_used_again(store: DictStore) -> None:
    """Given back after the commit it is closed, and the next read sees the commit."""
    cursor = store.cursors.take()
    store.write([(b"a", b"new")], durable=False)
    assert cursor.get(b"a") == b"1"
    store.cursors.give(cursor)
    assert store.get(b"a") == b"new"
    assert store.seek_last_before(b"b", b"a") == (b"a", b"new")
    stale = store.cursors.take()
    store.cursors.commit += 1
    store.cursors.idle.append(stale)
    assert store.seek_last_before(b"b", b"a") == (b"a", b"new")
    fresh = store.cursors.take()
    assert fresh is not stale
    store.cursors.give(fresh)


def test_spoiled_cursor_is_not_used_again(store: DictStore) -> None:
    """After an error of the driver the cursor is closed."""
    with pytest.raises(StoreError):
        store.get(b"bad")
    assert store.driver.open == 0
    assert store.get(b"a") == b"1"


def test_cursor_that_cannot_be_made(store: DictStore) -> None:
    """The error goes to the caller, and nothing is waited for at the end."""
    store.driver.fails = StoreError("no", engine="dict", path="")
    for call in (lambda: store.get(b"a"), store.snapshot):
        with pytest.raises(StoreError, match="no"):
            call()
    store.close()
    assert store.driver.closed


def test_failed_write(store: DictStore) -> None:
    """No write of any kind is taken after it, and reads go on."""
    store.driver.fails = StoreError("disk", engine="dict", path="")
    with pytest.raises(StoreError, match="disk"):
        store.write([(b"a", b"new")], durable=False)
    store.driver.fails = None
    for call in (
        lambda: store.write([(b"a", b"new")], durable=False),
        lambda: store.write([], durable=False),
        lambda: store.delete_range(b"a", b"c", durable=False),
    ):
        with pytest.raises(StorePoisoned, match="disk"):
            call()
    assert list(store.scan(b"a", b"z")) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]


def test_close_waits_for_whoever_is_reading(store: DictStore) -> None:
    """Close returns once the last cursor that is out has come back, and whoever is inside has left."""
    cursor = store.cursors.take()
    inside = store.cursors.inside()
    inside.__enter__()
    closing = threading.Thread(target=store.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    store.cursors.give(cursor)
    closing.join(0.1)
    assert closing.is_alive()
    with pytest.raises(StoreClosed):
        store.get(b"a")
    with pytest.raises(StoreClosed), store.cursors.inside():
        pass
    assert not store.driver.closed
    inside.__exit__(None, None, None)
    closing.join(10)
    assert store.driver.closed


def test_lost_cursor_is_not_waited_for(store: DictStore) -> None:
    """A cursor that was dropped is no reason to wait; a driver frees what is dropped."""
    store.cursors.take()
    gc.collect()
    store.driver.open = 0
    store.close()


def test_dropped_snapshot_is_closed(store: DictStore) -> None:
    """Dropped, with a scan of it or without, a snapshot gives its cursor up; a scan keeps it."""
    scan = store.snapshot().scan(b"a", b"z", keys_only=True)
    assert next(scan) == b"a"
    assert store.snapshot().get(b"a") == b"1"
    assert store.driver.open == 1
    del scan
    assert store.driver.open == 0


def test_everything_after_close(store: DictStore) -> None:
    """Store, snapshot and every iterator raise ``StoreClosed``."""
    view = store.snapshot()
    iterators: list[Any] = [
        store.scan(b"a", b"z"),
        view.scan_pages(b"a", b"z"),
        view.scan_last_before(b"a", b"z", b"x"),
    ]
    for iterator in iterators:
        next(iterator)
    store.close()
    assert store.driver.closed
    for iterator in iterators:
        with pytest.raises(StoreClosed):
            next(iterator)
    for call in (
        lambda: view.get(b"a"),
        lambda: view.get_many([b"a"]),
        lambda: view.seek_last_before(b"b", b"a"),
        lambda: view.seek_first_from(b"b", b"a"),
        lambda: store.write([], durable=False),
        store.snapshot,
    ):
        with pytest.raises(StoreClosed):
            call()
    view.close()
    store.close()


def test_forked_child(store: DictStore) -> None:
    """What the child may not do is refused there; nothing of the driver is closed. Engines' tests do fork."""
    view = store.snapshot()
    scan = store.scan(b"a", b"z")
    next(scan)
    store.get(b"a")
    before = store.driver.open
    store.directory.forget()
    _InChild(store)()
    for call in (
        lambda: store.get(b"a"),
        lambda: view.get(b"a"),
        lambda: next(scan),
        lambda: store.write([(b"a", b"x")], durable=False),
        store.snapshot,
    ):
        with pytest.raises(StoreClosed, match="fork"):
            call()
    view.close()
    store.close()
    assert store.driver.open == before
    assert not store.driver.closed


def test_a_snapshot_that_is_closed_while_a_scan_begins(store: DictStore) -> None:
    """Is closed: the cursor is looked at once, however often another thread may take it away meanwhile."""
    store.write([(b"a", b"1")], durable=True)

    class Taken(CursorView):
        """Loses its cursor as soon as somebody looks at it."""

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if name == "_cursor":
                self._cursor = None
            return found

    with closing(store.snapshot()) as view:
        taken = Taken(store, view._open())
        with pytest.raises(StoreClosed):
            list(taken.scan_pages(b"", b"z"))
