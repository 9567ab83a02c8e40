"""Clauses of keys: the kernel's codec against the kit's own, and the TKey contract."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from dvidkit import keys
from dvidkit.context import DataContext
from dvidkit.errors import BadKey
from dvidkit_conformance import codec
from dvidkit_conformance.checking import on_engine, on_store
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import Violation, attempt
from dvidkit_conformance.storesession import StoreSession

_NUMBERS = (0, 1, 255, 256, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_TKEYS = (b"a", b"\x00", b"\xff", b"O", b"\x03", b"a\x03", b"a\x4f\x00", b"k" * 300, bytes(range(256)))


def _same(expected: Any, got: Any, note: str) -> None:
    if expected != got:
        raise Violation(expected, got, note=note)


@on_engine("KEY-1")
def keys_round_trip(h: Harness) -> None:
    """Borders of every field, in every combination with each TKey."""
    for tkey in _TKEYS:
        for n in _NUMBERS:
            for m in _NUMBERS:
                for mark in (codec.VALUE, codec.TOMBSTONE):
                    found = keys.parse(keys.data_key(n, tkey, m, n ^ 1, mark))
                    assert isinstance(found, keys.DataKey)
                    got = (found.instance, found.tkey, found.version, found.client, found.mark)
                    _same((n, tkey, m, n ^ 1, mark), got, "parse of data_key")
    for bad in (b"", b"\x01", b"\x01" + b"x" * 12, b"\x01" + b"x" * 12 + b"\x05", b"\x02" + b"x" * 15, b"\x09abc"):
        try:
            keys.parse(bad)
        except BadKey:
            continue
        raise Violation("raises BadKey", "a key", note=f"parse({bad!r})")


@on_store("KEY-2")
def own_tkey_only(s: StoreSession) -> None:
    """Asked for prefixes, extensions and neighbours of what is stored."""
    s.versions((1, []), (2, [1]))
    s.put(b"ab", b"1", v=1)
    s.put(b"ad\x00", b"2", v=1)
    s.delete(b"af", v=2)
    version, tail = b"\x00\x00\x00\x01", b"\x00\x00\x00\x00\x03"
    for key in (
        b"a",
        b"ab\x00",
        b"abc",
        b"ab\xff",
        b"ad",
        b"ad\x00\x00",
        b"b",
        b"ab" + version,
        b"ab" + version + tail,
    ):
        for v in (1, 2):
            for name in ("get", "exists", "get_version"):
                s.point(name, key, v)
            s.range("get_range", v, first=key, last=key)
            s.range("keys_in_range", v, first=key, last=key)


@on_engine("KEY-3")
def keys_sort_as_parts(h: Harness) -> None:
    """Seeded parts, sorted both ways."""
    rng = random.Random(3)
    tkeys = [b"\x01\x01" + rng.randbytes(3) for _ in range(12)] + [b"\x02\x01" + b"n" * n + b"\x00" for n in range(6)]
    parts = [
        (rng.choice(_NUMBERS), rng.choice(tkeys), rng.choice(_NUMBERS), rng.choice(_NUMBERS), rng.choice((3, 0x4F)))
        for _ in range(1500)
    ]
    by_parts = [keys.data_key(*each) for each in sorted(parts)]
    _same(sorted(by_parts), by_parts, "keys in the order of their parts")


@on_store("KEY-4", reach=("refused:KeyContractError",))
def contract_is_enforced(s: StoreSession) -> None:
    """A prefix and an extension of a stored TKey, of a deleted one, and two within one batch."""
    s.versions((1, []), (2, [1]))
    s.put(b"ab", b"1", v=1)
    s.put(b"a", b"2", v=1)
    s.put(b"abc", b"2", v=2)
    s.delete(b"abc", v=2)
    s.observe(keys=[b"ab", b"a", b"abc"])
    s.batch((b"x", b"1"), (b"xy", b"2"), v=1)
    s.put_range((b"c", b"1"), (b"abd", b"2"), v=2)
    s.observe(keys=[b"ab", b"a", b"abd", b"c", b"x", b"xy"])
    s.put(b"p", b"1", i=2)
    s.put(b"pq", b"2", i=2)
    s.put(b"pq", b"2", i=3)
    s.observe(i=2, keys=[b"p", b"pq"])
    s.delete(b"p", i=2)
    s.put(b"pq", b"2", i=2)
    s.observe(i=2, keys=[b"p", b"pq"])


@on_store("KEY-4")
def contract_on_random_tkeys(s: StoreSession) -> None:
    """Short TKeys over two letters: most of them are prefixes of others."""
    rng = random.Random(4)
    s.versions((1, []))
    for _ in range(80):
        key = bytes(rng.choice(b"\x00a\xff") for _ in range(rng.randint(1, 4)))
        s.put(key, b"v", v=1)
    s.ranges(1)
    for key in s.model.tkeys(1):
        s.get(key, v=1)
        s.get(key + b"a", v=1)


@on_store("KEY-4")
def contract_of_many(s: StoreSession) -> None:
    """One bad TKey among fifty of a declared class is refused as it is alone, and all with it; good ones are not."""
    ends, wide = keys.TKeyClass(20, "names", terminator=0), keys.TKeyClass(21, "numbers", width=4)
    context = DataContext(9, classes=(ends, wide))
    good = {ends: [ends.key(b"%03d" % n) for n in range(50)], wide: [wide.key(b"%04d" % n) for n in range(50)]}
    for kind, tkeys in good.items():
        whole, last = tkeys[25], len(tkeys[25]) - 1
        for bad in (
            whole[:1] + b"\x00" + whole[2:],
            bytes((kind.id + 7,)) + whole[1:],
            whole + b"\x00",
            whole[:last] + b"\x00\x00" if kind is ends else whole[:last],
            whole[:3] + b"\x00" + whole[4:] if kind is ends else whole + b"1",
            whole[:last] + b"x" if kind is ends else whole[:2],
        ):
            alone = attempt(lambda bad=bad: s.store.put(context, bad, b"v"))  # type: ignore[misc]
            s.require(alone == Err("BadKey"), Err("BadKey"), alone, note=f"put of {bad!r}")
            some = [*tkeys[:25], bad, *tkeys[26:]]
            got = attempt(lambda some=some: s.store.put_range(context, [(key, b"v") for key in some]))  # type: ignore[misc]
            s.require(got == alone, alone, got, note=f"put_range of fifty TKeys, {bad!r} among them")
        found = s.store.keys_in_range(context, kind.min(), kind.max())
        s.require(found == [], [], found, note="keys after refused writes")
        s.store.put_range(context, [(key, b"v") for key in tkeys])
        found = s.store.keys_in_range(context, kind.min(), kind.max())
        s.require(found == tkeys, tkeys, found, note="keys after fifty good ones")


@on_store("KEY-4")
def contract_of_a_pair(s: StoreSession) -> None:
    """Two bad TKeys of one length whose faults make up for each other: one terminator too few, and one too many."""
    context = DataContext(9, classes=(names := keys.TKeyClass(20, "names", terminator=0),))
    tkeys = [names.key(b"%03d" % n) for n in range(50)]
    lacks, doubled = tkeys[10][:-1] + b"x", tkeys[40][:3] + b"\x00" + tkeys[40][4:]
    for some in ([*tkeys[:10], lacks, *tkeys[11:40], doubled, *tkeys[41:]], [lacks, doubled]):
        got = attempt(lambda some=some: s.store.put_range(context, [(key, b"v") for key in some]))  # type: ignore[misc]
        s.require(got == Err("BadKey"), Err("BadKey"), got, note=f"put_range of {len(some)} TKeys, two of them bad")
    found = s.store.keys_in_range(context, names.min(), names.max())
    s.require(found == [], [], found, note="keys after refused writes")


@on_store("KEY-4")
def classes_are_bytes(s: StoreSession) -> None:
    """0 to 255; a class or terminator beyond is refused with the kernel's own error, as are classes of no layout."""
    s.require(keys.new_tkey(255, b"p") == b"\xff\x01p", b"\xff\x01p", keys.new_tkey(255, b"p"))
    calls: dict[str, Callable[[], Any]] = {
        "new_tkey of class 256": lambda: keys.new_tkey(256, b"p"),
        "new_tkey of class -1": lambda: keys.new_tkey(-1, b"p"),
        "a class of id 256": lambda: keys.TKeyClass(256, "none", width=1),
        "a class of id 0": lambda: keys.TKeyClass(0, "none", width=1),
        "a terminator of 256": lambda: keys.TKeyClass(20, "none", terminator=256),
    }
    for name, call in calls.items():
        got = attempt(call)
        s.require(got == Err("BadKey"), Err("BadKey"), got, note=name)


