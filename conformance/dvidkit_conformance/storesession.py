"""Sessions on a ``Store``: contexts of many instances and versions, every way of reading, and the raw bytes below."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.errors import VersionConflict
from dvidkit.keys import TKeyClass
from dvidkit.store import Store
from dvidkit.versions import VersionDAG
from dvidkit_conformance import codec
from dvidkit_conformance.blame import blame
from dvidkit_conformance.harness import Harness, Tapped
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.results import Err, Foreign, difference, matches
from dvidkit_conformance.session import Journal, Session, conflict
from dvidkit_conformance.storemodel import META, POINTS, RANGES, READS, Place, StoreModel

ROW: Final = TKeyClass(5, "row of a large instance", width=6)
"""The class of TKeys in sessions opened with ``classed``, where the kernel need not ask the store about each."""
LOWEST: Final = b""
HIGHEST: Final = b"\xff" * 300


class StoreSession(Session):
    """One store, a version DAG, and the model."""

    kind = "store"

    def __init__(self, harness: Harness, journal: Journal | None = None, **options: Any) -> None:
        super().__init__(harness, journal, **options)
        self.model = StoreModel()
        self.dag = VersionDAG()
        self.sealed = bool(options.get("integrity", True))
        self.classes = (ROW,) if options.get("classed") else ()
        self.store: Store
        self.tap: Tapped
        self._contexts: dict[tuple[Place, int | None], Any] = {}
        self._open()

    def _open(self) -> None:
        self.store, self.tap = self.harness.open_store(self.path, integrity=self.sealed)

    # --- what checks write -------------------------------------------------------------------------------------------

    def versions(self, *edges: tuple[int, Sequence[int]]) -> None:
        """Add versions with their parents."""
        for v, parents in edges:
            self.do({"op": "version", "v": v, "parents": list(parents)})

    def put(self, key: bytes, value: bytes, v: int | None = None, i: Place = 1) -> Any:
        """One put."""
        return self.do({"op": "put", "i": i, "v": v, "key": key, "value": value})

    def delete(self, key: bytes, v: int | None = None, i: Place = 1) -> Any:
        """One delete."""
        return self.do({"op": "delete", "i": i, "v": v, "key": key})

    def batch(self, *pairs: tuple[bytes, bytes | None], v: int | None = None, i: Place = 1) -> Any:
        """One batch of puts and (``None``) deletes."""
        return self.do({"op": "batch", "i": i, "v": v, "pairs": [list(pair) for pair in pairs]})

    def put_range(self, *pairs: tuple[bytes, bytes], v: int | None = None, i: Place = 1) -> Any:
        """One ``put_range``."""
        return self.do({"op": "put_range", "i": i, "v": v, "pairs": [list(pair) for pair in pairs]})

    def delete_range(self, first: bytes, last: bytes, v: int | None = None, i: Place = 1) -> Any:
        """One ``delete_range``."""
        return self.do({"op": "delete_range", "i": i, "v": v, "first": first, "last": last})

    def point(self, name: str, key: bytes, v: int | None = None, i: Place = 1) -> Any:
        """One ``get``, ``exists`` or ``get_version``."""
        return self.do({"op": name, "i": i, "v": v, "key": key})

    def get(self, key: bytes, v: int | None = None, i: Place = 1) -> Any:
        """One ``get``."""
        return self.point("get", key, v, i)

    def range(
        self,
        name: str = "get_range",
        v: int | None = None,
        i: Place = 1,
        first: bytes = LOWEST,
        last: bytes = HIGHEST,
        **more: Any,
    ) -> Any:
        """One range read; by default of everything."""
        return self.do({"op": name, "i": i, "v": v, "first": first, "last": last, **more})

    def ranges(self, v: int | None = None, i: Place = 1, first: bytes = LOWEST, last: bytes = HIGHEST) -> None:
        """Every form of range."""
        for name in RANGES:
            self.range(name, v, i, first, last)

    def dump(self) -> Any:
        """Every raw entry, read past the ``Store``."""
        return self.do({"op": "dump"})

    def observe(self, i: Place = 1, keys: Iterable[bytes] | None = None) -> None:
        """Every key at every version through every read, and the raw entries."""
        self.do({"op": "observe", "i": i, "keys": list(self.model.tkeys(i) if keys is None else keys)})

    def reopen(self) -> None:
        """Close, and open again by the harness."""
        self.do({"op": "reopen"})

    def context(self, op: Op) -> Any:
        """The kernel's context of an operation."""
        place = (op["i"], op.get("v"))
        found = self._contexts.get(place)
        if found is None:
            i, v = place
            if i == META:
                found = MetadataContext()
            elif v is None:
                found = DataContext(int(i), classes=self.classes)
            else:
                found = VersionedContext(int(i), v, self.dag, self.classes)
            self._contexts[place] = found
        return found

    # --- doing -------------------------------------------------------------------------------------------------------

    def do(self, op: Op) -> Any:
        """See ``Session.do``; an observation is many reads, and the one that differs is reported alone."""
        if op["op"] != "observe":
            return super().do(op)
        self._journal.note(op)
        done = len(self.ops)
        for read in self.reads(op):
            expected, got = self.model.apply(read), self.answer(read)
            if not matches(expected, got):
                self.ops.append(read)
                raise self.violation(*difference(expected, got), clause=self.blame(read, expected, got))
            self.count(read, got)
        del self.ops[done:]
        self.ops.append(op)
        return None

    def reads(self, op: Op) -> Iterable[Op]:
        """The reads of an observation, the plainest first.

        With ``light`` (a number, which says where the turn begins) each version is asked for its keys one by one or all
        together, and for one of two ranges, in turn.
        """
        i = op["i"]
        known = list(self.model.ancestors) if i in self.model.entries or self.model.ancestors else [None]
        versions = [None] if i in self.model.plain and i not in self.model.entries else known
        everything = {"first": LOWEST, "last": HIGHEST}
        light = int(op.get("light", 0))
        for n, v in enumerate(versions, light):
            for key in op["keys"] if not light or n % 2 == 0 else ():
                for name in POINTS[:1] if light else POINTS:
                    yield {"op": name, "i": i, "v": v, "key": key}
            if not light or n % 2:
                yield {"op": "get_many", "i": i, "v": v, "keys": op["keys"]}
            for name in RANGES[n % 2 :][:1] if light else RANGES:
                yield {"op": name, "i": i, "v": v, **everything}
            for key in op["keys"][1:2] if not light else ():
                yield {"op": "get_range", "i": i, "v": v, "first": op["keys"][0], "last": key}
        yield {"op": "dump", "of": [i]}
        if i != META:
            low = b"\x01" + int(i).to_bytes(4, "big")
            yield {"op": "raw", "first": low, "last": low + HIGHEST}

    def run(self, program: Program) -> None:
        """See ``Session.run``."""
        for op in program.ops:
            self.do(op)

    def skips(self, op: Op) -> bool:
        """See ``Session.skips``."""
        return op["op"] == "reopen" and not self.harness.persistent

    def answer(self, op: Op) -> Any:
        """See ``Session.answer``; a version that an earlier step did not make is unknown to both sides."""
        v = op.get("v")
        if v is not None and op["op"] != "version" and v not in self.model.ancestors:
            return Err("NotFoundError")
        return super().answer(op)

    def perform(self, op: Op) -> Any:
        """See ``Session.perform``."""
        name = op["op"]
        if name in POINTS:
            return getattr(self.store, name)(self.context(op), op["key"])
        return getattr(self, f"_{name}")(op)

    def _version(self, op: Op) -> Any:
        if op["v"] not in self.dag and all(parent in self.dag for parent in op["parents"]):
            self.dag.add(op["v"], op["parents"])

    def _put(self, op: Op) -> Any:
        return self.store.put(self.context(op), op["key"], op["value"])

    def _delete(self, op: Op) -> Any:
        return self.store.delete(self.context(op), op["key"])

    def _put_range(self, op: Op) -> Any:
        return self.store.put_range(self.context(op), ((key, value) for key, value in op["pairs"]))

    def _batch(self, op: Op) -> Any:
        batch = self.store.new_batch(self.context(op))
        for key, value in op["pairs"]:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        return batch.commit()

    def _delete_range(self, op: Op) -> Any:
        try:
            return self.store.delete_range(self.context(op), op["first"], op["last"])
        except VersionConflict as error:
            return {"conflicts": conflict(error)["conflicts"]}

    def _delete_all(self, op: Op) -> Any:
        return self.store.delete_all(DataContext(op["i"]))

    def _get_many(self, op: Op) -> Any:
        return self._with_conflicts(lambda: self.store.get_many(self.context(op), op["keys"]))

    def _get_range(self, op: Op) -> Any:
        more = {"limit": op["limit"]} if "limit" in op else {}
        return self._with_conflicts(lambda: self.store.get_range(self.context(op), op["first"], op["last"], **more))

    def _keys_in_range(self, op: Op) -> Any:
        more = {"limit": op["limit"]} if "limit" in op else {}
        return self._with_conflicts(lambda: self.store.keys_in_range(self.context(op), op["first"], op["last"], **more))

    @staticmethod
    def _with_conflicts(read: Callable[[], Any]) -> Any:
        try:
            return {"rows": read(), "conflicts": []}
        except VersionConflict as error:
            return {"rows": error.result, "conflicts": conflict(error)["conflicts"]}

    def _iter_range(self, op: Op) -> Any:
        rows: list[Any] = []
        return self._collected(
            rows, lambda: rows.extend(self.store.iter_range(self.context(op), op["first"], op["last"]))
        )

    def _process_range(self, op: Op) -> Any:
        rows: list[Any] = []

        def take(tkey: bytes, value: bytes) -> None:
            rows.append((tkey, value))

        return self._collected(rows, lambda: self.store.process_range(self.context(op), op["first"], op["last"], take))

    def _send_keys(self, op: Op) -> Any:
        channel: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        rows: list[Any] = []

        def send() -> None:
            try:
                self.store.send_keys_in_range(self.context(op), op["first"], op["last"], channel)
            finally:
                while not channel.empty():
                    rows.append(channel.get())

        answer = self._collected(rows, send)
        if not rows or rows.pop() is not None:
            return Foreign("a channel that does not end with None")
        return answer

    @staticmethod
    def _collected(rows: list[Any], read: Callable[[], Any]) -> Any:
        try:
            read()
        except VersionConflict as error:
            return {"rows": rows, "conflicts": conflict(error)["conflicts"]}
        return {"rows": rows, "conflicts": []}

    def _raw(self, op: Op) -> Any:
        keys_only = bool(op.get("keys_only"))
        return list(self.store.raw_range_query(op["first"], op["last"], keys_only=keys_only))

    def _raw_put(self, op: Op) -> Any:
        return self.store.raw_put(op["key"], op["value"])

    def _raw_delete(self, op: Op) -> Any:
        return self.store.raw_delete(op["key"])

    def _dump(self, op: Op) -> Any:
        return dump(self.tap, sealed=self.sealed, of=op.get("of"))

    def _reopen(self, op: Op) -> Any:
        self.store.close()
        self._open()

    # --- reached, blamed, closed -------------------------------------------------------------------------------------

    def count(self, op: Op, got: Any) -> None:
        """See ``Session.count``."""
        reached, name = self.probes, op["op"]
        reached[name] += 1
        if isinstance(got, Err):
            reached[f"refused:{got.name}"] += 1
        elif isinstance(got, dict) and got.get("conflicts"):
            reached["conflict_read"] += 1
        elif name == "get":
            self._count_get(op, got)
        elif name in RANGES and isinstance(got, dict) and len(got["rows"]) > 1024:
            reached["page_boundary"] += 1

    def _count_get(self, op: Op, got: Any) -> None:
        entries = self.model.entries.get(op["i"], {}).get(op["key"], {})
        v, reached = op.get("v"), self.probes
        if got == b"":
            reached["empty_value"] += 1
        if v is None:
            return
        seen = self.model.ancestors[v]
        if got is None and any(entries.get(w, b"") is None for w in seen if w in entries):
            reached["tombstone_read"] += 1
        if got is not None and v not in entries:
            reached["inherited_read"] += 1
        if entries and got is None and not seen & entries.keys():
            reached["sibling_hidden"] += 1

    def blame(self, op: Op, expected: Any, got: Any) -> str:
        """See ``Session.blame``."""
        last = next((done["op"] for done in reversed(self.ops) if done["op"] not in READS), "")
        return blame(self.model, op, expected, got, reopened=last == "reopen")

    def close(self) -> None:
        """See ``Session.close``."""
        with suppress(Exception):
            self.store.close()
        self.harness.remove(self.path)


