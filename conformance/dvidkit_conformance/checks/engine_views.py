"""Clauses of reading bytes, where faults hide: views that live long, stores of many rows, bounds that are long."""

from __future__ import annotations

from typing import Any

from dvidkit.engine import Capability
from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.checking import on_bytes
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt

ABC = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
_SPAN: dict[str, Any] = {"begin": b"a", "end": b"z"}
_WAYS: tuple[dict[str, Any], ...] = ({}, {"reverse": True}, {"keys_only": True}, {"reverse": True, "keys_only": True})
_READS: tuple[dict[str, Any], ...] = (
    {"op": "get_many", "keys": []},
    {"op": "get_many", "keys": [b"a", b"nope"]},
    {"op": "scan_pages", **_SPAN},
    {"op": "scan_pages", "reverse": True, "keys_only": True, **_SPAN},
    {"op": "scan_last_before", "ceiling": b"\xff", **_SPAN},
    {"op": "seek_last_before", "end": b"z", "floor": b"a"},
    {"op": "seek_last_before", "end": b"a", "floor": b"z"},
    {"op": "seek_first_from", **_SPAN},
    {"op": "seek_first_from", "begin": b"z", "end": b"a"},
)
"""The optional reads, of nothing too."""


# --- views -----------------------------------------------------------------------------------------------------------
@on_bytes("ENG-SNAP-1", reach=("stale_snapshot_read",))
def after_many_writes(s: ByteSession) -> None:
    """A snapshot and an iterator, past which three hundred batches were written one after another."""
    s.write(*ABC, *((b"k%02d" % n, b"old") for n in range(20)))
    s.snapshot("s")
    s.iterate("i")
    s.step("i", 2)
    for n in range(300):
        s.write((b"k%02d" % (n % 20), None if n % 7 == 0 else b"%d" % n), (b"a", b"%d" % n))
    s.see(b"a", b"k00", b"k19", on="s")
    s.scan(on="s", reverse=True, keys_only=True)
    s.step("i", 30)


@on_bytes("ENG-SNAP-1", reach=("stale_snapshot_read",))
def of_many_rows(s: ByteSession) -> None:
    """A snapshot of 2,500 rows that is first read when every one of them was overwritten or deleted."""
    s.write(*((b"%05d" % n, b"old") for n in range(2500)))
    s.snapshot("s")
    s.write(*((b"%05d" % n, b"new" if n % 3 else None) for n in range(2500)), (b"new", b"new"))
    for way in _WAYS:
        s.scan(on="s", **way)
        s.do({"op": "scan_pages", "begin": b"", "end": b"\xff", "on": "s", **way})
    s.do({"op": "get_many", "keys": [b"%05d" % n for n in range(0, 2500, 3)], "on": "s"})


@on_bytes("ENG-SNAP-1")
def taken_after_overwriting(s: ByteSession) -> None:
    """A new snapshot is of now, though as many keys are there as at the one before, which is still open."""
    s.write(*((b"%03d" % n, b"old") for n in range(100)))
    for n in range(3):
        s.snapshot(f"s{n}")
        s.scan(on=f"s{n}")
        s.write(*((b"%03d" % row, b"v%d" % n) for row in range(n, 100, 3)))
    s.snapshot("last")
    s.see(b"000", b"001", b"002", on="last")


@on_bytes("ENG-SNAP-2", reach=("stale_snapshot_read",))
def two_of_one_instant(s: ByteSession) -> None:
    """Nothing is written between two snapshots; each is closed without the other."""
    s.write(*ABC)
    for closed, other in (("s", "t"), ("v", "u")):
        s.snapshot(min(closed, other))
        s.snapshot(max(closed, other))
        s.iterate("i", on=other)
        s.step("i")
        s.do({"op": "snap_close", "to": closed})
        s.see(b"a", on=other)
        s.write((b"a", closed.encode()))
        s.see(b"a", on=other)
        s.step("i", 9)
        s.get(b"a", on=closed)


@on_bytes("ENG-SNAP-3")
def optional_reads_of_a_closed_snapshot(s: ByteSession) -> None:
    """Every optional read, of nothing too."""
    s.write(*ABC)
    s.snapshot("s")
    s.do({"op": "snap_close", "to": "s"})
    for read in _READS:
        s.do({**read, "on": "s"})
    s.see(b"a")


