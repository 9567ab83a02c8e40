"""The one way into a store: order, groups, errors, interruptions."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_memory.engine import MemoryEngine

from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.engine import Batch
from dvidkit.errors import (
    ConflictError,
    CorruptData,
    KeyContractError,
    StoreClosed,
    StoreFull,
    StorePoisoned,
)
from dvidkit.keys import TKeyClass, metadata_key
from dvidkit.ledger import Ledger
from dvidkit.mutationlog import MutationRecord, log_segment
from dvidkit.segment import Segment
from dvidkit.slots import SPACE, Slot, slot_key, tally
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

KEY = TKeyClass(7, "test", width=1)
META = MetadataContext()
PATIENCE = 10.0

MakeStore = Callable[..., Store]


class Gate:
    """Holds the first write that reaches the engine until it is opened, so that others queue up behind it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.batches: list[list[bytes]] = []
        self.fail: Callable[[Batch], None] = lambda batch: None
        self.armed = False

    def __call__(self, batch: Batch) -> None:
        """Let a write pass, once the gate is open."""
        if self.armed:
            self.reached.set()
            assert self.opened.wait(PATIENCE)
            self.batches.append([key for key, _ in batch])
            self.fail(batch)


@pytest.fixture
def gate() -> Gate:
    """A gate before the engine."""
    return Gate()


@pytest.fixture
def gated(gate: Gate, make_store: MakeStore) -> Store:
    """A store whose writes pass the gate."""
    return make_store(wrapped(MemoryEngine(), before_write=gate))


class Together:
    """Runs writes in threads: the first holds the way in, the others are queued in the order given."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._store = store
        self._gate = gate
        self.errors: list[BaseException | None] = []
        self._threads: list[threading.Thread] = []

    def run(self, *writes: Callable[[], object]) -> list[BaseException | None]:
        """What each write raised."""
        self.errors = [None] * len(writes)
        self._gate.armed = True
        for place, write in enumerate(writes):
            self._start(place, write)
        self._gate.opened.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a writer was never woken"
        return self.errors

    def _start(self, place: int, write: Callable[[], object]) -> None:
        def run() -> None:
            try:
                write()
            except BaseException as error:
                self.errors[place] = error

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
        if place == 0:
            assert self._gate.reached.wait(PATIENCE)
        else:
            wait_until(lambda: len(queue_of(self._store)) == place)


def queue_of(store: Store) -> Any:
    """The writes that wait."""
    return store._committer._queue  # pyright: ignore[reportPrivateUsage]


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for another thread to get somewhere."""
    tick = threading.Event()
    for _ in range(int(PATIENCE * 1000)):
        if true():
            return
        tick.wait(0.001)
    raise AssertionError("another thread never got there")


def put_unless_poisoned(store: Store, name: bytes, value: bytes) -> bool:
    """Put, if the store takes writes again after one that failed."""
    try:
        store.put(versioned(), key(name), value)
    except StorePoisoned:
        return False
    return True


def versioned(version: int = 1) -> VersionedContext:
    """A context with declared classes, so that its writes may be grouped."""
    return VersionedContext(5, version, VersionDAG({1: (), 2: (1,)}), [KEY])


def key(name: bytes) -> bytes:
    """A TKey."""
    return KEY.key(name)


def recount(store: Store) -> dict[bytes, tuple[int, int, int]]:
    """What the completeness records should say, from the rows themselves."""
    slots: dict[bytes, list[tuple[bytes, bytes]]] = {}
    with store.instant() as access:
        for each, stored in access.scan(b"\x01", b"\x02"):
            slots.setdefault(each[1:5] + each[-9:-5], []).append((each, stored))
    return {slot: tally(rows) for slot, rows in slots.items()}


def recorded(store: Store) -> dict[bytes, tuple[int, int, int]]:
    """What the completeness records say."""
    ledger = Ledger(store._get_raw_many)  # pyright: ignore[reportPrivateUsage]
    with store.instant() as access:
        keys = [each[2:] for each in access.scan(SPACE + b"\x01", SPACE + b"\x02", keys_only=True)]
    return {slot: ledger.slot(slot)[:3] for slot in keys}


