"""Mutations: parts, events, subscribers, the log record, and that nothing is left of what fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.samples import VALUE, Samples

from dvidkit import upkeep
from dvidkit.engine import StoreConfig
from dvidkit.errors import InvalidInputError, StoreClosed, UnknownInstance, VersionLocked
from dvidkit.feed import Cursor
from dvidkit.kernel import Kernel
from dvidkit.mutationlog import MutationLog
from dvidkit.mutations import Event
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo

Open = Callable[..., Kernel]


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """A kernel in memory with the sample datatypes, and a second store for mirrors that carry the tag ``far``."""
    stores = {"default": StoreConfig("memory", ""), "far": StoreConfig("memory", "")}
    with Kernel(stores, assign={"at=far": "far"}, plugins=Plugins({"samples": Samples()})) as kernel:
        yield kernel


@pytest.fixture
def repo(kernel: Kernel) -> Repo:
    """A repo with ``t``, and ``near`` and ``far`` that are synced to it."""
    repo = kernel.repos.create("r")
    repo.create_instance("sample-tally", "t")
    repo.create_instance("sample-mirror", "near")
    repo.create_instance("sample-mirror", "far", tags="at=far")
    return repo


def follow(repo: Repo, *names: str) -> None:
    """Sync these to ``t``."""
    for name in names:
        upkeep.set_syncs(repo.instance(name), ["t"])


def told(repo: Repo, name: str, key: str, value: bytes, seconds: float = 20) -> None:
    """Wait until the instance has the value."""
    end = time.monotonic() + seconds
    while repo.root[name].get(key) != value:
        assert time.monotonic() < end, repo.root[name].get(key)
        time.sleep(0.01)


def entries(repo: Repo) -> list[Any]:
    """What the log has of ``t`` at the root."""
    instance = repo.instance("t")
    return list(MutationLog(instance.store).of(instance.id, repo.root.id))


def test_a_subscriber_of_the_same_store_is_part_of_the_mutation(repo: Repo) -> None:
    """Its changes are there when the mutation is, in the same write, and the record has no events."""
    follow(repo, "near")
    puts = repo.root["t"].store.monitor.total.puts
    repo.root["t"].set("a", b"1")
    assert repo.root["near"].get("a") == b"1."
    assert repo.root["t"].store.monitor.total.puts == puts + 1
    (record,) = entries(repo)
    assert record.events == ()


def test_the_log_record(repo: Repo) -> None:
    """Says what was done, by whom, where; in DVID's words as JSON."""
    repo.root["t"].set("a", b"1", user="me", app="x")
    (record,) = entries(repo)
    assert (record.action, record.repo, record.version) == ("set", repo.uuid, repo.uuid)
    assert (record.instance, record.user, record.app) == (repo.instance("t").uuid, "me", "x")
    shown = record.to_json()
    assert list(shown) == ["Action", "Name", "UUID", "User", "App", "Timestamp"]
    assert shown["Timestamp"].endswith("Z")


def test_a_subscriber_that_fails_fails_the_mutation(repo: Repo) -> None:
    """Nothing is written, nothing logged, nothing told."""
    follow(repo, "near", "far")
    done: list[str] = []

    def tell() -> None:
        with repo.root["t"].mutation("set") as m:
            m.put(VALUE.key(b"good"), b"1")
            m.emit("SET", ["good", "1"])
            m.emit("SET", ["bad", "1"])
            m.after(lambda: done.append("done"))

    with pytest.raises(ValueError, match="no bad news"):
        tell()
    assert repo.root["t"].get("good") is None
    assert repo.root["near"].get("good") is None
    assert entries(repo) == []
    assert done == []


def test_a_block_that_raises_writes_nothing(repo: Repo) -> None:
    """And lets go of its locks and its version."""

    def fail() -> None:
        with repo.root["t"].mutation("set") as m:
            m.lock([VALUE.key(b"a")])
            m.put(VALUE.key(b"a"), b"1")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert repo.root["t"].add("a") == 1
    repo.root.commit()
    with pytest.raises(VersionLocked):
        repo.root["t"].set("a", b"2")
    assert repo.root["t"].get("a") == b"1"


def test_reading_what_will_be(repo: Repo) -> None:
    """``get`` and ``lock`` see what the mutation has put and deleted; a second ``lock`` is refused."""
    repo.root["t"].set("a", b"1")
    one, two = VALUE.key(b"a"), VALUE.key(b"b")
    with repo.root["t"].mutation("x") as m:
        assert m.get(one) == b"1"
        m.delete(one)
        m.put(two, b"2")
        assert (m.get(one), m.get(two)) == (None, b"2")
        assert m.lock([one, two]) == {one: None, two: b"2"}
        with pytest.raises(InvalidInputError):
            m.lock([one])
        assert len(m.pairs) == 2
        with pytest.raises(InvalidInputError):
            m.part(repo.root["far"])
    assert repo.root["t"].get("a") is None


def test_mutation_ids(repo: Repo) -> None:
    """Taken when asked for, growing; in the record where one was taken."""
    with repo.root["t"].mutation("x") as m:
        m.put(VALUE.key(b"a"), b"1")
        first = m.id
        assert m.id == first == 1_000_000_000
    with repo.root["t"].mutation("x") as m:
        m.put(VALUE.key(b"a"), b"1")
        assert m.id == first + 1
    assert [record.to_json()["MutationID"] for record in entries(repo)] == [first, first + 1]


