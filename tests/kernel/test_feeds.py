"""Delivery of the mutation log to plugins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from dvidkit.datatype import Datatype
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, VersionLocked
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass
from dvidkit.mutationlog import MutationRecord
from dvidkit.plugins import Plugins


class Tally(Datatype):
    typename = "tally"
    COUNT = TKeyClass(200, "count of a name", terminator=0)
    tkey_classes = (COUNT,)

    def set(self, name: str, value: bytes) -> None:
        with self.mutation("set") as m:
            m.put(self.COUNT.key(name.encode()), value)
            m.log(Name=name)


class Types:
    @hookimpl
    def dvidkit_datatypes(self) -> Iterable[type[Datatype]]:
        return [Tally]


class Follower:
    """A plugin that remembers what it was told, and fails when it is told to."""

    def __init__(self) -> None:
        self.told: list[MutationRecord] = []
        self.settled: list[int] = []
        self.fail: Callable[[MutationRecord], bool] = lambda record: False
        self.fail_settling = 0
        self.closed = 0
        self.grown = threading.Condition()

    @hookimpl
    def dvidkit_mutation(self, record: MutationRecord) -> None:
        if self.fail(record):
            raise OSError("not now")
        with self.grown:
            self.told.append(record)
            self.grown.notify_all()

    @hookimpl
    def dvidkit_settle(self) -> None:
        if self.fail_settling:
            self.fail_settling -= 1
            raise OSError("not now")
        self.settled.append(len(self.told))

    @hookimpl
    def dvidkit_closing(self, kernel: Kernel) -> None:
        self.closed += 1

    def names(self) -> list[str]:
        return [record.fields["Name"] for record in self.told if record.action == "set"]

    def wait(self, names: list[str], seconds: float = 20) -> None:
        with self.grown:
            assert self.grown.wait_for(lambda: self.names() == names, seconds), self.names()


class Disk:
    """A kernel over one directory that can be opened again and again."""

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self, **plugins: Any) -> Kernel:
        found = Plugins({"types": Types(), **plugins})
        return Kernel(StoreConfig("lmdb", self.path), plugins=found)


@pytest.fixture
def disk(tmp_path: Any) -> Disk:
    """A directory for stores."""
    pytest.importorskip("lmdb")
    return Disk(str(tmp_path / "store"))


def made(kernel: Kernel) -> Any:
    """The tally of the kernel's only repo, made if need be."""
    repo = kernel.repos.create("r") if not len(kernel.repos) else next(iter(kernel.repos))
    if "t" not in repo.instances:
        repo.create_instance("tally", "t")
    return repo.head()["t"]


def test_in_order_and_only_what_was_written(disk: Disk) -> None:
    """Mutations are told in order; a refused or failed one is never told."""
    follower = Follower()
    with disk.open(follower=follower) as kernel:
        tally = made(kernel)
        tally.set("a", b"1")
        with pytest.raises(TypeError):
            tally.set("x", None)
        tally.set("b", b"2")
        tally.node.commit()
        with pytest.raises(VersionLocked):
            tally.set("c", b"3")
        follower.wait(["a", "b"])
    assert [record.action for record in follower.told] == ["newrepo", "newinstance", "set", "set", "commit"]
    numbers = [record.number for record in follower.told]
    assert numbers == sorted(set(numbers))


def test_what_fails_is_told_again_before_anything_later(disk: Disk) -> None:
    """A record that a plugin fails on comes again, and nothing later comes first."""
    follower, failures = Follower(), [3]

    def fail(record: MutationRecord) -> bool:
        if record.action == "set" and record.fields["Name"] == "b" and failures[0]:
            failures[0] -= 1
            return True
        return False

    follower.fail = fail
    with disk.open(follower=follower) as kernel:
        tally = made(kernel)
        for name in "abc":
            tally.set(name, b"")
        with follower.grown:
            assert follower.grown.wait_for(lambda: "c" in follower.names(), 20)
    names = follower.names()
    assert failures == [0]
    assert [name for place, name in enumerate(names) if name not in names[:place]] == ["a", "b", "c"]


def test_unsettled_is_told_again(disk: Disk) -> None:
    """What was told before a failed settling comes again; what was settled does not."""
    follower = Follower()
    with disk.open(follower=follower) as kernel:
        tally = made(kernel)
        tally.set("a", b"")
        follower.wait(["a"])
        assert kernel.feeds.finish(20)
        follower.fail_settling = 1
        tally.set("b", b"")
        follower.wait(["a", "b", "b"])
        assert kernel.feeds.finish(20)


def test_after_a_restart_it_goes_on(disk: Disk) -> None:
    """What was written while a plugin was missing is told when it is back; a new plugin gets what comes from then."""
    first = Follower()
    with disk.open(follower=first) as kernel:
        made(kernel).set("a", b"")
    assert first.names() == ["a"]
    with disk.open() as kernel:
        made(kernel).set("b", b"")
    again, new = Follower(), Follower()
    with disk.open(follower=again, other=new) as kernel:
        made(kernel).set("c", b"")
        again.wait(["b", "c"])
        new.wait(["c"])


def test_a_broken_plugin_stops_no_other(disk: Disk) -> None:
    """Plugins do not wait for each other, nor writers for plugins; closing waits for a limited time."""
    broken, well = Follower(), Follower()
    broken.fail = lambda record: True
    kernel = disk.open(broken=broken, well=well)
    tally = made(kernel)
    for name in "abc":
        tally.set(name, b"")
    well.wait(["a", "b", "c"])
    kernel.close(patience=0.1)
    assert broken.told == []
    mended = Follower()
    with disk.open(broken=mended):
        mended.wait(["a", "b", "c"])


def test_plugins_are_told_of_the_end_once(disk: Disk) -> None:
    """``dvidkit_closing`` comes once, after the last delivery."""
    follower = Follower()
    kernel = disk.open(follower=follower)
    made(kernel).set("a", b"")
    kernel.close()
    kernel.close()
    assert (follower.names(), follower.closed) == (["a"], 1)


class Configurable:
    @hookimpl
    def dvidkit_configured(self, section: str, settings: dict[str, Any]) -> object | None:
        if section != "follow":
            return None
        if set(settings) - {"to"}:
            raise BadConfig("only 'to' can be set", setting="follow")
        return settings["to"]


def test_a_section_makes_a_plugin_of_this_kernel() -> None:
    """What takes a section is registered; sections that nobody or several take, or that are wrong, are refused."""
    follower = Follower()
    plugins = Plugins({"types": Types(), "configurable": Configurable()})
    plugins.configure({"follow": {"to": follower}})
    with Kernel(StoreConfig("memory"), plugins=plugins) as kernel:
        made(kernel).set("a", b"")
    assert follower.names() == ["a"]
    for sections in ({"nobody": {}}, {"follow": {"from": 1}}):
        with pytest.raises(BadConfig):
            Plugins({"configurable": Configurable()}).configure(sections)
    with pytest.raises(BadConfig):
        Plugins({"one": Configurable(), "two": Configurable()}).configure({"follow": {"to": Follower()}})
