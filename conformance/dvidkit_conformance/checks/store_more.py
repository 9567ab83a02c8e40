"""Clauses of iteration, raw keys, instances, metadata and blobs."""

from __future__ import annotations

import gc
import queue
import threading
from functools import partial
from typing import Any

from dvidkit.errors import BadKey
from dvidkit.keys import max_version_key, min_version_key
from dvidkit_conformance import codec
from dvidkit_conformance.checking import on_store
from dvidkit_conformance.results import Err, Foreign
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import HIGHEST, LOWEST, StoreSession, row

_ALL = (LOWEST, HIGHEST)


def _rows(n: int, value: bytes = b"old") -> list[tuple[bytes, bytes]]:
    return [(row(each), value) for each in range(n)]


# --- iteration -------------------------------------------------------------------------------------------------------
@on_store("ITER-1", classed=True)
def one_instant(s: StoreSession) -> None:
    """A range of several pages, written over while it runs."""
    s.versions((1, []))
    s.put_range(*_rows(2500), v=1)
    context = s.context({"i": 1, "v": 1})
    rows = s.store.iter_range(context, *_ALL)
    got = [next(rows)]
    s.store.put_range(context, [(key, b"new") for key, _ in _rows(2500)[::2]])
    s.store.delete_range(context, row(1000), row(1999))
    s.store.put(context, row(2500), b"new")
    got += rows
    s.require(got == _rows(2500), "2500 rows as they were", [row for row in got if row[1] != b"old"][:3] or len(got))


@on_store("ITER-2", classed=True)
def undisturbed(s: StoreSession) -> None:
    """One row deleted and one put ahead at each step; untouched rows come once, in order."""
    s.put_range(*_rows(300), i=5)
    context = s.context({"i": 5, "v": None})
    got = []
    for n, (key, _) in enumerate(s.store.iter_range(context, *_ALL)):
        got.append(key)
        s.store.delete(context, row(299 - n))
        s.store.put(context, row(1000 + n), b"new")
    untouched = [key for key in got if key < row(1000)]
    s.require(untouched == sorted(set(untouched)), "untouched rows once, in order", untouched)
    s.require(got == [key for key, _ in _rows(300)], "the rows of the start", len(got))


