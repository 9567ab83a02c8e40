"""Clauses of reading bytes: ``get``, ``scan``, snapshots."""

from __future__ import annotations

import gc

from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.checking import on_bytes

ABC = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))


@on_bytes("ENG-GET-1", reach=("absent_read", "value_read"))
def absent_is_none(s: ByteSession) -> None:
    """Before, between and after writes."""
    s.get(b"a")
    s.write((b"a", b"1"))
    for key in (b"a", b"\x00", b"b", b"a\x00", b"\xff" * 20):
        s.get(key)
    s.write((b"a", None))
    s.get(b"a")
    s.write((b"a", b"2"))
    s.get(b"a")


@on_bytes("ENG-GET-2")
def last_value(s: ByteSession) -> None:
    """Longer, shorter, the same again."""
    for value in (b"x" * 10, b"yy", b"y" * 5000, b"z", b"z", b"zz"):
        s.write((b"a", value))
        s.get(b"a")


@on_bytes("ENG-GET-3", reach=("empty_value",))
def empty_value(s: ByteSession) -> None:
    """By get, by every scan, first, last and alone."""
    s.write((b"a", b""))
    s.get(b"a")
    s.scan()
    s.scan(keys_only=True)
    s.scan(reverse=True)
    s.write((b"b", b"1"), (b"c", b""))
    s.get(b"c")
    s.scan()
    s.write((b"b", b""))
    s.get(b"b")


@on_bytes("ENG-GET-4")
def distinct_keys(s: ByteSession) -> None:
    """Each its own value; then each deleted alone."""
    longest = min(s.harness.engine.limits.max_key, 400)
    common = b"k" * (longest - 1)
    keys = [
        b"a",
        b"A",
        b"a\x00",
        b"a\x00\x00",
        b"a\xff",
        b"\x00",
        b"\x00\x00",
        b"\xff",
        b"\xff\xff",
        b"\xc3\xa9",
        b"\xe9",
    ]
    keys += [b"a/b", b"a\\b", b".", b"..", b"%41", b"CON", b"a b", b"a\nb"]
    keys += [b"p" * 254, b"p" * 255, b"p" * 256] if longest >= 256 else []
    keys += [common + b"x", common + b"y", common]
    for n, key in enumerate(keys):
        s.write((key, b"%d" % n))
        s.get(key)
    for key in keys:
        s.get(key)
    s.scan()
    for key in keys[::3]:
        s.write((key, None))
        s.scan()


@on_bytes("ENG-GET-5")
def opaque_values(s: ByteSession) -> None:
    """Bytes that mean something to somebody, every byte, and many lengths."""
    values = [b"\x00", b"\x00" * 5, b"\x03", b"O", b"\xff" * 9, b"None", b"\x80\x04N.", bytes(range(256)), b"a\r\nb\n"]
    values += [bytes([n % 251]) * n for n in (1, 2, 127, 128, 129, 255, 256, 4095, 4096, 4097, 65535, 65536, 70_000)]
    for n, value in enumerate(values):
        s.write((b"k%d" % n, value))
        s.get(b"k%d" % n)
    s.scan()


@on_bytes("ENG-SCAN-1", reach=("forward_rows",))
def unsigned_order(s: ByteSession) -> None:
    """High bytes, prefixes, and longer keys between shorter ones."""
    s.write((b"\x7f", b"1"), (b"\x80", b"2"), (b"\xff", b"3"), (b"\x01", b"4"))
    s.scan()
    s.write((b"b", b"5"), (b"aa", b"6"), (b"a", b"7"), (b"a\x00", b"8"), (b"a\xff", b"9"), (b"ab", b"x"), (b"B", b"y"))
    s.scan()
    s.scan(keys_only=True)


@on_bytes("ENG-SCAN-2")
def half_open(s: ByteSession) -> None:
    """Every pair of bounds of a grid around three keys."""
    s.write((b"b", b"1"), (b"d", b"2"), (b"d\x00", b"3"), (b"f", b"4"))
    bounds = (b"", b"a", b"b", b"b\x00", b"c", b"d", b"d\x00", b"d\x00\x00", b"e", b"f", b"f\x00", b"g", b"\xff\xff")
    s.scan(b"b", b"d")
    for begin in bounds:
        for end in bounds:
            s.scan(begin, end)


@on_bytes("ENG-SCAN-3")
def complete(s: ByteSession) -> None:
    """Few rows, then row counts around every likely page size."""
    for n in range(6):
        s.scan()
        s.scan(keys_only=True)
        s.write((b"%05d" % n, b"v%d" % n))
    stored = 6
    for n in (10, 16, 17, 32, 33, 64, 65, 100, 101, 128, 129, 256, 257, 512, 513, 1000, 1001, 1024, 1025, 2049, 3000):
        s.write(*((b"%05d" % row, b"v%d" % row) for row in range(stored, n)))
        stored = n
        s.scan(b"0", b"1")
    s.scan(b"0", b"1", keys_only=True)
    s.scan(b"0", b"1", reverse=True)
    s.scan(b"00100", b"02900")


