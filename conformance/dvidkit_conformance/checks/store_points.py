"""Clauses of point operations, in an unversioned and in a versioned context."""

from __future__ import annotations

from typing import Any

from dvidkit.errors import BadType
from dvidkit_conformance.checking import on_store
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import StoreSession, contexts


@on_store("KV-1", reach=("get",))
def missing(s: StoreSession) -> None:
    """Asked before it is written."""
    for v, i in contexts(s):
        for name in ("get", "exists", "get_version"):
            s.point(name, b"a", v, i)
        s.put(b"a", b"1", v, i)
        for name in ("get", "exists", "get_version"):
            s.point(name, b"a", v, i)
            s.point(name, b"b", v, i)


@on_store("KV-2")
def last_put(s: StoreSession) -> None:
    """Longer, shorter, equal."""
    for v, i in contexts(s):
        for value in (b"x" * 50, b"y", b"y", b"z" * 3000, b"w"):
            s.put(b"a", value, v, i)
            s.get(b"a", v, i)
        s.dump()


@on_store("KV-3")
def delete_exactly(s: StoreSession) -> None:
    """Neighbours in order stay."""
    for v, i in contexts(s):
        s.put_range(*((b"k%d" % n, b"v") for n in range(5)), v=v, i=i)
        s.get(b"k2", v, i)
        s.delete(b"k2", v, i)
        s.observe(i)


@on_store("KV-4")
def delete_missing(s: StoreSession) -> None:
    """Never written, and deleted already."""
    for v, i in contexts(s):
        s.put(b"b", b"1", v, i)
        s.delete(b"a", v, i)
        s.delete(b"a", v, i)
        s.observe(i, keys=[b"a", b"b"])
        s.put(b"a", b"2", v, i)
        s.observe(i)


@on_store("KV-5", reach=("empty_value",))
def empty_value(s: StoreSession) -> None:
    """Through every read, and with and without checksums behind it."""
    for v, i in contexts(s):
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
    for v, i in contexts(s):
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
    for v, i in contexts(s):
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


@on_store("MERGE-1")
def lent_values_are_the_same(s: StoreSession) -> None:
    """``lent`` gives what ``get_many`` gives, at every version of a diamond: own, inherited, deleted, of one side."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]), (5, [4]))
    s.batch((b"a", b"1"), (b"b", b"1"), (b"c", b""), (b"d", b"1"), v=1)
    s.batch((b"a", b"22"), (b"b", None), (b"e", b"2"), v=2)
    s.batch((b"f", b"333"), (b"d", None), v=3)
    s.put(b"d", b"55555", v=5)
    keys = [b"a", b"b", b"c", b"d", b"e", b"f", b"g"]
    for v, values in {
        1: [b"1", b"1", b"", b"1", None, None, None],
        2: [b"22", None, b"", b"1", b"2", None, None],
        3: [b"1", b"1", b"", None, None, b"333", None],
        4: [b"22", None, b"", None, b"2", b"333", None],
        5: [b"22", None, b"", b"55555", b"2", b"333", None],
    }.items():
        context = s.context({"i": 1, "v": v})
        with s.store.lent(context, keys) as views:
            got = [None if view is None else bytes(view) for view in views]
        s.require(got == values, values, got, note=f"lent at version {v}")
        got = s.store.get_many(context, keys)
        s.require(got == values, values, got, note=f"get_many at version {v}")
