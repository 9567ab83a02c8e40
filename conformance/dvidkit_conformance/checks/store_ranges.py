"""Clauses of ranges and of their deletion, in an unversioned and in a versioned context."""

from __future__ import annotations

from dvidkit.keys import max_tkey, min_tkey, new_tkey
from dvidkit.resolve import Conflict
from dvidkit_conformance.checking import on_store
from dvidkit_conformance.storesession import HIGHEST, LOWEST, StoreSession, contexts, row


@on_store("ORD-1")
def increasing(s: StoreSession) -> None:
    """TKeys of several lengths, written out of order."""
    keys = [b"b\x00", b"aaa\x00", b"a\x00", b"\xff\x00", b"aa\x00", b"\x01\x00", b"ab\x00", b"abc\x00"]
    for v, i in contexts(s):
        for key in keys:
            s.put(key, b"v", v, i)
        s.ranges(v, i)


@on_store("ORD-2")
def unsigned(s: StoreSession) -> None:
    """Either side of 80."""
    for v, i in contexts(s):
        s.put_range(*((bytes([n]), b"v") for n in (0xFF, 0x7F, 0x80, 0x00, 0x81)), v=v, i=i)
        s.ranges(v, i)
        s.range("get_range", v, i, b"\x7f", b"\x80")


@on_store("ORD-3")
def closed_ranges(s: StoreSession) -> None:
    """11 by 11 bounds around five TKeys."""
    keys = [b"b", b"d", b"f", b"h", b"j"]
    for v, i in contexts(s):
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
    for v, i in contexts(s):
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
    for v, i in contexts(s):
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
    for v, i in contexts(s):
        s.put_range(*((row(n), b"v") for n in reversed(range(1500))), v=v, i=i)
        s.range("process_range", v, i)


@on_store("ORD-9")
def class_bounds(s: StoreSession) -> None:
    """Three classes side by side, payloads of 00 and FF."""
    for v, i in contexts(s):
        tkeys = [new_tkey(c, payload) for c in (4, 5, 6) for payload in (b"\x00\x00", b"a\x00", b"\xff\xff")]
        s.put_range(*((tkey, b"v") for tkey in tkeys), v=v, i=i)
        for c in (3, 4, 5, 6, 255):
            s.ranges(v, i, min_tkey(c), max_tkey(c))


@on_store("ORD-10")
def nothing_in_nothing(s: StoreSession) -> None:
    """A fresh store, and an instance beside a full one."""
    for v, i in contexts(s):
        s.ranges(v, i)
    s.put(b"a", b"1", i=4)
    s.put(b"a", b"1", i=8)
    for v, i in contexts(s):
        s.ranges(v, i)
    s.ranges(None, "meta")


@on_store("ORD-12", classed=True)
def limits(s: StoreSession) -> None:
    """None, one, all, more; with tombstones before the limit."""
    for v, i in contexts(s):
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
    for v, i in contexts(s):
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


@on_store("ORD-12")
def limits_and_conflicts(s: StoreSession) -> None:
    """Two keys in conflict among three others: none, one or both are reported, by what the limit lets through."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
    s.put_range((b"a", b"1"), (b"c", b"2"), (b"e", b"3"), v=1)
    for v in (2, 3):
        s.put_range((b"b", b"%d" % v), (b"d", b"%d" % v), v=v)
    context = s.context({"i": 1, "v": 4})
    rows = [(b"a", b"1"), (b"c", b"2"), (b"e", b"3")]
    for limit, keys in ((0, []), (1, []), (2, [b"b"]), (3, [b"b", b"d"]), (4, [b"b", b"d"])):
        found: list[Conflict] = []
        got: object = s.store.get_range(context, LOWEST, HIGHEST, limit=limit, conflicts=found)
        s.require(got == rows[:limit], rows[:limit], got, note=f"get_range of at most {limit}")
        s.require([each.tkey for each in found] == keys, keys, found, note=f"conflicts of at most {limit} rows")
        found = []
        got = s.store.keys_in_range(context, LOWEST, HIGHEST, limit=limit, conflicts=found)
        s.require(got == [key for key, _ in rows[:limit]], rows[:limit], got, note=f"keys_in_range of at most {limit}")
        s.require([each.tkey for each in found] == keys, keys, found, note=f"conflicts of at most {limit} keys")
