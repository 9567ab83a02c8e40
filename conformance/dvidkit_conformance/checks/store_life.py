"""Clauses of reopening, opening, limits, errors, damage found on reading, sizes and copies."""

from __future__ import annotations

import queue
import subprocess
import sys
from typing import Any

from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.errors import DvidkitError
from dvidkit_conformance.checking import on_engine, on_store
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.results import Err, Foreign
from dvidkit_conformance.session import Violation, attempt
from dvidkit_conformance.storesession import HIGHEST, LOWEST, StoreSession, dump, row

_ALL = (LOWEST, HIGHEST)


# --- reopening -------------------------------------------------------------------------------------------------------
@on_store("DUR-1", reach=("reopen",))
def puts_survive(s: StoreSession) -> None:
    """Values of all kinds, in several spaces."""
    s.versions((1, []), (2, [1]))
    s.batch((b"a", b"1"), (b"e", b""), (b"l", b"x" * 100_000), v=1)
    s.put(b"a", b"2", v=2)
    s.put(b"m", b"meta", i="meta")
    s.put(b"p", b"plain", i=5)
    s.reopen()
    s.observe(1)
    s.observe("meta")
    s.dump()


@on_store("DUR-2", reach=("reopen",))
def deletes_survive(s: StoreSession) -> None:
    """Tombstones, removed values, cleared tombstones, unversioned deletes."""
    s.versions((1, []), (2, [1]))
    s.batch((b"a", b"1"), (b"b", b"1"), (b"c", b"1"), v=1)
    s.batch((b"a", None), (b"b", None), v=2)
    s.put_range((b"p", b"1"), (b"q", b"1"), i=5)
    s.delete(b"p", i=5)
    s.reopen()
    s.observe(1)
    s.put(b"b", b"2", v=2)
    s.do({"op": "delete_all", "i": 5})
    s.reopen()
    s.observe(1)
    s.dump()


@on_store("DUR-3", reach=("reopen",))
def cycles(s: StoreSession) -> None:
    """Five times."""
    s.versions((1, []), (2, [1]))
    for n in range(5):
        s.put(b"k", b"%d" % n, v=1)
        s.batch((b"n%d" % n, b"x"), (b"n%d" % max(0, n - 2), None), v=2)
        s.reopen()
        s.observe()


# --- opening and closing ---------------------------------------------------------------------------------------------
@on_engine("OPN-1")
def create_open(h: Harness) -> None:
    """Missing, made, found."""
    path = h.fresh()
    got = attempt(lambda: h.open_store(path, create=False)[0].close())
    if got != Err("StoreMissing") or path.exists():
        raise Violation(Err("StoreMissing"), got, note="Store of a path where nothing is, create=False")
    context = DataContext(5)
    with h.open_store(path)[0] as store:
        store.put(context, b"a", b"1")
    for create in (True, False):
        with h.open_store(path, create=create)[0] as store:
            if store.get(context, b"a") != b"1":
                raise Violation(b"1", store.get(context, b"a"), note=f"after opening again with create={create}")
    h.remove(path)


_SECOND = """
import sys
from dvidkit import Plugins, Store, StoreConfig
try:
    Store(Plugins().engine(sys.argv[1]), StoreConfig(sys.argv[1], sys.argv[2])).close()
    print("opened")
except Exception as error:
    print(type(error).__name__)
"""


