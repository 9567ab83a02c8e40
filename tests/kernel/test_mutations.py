"""Mutations: one change, one batch; locks, refusals, and what subscribers add."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from dvidkit import upkeep
from dvidkit.datatype import Datatype
from dvidkit.errors import BadType, InvalidInputError, VersionLocked
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass
from dvidkit.mutations import Event, Part
from dvidkit.repo import Repo

MakeKernel = Callable[..., Kernel]
KEY = TKeyClass(200, "count of a name", terminator=0)


def key(name: bytes) -> bytes:
    """A TKey of ``tally``."""
    return KEY.key(name)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_tkeys_may_be_any_bytes(repo: Repo, kind: Callable[[bytes], Any]) -> None:
    """KV-7, KV-9: a mutation takes bytes-like TKeys and values as the store does, and copies them."""
    view = repo.root["counts"]
    value = bytearray(b"1")
    with view.mutation("add") as m:
        m.put(kind(key(b"a")), value)
        value[:] = b"2"
        assert m.get(kind(key(b"a"))) == b"1"
        assert m.lock(iter([kind(key(b"a")), kind(key(b"b"))])) == {key(b"a"): b"1", key(b"b"): None}
        m.delete(kind(key(b"b")))
    assert view.count("a") == 1


@pytest.mark.parametrize("tkey", ["text", 5, None])
def test_a_tkey_that_is_none_is_refused(repo: Repo, tkey: Any) -> None:
    """KV-9: whatever is not bytes is ``BadType``, and the mutation can go on without it."""
    view = repo.root["counts"]
    with view.mutation("add") as m:
        for operation in (
            lambda: m.put(tkey, b""),
            lambda: m.put(key(b"a"), tkey),
            lambda: m.delete(tkey),
            lambda: m.get(tkey),
            lambda: m.lock([tkey]),
        ):
            with pytest.raises(BadType):
                operation()
        m.put(key(b"a"), b"1")
    assert view.count("a") == 1


def test_a_mutation_works_only_in_its_block(repo: Repo) -> None:
    """BATCH-7: what is put before or after the block would be lost, and a second block would write all again."""
    view = repo.root["counts"]
    m = view.mutation("add")

    def refused() -> None:
        for operation in (
            lambda: m.put(key(b"a"), b"1"),
            lambda: m.delete(key(b"a")),
            lambda: m.lock([key(b"a")]),
        ):
            with pytest.raises(InvalidInputError):
                operation()

    refused()
    with m:
        m.put(key(b"a"), b"1")
    refused()
    view.store.delete(view.ctx, key(b"a"))
    with pytest.raises(InvalidInputError), m:
        pass
    assert view.count("a") == 0
    view.add("a")
    repo.root.commit()


class Source(Datatype):
    """Tells whoever listens."""

    typename = "source"
    tkey_classes = (KEY,)
    emits = frozenset({"TOLD"})

    def tell(self) -> None:
        """Emit an event, and change something."""
        with self.mutation("tell") as m:
            m.put(key(b"told"), b"1")
            m.emit("TOLD", 1)


class Listener(Datatype):
    """Writes down what it is told."""

    typename = "listener"
    tkey_classes = (KEY,)
    consumes = frozenset({"TOLD"})

    def on_event(self, part: Part, event: Event) -> None:
        """See ``Datatype.on_event``."""
        part.put(key(b"heard"), b"%d" % event.payload)

    def heard(self) -> bytes | None:
        """What it was told."""
        return self.store.get(self.ctx, key(b"heard"))


def test_a_subscriber_at_a_committed_version_is_not_written(make_kernel: MakeKernel) -> None:
    """DAG-1: an unversioned source may be written for ever, a versioned subscriber not once that is committed."""
    repo = make_kernel(None, Source, Listener).repos.create("repo")
    repo.create_instance("source", "source", versioned=False)
    upkeep.set_syncs(repo.create_instance("listener", "listener"), ["source"])
    repo.root["source"].tell()
    assert repo.root["listener"].heard() == b"1"
    view = repo.root["listener"]
    view.store.delete(view.ctx, key(b"heard"))
    repo.root.commit()
    with pytest.raises(VersionLocked):
        repo.root["source"].tell()
    assert view.heard() is None
    child = repo.root.new_version()
    child["source"].tell()
    assert child["listener"].heard() == b"1"
    assert view.heard() is None
    child.commit()


def test_a_part_is_of_the_same_version(repo: Repo) -> None:
    """DAG-1: a mutation takes no part at another version, which it does not hold open."""
    repo.create_instance("tally", "more")
    repo.root.commit()
    child = repo.root.new_version()
    with child["counts"].mutation("add") as m:
        with pytest.raises(InvalidInputError):
            m.part(repo.root["more"])
        m.part(child["more"]).put(key(b"a"), b"1")
        assert m.part(child["counts"]) is m
    assert child["more"].count("a") == 1
    assert repo.root["more"].count("a") == 0


def test_a_mutation_is_freed_when_it_has_ended(repo: Repo) -> None:
    """A mutation holds no reference to itself: who writes a lot leaves nothing for the collector to find."""
    view = repo.root["counts"]
    gc.disable()
    try:
        with view.mutation("add") as m:
            m.put(key(b"a"), b"1")
            assert m.part(view) is m
        gone = weakref.ref(m)
        del m
        assert gone() is None
    finally:
        gc.enable()