@contextmanager
def within(seconds: float = PATIENCE) -> Iterator[list[threading.Thread]]:
    """Threads started in the block must have ended some time after it."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive(), "a thread was never woken"


# --- turns, groups and what goes wrong ---


def test_closing_wakes_the_writers_that_wait(gate: Gate, gated: Store) -> None:
    """CONC-4: writers queued while the store is closed get ``StoreClosed``; none waits for ever."""
    closed = threading.Event()
    lock = gated._committer.exclusively()  # pyright: ignore[reportPrivateUsage]
    errors: list[BaseException] = []

    def write() -> None:
        try:
            gated.put(versioned(), key(b"a"), b"")
        except BaseException as error:
            errors.append(error)

    with within() as threads, lock:
        for _ in range(3):
            threads.append(threading.Thread(target=write, daemon=True))
            threads[-1].start()
        wait_until(lambda: len(queue_of(gated)) == 3)
        gated._life.close()  # pyright: ignore[reportPrivateUsage]
        closed.set()
    assert [type(error) for error in errors] == [StoreClosed] * 3


def test_an_interrupted_waiter_passes_its_turn_on(gated: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer interrupted while it waits (a signal's handler raised) leaves the queue, and the next is still woken."""

    class Interrupting(threading.Semaphore):
        def __init__(self, value: int = 1) -> None:
            super().__init__(value)
            monkeypatch.undo()

        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
            super().acquire()
            raise KeyboardInterrupt

    heard: list[str] = []

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            gated.put(versioned(), key(b"a"), b"")
        heard.append("interrupted")

    def patient() -> None:
        gated.put(versioned(), key(b"b"), b"kept")
        heard.append("written")

    monkeypatch.setattr(threading, "Semaphore", Interrupting)
    with within() as threads, gated._committer.exclusively():  # pyright: ignore[reportPrivateUsage]
        for place, target in enumerate((interrupted, patient), 1):
            threads.append(threading.Thread(target=target, daemon=True))
            threads[-1].start()
            wait_until(lambda place=place: len(queue_of(gated)) == place)  # type: ignore[misc]
    assert sorted(heard) == ["interrupted", "written"]
    assert gated.get(versioned(), key(b"a")) is None
    assert gated.get(versioned(), key(b"b")) == b"kept"