@on_bytes("ENG-CLOSE-2")
def optional_methods_of_a_closed_store(s: ByteSession) -> None:
    """Every optional read, of nothing too, and the methods of upkeep."""
    s.write(*ABC)
    target = s.harness.fresh()
    store: Any = s.store
    s.do({"op": "close"})
    for read in _READS:
        s.do(read)
    for capability, call in (
        (Capability.SIZES, lambda: store.approximate_sizes([(b"a", b"z")])),
        (Capability.COMPACT, lambda: store.compact(b"a", b"z")),
        (Capability.BACKUP, lambda: store.backup(str(target))),
        (Capability.DELETE_RANGE, lambda: store.delete_range(b"z", b"a", durable=False)),
    ):
        if s.harness.offers(capability):
            got = attempt(call)
            s.require(got == Err("StoreClosed"), Err("StoreClosed"), got, note=f"{capability} after close")


@on_bytes("ENG-CLOSE-3")
def optional_reads_of_an_open_snapshot(s: ByteSession) -> None:
    """Whose store was closed: every optional read, of nothing too."""
    s.write(*ABC)
    s.snapshot("s")
    s.do({"op": "close"})
    for read in _READS:
        s.do({**read, "on": "s"})


@on_bytes("ENG-CLOSE-3")
def iterators_far_along(s: ByteSession) -> None:
    """The next step raises wherever the iterator stands: within a page, behind some, before the last row."""
    s.write(*((b"%04d" % n, b"x") for n in range(2000)))
    s.snapshot("s")
    for n in (20, 150, 1024, 1999):
        s.iterate(f"{n}", on="s" if n == 150 else None, reverse=n == 1024, keys_only=n == 1999)
        s.step(f"{n}", n)
    s.do({"op": "close"})
    for n in (20, 150, 1024, 1999):
        s.step(f"{n}")


# --- many rows -------------------------------------------------------------------------------------------------------
_COUNTS = (100, 128, 256, 500, 512, 1000, 1024, 2000, 2048, 4096, 5000)


