"""Clauses of point operations, ranges, range deletion and batches, in an unversioned and in a versioned context."""

from __future__ import annotations

from typing import Any

from dvidkit.errors import BadType
from dvidkit.keys import max_tkey, min_tkey, new_tkey
from dvidkit_conformance.checking import on_store
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import StoreSession, row


def _contexts(s: StoreSession) -> list[tuple[int | None, int]]:
    """(version, instance): an unversioned instance and a versioned one."""
    s.versions((1, []))
    return [(None, 5), (1, 6)]


@on_store("KV-1", reach=("get",))
def missing(s: StoreSession) -> None:
    """Asked before it is written."""
    for v, i in _contexts(s):
        for name in ("get", "exists", "get_version"):
            s.point(name, b"a", v, i)
        s.put(b"a", b"1", v, i)
        for name in ("get", "exists", "get_version"):
            s.point(name, b"a", v, i)
            s.point(name, b"b", v, i)


@on_store("KV-2")
def last_put(s: StoreSession) -> None:
    """Longer, shorter, equal."""
    for v, i in _contexts(s):
        for value in (b"x" * 50, b"y", b"y", b"z" * 3000, b"w"):
            s.put(b"a", value, v, i)
            s.get(b"a", v, i)
        s.dump()


@on_store("KV-3")
def delete_exactly(s: StoreSession) -> None:
    """Neighbours in order stay."""
    for v, i in _contexts(s):
        s.put_range(*((b"k%d" % n, b"v") for n in range(5)), v=v, i=i)
        s.get(b"k2", v, i)
        s.delete(b"k2", v, i)
        s.observe(i)


@on_store("KV-4")
def delete_missing(s: StoreSession) -> None:
    """Never written, and deleted already."""
    for v, i in _contexts(s):
        s.put(b"b", b"1", v, i)
        s.delete(b"a", v, i)
        s.delete(b"a", v, i)
        s.observe(i, keys=[b"a", b"b"])
        s.put(b"a", b"2", v, i)
        s.observe(i)


@on_store("KV-5", reach=("empty_value",))
def empty_value(s: StoreSession) -> None:
    """Through every read, and with and without checksums behind it."""
    for v, i in _contexts(s):
        s.put(b"a", b"", v, i)
        s.observe(i)
        s.batch((b"b", b""), (b"c", b"x"), (b"d", b""), v=v, i=i)
        s.observe(i)


@on_store("KV-5", integrity=False)
def empty_value_without_checksums(s: StoreSession) -> None:
    """A store that keeps exactly what DVID keeps."""
    empty_value(s)


@on_store("KV-6")
def opaque_values(s: StoreSession) -> None:
    """Bytes that mean something to keys or checksums."""
    values = (
        b"\x00",
        b"\x03",
        b"O",
        b"\xff" * 4,
        b"\x1c\xdf\x44\x21",
        bytes(range(256)),
        b"\x00" * 4096,
        b"x" * 70_001,
    )
    for v, i in _contexts(s):
        for n, value in enumerate(values):
            s.put(b"k%d" % n, value, v, i)
            s.get(b"k%d" % n, v, i)
        s.ranges(v, i)


@on_store("KV-7")
def buffers_are_copied(s: StoreSession) -> None:
    """A bytearray and a memoryview, as TKey and value, changed after put, put_range, batch and raw_put."""
    context = s.context({"i": 5, "v": None})
    value, key = bytearray(b"value"), bytearray(b"key")
    s.store.put(context, key, value)  # type: ignore[arg-type]
    s.store.put_range(context, [(b"r", memoryview(value))])  # type: ignore[list-item]
    batch = s.store.new_batch(context)
    batch.put(b"b", value)  # type: ignore[arg-type]
    before = s.store.get(context, b"key")
    value[:] = b"other"
    key[:] = b"kex"
    batch.commit()
    got = [s.store.get(context, each) for each in (b"key", b"r", b"b")]
    s.require(got == [b"value"] * 3, [b"value"] * 3, got, note="values after the caller changed its buffers")
    s.store.put(context, b"key", b"later")
    s.store.close()
    s.require(before == b"value" and type(before) is bytes, b"value", before, note="what an earlier read returned")