@on_bytes("ENG-SCAN-3", reach=("page_boundary",))
def complete_large_rows(s: ByteSession) -> None:
    """Rows of very different sizes, so that pages cut by bytes are cut too; and every second row deleted."""
    s.write(*((b"%04d" % n, bytes([n % 256]) * (20_000 if n % 50 == 0 else n % 7)) for n in range(1100)))
    s.scan()
    s.write(*((b"%04d" % n, None) for n in range(0, 1100, 2)))
    s.scan()
    s.scan(reverse=True, keys_only=True)


@on_bytes("ENG-SCAN-4")
def inverted_range(s: ByteSession) -> None:
    """In an empty store, at keys, between keys; and the store works on."""
    s.scan(b"a", b"b")
    s.write(*ABC)
    for begin, end in (
        (b"c", b"a"),
        (b"b", b"b"),
        (b"bb", b"bb"),
        (b"\xff", b"\x00"),
        (b"b\x00", b"b"),
        (b"bb", b"bc"),
    ):
        s.scan(begin, end)
        s.scan(begin, end, reverse=True)
        s.scan(begin, end, keys_only=True)
    s.write((b"d", b"4"))
    s.see(b"a", b"d")


@on_bytes("ENG-SCAN-5", reach=("reverse_rows",))
def reverse(s: ByteSession) -> None:
    """The same grid of bounds, descending; bounds at keys and between."""
    s.write((b"b", b"1"), (b"d", b"2"), (b"d\x00", b"3"), (b"f", b"4"), (b"\x80", b"5"))
    bounds = (b"", b"b", b"b\x00", b"c", b"d", b"d\x00", b"e", b"f", b"f\x00", b"\x80", b"\xff\xff")
    s.scan(reverse=True)
    for begin in bounds:
        for end in bounds:
            s.scan(begin, end, reverse=True)
    s.write(*((b"n%04d" % n, b"") for n in range(1100)))
    s.scan(reverse=True)


@on_bytes("ENG-SCAN-6")
def keys_only(s: ByteSession) -> None:
    """Both ways, with empty and with large values."""
    s.scan(keys_only=True)
    s.write((b"a", b""), (b"b", b"x" * 100_000), (b"c", b"3"))
    s.scan(keys_only=True)
    s.scan(keys_only=True, reverse=True)
    s.scan(b"b", b"c", keys_only=True)
    s.scan(b"b", b"c", keys_only=True, reverse=True)


@on_bytes("ENG-SCAN-7")
def one_instant(s: ByteSession) -> None:
    """What is put, overwritten and deleted after the first step is not seen."""
    s.write(*ABC)
    s.iterate("i")
    s.step("i")
    s.write((b"b", b"new"), (b"bb", b"new"), (b"c", None), (b"d", b"new"))
    s.step("i", 9)
    s.scan()


@on_bytes("ENG-SCAN-7")
def one_instant_reverse(s: ByteSession) -> None:
    """The same, descending and by keys."""
    s.write(*ABC)
    s.iterate("i", reverse=True)
    s.iterate("k", keys_only=True)
    s.step("i")
    s.step("k")
    s.write((b"b", None), (b"a", b"new"), (b"ab", b"new"))
    s.step("i", 9)
    s.step("k", 9)


@on_bytes("ENG-SCAN-7")
def one_instant_over_pages(s: ByteSession) -> None:
    """Rows far ahead of where the iterator stands."""
    s.write(*((b"%05d" % n, b"old") for n in range(3000)))
    s.iterate("i")
    s.step("i", 2)
    s.write(*((b"%05d" % n, b"new" if n % 3 else None) for n in range(0, 3000, 2)), (b"02999x", b"new"))
    s.step("i", 4000)


@on_bytes("ENG-SCAN-7")
def begun_late(s: ByteSession) -> None:
    """Where the first step comes after a write, either instant is right, but only one of them."""
    s.write(*ABC)
    s.iterate("i")
    s.write((b"a", b"new"), (b"c", b"new"))
    s.step("i")
    s.write((b"b", b"newer"), (b"c", b"newer"))
    s.step("i", 9)


@on_bytes("ENG-SCAN-8")
def abandoned(s: ByteSession) -> None:
    """Three hundred iterators dropped at different steps; then write, and open again."""
    s.write(*((b"%03d" % n, b"v") for n in range(50)))
    for n in range(300):
        s.iterate("i", reverse=n % 2 == 1)
        if n % 3:
            s.step("i", n % 5)
        s.do({"op": "iter_drop", "it": "i"})
    gc.collect()
    s.write((b"x", b"1"))
    s.scan()
    s.reopen()
    s.scan()


@on_bytes("ENG-SNAP-1", reach=("stale_snapshot_read",))
def snapshot_is_one_instant(s: ByteSession) -> None:
    """Against puts, overwrites and deletes, by get and by every scan."""
    s.write(*ABC)
    s.snapshot("s")
    s.write((b"a", b"new"), (b"b", None), (b"bb", b"new"))
    s.see(b"a", b"b", b"bb", b"c", on="s")
    s.scan(on="s", reverse=True)
    s.scan(on="s", keys_only=True)
    s.see(b"a", b"b", b"bb", b"c")
    s.write((b"a", None), (b"b", b"again"))
    s.see(b"a", b"b", on="s")


