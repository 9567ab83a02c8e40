"""The store: every operation of DVID's interface, its refusals, and its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine

from dvidkit.context import Context, DataContext, MetadataContext, VersionedContext
from dvidkit.engine import Capability, Engine, Limits, StoreConfig
from dvidkit.errors import BadConfig, BadKey, BadType, KeyContractError, LimitError, StoreClosed, UnsupportedError
from dvidkit.keys import data_key
from dvidkit.store import Store
from dvidkit.versions import VersionDAG

MakeStore = Callable[..., Store]

META = MetadataContext()
DAG = VersionDAG({1: (), 2: (1,), 3: (1,), 4: (2, 3)})
PLAIN = DataContext(9)
CONTEXTS: list[Context] = [META, PLAIN, VersionedContext(9, 2, DAG)]


def at(version: int) -> VersionedContext:
    """A context of one instance, whose classes are not declared."""
    return VersionedContext(5, version, DAG)


def dump(store: Store) -> list[tuple[bytes, bytes | None]]:
    """Everything that is stored, as raw queries show it."""
    return list(store.raw_range_query(b"", b"\xff"))


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, 5, "text"])
def test_a_raw_put_of_no_bytes_is_refused(store: Store, value: Any) -> None:
    """KV-9: a raw put of ``None`` is an error; it does not delete."""
    key = data_key(5, b"a", 1)
    store.raw_put(key, b"kept")
    with pytest.raises(BadType):
        store.raw_put(key, value)
    assert dump(store) == [(key, b"kept")]


@pytest.mark.parametrize("ctx", [None, 5, "ctx", object()])
def test_what_is_no_context_is_refused(store: Store, ctx: Any) -> None:
    """ERR-1: every operation answers ``BadType`` to a context that is none, also writes."""
    operations: list[Callable[[], object]] = [
        lambda: store.get(ctx, b"a"),
        lambda: store.exists(ctx, b"a"),
        lambda: store.get_version(ctx, b"a"),
        lambda: store.get_many(ctx, [b"a"]),
        lambda: store.get_range(ctx, b"", b"\xff"),
        lambda: store.keys_in_range(ctx, b"", b"\xff"),
        lambda: store.put(ctx, b"a", b""),
        lambda: store.delete(ctx, b"a"),
        lambda: store.put_range(ctx, [(b"a", b"")]),
        lambda: store.put_range(ctx, []),
        lambda: store.delete_range(ctx, b"", b"\xff"),
        lambda: store.delete_all(ctx),
        lambda: store.segment(ctx, [(b"a", b"")]),
    ]
    for operation in operations:
        with pytest.raises(BadType):
            operation()
    assert dump(store) == []


def test_only_references_that_were_given_out_are_read(store: Store) -> None:
    """BLOB-1: a reference with bytes that base64 merely ignores names nothing; an unknown one is ``None``."""
    reference = store.put_blob(b"bytes")
    assert store.put_blob(b"bytes") == reference
    assert len(reference) == 24
    assert store.get_blob(reference) == b"bytes"
    other = store.put_blob(b"")
    assert store.get_blob(other) == b""
    for key, _ in dump(store):
        store.raw_delete(key)
    assert store.get_blob(other) is None
    bad: list[Any] = [
        "",
        "!" + reference,
        reference + "\n",
        reference[:-2],
        reference[:-2] + "!!==",
        "é" * 24,
        None,
        5,
        b"x" * 24,
    ]
    bad += [reference[:21] + ("B" if reference[21] != "B" else "C") + "=="]
    for each in bad:
        with pytest.raises(BadKey):
            store.get_blob(each)


def test_an_error_of_the_callers_iterable_is_the_callers(store: Store) -> None:
    """ITER-4's law for writes: what the iterable of ``put_range`` raises comes out as it is, and nothing is written."""

    def pairs() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b""
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        store.put_range(META, pairs())
    assert dump(store) == []