def test_unlogged_and_empty_mutations(repo: Repo) -> None:
    """Leave no record."""
    with repo.root["t"].mutation("x") as m:
        m.unlogged()
        m.put(VALUE.key(b"a"), b"1")
    with repo.root["t"].mutation("x"):
        pass
    assert entries(repo) == []


def test_counting_at_once(repo: Repo) -> None:
    """Read, change, write under a lock: no count is lost."""
    threads = [threading.Thread(target=lambda: [repo.root["t"].add("n") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repo.root["t"].get("n") == b"200"


def test_an_instance_that_was_deleted_takes_no_mutation(repo: Repo) -> None:
    """Not through a view that was there before either."""
    view = repo.root["t"]
    upkeep.delete_instance(repo.instance("t"))
    with pytest.raises(UnknownInstance):
        view.set("a", b"1")


class Waiter:
    """Waits for mutations as a service does."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.error: Exception | None = None

    def begun(self, store: Any) -> None:
        """See ``Pending``."""
        store.wake()

    def done(self, error: Exception | None) -> None:
        """See ``Pending``."""
        self.error = error
        self.ended.set()


def test_a_mutation_that_nobody_waits_for(repo: Repo) -> None:
    """It is written, then what follows is called, then it is said; a failure of what follows is said too."""
    view = repo.root["t"]
    view.pending = waiter = Waiter()
    view.set("a", b"1")
    assert waiter.ended.wait(20)
    assert waiter.error is None
    assert repo.root["t"].get("a") == b"1"
    view.pending = waiter = Waiter()
    with view.mutation("x") as m:
        m.put(VALUE.key(b"b"), b"1")
        m.after(lambda: {}["missing"])
    assert waiter.ended.wait(20)
    assert isinstance(waiter.error, KeyError)
    repo.root.commit()
    view.store.close()
    with pytest.raises((StoreClosed, VersionLocked)):
        view.set("c", b"1")


# --- subscribers in another store ------------------------------------------------------------------------------------


def test_a_subscriber_elsewhere_is_told_afterwards(repo: Repo) -> None:
    """From the record, once, in order; what was written before the sync is not told again."""
    repo.root["t"].set("before", b"0")
    follow(repo, "far")
    repo.root["t"].set("a", b"1")
    repo.root["t"].set("a", b"2")
    told(repo, "far", "a", b"2..")
    assert repo.root["far"].get("before") is None
    assert entries(repo)[0].events == ()


def test_events_without_a_change_of_ones_own(repo: Repo) -> None:
    """A mutation that only tells is recorded where somebody elsewhere listens."""
    follow(repo, "far")
    with repo.root["t"].mutation("tell") as m:
        m.emit("SET", ["a", "1"])
    told(repo, "far", "a", b"1.")


def test_a_committed_version_is_told_of_all_the_same(repo: Repo) -> None:
    """A subscriber elsewhere may come after the commit."""
    follow(repo, "far")
    repo.root["t"].set("a", b"1")
    repo.root.commit()
    told(repo, "far", "a", b"1.")


def test_a_record_is_answered_once(repo: Repo, kernel: Kernel) -> None:
    """Delivered again, as after a crash before the feed's cursor was written, it changes nothing."""
    follow(repo, "far")
    repo.root["t"].set("a", b"1")
    told(repo, "far", "a", b"1.")
    (record,) = entries(repo)
    for _ in range(3):
        kernel.feeds._tell_subscribers(record)
    assert repo.root["far"].get("a") == b"1."


def test_what_fails_is_tried_again(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A subscriber that raises gets the same record again, before any later one."""
    caplog.set_level(logging.CRITICAL)
    follow(repo, "far")
    datatype = repo.instance("far").datatype
    plain, fails = datatype.on_event, [True]

    def once(self: Any, part: Any, event: Event) -> None:
        if fails:
            fails.clear()
            raise OSError
        plain(self, part, event)

    monkeypatch.setattr(datatype, "on_event", once)
    repo.root["t"].set("a", b"1")
    repo.root["t"].set("a", b"2")
    told(repo, "far", "a", b"2..")


def test_after_a_crash_it_goes_on(tmp_path: Path) -> None:
    """A kernel that ended before it could tell leaves it to the next; so does one whose feed's cursor is behind."""

    def opened() -> Kernel:
        stores = {name: StoreConfig("lmdb", str(tmp_path / name)) for name in ("default", "far")}
        return Kernel(stores, assign={"at=far": "far"}, plugins=Plugins({"samples": Samples()}))

    with opened() as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        repo.create_instance("sample-mirror", "far", tags="at=far")
        follow(repo, "far")
        kernel.feeds.stop(5)
        repo.root["t"].set("a", b"1")
    with opened() as kernel:
        repo = next(iter(kernel.repos))
        told(repo, "far", "a", b"1.")
        store = repo.instance("t").store
        kernel.feeds.stop(5)
        Cursor(store, b"subscribers").write(0)
    with opened() as kernel:
        repo = next(iter(kernel.repos))
        repo.root["t"].set("b", b"1")
        told(repo, "far", "b", b"1.")
        assert repo.root["far"].get("a") == b"1."
