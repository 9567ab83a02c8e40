"""Sessions on an engine's ``ByteStore``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Final

from dvidkit.engine import ByteStore
from dvidkit_conformance.bytemodel import ByteModel
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import ABSENT, Err, Foreign
from dvidkit_conformance.session import Journal, Session

_NEEDS: Final = {
    "get_many": "get_many",
    "lend": "lend",
    "seek_last_before": "seek",
    "seek_first_from": "seek",
    "scan_pages": "pages",
    "scan_last_before": "last",
    "delete_range": "delete_range",
    "compact": "compact",
    "reopen": "persistent",
}
_READS: Final = (
    "get",
    "scan",
    "get_many",
    "lend",
    "seek_last_before",
    "seek_first_from",
    "scan_pages",
    "scan_last_before",
)
_PAGE: Final = 1000

Expect = Mapping[bytes, bytes | None]


class ByteSession(Session):
    """One byte store, its snapshots and iterators by name, and the model."""

    kind = "bytes"

    def __init__(self, harness: Harness, journal: Journal | None = None, **options: Any) -> None:
        super().__init__(harness, journal, **options)
        self.model = ByteModel()
        self.snapshots: dict[str, Any] = {}
        self.iterators: dict[str, Iterator[Any]] = {}
        self.store: ByteStore = harness.open(self.path)
        self._bound = _Bound(self.store)

    # --- what checks write -------------------------------------------------------------------------------------------

    def write(
        self,
        *changes: tuple[bytes, bytes | None],
        expect: Expect | None = None,
        durable: bool = False,
    ) -> Any:
        """One batch."""
        op: Op = {"op": "write", "batch": [list(change) for change in changes]}
        if expect is not None:
            op["expect"] = [list(pair) for pair in expect.items()]
        if durable:
            op["durable"] = True
        return self.do(op)

    def get(self, key: bytes, on: str | None = None) -> Any:
        """One key."""
        return self.do(_on({"op": "get", "key": key}, on))

    def scan(self, begin: bytes = b"", end: bytes = b"\xff" * 8, *, on: str | None = None, **how: bool) -> Any:
        """One range; by default of everything the checks write."""
        return self.do(_on({"op": "scan", "begin": begin, "end": end, **how}, on))

    def see(self, *keys: bytes, on: str | None = None) -> None:
        """Everything by scan, and these keys by get."""
        self.scan(on=on)
        for key in keys:
            self.get(key, on=on)

    def snapshot(self, name: str) -> None:
        """Take a snapshot."""
        self.do({"op": "snapshot", "to": name})

    def iterate(
        self, name: str, begin: bytes = b"", end: bytes = b"\xff" * 8, *, on: str | None = None, **how: bool
    ) -> None:
        """Begin an iterator."""
        self.do(_on({"op": "iter_open", "it": name, "begin": begin, "end": end, **how}, on))

    def step(self, name: str, n: int = 1) -> Any:
        """The next n rows of an iterator."""
        return self.do({"op": "iter_next", "it": name, "n": n})

    def reopen(self) -> None:
        """Close, and open again by the harness."""
        self.do({"op": "reopen"})

    # --- doing -------------------------------------------------------------------------------------------------------

    def skips(self, op: Op) -> bool:
        """See ``Session.skips``."""
        return not self.harness.offers(_NEEDS.get(op["op"], ""))

    def perform(self, op: Op) -> Any:
        """See ``Session.perform``."""
        return getattr(self, f"_{op['op']}")(op)

    def _reader(self, op: Op) -> Any:
        name = op.get("on")
        if name is not None:
            return self.snapshots[name][1]
        if self._bound.of is not self.store:
            self._bound = _Bound(self.store)
        return self._bound

    def answer(self, op: Op) -> Any:
        """See ``Session.answer``; a step on something that was never made is no step."""
        if (op.get("on") is not None and op["on"] not in self.snapshots) or (
            op["op"] in ("iter_next", "iter_drop") and op["it"] not in self.iterators
        ):
            return ABSENT
        return super().answer(op)

    def _write(self, op: Op) -> Any:
        batch = [(key, value) for key, value in op["batch"]]
        expect = dict(map(tuple, op["expect"])) if "expect" in op else None
        return self.store.write(batch, durable=bool(op.get("durable")), expect=expect)

    def _get(self, op: Op) -> Any:
        return self._reader(op).get(op["key"])

    def _scan(self, op: Op) -> Any:
        rows = rows_of(self._reader(op).scan(op["begin"], op["end"], **_how(op)))
        if len(rows) > _PAGE:
            self.probes["page_boundary"] += 1
        return rows

    def _scan_pages(self, op: Op) -> Any:
        pages = list(self._reader(op).scan_pages(op["begin"], op["end"], **_how(op)))
        return rows_of(_joined(pages))

    def _scan_last_before(self, op: Op) -> Any:
        reader = self._reader(op)
        return rows_of(_joined(reader.scan_last_before(op["begin"], op["end"], op["ceiling"], **_how(op))))

    def _get_many(self, op: Op) -> Any:
        return self._reader(op).get_many(op["keys"])

    def _lend(self, op: Op) -> Any:
        with self._reader(op).lend(op["keys"]) as values:
            return [bytes(value) if isinstance(value, memoryview) else value for value in values]

    def _seek_last_before(self, op: Op) -> Any:
        return self._reader(op).seek_last_before(op["end"], op["floor"], **_how(op))

    def _seek_first_from(self, op: Op) -> Any:
        return self._reader(op).seek_first_from(op["begin"], op["end"], **_how(op))

    def _delete_range(self, op: Op) -> Any:
        return self.store.delete_range(op["begin"], op["end"], durable=False)  # type: ignore[attr-defined]

    def _compact(self, op: Op) -> Any:
        return self.store.compact(b"\x00", b"\xff")  # type: ignore[attr-defined]

    def _snapshot(self, op: Op) -> Any:
        snapshot = self.store.snapshot()
        self.snapshots[op["to"]] = snapshot, _Bound(snapshot)

    def _snap_close(self, op: Op) -> Any:
        if op["to"] not in self.snapshots:
            return ABSENT
        return self.snapshots[op["to"]][0].close()

    def _iter_open(self, op: Op) -> Any:
        self.iterators[op["it"]] = iter(self._reader(op).scan(op["begin"], op["end"], **_how(op)))

    def _iter_next(self, op: Op) -> Any:
        return rows_of(islice(self.iterators[op["it"]], op["n"]))

    def _iter_drop(self, op: Op) -> Any:
        del self.iterators[op["it"]]

    def _close(self, op: Op) -> Any:
        return self.store.close()

    def _reopen(self, op: Op) -> Any:
        self.iterators.clear()
        self.snapshots.clear()
        self.store.close()
        self.store = self.harness.open(self.path)

    # --- reached, blamed, closed -------------------------------------------------------------------------------------

    def count(self, op: Op, got: Any) -> None:
        """See ``Session.count``."""
        name, reached = op["op"], self.probes
        reached[name] += 1
        if isinstance(got, Err):
            reached[f"refused:{got.name}"] += 1
        elif name == "get":
            reached["absent_read" if got is None else "empty_value" if got == b"" else "value_read"] += 1
        elif name == "scan" and got:
            reached["reverse_rows" if op.get("reverse") else "forward_rows"] += 1
        if op.get("on") is not None and self.model.snapshots.get(op["on"]) not in (None, self.model.rows):
            reached["stale_snapshot_read"] += 1

    def blame(self, op: Op, expected: Any, got: Any) -> str:
        """See ``Session.blame``."""
        if isinstance(got, Foreign) and got.what.startswith("raises "):
            return "ENG-ERR-1"
        return ""

    def close(self) -> None:
        """See ``Session.close``."""
        self.iterators.clear()
        with suppress(Exception):
            for snapshot, _ in self.snapshots.values():
                snapshot.close()
        self.snapshots.clear()
        with suppress(Exception):
            self.store.close()
        self.harness.remove(self.path)


class _Bound:
    """A reader's methods, looked up once when it was opened, as the kernel does."""

    def __init__(self, reader: Any) -> None:
        self.of = reader
        for name in _READS:
            method = getattr(reader, name, None)
            if method is not None:
                setattr(self, name, method)


def rows_of(rows: Iterable[Any]) -> list[Any]:
    """Rows as data. Never more than a million: an iterator that does not end is a fault, not a hang."""
    found = list(islice(rows, 1_000_000))
    return [list(row) if type(row) is tuple else row for row in found]


def _joined(pages: Iterable[Any]) -> Iterator[Any]:
    return chain.from_iterable(pages)


def _how(op: Op) -> dict[str, bool]:
    return {name: True for name in ("reverse", "keys_only") if op.get(name)}


def _on(op: Op, name: str | None) -> Op:
    return op if name is None else {**op, "on": name}
