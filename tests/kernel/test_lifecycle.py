"""What a store does after a write failed, with an engine that fails on command."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dvidkit.context import MetadataContext
from dvidkit.engine import Batch, ByteStore, Capabilities, Capability, Engine, Loss, OpenReport, StoreConfig
from dvidkit.errors import (
    ConflictError,
    CorruptData,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StorePoisoned,
)
from dvidkit.store import Store

META = MetadataContext()


@dataclass
class Faults:
    """What is to go wrong, and what has happened."""

    on_write: BaseException | None = None
    on_open: BaseException | None = None
    opened: int = 0
    closed: int = 0
    slow_open: float = 0.0
    deaf: bool = False
    disk: dict[bytes, bytes] = field(default_factory=dict)


class FaultyStore:
    """Rows in a dictionary; like LevelDB after a full disk, it loses what is written after a failed write."""

    report = OpenReport()

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rows = dict(faults.disk)
        self._broken = False
        self._closed = False

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed("closed")

    def get(self, key: bytes, /) -> bytes | None:
        self._check()
        if self._broken and self._faults.deaf:
            raise StorePoisoned("nothing is answered until the store is opened again")
        return self._rows.get(key)

    def compact(self, begin: bytes, end: bytes, /) -> None:
        self._check()
        if self._broken:
            raise StorePoisoned("nothing is done until the store is opened again")

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        self._check()
        inside = sorted((item for item in self._rows.items() if begin <= item[0] < end), reverse=reverse)
        return iter([key for key, _ in inside] if keys_only else inside)

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        self._check()
        if self._faults.on_write is not None:
            self._broken |= not isinstance(self._faults.on_write, (ConflictError, StoreBusy))
            raise self._faults.on_write
        for key, value in batch:
            for rows in (self._rows,) if self._broken else (self._rows, self._faults.disk):
                rows.pop(key, None)
                if value is not None:
                    rows[key] = value

    def snapshot(self) -> Any:
        self._check()
        return FaultyStore(Faults(disk=self._rows))

    def close(self) -> None:
        self._closed = True
        self._faults.closed += 1


class FaultyEngine(Engine):
    """One store, wherever its path points."""

    name: ClassVar[str] = "faulty"
    capabilities: ClassVar[Capabilities] = Capabilities(
        frozenset({Capability.COMPACT}), durable=Loss.POWER, buffered=Loss.PROCESS
    )

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def open(self, config: StoreConfig) -> ByteStore:
        self.faults.opened += 1
        time.sleep(self.faults.slow_open)
        if self.faults.on_open is not None:
            raise self.faults.on_open
        return FaultyStore(self.faults)


@pytest.fixture
def faults() -> Faults:
    """Nothing goes wrong yet."""
    return Faults()


@pytest.fixture
def store(faults: Faults, tmp_path: Path) -> Iterator[Store]:
    """A store with one row."""
    with Store(FaultyEngine(faults), StoreConfig("faulty", str(tmp_path))) as store:
        store.put(META, b"k", b"before")
        yield store


def put_when_ready(store: Store, key: bytes, value: bytes) -> int:
    """Put as a patient client does: again after ``retry_after``; how often it was refused."""
    for refused in range(200):
        try:
            store.put(META, key, value)
        except StorePoisoned as error:
            time.sleep(min(error.retry_after, 5.0))
        else:
            return refused
    raise AssertionError("refused for ever")


def test_a_failed_write_poisons_writes_not_reads(store: Store, faults: Faults) -> None:
    """The failure is raised as it was; then writes raise ``StorePoisoned`` with it as the cause; reads go on."""
    faults.on_write = failure = StoreFull("no room")
    snapshot = store.snapshot()
    with pytest.raises(StoreFull):
        store.put(META, b"k", b"lost")
    assert store.suspect is failure
    with pytest.raises(StorePoisoned) as caught:
        store.put(META, b"k", b"refused")
    assert caught.value.__cause__ is failure
    assert store.get(META, b"k") == b"before"
    assert store.get_range(META, b"a", b"z") == [(b"k", b"before")]
    assert snapshot.get(META, b"k") == b"before"
    assert faults.opened == 1


def test_an_engine_that_is_poisoned_itself(store: Store, faults: Faults) -> None:
    """It failed in something that was no write of the kernel's: the store is suspect, says so, and comes back."""
    faults.on_write = StorePoisoned("upkeep has failed")
    with pytest.raises(StorePoisoned) as caught:
        store.put(META, b"k", b"refused")
    assert caught.value.retry_after > 0
    assert caught.value.__cause__ is faults.on_write
    faults.on_write = None
    put_when_ready(store, b"k", b"after")
    assert faults.opened == 2