@on_store("KEY-5")
def spaces_are_disjoint(s: StoreSession) -> None:
    """The same bytes as metadata, data and blob; each deleted in turn."""
    s.versions((1, []))
    blob = b"the same"
    for key in (b"\x00\x00\x00\x01a", b"a", b"\x01\x00\x00\x00\x01a"):
        s.put(key, b"meta", i="meta")
    s.put(b"a", b"data", v=1)
    s.put(b"a", b"data", i=2)
    reference = s.store.put_blob(blob)
    s.observe(i="meta")
    s.observe(i=1)
    s.observe(i=2)
    s.delete(b"a", i="meta")
    s.do({"op": "delete_all", "i": 1})
    s.delete_range(b"", b"\xff", i=2)
    s.observe(i="meta")
    s.observe(i=1, keys=[b"a"])
    s.observe(i=2, keys=[b"a"])
    got = s.store.get_blob(reference)
    s.require(got == blob, blob, got, note="the blob after everything else was deleted")


@on_store("KEY-6")
def layout_is_exact(s: StoreSession) -> None:
    """Read from the engine's own bytes by a codec of the kit's own."""
    s.versions((0x01020304, []), (0xFFFFFFFF, [0x01020304]))
    s.put(b"tkey", b"value", v=0x01020304, i=0x0A0B0C0D)
    s.delete(b"tkey", v=0xFFFFFFFF, i=0x0A0B0C0D)
    s.put(b"meta", b"m", i="meta")
    s.put(b"plain", b"p", i=7)
    expected = [
        b"\x00meta",
        b"\x01\x00\x00\x00\x07plain\x00\x00\x00\x00\x00\x00\x00\x00\x03",
        b"\x01\x0a\x0b\x0c\x0dtkey\x01\x02\x03\x04\x00\x00\x00\x00\x03",
        b"\x01\x0a\x0b\x0c\x0dtkey\xff\xff\xff\xff\x00\x00\x00\x00\x4f",
    ]
    got = [row[0] for row in s.dump()]
    s.require(got == expected, expected, got, note="full keys in the engine")


@on_engine("KEY-7")
def version_bounds(h: Harness) -> None:
    """Around every entry of a TKey, and beside every other TKey within the contract."""
    tkeys = [b"aa", b"ab", b"b\x00", b"\x00\x00", b"\xff\xff", b"zz\x00", b"O\x03"]
    for tkey in tkeys:
        low, high = keys.min_version_key(9, tkey), keys.max_version_key(9, tkey)
        for other in tkeys:
            for n in _NUMBERS:
                for mark in (codec.VALUE, codec.TOMBSTONE):
                    inside = low <= codec.data_key(9, other, n, mark, client=n) <= high
                    _same(other == tkey, inside, f"entry of {other!r} between the bounds of {tkey!r}")