@on_store("KV-8")
def distinct_tkeys(s: StoreSession) -> None:
    """Case, invalid UTF-8, common starts."""
    room = min(s.harness.engine.limits.max_key - 14, 300)
    keys = [b"a0", b"A0", b"\xe90", b"\xc3\xa9", b"\xff\xfe", b"\xfe\xff", b"..", b"./", b"%2e"]
    keys += [b"k" * (room - 1) + b"x", b"k" * (room - 1) + b"y"]
    for v, i in _contexts(s):
        for n, key in enumerate(keys):
            s.put(key, b"%d" % n, v, i)
        s.observe(i)
        s.delete(keys[-1], v, i)
        s.observe(i)


_WRONG: tuple[Any, ...] = (None, 5, "text", ["list"], 1.5, True)


@on_store("KV-9")
def wrong_types(s: StoreSession) -> None:
    """Every wrong type, in every way of writing; nothing is stored."""
    s.versions((1, []))
    s.put(b"a", b"old", v=1)
    context = s.context({"i": 1, "v": 1})
    store: Any = s.store
    for wrong in _WRONG:
        calls = {
            "put(key)": lambda wrong=wrong: store.put(context, wrong, b"v"),
            "put(value)": lambda wrong=wrong: store.put(context, b"a", wrong),
            "delete": lambda wrong=wrong: store.delete(context, wrong),
            "put_range(key)": lambda wrong=wrong: store.put_range(context, [(b"a", b"new"), (wrong, b"v")]),
            "put_range(value)": lambda wrong=wrong: store.put_range(context, [(b"a", b"new"), (b"b", wrong)]),
            "batch.put": lambda wrong=wrong: store.new_batch(context).put(b"a", wrong),
            "batch.delete": lambda wrong=wrong: store.new_batch(context).delete(wrong),
            "raw_put(key)": lambda wrong=wrong: store.raw_put(wrong, b"v"),
            "raw_put(value)": lambda wrong=wrong: store.raw_put(b"\x00a", wrong),
            "put_blob": lambda wrong=wrong: store.put_blob(wrong),
        }
        for name, call in calls.items():
            if name == "raw_put(value)" and wrong is None:
                continue
            got = attempt(call)
            s.require(got == Err(BadType.__name__), Err("BadType"), got, note=f"{name} with {wrong!r}")
    s.dump()


@on_store("KV-10", reach=("exists",))
def exists_is_get(s: StoreSession) -> None:
    """Missing, empty, deleted, inherited, in conflict."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
    s.batch((b"e", b""), (b"d", b"x"), (b"i", b"x"), (b"c", b"x"), v=1)
    s.batch((b"d", None), (b"c", b"y"), v=2)
    s.put(b"c", b"z", v=3)
    for v in (1, 2, 3, 4):
        for key in (b"e", b"d", b"i", b"c", b"m"):
            s.point("get", key, v)
            s.point("exists", key, v)


@on_store("KV-11")
def reads_leave_no_trace(s: StoreSession) -> None:
    """All engine bytes, dvidkit's own records too, before and after."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
    s.batch((b"a", b"1"), (b"b", b""), v=1)
    s.batch((b"a", b"2"), (b"b", None), v=2)
    s.put(b"a", b"3", v=3)
    assert s.tap.last is not None
    before = list(s.tap.last.scan(b"", b"\xff\xff"))
    s.observe(keys=[b"a", b"b", b"c"])
    s.do({"op": "raw", "first": b"\x00", "last": b"\x02", "keys_only": True})
    after = list(s.tap.last.scan(b"", b"\xff\xff"))
    s.require(before == after, before, after, note="every byte of the store before and after reading")


# --- ranges ----------------------------------------------------------------------------------------------------------
@on_store("ORD-1")
def increasing(s: StoreSession) -> None:
    """TKeys of several lengths, written out of order."""
    keys = [b"b\x00", b"aaa\x00", b"a\x00", b"\xff\x00", b"aa\x00", b"\x01\x00", b"ab\x00", b"abc\x00"]
    for v, i in _contexts(s):
        for key in keys:
            s.put(key, b"v", v, i)
        s.ranges(v, i)


