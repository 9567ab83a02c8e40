"""Clauses of batches."""

from __future__ import annotations

from typing import Any

from dvidkit_conformance.checking import on_store
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import StoreSession, contexts, row


@on_store("BATCH-1")
def atomic_on_error(s: StoreSession) -> None:
    """A block that raises, a generator that raises, a bad value late in a batch."""
    s.versions((1, []))
    s.put(b"a", b"old", v=1)
    context = s.context({"i": 1, "v": 1})

    def failing_block() -> None:
        with s.store.new_batch(context) as batch:
            batch.put(b"a", b"new")
            batch.delete(b"b")
            raise KeyError("the caller's own")

    def failing_pairs() -> Any:
        yield b"a", b"new"
        raise KeyError("the caller's own")

    for call in (failing_block, lambda: s.store.put_range(context, failing_pairs())):
        try:
            call()
        except KeyError:
            s.dump()
            continue
        raise s.violation("raises the caller's KeyError", "nothing raised")
    s.store.new_batch(context).put(b"a", b"dropped")
    s.dump()
    s.get(b"a", v=1)


@on_store("BATCH-2")
def batch_order(s: StoreSession) -> None:
    """Puts and deletes of one TKey, in every order."""
    for v, i in contexts(s):
        s.batch((b"a", b"1"), (b"a", b"2"), v=v, i=i)
        s.observe(i)
        s.batch((b"a", b"3"), (b"a", None), (b"b", None), (b"b", b"1"), v=v, i=i)
        s.observe(i, keys=[b"a", b"b"])
        s.batch((b"a", None), (b"a", b"4"), (b"b", b"2"), (b"b", None), (b"b", b"3"), v=v, i=i)
        s.observe(i)


@on_store("BATCH-3")
def batch_is_put_and_delete(s: StoreSession) -> None:
    """Tombstones set and cleared."""
    s.versions((1, []), (2, [1]))
    s.batch((b"a", b"1"), (b"b", b"2"), v=1)
    s.batch((b"a", None), (b"c", b"3"), v=2)
    s.observe()
    s.batch((b"a", b"4"), (b"b", None), (b"c", None), v=2)
    s.observe()


@on_store("BATCH-4")
def nothing_before_commit(s: StoreSession) -> None:
    """A batch that waits, and one that is dropped over a reopening."""
    s.versions((1, []))
    s.put(b"a", b"old", v=1)
    batch = s.store.new_batch(s.context({"i": 1, "v": 1}))
    batch.put(b"a", b"new")
    batch.put(b"b", b"new")
    s.observe(keys=[b"a", b"b"])
    del batch
    s.reopen()
    s.observe(keys=[b"a", b"b"])


@on_store("BATCH-5", classed=True)
def large_batches(s: StoreSession) -> None:
    """3,000 changes; and one change over the declared number."""
    limit = s.harness.engine.limits.max_batch_ops
    n = min(100_000 if s.harness.scale > 1 else 3000, max(1, limit // 2 - 4))
    s.versions((1, []))
    s.batch(*((row(each), b"v%d" % each) for each in range(n)), v=1)
    s.range("get_range", 1)
    if limit <= 50_000:
        context = s.context({"i": 1, "v": 1})
        got = attempt(lambda: s.store.put_range(context, [(row(each), b"v") for each in range(limit + 1)]))
        s.require(got == Err("LimitError"), Err("LimitError"), got, note=f"a batch of {limit + 1} puts")
        s.dump()


@on_store("BATCH-6")
def put_range(s: StoreSession) -> None:
    """A generator, unsorted, with repetitions."""
    for v, i in contexts(s):
        s.put_range((b"c", b"1"), (b"a", b"1"), (b"c", b"2"), (b"b", b""), (b"a", b"3"), v=v, i=i)
        s.observe(i)


@on_store("BATCH-7")
def used_once(s: StoreSession) -> None:
    """Commit, put and delete after commit."""
    context = s.context({"i": 5, "v": None})
    batch = s.store.new_batch(context)
    batch.put(b"a", b"1")
    batch.commit()
    s.store.put(context, b"a", b"2")
    for name, call in {
        "commit": batch.commit,
        "put": lambda: batch.put(b"a", b"3"),
        "delete": lambda: batch.delete(b"a"),
    }.items():
        got = attempt(call)
        s.require(isinstance(got, Err), "an error of the tree", got, note=f"{name} of a batch that was committed")
    got = s.store.get(context, b"a")
    s.require(got == b"2", b"2", got, note="the value put after the commit")


@on_store("BATCH-8")
def empty_batches(s: StoreSession) -> None:
    """Of a batch, of ``put_range``."""
    for v, i in contexts(s):
        s.batch(v=v, i=i)
        s.put_range(v=v, i=i)
        s.observe(i, keys=[b"a"])
        s.put(b"a", b"1", v, i)
        s.batch(v=v, i=i)
        s.observe(i)
