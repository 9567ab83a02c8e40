"""Clauses of sizes, key usage and copies."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dvidkit.errors import StoreForked
from dvidkit.keys import InstanceID, instance_range
from dvidkit.usage import key_usage
from dvidkit_conformance.checking import on_store
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import HIGHEST, LOWEST, StoreSession

_ALL = (LOWEST, HIGHEST)


@on_store("SIZE-1")
def sizes(s: StoreSession) -> None:
    """Of everything, of nothing, of inverted ranges."""
    s.put_range(*((b"%03d" % n, b"v" * 100) for n in range(100)), i=5)
    ranges = [(b"\x01", b"\x02"), (b"\x01", b"\x01"), (b"\x02", b"\x01"), (b"\x02", b"\x03")]
    got: Any = attempt(lambda: s.store.approximate_sizes(ranges))
    good = isinstance(got, list) and len(got) == 4 and all(type(n) is int and n >= 0 for n in got)
    s.require(good and got[1:3] == [0, 0], "[n, 0, 0, n]", got, note=f"approximate_sizes({ranges})")


@on_store("SIZE-4")
def usage(s: StoreSession) -> None:
    """By class, as counted from the model's own entries: how many keys have how many versions, and the tombstones."""
    s.versions((1, []), (2, [1]), (3, [2]))
    for first in (b"\x05", b"\x06", b"\xfe"):
        s.batch((first + b"a", b"1"), (first + b"b", b""), v=1)
        s.batch((first + b"a", None), (first + b"c", b"O"), v=2)
        s.batch((first + b"a", b"3"), (first + b"c", None), v=3)
    s.put(b"\x05z", b"1", v=3)
    s.put(b"\x05a", b"1", v=3, i=2)
    counted: dict[int, Counter[int]] = {}
    for tkey, versions in s.model.entries[1].items():
        of_class = counted.setdefault(tkey[0], Counter())
        of_class[len(versions)] += 1
        of_class[0] += sum(value is None for value in versions.values())
    expected = {each: dict(of_class) for each, of_class in counted.items()}
    got: Any = attempt(lambda: key_usage(s.store, [instance_range(InstanceID(1)), (b"\x01", b"\x01")]))
    s.require(got == [expected, {}], [expected, {}], got, note="key_usage of instance 1, and of an empty range")


def _copied(source: StoreSession, target: StoreSession) -> None:
    pairs = [(key, value) for key, value in source.store.raw_range_query(b"\x00", b"\xff")]
    for start in range(0, len(pairs), 7):
        target.store.raw_write(pairs[start : start + 7])


def _history(s: StoreSession) -> None:
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
    s.batch((b"a", b"1"), (b"b", b""), (b"c", b"x"), (b"e", b"1"), v=1)
    s.batch((b"a", None), (b"b", b"2"), (b"f", b"2"), v=2)
    s.batch((b"c", b"3"), (b"d", None), (b"g", b""), v=3)
    s.put(b"m", b"meta", i="meta")
    s.put(b"p", b"plain", i=9)


@on_store("CPY-1")
def to_every_engine(s: StoreSession) -> None:
    """To each installed engine and back."""
    _history(s)
    expected = s.dump()
    engines = s.harness.plugins.engines if s.harness.plugins is not None else {}
    others = [engine for name, engine in engines.items() if name != s.harness.engine.name]
    for engine in [*others, s.harness.engine]:
        try:
            other = StoreSession(Harness(engine, s.harness.fresh_folder()))
        except (ImportError, StoreForked):
            continue
        with other, StoreSession(s.harness) as back:
            _copied(s, other)
            got = other.answer({"op": "dump"})
            s.require(got == expected, expected, got, note=f"the dump of the copy on engine {engine.name!r}")
            _copied(other, back)
            got = back.answer({"op": "dump"})
            s.require(got == expected, expected, got, note=f"the dump of the copy back from engine {engine.name!r}")


@on_store("CPY-2")
def other_instance(s: StoreSession) -> None:
    """Instance 1 as instance 77."""
    _history(s)
    for key, value in list(s.store.raw_range_query(b"\x01\x00\x00\x00\x01", b"\x01\x00\x00\x00\x02")):
        assert value is not None
        s.do({"op": "raw_put", "key": b"\x01\x00\x00\x00\x4d" + key[5:], "value": value})
    s.dump()
    s.observe(77)


@on_store("CPY-3")
def flattened(s: StoreSession) -> None:
    """What each version shows, as an instance of its own."""
    _history(s)
    for v in (1, 2, 3, 4):
        rows = s.range("get_range", v)["rows"]
        s.put_range(*((key, value) for key, value in rows), i=100 + v)
        s.range("get_range", None, 100 + v)


@on_store("CPY-4")
def restarted(s: StoreSession) -> None:
    """A part, then everything."""
    _history(s)
    expected = s.dump()
    with StoreSession(s.harness) as copy:
        for key, value in list(s.store.raw_range_query(b"\x00", b"\xff"))[:5]:
            assert value is not None
            copy.store.raw_put(key, value)
        _copied(s, copy)
        got = copy.answer({"op": "dump"})
    s.require(got == expected, expected, got, note="the dump of a copy begun twice")


@on_store("CPY-5")
def source_unchanged(s: StoreSession) -> None:
    """Every byte of it."""
    _history(s)
    assert s.tap.last is not None
    before = list(s.tap.last.scan(b"", b"\xff\xff"))
    with StoreSession(s.harness) as copy:
        _copied(s, copy)
    after = list(s.tap.last.scan(b"", b"\xff\xff"))
    s.require(before == after, before, after, note="the source before and after it was copied")


@on_store("CPY-6")
def does_not_fit(s: StoreSession) -> None:
    """One key over the limit among others."""
    limit = s.harness.engine.limits.max_key
    if limit > 1 << 20:
        return
    context = s.context({"i": 5, "v": None})
    got = attempt(lambda: s.store.raw_write([(b"\x00a", b"1"), (b"\x00" + b"k" * limit, b"2"), (b"\x00c", b"3")]))
    s.require(got == Err("LimitError"), Err("LimitError"), got, note=f"raw_write with a key of {limit + 1} bytes")
    s.dump()
    s.require(s.store.get(context, b"a") is None, None, "a value")