class Array:
    """Compares with everything, as arrays do, and has no truth value."""

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "pairs",
    [
        5,
        None,
        [5],
        [(b"a",)],
        [(b"a", b"b", b"c")],
        [(b"a", None)],
        [{1: 2, 3: 4}],
        [{1, 2}],
        ["ab"],
        [(b"a", Array())],
    ],
)
def test_put_range_refuses_what_are_no_pairs(store: Store, pairs: Any) -> None:
    """KV-9: whatever is not an iterable of two bytes-like objects is ``BadType``, and nothing is written."""
    with pytest.raises(BadType):
        store.put_range(META, pairs)
    assert dump(store) == []


@pytest.mark.parametrize("shorter", [b"\xff", b"\xff\xff", b"\x01\xff"])
@pytest.mark.parametrize("more", [1, 9, 10, 11, 40])
def test_the_key_contract_holds_among_high_bytes(store: Store, shorter: bytes, more: int) -> None:
    """KEY-4: a TKey is refused next to a stored extension or prefix of it, also of nothing but 0xFF."""
    longer = shorter + b"\xff" * more
    for first, second in ((shorter, longer), (longer, shorter)):
        for ctx in (DataContext(3), VersionedContext(4, 1, DAG)):
            store.put(ctx, first, b"")
            with pytest.raises(KeyContractError) as caught:
                store.put(ctx, second, b"")
            assert {caught.value.tkey, caught.value.other} == {first, second}
            store.delete_all(ctx)


@pytest.mark.parametrize("integrity", [True, False])
@pytest.mark.parametrize(
    "limits", [Limits(max_batch_ops=10), Limits(max_key=60, max_batch_bytes=700), Limits(max_batch_ops=3)]
)
def test_deletions_fit_the_engines_batches(make_store: MakeStore, limits: Limits, integrity: bool) -> None:
    """DEL-5: ``delete_range`` and ``delete_all`` come to an end however small a batch the engine takes."""
    store = make_store(wrapped(MemoryEngine(), limits=limits), integrity=integrity)
    for number in range(40):
        store.put(at(1 + number % 4), b"key %02d" % number, b"v")
        store.put(DataContext(5), b"key %02d" % number, b"v")
    store.delete_range(at(1), b"key 00", b"key 99")
    assert store.keys_in_range(at(1), b"", b"\xff") == []
    assert len(store.keys_in_range(at(2), b"", b"\xff")) == 10
    store.delete_all(at(1))
    assert dump(store) == []


def test_a_durability_that_does_not_exist_is_refused(make_store: MakeStore) -> None:
    """A slip in ``durability`` is ``BadConfig``, not a store that promises less."""
    with pytest.raises(BadConfig) as caught:
        make_store(durability="durabel")
    assert caught.value.setting == "durability"


def test_a_raw_key_no_engine_could_hold_is_refused(make_store: MakeStore) -> None:
    """LIM-1: reading a full key over the engine's limit is ``LimitError``, as writing it is, not a driver's error."""
    store = make_store(LmdbEngine())
    for operation in (lambda: store.raw_get(b"\x00" + b"x" * 511), lambda: store.raw_put(b"\x00" + b"x" * 511, b"")):
        with pytest.raises(LimitError) as caught:
            operation()
        assert (caught.value.what, caught.value.limit, caught.value.got) == ("max_key", 511, 512)
    store.raw_put(b"\x00" + b"x" * 510, b"fits")
    assert store.raw_get(b"\x00" + b"x" * 510) == b"fits"


# --- instants, forks, the end ---