@on_store("OPN-2")
def second_opener(s: StoreSession) -> None:
    """In this process, and, for an installed engine, in another."""
    if "multi_process" in s.harness.features:
        return
    s.put(b"a", b"1", i=5)
    got = attempt(lambda: s.harness.open_store(s.path)[0].close())
    s.require(got == Err("StoreLocked"), Err("StoreLocked"), got, note="a second Store on the open store's path")
    name = s.harness.engine.name
    installed = s.harness.plugins is not None and s.harness.plugins.engines.get(name)
    if installed and type(installed) is type(s.harness.engine):
        command = [sys.executable, "-c", _SECOND, name, str(s.path)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout.strip()  # noqa: S603
        s.require(answer == "StoreLocked", "StoreLocked", answer, note="opened in another process")
    s.put(b"b", b"2", i=5)
    s.observe(5)


@on_store("OPN-3")
def read_only(s: StoreSession) -> None:
    """Reads answer, writes are refused, files stay."""
    s.versions((1, []))
    s.batch((b"a", b"1"), (b"b", None), v=1)
    s.store.close()
    before = s.harness.files(s.path)
    store, tap = s.harness.open_store(s.path, create=False, read_only=True)
    context = s.context({"i": 1, "v": 1})
    calls: dict[str, Any] = {
        "put": lambda: store.put(context, b"c", b"1"),
        "delete": lambda: store.delete(context, b"a"),
        "put_range": lambda: store.put_range(context, [(b"c", b"1")]),
        "delete_all": lambda: store.delete_all(context),
        "raw_put": lambda: store.raw_put(b"\x00a", b"1"),
        "put_blob": lambda: store.put_blob(b"x"),
    }
    for name, call in calls.items():
        got = attempt(call)
        s.require(got == Err("ReadOnlyStore"), Err("ReadOnlyStore"), got, note=f"{name} of a read-only store")
    got = store.get(context, b"a"), dump(tap, sealed=True) == s.model.dump()
    store.close()
    s.require(got == (b"1", True), (b"1", True), got, note="get, and whether the dump is the same")
    changed = [name for name, data in s.harness.files(s.path).items() if before.get(name) != data]
    s.require(not changed, "no file changed", changed)


@on_store("OPN-4")
def close_twice(s: StoreSession) -> None:
    """And opened again at once."""
    s.put(b"a", b"1", i=5)
    s.store.close()
    s.store.close()
    if s.harness.persistent:
        s.reopen()
        s.observe(5)


@on_store("OPN-5")
def other_durability(s: StoreSession) -> None:
    """Written durable, read buffered, and the other way round."""
    s.versions((1, []))
    s.batch((b"a", b"1"), (b"b", None), v=1)
    for durability in ("buffered", "durable"):
        s.store.close()
        s.store, s.tap = s.harness.open_store(s.path, durability=durability)
        s.observe()
        s.put(b"a", durability.encode(), v=1)
    s.reopen()
    s.observe()


# --- limits ----------------------------------------------------------------------------------------------------------
@on_store("LIM-1", reach=("get",))
def long_tkeys(s: StoreSession) -> None:
    """To the last byte, and one over."""
    limit = s.harness.engine.limits.max_key
    s.require(limit >= 255, "at least 255", limit, note="max_key")
    room = min(limit - 14, 70_000)
    s.versions((1, []))
    for v, i in ((None, 5), (1, 6)):
        for length in sorted({1, 200, 240, 241, 255, 256, 497, room - 1, room}):
            if length <= room:
                s.put(b"%d" % (length % 10) + b"k" * (length - 2) + b"xy"[-(length > 1) :], b"%d" % length, v, i)
        s.put(b"9" + b"k" * (room - 2) + b"z", b"other", v, i)
        s.observe(i)
        if limit - 14 > room:
            continue
        context, long = s.context({"i": i, "v": v}), b"9" + b"k" * (limit - 14)
        for name, call in {
            "put": lambda c=context, k=long: s.store.put(c, k, b"v"),
            "delete": lambda c=context, k=long: s.store.delete(c, k),
            "get": lambda c=context, k=long: s.store.get(c, k),
        }.items():
            got = attempt(call)
            s.require(got == Err("LimitError"), Err("LimitError"), got, note=f"{name} of a TKey of {len(long)} bytes")
        s.dump()


@on_store("LIM-2", reach=("get",))
def long_values(s: StoreSession) -> None:
    """Each alone and all in a range."""
    limit = s.harness.engine.limits.max_value - 4
    sizes = [0, 1, 127, 128, 255, 256, 4095, 4096, 65534, 65535, 65536, 65537, 1 << 20]
    sizes += [(16 << 20) + 1] if s.harness.scale else []
    s.versions((1, []))
    for size in (size for size in sizes if size <= limit):
        s.put(b"%010d" % size, bytes([65 + size % 26]) * size, v=1)
        s.get(b"%010d" % size, v=1)
    s.range("get_range", 1)
    if limit < 1 << 24:
        got = attempt(lambda: s.store.put(s.context({"i": 1, "v": 1}), b"x", b"v" * (limit + 1)))
        s.require(got == Err("LimitError"), Err("LimitError"), got, note=f"put of {limit + 1} bytes")
        s.range("keys_in_range", 1)


@on_store("LIM-4", reach=("page_boundary",), classed=True)
def no_caps(s: StoreSession) -> None:
    """12,000 TKeys in every form."""
    s.put_range(*((row(n), b"v") for n in range(12_000)), i=5)
    s.ranges(None, 5)
    s.do({"op": "raw", "first": b"\x01", "last": b"\x02"})


# --- errors ----------------------------------------------------------------------------------------------------------
def _every_call(store: Any, contexts: dict[str, Any]) -> dict[str, Any]:
    calls: dict[str, Any] = {
        "raw_put": lambda: store.raw_put(b"\x00a", b"1"),
        "raw_get": lambda: store.raw_get(b"\x00a"),
        "raw_delete": lambda: store.raw_delete(b"\x00a"),
        "raw_range_query": lambda: list(store.raw_range_query(b"\x00", b"\xff")),
        "put_blob": lambda: store.put_blob(b"x"),
        "get_blob": lambda: store.get_blob("A" * 22 + "=="),
        "snapshot": lambda: store.snapshot(),
    }
    for name, c in contexts.items():
        calls |= {
            f"get, {name}": lambda c=c: store.get(c, b"a"),
            f"exists, {name}": lambda c=c: store.exists(c, b"a"),
            f"get_version, {name}": lambda c=c: store.get_version(c, b"a"),
            f"get_many, {name}": lambda c=c: store.get_many(c, [b"a"]),
            f"get_range, {name}": lambda c=c: store.get_range(c, *_ALL),
            f"keys_in_range, {name}": lambda c=c: store.keys_in_range(c, *_ALL),
            f"iter_range, {name}": lambda c=c: list(store.iter_range(c, *_ALL)),
            f"process_range, {name}": lambda c=c: store.process_range(c, *_ALL, lambda *row: None),
            f"send_keys_in_range, {name}": lambda c=c: store.send_keys_in_range(c, *_ALL, queue.SimpleQueue()),
            f"put, {name}": lambda c=c: store.put(c, b"a", b"1"),
            f"delete, {name}": lambda c=c: store.delete(c, b"a"),
            f"put_range, {name}": lambda c=c: store.put_range(c, [(b"a", b"1")]),
            f"delete_range, {name}": lambda c=c: store.delete_range(c, *_ALL),
        }
        if name != "metadata":
            calls[f"delete_all, {name}"] = lambda c=c: store.delete_all(c)
    return calls


@on_store("ERR-1")
def wrong_types(s: StoreSession) -> None:
    """Contexts, TKeys and bounds."""
    s.versions((1, []))
    s.put(b"a", b"1", v=1)
    store: Any = s.store
    context = s.context({"i": 1, "v": 1})
    for wrong in (None, 5, "text"):
        calls: dict[str, Any] = {
            "get(context)": lambda w=wrong: store.get(w, b"a"),
            "get_range(context)": lambda w=wrong: store.get_range(w, *_ALL),
            "put(context)": lambda w=wrong: store.put(w, b"a", b"v"),
            "delete_all(context)": lambda w=wrong: store.delete_all(w),
            "get(key)": lambda w=wrong: store.get(context, w),
            "exists(key)": lambda w=wrong: store.exists(context, w),
            "get_version(key)": lambda w=wrong: store.get_version(context, w),
            "get_many(key)": lambda w=wrong: store.get_many(context, [w]),
            "get_range(first)": lambda w=wrong: store.get_range(context, w, b"z"),
            "keys_in_range(last)": lambda w=wrong: store.keys_in_range(context, b"a", w),
            "delete_range(first)": lambda w=wrong: store.delete_range(context, w, b"z"),
            "raw_get(key)": lambda w=wrong: store.raw_get(w),
            "raw_range_query(first)": lambda w=wrong: list(store.raw_range_query(w, b"z")),
        }
        for name, call in calls.items():
            try:
                call()
                got: Any = "no error"
            except TypeError as error:
                got = "a TypeError" if isinstance(error, DvidkitError) else f"raises {error!r}"
            except Exception as error:
                got = f"raises {error!r}"
            s.require(got == "a TypeError", "BadType, a TypeError", got, note=f"{name} given {wrong!r}")
    s.dump()


@on_store("ERR-2")
def errors_of_the_tree(s: StoreSession) -> None:
    """Everything that goes wrong in ordinary use has a code."""
    context = s.context({"i": 5, "v": None})
    store = s.store
    store.put(context, b"ab", b"1")
    codes = set()
    calls: tuple[Any, ...] = (
        lambda: store.put(context, b"a", b"1"),
        lambda: store.raw_put(b"bad", b"1"),
        lambda: store.put(context, None, b"1"),  # type: ignore[arg-type]
        lambda: store.commit([store.segment(context, [(b"x", b"1")])], expect={b"\x00nothing": b"1"}),
        lambda: VersionedContext(1, 99, s.dag),
        lambda: store.get_blob("?"),
    )
    for call in calls:
        try:
            call()
        except DvidkitError as error:
            codes.add(error.code)
        except Exception as error:
            raise s.violation("an error of the tree", Foreign(f"raises {error!r}")) from error
        else:
            raise s.violation("an error", "no error")
    s.require(all(codes) and len(codes) == 5, "five different codes", sorted(codes))


@on_store("ERR-3")
def after_close(s: StoreSession) -> None:
    """Every operation, versioned, unversioned, metadata."""
    s.versions((1, []))
    s.put(b"a", b"1", v=1)
    s.store.close()
    contexts = {"versioned": s.context({"i": 1, "v": 1}), "unversioned": DataContext(5), "metadata": MetadataContext()}
    for name, call in _every_call(s.store, contexts).items():
        got = attempt(call)
        s.require(got == Err("StoreClosed"), Err("StoreClosed"), got, note=f"{name} after close")


@on_store("ERR-4", reach=("refused:KeyContractError",))
def refusals_change_nothing(s: StoreSession) -> None:
    """Contract, types, limits, conflicts, expectations."""
    s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
    s.put(b"ab", b"1", v=1)
    s.put(b"c", b"2", v=2)
    s.put(b"c", b"3", v=3)
    s.batch((b"x", b"new"), (b"a", b"new"), v=2)
    s.dump()
    s.delete_range(b"ab", b"d", v=4)
    s.dump()
    store, context = s.store, s.context({"i": 1, "v": 4})
    attempt(lambda: store.commit([store.segment(context, [(b"x", b"1")])], expect={b"\x00nothing": b"1"}))
    attempt(lambda: store.put_range(context, [(b"y", b"1"), (b"z", None)]))  # type: ignore[list-item]
    s.dump()


@on_store("ERR-6")
def short_messages(s: StoreSession) -> None:
    """A large value and a large TKey in what is refused."""
    context = s.context({"i": 5, "v": None})
    s.store.put(context, b"p" * 100, b"v")
    calls: tuple[Any, ...] = (
        lambda: s.store.put(context, b"p" * 99, b"secret" * 1000),
        lambda: s.store.put(context, "t" * 5000, b"v"),  # type: ignore[arg-type]
        lambda: s.store.raw_put(b"\x07" * 3000, b"v"),
    )
    for call in calls:
        try:
            call()
        except DvidkitError as error:
            s.require(len(str(error)) < 400 and "secretsecret" not in str(error), "a short message", str(error)[:200])
        else:
            raise s.violation("an error", "no error")


@on_store("REP-3")
def damage_is_found(s: StoreSession) -> None:
    """A byte of a stored value, changed in the engine, for every way of reading."""
    s.versions((1, []))
    s.put_range(*((b"%02d" % n, b"value %d" % n) for n in range(20)), v=1)
    assert s.tap.last is not None
    found = next(each for each in s.tap.last.scan(b"\x01", b"\x02") if each[0][5:7] == b"07")
    context = s.context({"i": 1, "v": 1})
    for damaged in (bytes([found[1][0] ^ 1]) + found[1][1:], found[1][:-1], found[1][:-1] + b"\x00\x01", b""):
        s.tap.last.write([(found[0], damaged)], durable=False)
        calls: dict[str, Any] = {
            "get": lambda: s.store.get(context, b"07"),
            "get_many": lambda: s.store.get_many(context, [b"06", b"07"]),
            "get_range": lambda: s.store.get_range(context, *_ALL),
            "iter_range": lambda: list(s.store.iter_range(context, *_ALL)),
            "raw_range_query": lambda: list(s.store.raw_range_query(b"\x01", b"\x02")),
            "raw_get": lambda: s.store.raw_get(found[0]),
        }
        for name, call in calls.items():
            got = attempt(call)
            s.require(got == Err("CorruptData"), Err("CorruptData"), got, note=f"{name} of a value that was damaged")


# --- sizes and copies ------------------------------------------------------------------------------------------------
@on_store("SIZE-1")
def sizes(s: StoreSession) -> None:
    """Of everything, of nothing, of inverted ranges."""
    s.put_range(*((b"%03d" % n, b"v" * 100) for n in range(100)), i=5)
    ranges = [(b"\x01", b"\x02"), (b"\x01", b"\x01"), (b"\x02", b"\x01"), (b"\x02", b"\x03")]
    got: Any = attempt(lambda: s.store.approximate_sizes(ranges))
    good = isinstance(got, list) and len(got) == 4 and all(type(n) is int and n >= 0 for n in got)
    s.require(good and got[1:3] == [0, 0], "[n, 0, 0, n]", got, note=f"approximate_sizes({ranges})")


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
        except ImportError:
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