@on_store("ORD-2")
def unsigned(s: StoreSession) -> None:
    """Either side of 80."""
    for v, i in _contexts(s):
        s.put_range(*((bytes([n]), b"v") for n in (0xFF, 0x7F, 0x80, 0x00, 0x81)), v=v, i=i)
        s.ranges(v, i)
        s.range("get_range", v, i, b"\x7f", b"\x80")


@on_store("ORD-3")
def closed_ranges(s: StoreSession) -> None:
    """11 by 11 bounds around five TKeys."""
    keys = [b"b", b"d", b"f", b"h", b"j"]
    for v, i in _contexts(s):
        s.put_range(*((key, b"v" + key) for key in keys), v=v, i=i)
        bounds = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j", b"k"]
        for first in bounds:
            for last in bounds:
                s.range("get_range", v, i, first, last)
                s.range("keys_in_range", v, i, first, last)


@on_store("ORD-4")
def nothing_outside(s: StoreSession) -> None:
    """Other instances, metadata, and TKeys that surround the bounds."""
    s.versions((1, []))
    for i in (5, 6, 7):
        s.put_range((b"\x00", b"v"), (b"m", b"v"), (b"n\x00", b"v"), (b"\xff", b"v"), v=1, i=i)
    s.put(b"\x00\x00\x00\x06m", b"meta", i="meta")
    for first, last in ((b"", b"\xff\xff"), (b"m", b"m"), (b"m\x00", b"n"), (b"l", b"n"), (b"", b""), (b"n", b"n\x00")):
        s.ranges(1, 6, first, last)
    s.ranges(None, "meta")


@on_store("ORD-5", reach=("empty_value",), classed=True)
def complete(s: StoreSession) -> None:
    """First, last, empty values, and a few hundred between."""
    for v, i in _contexts(s):
        s.put_range(*((row(n), b"" if n % 50 == 0 else b"v%d" % n) for n in range(351)), v=v, i=i)
        s.ranges(v, i)
        s.get(row(0), v, i)
        s.ranges(v, i, row(0), row(350))