@pytest.mark.parametrize("integrity", [True, False])
def test_an_interrupted_leader_forgets_what_it_remembered(make_store: MakeStore, integrity: bool) -> None:
    """After a Ctrl-C at the end of a write that was made, what is remembered is read again: the next put is seen."""
    interrupt: list[type[BaseException]] = []

    def after(batch: Batch) -> None:
        if interrupt:
            raise interrupt.pop()

    store = make_store(wrapped(MemoryEngine(), after_write=after), integrity=integrity)
    store.put(versioned(), key(b"a"), b"old")
    interrupt.append(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        store.delete(versioned(), key(b"a"))
    wait_until(lambda: put_unless_poisoned(store, b"a", b"new"))
    assert store.get(versioned(), key(b"a")) == b"new"
    if integrity:
        assert recorded(store) == recount(store)


def test_expectations_of_a_group_are_each_checked(gate: Gate, gated: Store) -> None:
    """Two writes of a group that expect different values of one key: the one that is wrong is refused, alone."""
    watched = metadata_key(b"watched")
    gated.put(META, b"watched", b"now")

    def write(name: bytes, expected: bytes | None) -> Callable[[], object]:
        return lambda: gated.commit([gated.segment(META, [(name, b"")])], expect={watched: expected})

    errors = Together(gated, gate).run(
        lambda: gated.put(META, b"first", b""), write(b"wrong", b"before"), write(b"right", b"now")
    )
    assert [type(error) for error in errors] == [type(None), ConflictError, type(None)]
    assert gated.get(META, b"wrong") is None
    assert gated.get(META, b"right") == b""


def test_what_fails_in_preparing_one_write_leaves_the_group_alone(gate: Gate, gated: Store) -> None:
    """A completeness record that is damaged makes the writes to its slot fail, and no other."""
    slot = b"\x00\x00\x00\x05" + b"\x00\x00\x00\x02"
    gated.write_own([(slot_key(slot), b"not what was sealed")])
    errors = Together(gated, gate).run(
        lambda: gated.put(versioned(1), key(b"a"), b""),
        lambda: gated.put(versioned(2), key(b"b"), b""),
        lambda: gated.put(versioned(1), key(b"c"), b""),
    )
    assert [type(error) for error in errors] == [type(None), CorruptData, type(None)]


def test_a_failed_batch_fails_all_its_writes_each_with_an_error_of_its_own(gate: Gate, gated: Store) -> None:
    """Two threads never raise one and the same error object: each would write its traceback into the other's."""

    def full(batch: Batch) -> None:
        if len(batch) > 2:
            raise StoreFull("no room", engine="memory", path="here") from OSError("disk")

    gate.fail = full
    errors = Together(gated, gate).run(
        lambda: gated.put(versioned(), key(b"a"), b""),
        lambda: gated.put(versioned(), key(b"b"), b""),
        lambda: gated.put(versioned(), key(b"c"), b""),
    )
    assert [type(error) for error in errors] == [type(None), StoreFull, StoreFull]
    second, third = errors[1:]
    assert second is not third
    assert isinstance(second, StoreFull)
    assert isinstance(third, StoreFull)
    assert second.path == third.path == "here"
    assert isinstance(third.__cause__, OSError)
    assert [gated.get(versioned(), key(name)) for name in (b"a", b"b", b"c")] == [b"", None, None]


@pytest.mark.parametrize("names", [(b"a", b"ab"), (b"ab", b"a")])
def test_segments_of_one_write_keep_the_key_contract(store: Store, names: tuple[bytes, bytes]) -> None:
    """KEY-4: a TKey that is a prefix of one in another segment of the same write is refused; nothing is written."""
    contexts = (DataContext(5), VersionedContext(5, 1, VersionDAG({1: ()})))
    with pytest.raises(KeyContractError):
        store.commit([store.segment(ctx, [(name, b"")]) for ctx, name in zip(contexts, names, strict=True)])
    assert list(store.raw_range_query(b"\x00", b"\xff")) == []


def test_a_callback_that_raises_strands_nobody(gate: Gate, gated: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Writes that wait, and later submitted ones, are answered although one caller's ``done`` raised."""
    told: list[Exception | None] = []

    def bad(error: Exception | None) -> None:
        raise RuntimeError("the event loop is closed")

    def submit(name: bytes, done: Callable[[Exception | None], object]) -> None:
        gated.submit([gated.segment(versioned(), [(key(name), b"")])], done)

    errors = Together(gated, gate).run(
        lambda: gated.put(versioned(), key(b"a"), b""),
        lambda: submit(b"b", bad),
        lambda: gated.put(versioned(), key(b"c"), b""),
    )
    assert errors == [None, None, None]
    submit(b"d", told.append)
    gated.wake()
    wait_until(lambda: bool(told))
    assert told == [None]
    assert "the event loop is closed" in caplog.text
    assert len(gated.keys_in_range(versioned(), KEY.min(), KEY.max())) == 4


def test_a_write_submitted_while_the_store_closes_is_answered(gated: Store) -> None:
    """A write that is submitted when the committer's thread has ended is written or refused, never forgotten."""
    told: list[Exception | None] = []
    gated.submit([gated.segment(versioned(), [(key(b"a"), b"")])], told.append)
    gated._committer.stop()  # pyright: ignore[reportPrivateUsage]
    gated.submit([gated.segment(versioned(), [(key(b"b"), b"")])], told.append)
    assert told == [None, None]
    gated.close()
    with pytest.raises(StoreClosed):
        gated.submit([], told.append)


def _segments_of(store: Store, chance: random.Random) -> list[Segment]:
    """A write of one to three slots, with or without a log record."""
    found = []
    for version in chance.sample([1, 2, 3], chance.randint(1, 3)):
        ctx = DataContext(6, 1, [KEY]) if version == 3 else versioned(version)
        pairs = [(key(b"%c" % chance.choice(b"abcde")), chance.choice([None, b"", b"v", b"value"])) for _ in range(3)]
        found.append(store.segment(ctx, pairs[: chance.randint(1, 3)]))
    if chance.random() < 0.7:
        record = MutationRecord("put", "", fields={"n": chance.random()})
        found.append(log_segment(record, instance=5, version=1, sealed=store.record.integrity))
    return found


@pytest.mark.parametrize("integrity", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_a_group_leaves_what_its_writes_one_by_one_would(make_store: MakeStore, seed: int, integrity: bool) -> None:
    """Writes that are joined to one batch: rows, tombstones, records and log are as if they had come in turn."""
    one, other = (make_store(name=name, integrity=integrity) for name in ("one", "other"))
    told: list[Exception | None] = []
    chance, again = random.Random(seed), random.Random(seed)
    for count in (1, 7, 30):
        for _ in range(count):
            one.commit(_segments_of(one, chance))
            other.submit(_segments_of(other, again), told.append)
        other.wake()
        wait_until(lambda: not queue_of(other))
    other._committer.stop()  # pyright: ignore[reportPrivateUsage]
    assert told == [None] * 38
    assert everything_in(one) == everything_in(other)
    if integrity:
        assert counted(one) == counted(other)
        assert recount(one).items() <= recorded(other).items()


def counted(store: Store) -> dict[bytes, Slot]:
    """The completeness records, but for the greatest key that was ever written."""
    ledger = Ledger(store._get_raw_many)  # pyright: ignore[reportPrivateUsage]
    return {slot: ledger.slot(slot)._replace(top=b"") for slot in recorded(store)}


def everything_in(store: Store) -> list[Any]:
    """Every row as the engine has it, but for the store's identity and the completeness records."""
    own = (SPACE + b"\x00", SPACE + b"\x01")
    with store.instant() as access:
        return [row for row in access.scan(b"\x00", b"\xff") if not row[0].startswith(own)]
