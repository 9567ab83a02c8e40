"""Mutations: one change, one batch; locks, refusals, and what subscribers add."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from dvidkit_lmdb.engine import LmdbEngine

from dvidkit import upkeep
from dvidkit.checksum import seal_in_place
from dvidkit.context import VersionedContext
from dvidkit.datatype import Datatype
from dvidkit.errors import BadKey, BadType, InvalidInputError, VersionLocked
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass
from dvidkit.mutations import Event, Part
from dvidkit.repo import Repo
from dvidkit.segment import Stored, stored_segment
from dvidkit.store import Store
from dvidkit.verify import verify
from dvidkit.versions import VersionDAG

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


@pytest.mark.parametrize("integrity", [True, False])
def test_values_in_their_stored_form(make_store: Callable[..., Store], integrity: bool) -> None:
    """They are read and counted as if they had been put, also over what was there and where it had been deleted."""
    store = make_store(LmdbEngine(), integrity=integrity)
    dag = VersionDAG({1: (), 2: (1,)})
    ctx = VersionedContext(5, 2, dag, (KEY,))
    store.write_pairs(ctx, [(key(b"a"), b"old"), (key(b"b"), None)])
    store.put(VersionedContext(5, 1, dag, (KEY,)), key(b"c"), b"below")
    rows = {}
    for name in (b"a", b"b", b"c", b"d"):
        room = memoryview(bytearray(b"value of " + name + bytes(4)))
        crc = seal_in_place(ctx.prefix + key(name) + ctx.suffix, room) if integrity else 0
        rows[key(name)] = Stored(room if integrity else room[:-4], crc)
    store.commit([stored_segment(ctx, rows, sealed=integrity)])
    for name in (b"a", b"b", b"c", b"d"):
        assert store.get(ctx, key(name)) == b"value of " + name
    assert store.get_range(ctx, KEY.min(), KEY.max()) == [(tkey, b"value of " + tkey[2:3]) for tkey in rows]
    assert not verify(store).findings
    with pytest.raises(BadKey):
        stored_segment(ctx, {b"\x07": rows[key(b"a")]}, sealed=integrity)


def test_a_mutation_shows_what_it_stores(repo: Repo) -> None:
    """Of several changes to one key the last holds, in whatever form, for ``get`` and ``lock`` too."""
    view = repo.root["counts"]
    sealed = view.store.record.integrity

    def stored(name: bytes, value: bytes) -> Stored:
        room = memoryview(bytearray(value + bytes(4)))
        crc = seal_in_place(view.ctx.prefix + key(name) + view.ctx.suffix, room)
        return Stored(bytes(room), crc) if sealed else Stored(value, 0)

    with view.mutation("add") as m:
        m.put_stored(key(b"a"), stored(b"a", b"1"))
        m.put(key(b"a"), b"2")
        m.put(key(b"b"), b"3")
        m.put_stored(key(b"b"), stored(b"b", b"4"))
        m.put_stored(key(b"c"), stored(b"c", b"5"))
        m.delete(key(b"c"))
        m.delete(key(b"d"))
        m.put_stored(key(b"d"), stored(b"d", b"6"))
        assert [m.get(key(name)) for name in (b"a", b"b", b"c", b"d")] == [b"2", b"4", None, b"6"]
        names = [key(name) for name in (b"a", b"b", b"c", b"d")]
        assert list(m.lock(names).values()) == [b"2", b"4", None, b"6"]
    assert [view.store.get(view.ctx, name) for name in names] == [b"2", b"4", None, b"6"]
    assert not verify(view.store).findings
    with pytest.raises(InvalidInputError):
        m.put_stored(key(b"a"), stored(b"a", b"1"))