def test_a_snapshot_shows_one_instant(make_store: MakeStore, any_engine: Engine) -> None:
    """ITER-1: whatever is written meanwhile, a snapshot and a range that has begun show what was there."""
    store = make_store(any_engine)
    store.put_range(at(1), [(b"%04d" % number, b"old") for number in range(3000)])
    rows = store.iter_range(at(1), b"", b"\xff")
    first = next(rows)
    with store.snapshot() as snapshot:
        store.put(at(1), b"0001", b"new")
        store.delete_range(at(1), b"1000", b"2999")
        assert snapshot.get(at(1), b"0001") == b"old"
        assert len(snapshot.keys_in_range(at(1), b"", b"\xff")) == 3000
    assert [first, *rows] == [(b"%04d" % number, b"old") for number in range(3000)]
    assert store.get(at(1), b"0001") == b"new"
    assert len(store.keys_in_range(at(1), b"", b"\xff")) == 1000


def test_what_engines_do_not_declare_is_refused(make_store: MakeStore) -> None:
    """REG-3: sizes, compaction and backups of an engine without them are ``UnsupportedError``."""
    store = make_store(wrapped(MemoryEngine(), features=()))
    for operation in (lambda: store.approximate_sizes([]), store.compact, lambda: store.backup("x")):
        with pytest.raises(UnsupportedError):
            operation()
    able = make_store()
    able.put(META, b"a", b"12345")
    assert able.approximate_sizes([(b"\x00", b"\x01"), (b"\x01", b"\x01")])[0] >= 7
    assert able.suspect is None
    assert "memory" in repr(able)


_FORK = """
import os, sys, threading
from dvidkit.context import MetadataContext
from dvidkit.engine import StoreConfig
from dvidkit.errors import StoreForked
from dvidkit.store import Store
from dvidkit_{engine}.engine import {Engine}

ctx = MetadataContext()
store = Store({Engine}(), StoreConfig("{engine}", sys.argv[1]))
store.put(ctx, b"a", b"1")
snapshot = store.snapshot()
held, go = threading.Event(), threading.Event()

def hold():
    with store._committer.exclusively():
        held.set()
        go.wait()

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    refused = 0
    for operation in (
        lambda: store.put(ctx, b"b", b""), lambda: store.get(ctx, b"a"), lambda: store.get_range(ctx, b"", b"z"),
        lambda: store.delete(ctx, b"a"), lambda: snapshot.get(ctx, b"a"), store.snapshot,
        lambda: store.raw_get(b"\\x00a"),
    ):
        try:
            operation()
        except StoreForked:
            refused += 1
    store.close()
    snapshot.close()
    os._exit(refused)
go.set()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert store.get(ctx, b"a") == b"1"
store.put(ctx, b"b", b"2")
snapshot.close()
store.close()
"""


@pytest.mark.parametrize(("engine", "kind"), [("memory", "MemoryEngine"), ("lmdb", "LmdbEngine")])
def test_a_store_is_dead_in_a_forked_child(tmp_path: Path, engine: str, kind: str) -> None:
    """CONC-7: in a child every call is ``StoreForked`` at once, also while a thread held the way in at the fork."""
    code = _FORK.format(engine=engine, Engine=kind)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=True, timeout=60)


def test_stores_in_one_process_are_apart(make_store: MakeStore) -> None:
    """Two stores have nothing in common; closing one leaves the other."""
    one, two = make_store(LmdbEngine(), name="one"), make_store(LmdbEngine(), name="two")
    one.put(META, b"a", b"1")
    assert two.get(META, b"a") is None
    one.close()
    one.close()
    assert one.closed
    two.put(META, b"a", b"2")
    with pytest.raises(StoreClosed):
        one.get(META, b"a")
    assert two.get(META, b"a") == b"2"


def test_read_only_needs_the_capability(tmp_path: Path) -> None:
    """An engine that does not declare it is not asked, whatever it would do."""
    engine = wrapped(LmdbEngine(), features=())
    Store(engine, StoreConfig(engine.name, str(tmp_path / "store"))).close()
    with pytest.raises(UnsupportedError) as caught:
        Store(engine, StoreConfig(engine.name, str(tmp_path / "store"), read_only=True))
    assert caught.value.capability == Capability.READ_ONLY