def test_reads_that_the_failure_took_come_back(store: Store, faults: Faults) -> None:
    """An engine that answers nothing after a failed write is opened again by the next read that is due."""
    faults.on_write, faults.deaf = StoreError("the last page was not written"), True
    with pytest.raises(StoreError):
        store.put(META, b"k", b"lost")
    found = None
    for _ in range(200):
        try:
            found = store.get(META, b"k")
            break
        except StorePoisoned as error:
            time.sleep(min(error.retry_after, 5.0))
    assert found == b"before"
    assert faults.opened == 2
    assert store.suspect is None


def test_changes_of_what_was_read_wait_for_the_reopening(store: Store, faults: Faults) -> None:
    """A deletion of a range, or upkeep, on a suspect store: what it would read may not be what is there afterwards."""
    faults.on_write = StoreFull("no room")
    with pytest.raises(StoreFull):
        store.put(META, b"k", b"lost")
    faults.on_write, faults.on_open = None, StoreError("not yet")
    for refused in (lambda: store.delete_range(META, b"l", b"m"), store.compact):
        with pytest.raises(StorePoisoned) as caught:
            refused()
        assert caught.value.retry_after <= 5
    faults.on_open = None
    put_when_ready(store, b"k", b"after")
    store.compact()
    store.delete_range(META, b"a", b"z")
    assert store.get(META, b"k") is None


def test_upkeep_finds_the_engine_poisoned(store: Store, faults: Faults) -> None:
    """The kernel did not know that the engine had failed: upkeep makes the store suspect, and so it comes back."""
    store._life.bytes._broken = True  # type: ignore[attr-defined]
    with pytest.raises(StorePoisoned):
        store.compact()
    assert isinstance(store.suspect, StorePoisoned)
    put_when_ready(store, b"k", b"after")
    store.compact()
    assert faults.opened == 2


def test_writes_go_on_after_a_reopening(store: Store, faults: Faults) -> None:
    """Once the fault is gone the next write that is due reopens the store, and nothing acknowledged is ever lost.

    The engine of this test loses whatever is written between a failed write and a reopening.
    """
    faults.on_write = StoreFull("no room")
    with pytest.raises(StoreFull):
        store.put(META, b"k", b"lost")
    faults.on_write = None
    assert put_when_ready(store, b"k", b"after") >= 1
    assert faults.opened == 2
    assert store.suspect is None
    store.put(META, b"l", b"too")
    store.close()
    assert faults.opened == 2
    with Store(FaultyEngine(faults), StoreConfig("faulty", "")) as again:
        assert again.get_range(META, b"a", b"z") == [(b"k", b"after"), (b"l", b"too")]


def test_fails_again_after_the_reopening(store: Store, faults: Faults) -> None:
    """A fault that stays: one reopening for each failure, and the error is the fault's own again."""
    for n in range(3):
        faults.on_write = StoreFull("no room")
        with pytest.raises(StoreFull):
            put_when_ready(store, b"k", b"lost")
        assert faults.opened == n + 1
    assert store.get(META, b"k") == b"before"


@pytest.mark.parametrize("harmless", [ConflictError("changed", key=b"k"), StoreBusy("later"), ReadOnlyStore("no")])
def test_refusals_do_not_poison(store: Store, faults: Faults, harmless: Exception) -> None:
    """After a refusal that touched nothing the next write goes straight through."""
    faults.on_write = harmless
    with pytest.raises(type(harmless)):
        store.put(META, b"k", b"refused")
    faults.on_write = None
    store.put(META, b"k", b"after")
    assert faults.opened == 1
    assert store.suspect is None


