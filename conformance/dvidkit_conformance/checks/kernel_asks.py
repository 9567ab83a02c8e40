"""Clauses of what the kernel asks of an engine, and what it makes of the answers."""

from __future__ import annotations

import queue
from typing import Any

from dvidkit_conformance.checking import on_engine
from dvidkit_conformance.fivemethods import FiveMethods
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt
from dvidkit_conformance.storesession import HIGHEST, LOWEST, StoreSession, row

_ALL = (LOWEST, HIGHEST)


@on_engine("ORD-13")
def keys_without_values(h: Harness) -> None:
    """Noted by an engine that offers its five methods alone."""
    engine = FiveMethods(h.engine)
    with StoreSession(Harness(engine, h.folder, store_class=h.store_class)) as s:
        s.versions((1, []), (2, [1]))
        s.put_range(*((row(n), b"old") for n in range(40)), v=1)
        s.batch((row(1), None), (row(2), b"two"), v=2)
        for op in ("keys_in_range", "send_keys"):
            del engine.scans[:]
            s.range(op, 2)
            s.require(engine.scans and all(engine.scans), "scans with keys_only", engine.scans, note=f"scans of {op}")
        for op in ("exists", "get_version"):
            del engine.scans[:]
            s.point(op, row(2), 2)
            s.require(all(engine.scans), "scans with keys_only", engine.scans, note=f"scans of {op}")


@on_engine("REG-3")
def five_methods_suffice(h: Harness) -> None:
    """The same program with and without the declared protocols; what needs one is unsupported without it."""
    engine = FiveMethods(h.engine)
    with StoreSession(Harness(engine, h.folder, store_class=h.store_class)) as s:
        s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
        s.put_range(*((row(n), b"old") for n in range(60)), v=1)
        s.batch(*((row(n), None if n % 3 else b"two") for n in range(0, 60, 5)), v=2)
        s.batch(*((row(n), b"three") for n in range(0, 60, 7)), v=3)
        s.observe(keys=[row(n) for n in range(0, 60, 4)])
        s.reopen()
        s.observe(keys=[row(0), row(35)])
        calls: dict[str, Any] = {
            "approximate_sizes": lambda: s.store.approximate_sizes([(b"a", b"b")]),
            "compact": s.store.compact,
            "backup": lambda: s.store.backup(str(h.fresh())),
        }
        for name, call in calls.items():
            got = attempt(call)
            s.require(got == Err("UnsupportedError"), Err("UnsupportedError"), got, note=f"{name}, not declared")


@on_engine("ERR-5")
def errors_come_through(h: Harness) -> None:
    """A scan that fails after 0, 1, 5 rows and at its end, under every operation that reads."""
    engine = FiveMethods(h.engine)
    with StoreSession(Harness(engine, h.folder, store_class=h.store_class)) as s:
        s.versions((1, []), (2, [1]), (3, [1]), (4, [2, 3]))
        s.put_range(*((row(n), b"old") for n in range(8)), v=1)
        s.put_range(*((row(n), b"old") for n in range(8)), i=5)
        store, nothing = s.store, queue.SimpleQueue[Any]()
        for v, i in ((4, 1), (None, 5)):
            context = s.context({"i": i, "v": v})
            calls: dict[str, Any] = {
                "get_range": lambda c=context: store.get_range(c, *_ALL),
                "keys_in_range": lambda c=context: store.keys_in_range(c, *_ALL),
                "iter_range": lambda c=context: list(store.iter_range(c, *_ALL)),
                "process_range": lambda c=context: store.process_range(c, *_ALL, lambda *row: None),
                "send_keys_in_range": lambda c=context: store.send_keys_in_range(c, *_ALL, nothing),
                "get": lambda c=context: store.get(c, row(1)),
                "exists": lambda c=context: store.exists(c, row(1)),
                "get_many": lambda c=context: store.get_many(c, [row(1)]),
                "delete_range": lambda c=context: store.delete_range(c, *_ALL),
                "delete_all": lambda c=context: store.delete_all(c),
                "raw_range_query": lambda: list(store.raw_range_query(b"\x00", b"\xff")),
            }
            for rows in (0, 1, 5, 8):
                for name, call in calls.items():
                    if rows and name in ("get", "exists", "get_many", "delete_all"):
                        continue
                    engine.fail_after = rows
                    got = attempt(call)
                    engine.fail_after = None
                    note = f"{name} while the engine's scan raises StoreError after {rows} rows"
                    s.require(got == Err("StoreError"), Err("StoreError"), got, note=note)
        s.dump()
