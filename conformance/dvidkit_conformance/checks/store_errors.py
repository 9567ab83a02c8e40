"""Clauses of errors, and of damage found on reading."""

from __future__ import annotations

import queue
from typing import Any

from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.errors import DvidkitError
from dvidkit_conformance.checking import on_store
from dvidkit_conformance.results import Err, Foreign
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import HIGHEST, LOWEST, StoreSession

_ALL = (LOWEST, HIGHEST)


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