def dump(tap: Tapped, *, sealed: bool, of: Sequence[Place] | None = None) -> Any:
    """Every full key and value of DVID's three key spaces, from the engine's own bytes, by the kit's own codec."""
    assert tap.last is not None
    spans = [(b"\x00", codec.OWN)]
    if of is not None:
        spans = [_span(i) for i in sorted(of, key=str)]
    rows: list[Any] = []
    for begin, end in spans:
        for key, stored in tap.last.scan(begin, end):
            try:
                rows.append([key, codec.opened(key, stored) if sealed else stored])
            except ValueError as error:
                return Foreign(f"stored bytes with a wrong checksum: {error}")
    return sorted(rows)


def _span(i: Place) -> tuple[bytes, bytes]:
    if i == META:
        return b"\x00", b"\x01"
    return b"\x01" + int(i).to_bytes(4, "big"), (
        b"\x01" + (int(i) + 1).to_bytes(4, "big") if int(i) < 0xFFFFFFFF else b"\x02"
    )


def row(n: int) -> bytes:
    """The n-th TKey of class ``ROW``."""
    return ROW.key(b"%06d" % n)


def contexts(s: StoreSession) -> list[tuple[int | None, int]]:
    """(version, instance): an unversioned instance and a versioned one."""
    s.versions((1, []))
    return [(None, 5), (1, 6)]