@on_bytes("ENG-SCAN-3", reach=("page_boundary",))
def complete_to_the_row(s: ByteSession) -> None:
    """As many rows as a page of any likely size, and multiples: by keys and descending, up to the last."""
    stored = 0
    for n in _COUNTS:
        s.write(*((b"%05d" % row, b"") for row in range(stored, n)))
        stored = n
        s.scan(keys_only=True)
        s.scan(b"%05d" % (n // 2), b"1", reverse=True)
    for way in _WAYS:
        s.scan(**way)


@on_bytes("ENG-PAGES-1", reach=("scan_pages",))
def pages_to_the_row(s: ByteSession) -> None:
    """As many rows as there may be in a page, or in some: the last page is full, and there is none behind it."""
    stored = 0
    for n in _COUNTS:
        s.write(*((b"%05d" % row, b"" if row % 2 else b"v") for row in range(stored, n)))
        stored = n
        s.do({"op": "scan_pages", "begin": b"", "end": b"1", "reverse": n % 256 == 0})
        s.do({"op": "scan_pages", "begin": b"", "end": b"1", "keys_only": True, "reverse": n % 256 != 0})


@on_bytes("ENG-MANY-1", reach=("get_many",))
def many_and_repeated(s: ByteSession) -> None:
    """More than a thousand keys, each several times, with absent ones among them; of a snapshot too."""
    s.write(*((b"n%03d" % n, b"%d" % n) for n in range(0, 300, 2)))
    s.snapshot("s")
    for count in (300, 600, 1200):
        keys = [b"n%03d" % (n * 7 // 3 % 300) for n in range(count)]
        s.do({"op": "get_many", "keys": keys})
        s.do({"op": "get_many", "keys": keys[::-1], "on": "s"})


# --- bounds ----------------------------------------------------------------------------------------------------------
@on_bytes("ENG-LAST-1", reach=("scan_last_before",))
def bounds_within_a_group(s: ByteSession) -> None:
    """The range begins or ends between the rows of a group: only those within it count."""
    s.write(*((group + tail, b"v" + tail) for group in (b"a", b"b", b"c") for tail in (b"11", b"13", b"15")))
    s.snapshot("s")
    for begin in (b"a11", b"a12", b"a14", b"a15", b"a16", b"b13"):
        for end in (b"b11", b"b12", b"b14", b"c13", b"c16"):
            for ceiling in (b"14", b"\xff\xff"):
                s.do({"op": "scan_last_before", "begin": begin, "end": end, "ceiling": ceiling})
    span = {"begin": b"a14", "end": b"c12", "ceiling": b"14"}
    s.do({"op": "scan_last_before", "keys_only": True, **span})
    s.do({"op": "scan_last_before", "on": "s", **span})


@on_bytes("ENG-LIM-1")
def long_keys_every_way(s: ByteSession) -> None:
    """Descending, in pages, by search and in snapshots; as bounds, and past bounds of FF."""
    longest = min(s.harness.engine.limits.max_key, 1 << 16)
    lengths = sorted({1, 64, 255, 256, 257, 511, longest - 1, longest} & set(range(1, longest + 1)))
    keys = [byte * length for length in lengths for byte in (b"k", b"\xff")]
    s.write(*((key, b"%d" % len(key)) for key in keys))
    s.snapshot("s")
    end = b"\xff" * (longest + 1)
    for way in _WAYS:
        s.scan(end=end, **way)
        s.scan(end=end, on="s", **way)
        s.do({"op": "scan_pages", "begin": b"", "end": end, **way})
    s.do({"op": "get_many", "keys": keys})
    for key in keys:
        s.scan(b"k", key, reverse=True, keys_only=True)
        s.do({"op": "seek_last_before", "end": key, "floor": b"k", "keys_only": True})
        s.do({"op": "seek_last_before", "end": key + b"\0", "floor": key, "keys_only": True})
        s.do({"op": "seek_first_from", "begin": key, "end": end, "keys_only": True})
        s.do({"op": "seek_first_from", "begin": key + b"\0", "end": end, "keys_only": True})
    s.write((keys[-1], None), (keys[-2], None))
    s.scan(end=end, reverse=True)


# --- side by side ----------------------------------------------------------------------------------------------------
@on_bytes("ENG-SCAN-3", reach=("page_boundary",))
def iterators_side_by_side(s: ByteSession) -> None:
    """Three iterators of one snapshot and two of the store, stepped in turn, with other reads between."""
    s.write(*((b"%05d" % n, b"%d" % n) for n in range(2200)))
    s.snapshot("s")
    s.iterate("a", on="s")
    s.iterate("b", b"01000", on="s", reverse=True)
    s.iterate("c", b"00500", b"01900", on="s", keys_only=True)
    s.iterate("d")
    s.iterate("e", b"01000", reverse=True, keys_only=True)
    for n in (1, 700, 1, 1100, 2500):
        for name in "abcde":
            s.step(name, n)
            s.get(b"%05d" % n, on="s")
    s.scan(on="s")


@on_bytes("ENG-LIM-2")
def long_values_together(s: ByteSession) -> None:
    """Several in one batch, of lengths around a mebibyte and of bytes that differ, by every way of reading."""
    limit = s.harness.engine.limits.max_value
    sizes = [size for size in (65_537, 100_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 0, 70_000) if size <= limit]
    rows = [
        (b"v%d" % n, bytes([n + 1, n + 2, n + 3, 0xFF, n]) * (size // 5) + b"z" * (size % 5))
        for n, size in enumerate(sizes)
    ]
    s.write(*rows)
    s.snapshot("s")
    for on in (None, "s"):
        for key, _ in rows:
            s.get(key, on=on)
        s.scan(on=on)
        target = {} if on is None else {"on": on}
        s.do({"op": "get_many", "keys": [key for key, _ in rows], **target})
        s.do({"op": "scan_pages", "begin": b"v", "end": b"w", **target})
        s.do({"op": "seek_first_from", "begin": b"v1", "end": b"w", **target})
        s.do({"op": "seek_last_before", "end": b"v4", "floor": b"v", **target})
    s.write(*reversed(rows), durable=True)
    s.scan()


@on_bytes("ENG-EXPECT-3", reach=("refused:ConflictError",))
def expectations_of_a_large_batch(s: ByteSession) -> None:
    """Forty expectations and sixty changes; the one that fails is of a key in the batch, or of none."""
    s.write(*((b"k%02d" % n, b"old") for n in range(40)))
    changes = [(b"k%02d" % n, b"new") for n in range(20, 80)]
    for wrong in (b"k00", b"k19", b"k20", b"k39"):
        s.write(*changes, expect={b"k%02d" % n: b"other" if b"k%02d" % n == wrong else b"old" for n in range(40)})
        s.scan()
    s.write(*changes, expect={**{b"k%02d" % n: b"old" for n in range(40)}, b"k99": b"x"})
    s.scan()
    s.write(*changes, expect={b"k%02d" % n: b"old" for n in range(40)})
    s.scan()