@on_store("ITER-3", reach=("page_boundary",), classed=True)
def page_borders(s: StoreSession) -> None:
    """Row counts around page sizes; versioned with an entry in a second version, too."""
    s.versions((1, []), (2, [1]))
    stored = 0
    for n in (1, 2, 3, 127, 128, 129, 1000, 1001, 1023, 1024, 1025, 1026, 2049, 3000):
        s.put_range(*_rows(n)[stored:], i=5)
        s.put_range(*_rows(n)[stored:], v=1, i=6)
        s.batch((row(n - 1), b"two"), (row(n // 2), None), v=2, i=6)
        stored = n
        s.range("get_range", None, 5)
        s.range("keys_in_range", 2, 6)
    for name in ("get_range", "iter_range", "process_range", "send_keys"):
        s.range(name, 2, 6)


@on_store("ITER-4")
def consumers_exception(s: StoreSession) -> None:
    """Raised at the third row."""
    s.put_range(*_rows(50), i=5)
    calls: list[bytes] = []

    def function(tkey: bytes, value: bytes) -> None:
        calls.append(tkey)
        if len(calls) == 3:
            raise KeyError("the caller's own")

    got = attempt(lambda: s.store.process_range(s.context({"i": 5, "v": None}), *_ALL, function))
    s.require(isinstance(got, Foreign) and "KeyError" in got.what, "raises the caller's KeyError", got)
    s.require(len(calls) == 3, 3, len(calls), note="calls of the function, which raised at the third")
    s.put(b"a", b"1", i=5)
    s.reopen()
    s.get(row(1), i=5)


@on_store("ITER-5", classed=True)
def abandoned(s: StoreSession) -> None:
    """A thousand, at different rows."""
    s.put_range(*_rows(30), i=5)
    context = s.context({"i": 5, "v": None})
    for n in range(1000):
        rows = s.store.iter_range(context, *_ALL)
        for _ in range(n % 4):
            next(rows)
        del rows
    gc.collect()
    s.put(row(50), b"1", i=5)
    s.observe(5)
    s.reopen()
    s.observe(5)


@on_store("ITER-6")
def writing_inside(s: StoreSession) -> None:
    """In another thread with a watch, so that a deadlock is a failure and not a hang."""
    s.put_range(*_rows(20), i=5)
    context = s.context({"i": 5, "v": None})
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def function(tkey: bytes, value: bytes) -> None:
        s.store.put(context, b"x" + tkey, b"new")
        s.store.delete(context, tkey)

    thread = threading.Thread(
        target=lambda: done.put(attempt(lambda: s.store.process_range(context, *_ALL, function))), daemon=True
    )
    thread.start()
    thread.join(10)
    s.require(not thread.is_alive(), "an end", "none in 10 s", note="process_range whose function puts and deletes")
    got = done.get()
    s.require(got is None, None, got, note="process_range whose function puts and deletes")
    s.require(
        s.store.keys_in_range(context, *_ALL) == [b"x" + key for key, _ in _rows(20)], "20 new TKeys", "other TKeys"
    )


@on_store("ITER-7", classed=True)
def ends_with_the_store(s: StoreSession) -> None:
    """Begun and not begun; of the store, of a snapshot, and raw."""
    s.put_range(*_rows(1500), i=5)
    context = s.context({"i": 5, "v": None})
    snapshot = s.store.snapshot()
    begun = {
        "begun": s.store.iter_range(context, *_ALL),
        "of a snapshot begun": snapshot.iter_range(context, *_ALL),
        "of raw rows begun": s.store.raw_range_query(b"\x00", b"\x02"),
    }
    for rows in begun.values():
        next(rows)
    idle = s.store.iter_range(context, *_ALL)
    s.store.close()
    for name, rows in (*begun.items(), ("not begun", idle)):
        got = attempt(partial(next, rows))
        s.require(got == Err("StoreClosed"), Err("StoreClosed"), got, note=f"an iterator {name} before close")


# --- raw -------------------------------------------------------------------------------------------------------------
def _history(s: StoreSession) -> None:
    s.versions((1, []), (2, [1]), (3, [1]))
    s.batch((b"a", b"1"), (b"b", b""), (b"c", b"x"), v=1)
    s.batch((b"a", None), (b"b", b"2"), v=2)
    s.batch((b"c", b"3"), (b"d", None), v=3)
    s.put(b"m", b"meta", i="meta")
    s.put(b"p", b"plain", i=9)


@on_store("RAW-1")
def everything_is_shown(s: StoreSession) -> None:
    """Of the whole store, of one instance, of one TKey, between two full keys."""
    _history(s)
    rows = s.model.dump()
    low, high = min_version_key(1, b"b"), max_version_key(1, b"b")
    for first, last in ((b"\x00", b"\xff"), (b"\x01\x00\x00\x00\x01", b"\x01\x00\x00\x00\x02"), (low, high)):
        s.do({"op": "raw", "first": first, "last": last})
    for first, last in ((rows[1][0], rows[4][0]), (rows[2][0], rows[2][0]), (rows[4][0], rows[1][0])):
        s.do({"op": "raw", "first": first, "last": last})


@on_store("RAW-2")
def what_writes_write(s: StoreSession) -> None:
    """Puts and deletes of one TKey, one after the other, by the engine's own bytes."""
    _history(s)
    s.dump()
    for value in (b"4", None, None, b"5", b"", None, b"6"):
        if value is None:
            s.delete(b"a", v=2)
        else:
            s.put(b"a", value, v=2)
        s.dump()


@on_store("RAW-2", integrity=False)
def what_writes_write_without_checksums(s: StoreSession) -> None:
    """Byte for byte what DVID writes."""
    what_writes_write(s)


@on_store("RAW-3")
def raw_writes_touch_one_key(s: StoreSession) -> None:
    """A value put raw beside a tombstone of another version; a tombstone deleted raw."""
    _history(s)
    s.do({"op": "raw_put", "key": codec.data_key(1, b"e", 2), "value": b"raw"})
    s.dump()
    s.do({"op": "raw_delete", "key": codec.data_key(1, b"a", 2, codec.TOMBSTONE)})
    s.dump()
    s.observe()
    s.do({"op": "raw_delete", "key": codec.data_key(1, b"c", 1)})
    s.do({"op": "raw_put", "key": codec.data_key(1, b"c", 2, codec.TOMBSTONE), "value": b""})
    s.dump()
    s.observe()
    for bad in (b"", b"\x01short", b"\x03own", b"\x02" + b"x" * 15, b"\x04other"):
        got = attempt(partial(s.store.raw_put, bad, b"v"))
        s.require(got == Err(BadKey.__name__), Err("BadKey"), got, note=f"raw_put({bad!r})")
    s.dump()


@on_store("RAW-4")
def raw_copy(s: StoreSession) -> None:
    """Into another store of the same engine."""
    _history(s)
    expected = s.dump()
    with StoreSession(s.harness) as copy:
        for key, value in s.store.raw_range_query(b"\x00", b"\xff"):
            assert value is not None
            copy.store.raw_put(key, value)
        got = copy.answer({"op": "dump"})
    s.require(got == expected, expected, got, note="the dump of a copy made by raw_range_query and raw_put")


@on_store("RAW-5")
def raw_keys(s: StoreSession) -> None:
    """The same keys, values ``None``."""
    _history(s)
    s.do({"op": "raw", "first": b"\x00", "last": b"\xff", "keys_only": True})


@on_store("RAW-6")
def cancelled(s: StoreSession) -> None:
    """Set in the middle of a page; and dropped."""
    s.put_range(*_rows(500), i=5)
    cancel = threading.Event()
    got = 0
    for _ in s.store.raw_range_query(b"\x00", b"\xff", cancel=cancel):
        got += 1
        if got == 10:
            cancel.set()
    s.require(got <= 11, "10 or 11 pairs", got, note="pairs that came; cancelled after the tenth")
    rows = s.store.raw_range_query(b"\x00", b"\xff")
    next(rows)
    del rows
    s.put(b"a", b"1", i=5)


# --- instances, metadata, blobs --------------------------------------------------------------------------------------
_INSTANCES = (0, 1, 255, 256, 257, 65537, 0x01000000, 0xFFFFFFFE, 0xFFFFFFFF)


@on_store("INST-1")
def instances_side_by_side(s: StoreSession) -> None:
    """The same TKeys, each with its own value."""
    s.versions((1, []))
    for i in _INSTANCES:
        s.batch((b"a", b"%d" % i), (b"\xff", b"last"), (b"\x00", b"first"), v=1, i=i)
    for i in _INSTANCES:
        s.observe(i)


@on_store("INST-2")
def instances_apart(s: StoreSession) -> None:
    """Delete, ``delete_range``, ``delete_all`` in each in turn; everything else as before."""
    s.versions((1, []))
    for i in _INSTANCES:
        s.batch((b"a", b"1"), (b"b", b"2"), (b"c", b"3"), v=1, i=i)
    for i in (1, 256, 0xFFFFFFFE):
        s.delete(b"a", v=1, i=i)
        s.dump()
        s.delete_range(b"", b"\xff", v=1, i=i)
        s.dump()
        s.do({"op": "delete_all", "i": i})
        s.dump()
    for i in (0, 0xFFFFFFFF):
        s.do({"op": "delete_all", "i": i})
        s.dump()


@on_store("UNV-1")
def unversioned(s: StoreSession) -> None:
    """No tombstone, no trace, whatever the DAG."""
    s.put_range((b"a", b"1"), (b"b", b"2"), (b"c", b"3"), i=5)
    s.delete(b"a", i=5)
    s.observe(5, keys=[b"a", b"b"])
    s.versions((1, []), (2, [1]))
    s.observe(5, keys=[b"a", b"b"])
    s.batch((b"b", None), (b"d", b"4"), i=5)
    s.delete_range(b"c", b"d", i=5)
    s.observe(5, keys=[b"a", b"b", b"c"])
    s.dump()


@on_store("META-1")
def metadata(s: StoreSession) -> None:
    """Ranges, deletes, and ``delete_all`` of the instances."""
    s.versions((1, []))
    s.put_range((b"b", b"2"), (b"a", b"1"), (b"\xff", b""), (b"\x00", b"0"), i="meta")
    s.put(b"a", b"data", v=1, i=1)
    s.put(b"a", b"data", i=2)
    s.observe("meta")
    for i in (0, 1, 2):
        s.do({"op": "delete_all", "i": i})
    s.observe("meta")
    s.delete(b"a", i="meta")
    s.delete_range(b"b", b"\xff", i="meta")
    s.observe("meta", keys=[b"a", b"b", b"\x00"])
    s.dump()


@on_store("BLOB-1")
def blobs(s: StoreSession) -> None:
    """Empty, small, large; again; unknown; not a reference."""
    store = s.store
    for data in (b"", b"x", b"\x00\xff" * 100, b"large" * 20_000):
        reference = store.put_blob(data)
        s.require(store.get_blob(reference) == data, data, store.get_blob(reference), note="get_blob(put_blob(data))")
        s.require(store.put_blob(data) == reference, reference, "another reference", note="the same data again")
        safe = all(c.isalnum() or c in "-_=" for c in reference)
        s.require(safe, "a URL-safe reference", reference)
    got = store.get_blob("A" * 22 + "==")
    s.require(got is None, None, got, note="an unknown reference")
    refused = attempt(lambda: store.get_blob("not a reference"))
    s.require(refused == Err("BadKey"), Err("BadKey"), refused, note="get_blob of what is no reference")