@pytest.mark.parametrize("fault", [OSError(5, "EIO"), MemoryError(), StoreError("engine's own"), KeyboardInterrupt()])
def test_anything_else_does(store: Store, faults: Faults, fault: BaseException) -> None:
    """Whatever ends a write in the engine, a bug or ``Ctrl-C`` included, makes the store suspect."""
    faults.on_write = fault
    with pytest.raises(type(fault)):
        store.put(META, b"k", b"lost")
    faults.on_write = None
    assert store.suspect is not None
    put_when_ready(store, b"k", b"after")
    assert faults.opened == 2
    assert store.get(META, b"k") == b"after"


def test_reopening_fails(store: Store, faults: Faults) -> None:
    """While the store cannot be reopened reads and writes raise ``StorePoisoned``; then either brings it back."""
    faults.on_write = StoreFull("no room")
    with pytest.raises(StoreFull):
        store.put(META, b"k", b"lost")
    faults.on_write, faults.on_open = None, CorruptData("damaged")
    time.sleep(0.06)
    with pytest.raises(StorePoisoned):
        store.put(META, b"k", b"refused")
    attempts = faults.opened
    for call in (
        lambda: store.get(META, b"k"),
        lambda: store.get_range(META, b"a", b"z"),
        store.snapshot,
        lambda: store.put(META, b"k", b"refused"),
    ):
        with pytest.raises(StorePoisoned):
            call()
    assert faults.opened == attempts == 2
    faults.on_open = None
    time.sleep(0.15)
    assert store.get(META, b"k") == b"before"
    assert faults.opened == 3
    store.put(META, b"k", b"after")
    assert store.get_range(META, b"a", b"z") == [(b"k", b"after")]


def test_readers_wait_while_it_is_reopened(store: Store, faults: Faults) -> None:
    """Threads that read all the time see no error, only a delay, and never a state from before the failure."""
    stop = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                if store.get(META, b"k") not in (b"before", b"after") or len(store.get_range(META, b"a", b"z")) != 1:
                    wrong.append("value")
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    faults.slow_open = 0.1
    try:
        for _ in range(5):
            faults.on_write = StoreFull("no room")
            with pytest.raises(StoreFull):
                put_when_ready(store, b"k", b"lost")
            faults.on_write = None
            put_when_ready(store, b"k", b"after")
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_writers_that_come_together(store: Store, faults: Faults) -> None:
    """Eight threads at a store that fails now and then: each call raises or is there; the store comes back."""
    acknowledged: dict[bytes, bytes] = {}

    def write(thread: int) -> None:
        for n in range(40):
            key = b"%d-%d" % (thread, n)
            try:
                store.put(META, key, b"v")
            except (StoreFull, StorePoisoned):
                time.sleep(0.005)
            else:
                acknowledged[key] = b"v"

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for n in range(10):
        time.sleep(0.02)
        faults.on_write = StoreFull("no room") if n % 3 == 0 else None
    faults.on_write = None
    for thread in threads:
        thread.join(20)
    put_when_ready(store, b"end", b"")
    store.close()
    with Store(FaultyEngine(faults), StoreConfig("faulty", "")) as again:
        found = dict(again.get_range(META, b"0", b"9"))
    assert found == acknowledged


def test_close_while_poisoned(store: Store, faults: Faults) -> None:
    """A store that waits to be reopened can be closed; afterwards everything raises ``StoreClosed``."""
    faults.on_write = StoreFull("no room")
    with pytest.raises(StoreFull):
        store.put(META, b"k", b"lost")
    store.close()
    for call in (lambda: store.put(META, b"k", b"v"), lambda: store.get(META, b"k"), store.snapshot):
        with pytest.raises(StoreClosed):
            call()
    store.close()
    assert faults.closed == 1


def test_no_reopening_without_room(store: Store, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the store stays open for reads: some engines could not open it again."""
    faults.on_write = StoreFull("no room")
    with pytest.raises(StoreFull):
        store.put(META, b"k", b"lost")
    faults.on_write = None
    monkeypatch.setattr("dvidkit.lifecycle._ROOM_TO_REOPEN", 1 << 62)
    time.sleep(0.06)
    with pytest.raises(StorePoisoned):
        store.put(META, b"k", b"refused")
    assert store.get(META, b"k") == b"before"
    assert faults.opened == 1
    monkeypatch.undo()
    put_when_ready(store, b"k", b"after")