@on_bytes("ENG-SNAP-1")
def snapshot_of_nothing(s: ByteSession) -> None:
    """A snapshot of an empty store stays empty; an iterator of a snapshot does not move."""
    s.snapshot("s")
    s.write(*ABC)
    s.see(b"a", on="s")
    s.snapshot("t")
    s.iterate("i", on="t")
    s.step("i")
    s.write((b"b", None), (b"c", b"new"))
    s.step("i", 9)


@on_bytes("ENG-SNAP-2", reach=("stale_snapshot_read",))
def snapshots_are_independent(s: ByteSession) -> None:
    """Three moments; one is closed."""
    for n in range(3):
        s.write((b"a", b"%d" % n), (b"k%d" % n, b""))
        s.snapshot(f"s{n}")
    s.write((b"a", None), (b"k1", None))
    for n in (1, 0, 2):
        s.see(b"a", b"k1", on=f"s{n}")
    s.do({"op": "snap_close", "to": "s1"})
    s.see(b"a", on="s0")
    s.see(b"a", on="s2")
    s.see(b"a")


@on_bytes("ENG-SNAP-3")
def closed_snapshot(s: ByteSession) -> None:
    """Closed twice; then every read raises."""
    s.write(*ABC)
    s.snapshot("s")
    s.do({"op": "snap_close", "to": "s"})
    s.do({"op": "snap_close", "to": "s"})
    s.get(b"a", on="s")
    s.scan(on="s")
    s.see(b"a")


@on_bytes("ENG-SNAP-3")
def dropped_snapshots(s: ByteSession) -> None:
    """Two hundred snapshots that nobody closed; then write, and open again."""
    s.write(*ABC)
    for n in range(200):
        s.snapshot("s")
        s.get(b"a", on="s")
        s.write((b"a", b"%d" % n))
    s.snapshots.clear()
    s.model.snapshots.clear()
    gc.collect()
    s.reopen()
    s.see(b"a")


@on_bytes("ENG-CLOSE-1")
def close_twice(s: ByteSession) -> None:
    """Three times, after a write."""
    s.write(*ABC)
    for _ in range(3):
        s.do({"op": "close"})


@on_bytes("ENG-CLOSE-2", reach=("refused:StoreClosed",))
def closed_is_closed(s: ByteSession) -> None:
    """Every method, the optional ones too."""
    s.write(*ABC)
    s.do({"op": "close"})
    s.get(b"a")
    s.get(b"missing")
    s.scan()
    s.scan(reverse=True, keys_only=True)
    s.write((b"a", b"2"))
    s.write((b"d", b"2"), expect={b"a": b"other"})
    s.do({"op": "snapshot", "to": "s"})
    span = {"begin": b"a", "end": b"z"}
    s.do({"op": "get_many", "keys": [b"a"]})
    s.do({"op": "scan_pages", **span})
    s.do({"op": "seek_first_from", **span})
    s.do({"op": "seek_last_before", "end": b"z", "floor": b"a"})
    s.do({"op": "scan_last_before", "ceiling": b"\xff", **span})
    s.do({"op": "delete_range", **span})


@on_bytes("ENG-CLOSE-3")
def iterators_end_with_the_store(s: ByteSession) -> None:
    """An iterator begun, one not begun, one of a snapshot, and the snapshot."""
    s.write(*((b"%04d" % n, b"x") for n in range(2000)))
    s.snapshot("s")
    s.iterate("begun")
    s.step("begun")
    s.iterate("idle")
    s.iterate("of snapshot", on="s", reverse=True)
    s.step("of snapshot")
    s.do({"op": "close"})
    for name in ("begun", "idle", "of snapshot"):
        s.step(name, 3000)
    s.get(b"0001", on="s")
    s.scan(on="s")
    s.do({"op": "snap_close", "to": "s"})


@on_bytes("ENG-CLOSE-3")
def next_step_after_close(s: ByteSession) -> None:
    """The very next row already raises, although it may have been read ahead."""
    s.write(*ABC)
    s.iterate("i")
    s.step("i")
    s.do({"op": "close"})
    s.step("i")


@on_bytes("ENG-CLOSE-4")
def results_stay(s: ByteSession) -> None:
    """Held over writes, deletes and close."""
    s.write((b"a", b"x" * 5000), (b"b", b"y"))
    held = [s.store.get(b"a"), *s.store.scan(b"a", b"z"), *s.store.scan(b"a", b"z", keys_only=True)]
    before = repr(held)
    s.write((b"a", b"z" * 5000), (b"b", None))
    s.write(*((b"%04d" % n, b"q" * 500) for n in range(500)))
    s.do({"op": "close"})
    s.require(repr(held) == before, "the values as they were returned", "other bytes after later writes and close")
