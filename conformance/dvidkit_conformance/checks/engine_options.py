"""Clauses of the optional protocols: each must agree with ``get`` and ``scan``."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dvidkit.engine import (
    Backer,
    Capability,
    Compactor,
    LastReader,
    Lender,
    ManyReader,
    PageReader,
    RangeDeleter,
    SeekReader,
    Sizer,
)
from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.checking import on_bytes
from dvidkit_conformance.session import attempt

_KEYS = (b"b", b"d", b"d\x00", b"dd", b"f", b"\x7f", b"\x80", b"\xff")
_BOUNDS = (b"\x00", b"a", b"b", b"b\x00", b"c", b"d", b"d\x00", b"d\x01", b"e", b"f\x00", b"\x80", b"\xff", b"\xff\xff")
_ON_STORES = {
    Capability.GET_MANY: ManyReader,
    Capability.SEEK: SeekReader,
    Capability.LAST: LastReader,
    Capability.PAGES: PageReader,
    Capability.DELETE_RANGE: RangeDeleter,
    Capability.SIZES: Sizer,
    Capability.COMPACT: Compactor,
    Capability.BACKUP: Backer,
}
_ON_SNAPSHOTS = {
    Capability.GET_MANY: ManyReader,
    Capability.LEND: Lender,
    Capability.SEEK: SeekReader,
    Capability.LAST: LastReader,
    Capability.PAGES: PageReader,
}


def _fill(s: ByteSession) -> None:
    s.write(*((key, b"v" + key) for key in _KEYS[:-1]), (_KEYS[-1], b""))


@on_bytes("ENG-CAP-1")
def declared_is_there(s: ByteSession) -> None:
    """The methods of every declared protocol."""
    features = s.harness.engine.capabilities.features
    snapshot = s.store.snapshot()
    for feature in features:
        s.require(feature in set(Capability), "a known capability", feature)
        protocol = _ON_STORES.get(feature)
        if protocol is not None:
            s.require(isinstance(s.store, protocol), f"a store with the methods of {protocol.__name__}", type(s.store))
        read = _ON_SNAPSHOTS.get(feature)
        if read is not None:
            s.require(isinstance(snapshot, read), f"a snapshot with {read.__name__}", type(snapshot))
    snapshot.close()


@on_bytes("ENG-MANY-1", reach=("get_many",))
def many(s: ByteSession) -> None:
    """In order, unordered, repeated, absent, none, and very many; of a snapshot too."""
    _fill(s)
    asked: list[list[bytes]] = [[], [b"d"], list(_KEYS), list(reversed(_KEYS)), [b"f", b"nope", b"b", b"f"]]
    asked += [[b"zz", b"a", b"d", b"d", b"\xff", b"b"]]
    for keys in asked:
        s.do({"op": "get_many", "keys": keys})
    s.snapshot("s")
    s.write((b"b", b"new"), (b"d", None), (b"nope", b"new"), *((b"n%04d" % n, b"%d" % n) for n in range(1500)))
    for keys in asked:
        s.do({"op": "get_many", "keys": keys, "on": "s"})
        s.do({"op": "get_many", "keys": keys})
    s.do({"op": "get_many", "keys": [b"n%04d" % (n * 7 % 1600) for n in range(1600)]})


@on_bytes("ENG-LEND-1", reach=("lend",))
def lent(s: ByteSession) -> None:
    """In order, unordered, repeated, absent, none, large; of a snapshot past which others have written."""
    _fill(s)
    s.write((b"large", bytes(range(256)) * 4096))
    asked = [[], [b"d"], [*_KEYS, b"large"], [b"\xff", b"nope", b"large", b"b", b"large"]]
    s.snapshot("s")
    for _ in range(2):
        for keys in asked:
            s.do({"op": "lend", "keys": keys, "on": "s"})
        s.get(b"d", on="s")
        s.write((b"b", b"new"), (b"d", None), (b"nope", b"new"), (b"large", b"small"))
        s.snapshot("later")
        for keys in asked:
            s.do({"op": "lend", "keys": keys, "on": "later"})
    s.snapshot("late")
    s.write((b"a", b"newer"), (b"large", None))
    for keys in asked:
        s.do({"op": "lend", "keys": keys, "on": "late"})


@on_bytes("ENG-LEND-1")
def lent_to_threads(s: ByteSession) -> None:
    """Views are read-only, and other threads read them while the block lasts."""
    value = bytes(range(256)) * 4096
    s.write((b"a", value), (b"b", b""))
    with s.store.snapshot().lend([b"a", b"b"]) as lent:  # type: ignore[attr-defined]
        for view in lent:
            s.require(type(view) is bytes or memoryview(view).readonly, "read-only", "writable")
        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(bytes, lent * 8))
    s.require(seen == [value, b""] * 8, "what was written", "something else", note="read by four threads")
    s.write((b"a", b"new"))
    s.see(b"a")


@on_bytes("ENG-BORROW-1")
def borrowed(s: ByteSession) -> None:
    """Views of bytes that change afterwards: large, small and empty, among bytes and deletes."""
    source = bytearray(bytes(range(256)) * 4096)
    before, view = bytes(source), memoryview(source)
    values: list[Any] = [view, view[5:9].toreadonly(), view[:0], b"bytes", view[1:]]
    rows = [(b"k%d" % number, value) for number, value in enumerate(values)]
    wanted = [(key, bytes(value)) for key, value in rows]
    s.store.write([*rows, (b"gone", None)], durable=False)
    source[:] = bytes(len(before))
    got = list(s.store.scan(b"k", b"l"))
    s.require(got == wanted, "what the views showed", "something else", note="views written, then changed")
    s.require({type(value) for _, value in got} == {bytes}, "bytes", "another type")
    s.store.write([(key, None) for key, _ in rows], durable=False)


@on_bytes("ENG-SEEK-1", reach=("seek_last_before",))
def last_before(s: ByteSession) -> None:
    """Every pair of bounds of a grid, with and without values, of a snapshot too."""
    s.do({"op": "seek_last_before", "end": b"z", "floor": b"a"})
    _fill(s)
    s.snapshot("s")
    for end in _BOUNDS:
        for floor in _BOUNDS:
            s.do({"op": "seek_last_before", "end": end, "floor": floor})
            s.do({"op": "seek_last_before", "end": end, "floor": floor, "keys_only": True})
    s.write((b"e", b"new"), (b"d", None), (b"\xff", None))
    for end in _BOUNDS:
        s.do({"op": "seek_last_before", "end": end, "floor": b"\x00", "on": "s"})
        s.do({"op": "seek_last_before", "end": end, "floor": b"c"})


@on_bytes("ENG-SEEK-2", reach=("seek_first_from",))
def first_from(s: ByteSession) -> None:
    """The same upwards."""
    s.do({"op": "seek_first_from", "begin": b"a", "end": b"z"})
    _fill(s)
    s.snapshot("s")
    for begin in _BOUNDS:
        for end in _BOUNDS:
            s.do({"op": "seek_first_from", "begin": begin, "end": end})
            s.do({"op": "seek_first_from", "begin": begin, "end": end, "keys_only": True})
    s.write((b"e", b"new"), (b"d", None), (b"b", None))
    for begin in _BOUNDS:
        s.do({"op": "seek_first_from", "begin": begin, "end": b"\xff\xff", "on": "s"})
        s.do({"op": "seek_first_from", "begin": begin, "end": b"e"})


@on_bytes("ENG-SEEK-1")
def seeks_among_deleted(s: ByteSession) -> None:
    """Rows that were deleted, or written since a snapshot, are passed over."""
    s.write(*((b"%03d" % n, b"v") for n in range(300)))
    s.snapshot("s")
    s.write(*((b"%03d" % n, None) for n in range(1, 299)))
    for end in (b"299", b"150", b"001", b"000", b"3"):
        s.do({"op": "seek_last_before", "end": end, "floor": b"\x00"})
        s.do({"op": "seek_last_before", "end": end, "floor": b"100", "on": "s"})


@on_bytes("ENG-PAGES-1", reach=("scan_pages",))
def pages(s: ByteSession) -> None:
    """Grids of bounds on few rows, and many rows of different sizes."""
    s.do({"op": "scan_pages", "begin": b"a", "end": b"z"})
    _fill(s)
    s.snapshot("s")
    ways: list[dict[str, Any]] = [{}, {"reverse": True}, {"keys_only": True}, {"reverse": True, "keys_only": True}]
    for way in ways:
        for begin in _BOUNDS[::2]:
            for end in _BOUNDS:
                s.do({"op": "scan_pages", "begin": begin, "end": end, **way})
    s.write((b"b", None), *((b"n%05d" % n, bytes([n % 256]) * (n % 3 * 700)) for n in range(2100)))
    for way in ways:
        s.do({"op": "scan_pages", "begin": b"\x00", "end": b"\xff\xff", **way})
        s.do({"op": "scan_pages", "begin": b"n00010", "end": b"n02050", **way})
        s.do({"op": "scan_pages", "begin": b"\x00", "end": b"\xff\xff", "on": "s", **way})


@on_bytes("ENG-PAGES-1")
def pages_of_large_values(s: ByteSession) -> None:
    """So large that pages end by their bytes and not by their rows."""
    s.write(*((b"p%02d" % n, bytes([n]) * 150_000) for n in range(24)))
    for way in ({}, {"reverse": True}):
        s.do({"op": "scan_pages", "begin": b"\x00", "end": b"\xff", **way})
        s.do({"op": "scan_pages", "begin": b"p01", "end": b"p22", **way})


@on_bytes("ENG-PAGES-2")
def pages_are_the_callers(s: ByteSession) -> None:
    """Each page is a non-empty list, emptied as soon as it comes."""
    s.write(*((b"%05d" % n, b"v") for n in range(2500)))
    seen = 0
    for page in s.store.scan_pages(b"0", b"1"):  # type: ignore[attr-defined]
        s.require(type(page) is list and len(page) > 0, "a non-empty list", type(page))
        seen += len(page)
        page.clear()
    s.require(seen == 2500, 2500, seen, note="rows over all pages, each page emptied when it came")
    s.scan()


@on_bytes("ENG-LAST-1", reach=("scan_last_before",))
def last_of_each_group(s: ByteSession) -> None:
    """Groups with a row below, at and above the ceiling, and with none; every ceiling."""
    rows = [group + tail for group in (b"a", b"bb", b"c\x00", b"c\xff", b"z") for tail in (b"11", b"13", b"15", b"19")]
    rows += [b"e13", b"f15", b"g11", b"h19"]
    s.write(*((key, b"v" + key) for key in rows))
    s.snapshot("s")
    for _ in range(2):
        for ceiling in (b"00", b"11", b"12", b"13", b"14", b"15", b"16", b"19", b"20", b"\xff\xff"):
            span = {"begin": b"a00", "end": b"\xff\xff\xff", "ceiling": ceiling}
            s.do({"op": "scan_last_before", **span})
            s.do({"op": "scan_last_before", "keys_only": True, **span})
            s.do({"op": "scan_last_before", "on": "s", **span})
        s.write((b"bb13", None), (b"e14", b"new"), (b"g11", None), (b"c\x0012", b"new"))
    for begin, end in ((b"a11", b"bb11"), (b"bb00", b"z00"), (b"b", b"c"), (b"z", b"a"), (b"a11", b"z19")):
        s.do({"op": "scan_last_before", "begin": begin, "end": end, "ceiling": b"15"})


@on_bytes("ENG-LAST-1")
def last_of_many_groups(s: ByteSession) -> None:
    """Seeded random groups, up to hundreds of rows each."""
    rng = random.Random(7)
    keys = {b"%03d" % rng.randrange(300) + rng.randbytes(2) for _ in range(4000)}
    s.write(*((key, key[-2:]) for key in sorted(keys)))
    for ceiling in (b"\x00\x00", b"\x00\x01", b"\x40\x00", b"\x80\x00", b"\xff\xff"):
        s.do({"op": "scan_last_before", "begin": b"000", "end": b"999", "ceiling": ceiling})
        s.do({"op": "scan_last_before", "begin": b"100", "end": b"200", "ceiling": ceiling, "keys_only": True})


@on_bytes("ENG-LAST-1")
def last_of_large_groups(s: ByteSession) -> None:
    """Values so large that pages end by their bytes, with rows of a group above and below the ceiling."""
    s.write(*((b"g%02d" % n + tail, bytes([n]) * 150_000) for n in range(16) for tail in (b"1", b"2", b"3")))
    for ceiling in (b"2", b"3", b"9"):
        s.do({"op": "scan_last_before", "begin": b"g", "end": b"h", "ceiling": ceiling})


@on_bytes("ENG-DELR-1", reach=("delete_range",))
def delete_range(s: ByteSession) -> None:
    """From key to key, between keys, of many rows; never the end."""
    for begin, end in ((b"b", b"f"), (b"c", b"dd"), (b"a", b"b\x00"), (b"d\x00", b"\x80"), (b"\x80", b"\xff")):
        _fill(s)
        s.do({"op": "delete_range", "begin": begin, "end": end})
        s.scan()
        s.get(end)
    s.write(*((b"n%05d" % n, b"v") for n in range(2500)))
    s.do({"op": "delete_range", "begin": b"n00001", "end": b"n02499"})
    s.scan()


@on_bytes("ENG-DELR-2")
def delete_nothing(s: ByteSession) -> None:
    """Empty and inverted ranges; and the store writes on."""
    _fill(s)
    for begin, end in ((b"f", b"b"), (b"d", b"d"), (b"\xff", b"\x00"), (b"b\x00", b"b")):
        s.do({"op": "delete_range", "begin": begin, "end": end})
        s.scan()
    s.write((b"x", b"1"))
    s.see(b"x")


@on_bytes("ENG-SIZES-1")
def sizes(s: ByteSession) -> None:
    """Of nothing, of inverted ranges, of several."""
    ranges = [(b"a", b"z"), (b"z", b"a"), (b"d", b"d"), (b"b", b"c")]
    _fill(s)
    got = attempt(lambda: s.store.approximate_sizes(ranges))  # type: ignore[attr-defined]
    good = isinstance(got, list) and len(got) == 4 and all(type(size) is int and size >= 0 for size in got)
    s.require(good, "four whole numbers", got, note=f"approximate_sizes({ranges})")
    s.require(got[1:3] == [0, 0], [0, 0], got[1:3], note="sizes of an inverted and of an empty range")