@on_store("ORD-6")
def forms_agree(s: StoreSession) -> None:
    """With tombstones, other versions and conflicts between."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
    s.put_range(*((b"%02d" % n, b"%d" % n) for n in range(30)), v=1)
    s.batch(*((b"%02d" % n, None if n % 3 else b"two") for n in range(0, 30, 2)), v=2)
    s.batch(*((b"%02d" % n, None if n % 4 else b"three") for n in range(0, 30, 5)), v=3)
    for v in (1, 2, 3, 4):
        s.ranges(v)
        s.ranges(v, 1, b"05", b"21")
        s.do({"op": "get_many", "i": 1, "v": v, "keys": [b"%02d" % n for n in range(31)]})


@on_store("ORD-7")
def inverted(s: StoreSession) -> None:
    """Reads, ``delete_range``, and the store afterwards."""
    for v, i in _contexts(s):
        s.put_range((b"a", b"1"), (b"b", b"2"), (b"c", b"3"), v=v, i=i)
        s.ranges(v, i, b"c", b"a")
        s.ranges(v, i, b"b\x00", b"b")
        s.delete_range(b"c", b"a", v, i)
        s.observe(i)
        s.put(b"d", b"4", v, i)
        s.observe(i)


@on_store("ORD-8", classed=True)
def in_order(s: StoreSession) -> None:
    """Over a page border."""
    for v, i in _contexts(s):
        s.put_range(*((row(n), b"v") for n in reversed(range(1500))), v=v, i=i)
        s.range("process_range", v, i)


@on_store("ORD-9")
def class_bounds(s: StoreSession) -> None:
    """Three classes side by side, payloads of 00 and FF."""
    for v, i in _contexts(s):
        tkeys = [new_tkey(c, payload) for c in (4, 5, 6) for payload in (b"\x00\x00", b"a\x00", b"\xff\xff")]
        s.put_range(*((tkey, b"v") for tkey in tkeys), v=v, i=i)
        for c in (3, 4, 5, 6, 255):
            s.ranges(v, i, min_tkey(c), max_tkey(c))


@on_store("ORD-10")
def nothing_in_nothing(s: StoreSession) -> None:
    """A fresh store, and an instance beside a full one."""
    for v, i in _contexts(s):
        s.ranges(v, i)
    s.put(b"a", b"1", i=4)
    s.put(b"a", b"1", i=8)
    for v, i in _contexts(s):
        s.ranges(v, i)
    s.ranges(None, "meta")


@on_store("ORD-12", classed=True)
def limits(s: StoreSession) -> None:
    """None, one, all, more; with tombstones before the limit."""
    for v, i in _contexts(s):
        s.put_range(*((row(n), b"v%d" % n) for n in range(1100)), v=v, i=i)
        s.batch(*((row(n), None) for n in range(0, 20, 2)), v=v, i=i)
        for limit in (0, 1, 2, 10, 1023, 1024, 1090, 1091, 5000):
            s.range("get_range", v, i, limit=limit)
            s.range("keys_in_range", v, i, limit=limit)


# --- deleting ranges -------------------------------------------------------------------------------------------------
@on_store("DEL-1")
def delete_range_is_delete_of_each(s: StoreSession) -> None:
    """Over inherited, own, deleted and missing TKeys."""
    s.put_range(*((b"%d" % n, b"v") for n in range(9)), i=5)
    s.delete_range(b"2", b"6", i=5)
    s.observe(5)
    s.versions((1, []), (2, [1]), (3, [2]))
    s.put_range(*((b"%d" % n, b"v") for n in range(6)), v=1)
    s.batch((b"1", b"own"), (b"2", None), (b"7", b"own"), v=2)
    s.delete_range(b"1", b"7", v=2)
    s.observe()


@on_store("DEL-2")
def delete_range_is_closed(s: StoreSession) -> None:
    """Bounds at TKeys, between, and one TKey alone."""
    for v, i in _contexts(s):
        for first, last in ((b"b", b"d"), (b"c", b"c"), (b"a\x80", b"b\x80"), (b"e", b"z")):
            s.put_range(*((key, b"v") for key in (b"a", b"b", b"c", b"d", b"e")), v=v, i=i)
            s.delete_range(first, last, v, i)
            s.observe(i)


@on_store("DEL-3")
def delete_all(s: StoreSession) -> None:
    """All versions, values and tombstones; neighbours stay."""
    s.versions((1, []), (2, [1]))
    for i in (5, 6, 7):
        s.batch((b"a", b"1"), (b"b", b"2"), v=1, i=i)
        s.batch((b"a", None), (b"c", b"3"), v=2, i=i)
    s.do({"op": "delete_all", "i": 6})
    s.dump()
    s.observe(6, keys=[b"a", b"b", b"c"])


@on_store("DEL-4")
def no_memory(s: StoreSession) -> None:
    """A tombstone in a child, then everything deleted, then a put in the parent."""
    s.versions((1, []), (2, [1]))
    s.put(b"a", b"1", v=1)
    s.delete(b"a", v=2)
    s.do({"op": "delete_all", "i": 1})
    s.put(b"a", b"2", v=1)
    s.observe()


@on_store("DEL-5", classed=True)
def many_deletes(s: StoreSession) -> None:
    """More than one internal batch, twice."""
    s.versions((1, []), (2, [1]))
    n = 10_050
    s.put_range(*((row(each), b"v") for each in range(n)), v=1)
    s.delete_range(row(10), row(10_040), v=2)
    s.range("keys_in_range", 2)
    s.delete_range(row(10), row(10_040), v=2)
    s.do({"op": "delete_all", "i": 1})
    s.do({"op": "delete_all", "i": 1})
    s.dump()


# --- batches ---------------------------------------------------------------------------------------------------------
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
    for v, i in _contexts(s):
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
    for v, i in _contexts(s):
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
    for v, i in _contexts(s):
        s.batch(v=v, i=i)
        s.put_range(v=v, i=i)
        s.observe(i, keys=[b"a"])
        s.put(b"a", b"1", v, i)
        s.batch(v=v, i=i)
        s.observe(i)
