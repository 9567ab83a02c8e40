"""Clauses of reopening, opening and closing, and limits."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import Any

from dvidkit.context import DataContext
from dvidkit.engine import StoreConfig
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit_conformance.checking import on_engine, on_store
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.nursery import Door
from dvidkit_conformance.results import Err
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


_SECOND = "import sys; from dvidkit_conformance.checks.store_life import second; second(sys.argv[1], sys.argv[2], 1)"


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
        answer = _in_another_process(s, name)
        s.require(answer == "StoreLocked", "StoreLocked", answer, note="opened in another process")
    s.put(b"b", b"2", i=5)
    s.observe(5)


def _in_another_process(s: StoreSession, name: str) -> str:
    """What opening answers there; of the nursery, or in an interpreter of its own."""
    nursery = s.harness.nursery
    if nursery is None:
        command = [sys.executable, "-c", _SECOND, name, str(s.path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout  # noqa: S603
    read, write = os.pipe()
    with os.fdopen(read) as pipe:
        kept = nursery.start(partial(second, name, str(s.path)), write)
        os.close(write)
        answer = pipe.read()
    kept.wait()
    return answer


def second(name: str, path: str, fd: int, nursery: Door | None = None) -> None:
    """Open the store of an installed engine and say through the descriptor ``opened``, or the error's name."""
    try:
        plugins = (nursery.plugins if nursery is not None else None) or Plugins()
        Store(plugins.engine(name), StoreConfig(name, path)).close()
        answer = "opened"
    except Exception as error:
        answer = type(error).__name__
    os.write(fd, answer.encode())


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


@on_store("OPN-4")
def closed_while_read(s: StoreSession) -> None:
    """Opened again at once though a range, a raw range and a snapshot are still held."""
    if not s.harness.persistent:
        return
    s.put_range(*((b"k%04d" % n, b"v") for n in range(300)), i=5)
    snapshot = s.store.snapshot()
    held = [s.store.iter_range(s.context({"i": 5, "v": None}), b"k", b"l"), s.store.raw_range_query(b"\x01", b"\x02")]
    for rows in held:
        next(rows)
    s.reopen()
    s.observe(5)
    snapshot.close()


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
    """More than 10,000 TKeys in every form."""
    s.put_range(*((row(n), b"v") for n in range(10_050)), i=5)
    s.ranges(None, 5)
    s.do({"op": "raw", "first": b"\x01", "last": b"\x02"})
