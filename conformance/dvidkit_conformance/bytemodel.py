"""The oracle of byte stores: a dictionary, sorted when asked. It imports nothing from the kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import ABSENT, Err, OneOf

Rows = dict[bytes, bytes]


class ByteModel:
    """What a byte store must answer to each operation of a program."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.snapshots: dict[str, Rows | None] = {}
        self.iterators: dict[str, _Iterator] = {}
        self.closed = False

    def apply(self, op: Op) -> Any:
        """Do the operation and say what it must answer."""
        if self.closed and op["op"] not in ("close", "reopen"):
            return self._after_close(op)
        return getattr(self, f"_{op['op']}")(op)

    def settle(self, op: Op, got: Any) -> None:
        """Learn which of several right answers was given."""
        if op["op"] == "iter_next" and op["it"] in self.iterators:
            self.iterators[op["it"]].settle(op["n"], got)

    def _after_close(self, op: Op) -> Any:
        missing = (op.get("on") is not None and op["on"] not in self.snapshots) or (
            op["op"] in ("iter_next", "iter_drop") and op["it"] not in self.iterators
        )
        if missing or (op["op"] == "snap_close" and op["to"] not in self.snapshots):
            return ABSENT
        if op["op"] == "snap_close" or op["op"] == "iter_drop":
            return None
        return Err("StoreClosed")

    # --- changes -----------------------------------------------------------------------------------------------------

    def _write(self, op: Op) -> Any:
        for key, value in op.get("expect") or []:
            if self.rows.get(key) != value:
                return Err("ConflictError")
        for key, value in op["batch"]:
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self._tell_iterators()
        return None

    def _delete_range(self, op: Op) -> Any:
        for key in [key for key in self.rows if op["begin"] <= key < op["end"]]:
            del self.rows[key]
        self._tell_iterators()
        return None

    def _compact(self, op: Op) -> Any:
        return None

    def _tell_iterators(self) -> None:
        for iterator in self.iterators.values():
            iterator.changed(self.rows)

    # --- reads -------------------------------------------------------------------------------------------------------

    def _view(self, op: Op) -> Rows | Any:
        name = op.get("on")
        if name is None:
            return self.rows
        if name not in self.snapshots:
            return ABSENT
        view = self.snapshots[name]
        return Err("StoreClosed") if view is None else view

    def _get(self, op: Op) -> Any:
        view = self._view(op)
        return view.get(op["key"]) if isinstance(view, dict) else view

    def _scan(self, op: Op) -> Any:
        view = self._view(op)
        return select(view, op) if isinstance(view, dict) else view

    _scan_pages = _scan

    def _lend(self, op: Op) -> Any:
        return self._get_many(op)

    def _get_many(self, op: Op) -> Any:
        view = self._view(op)
        return [view.get(key) for key in op["keys"]] if isinstance(view, dict) else view

    def _seek_last_before(self, op: Op) -> Any:
        view = self._view(op)
        if not isinstance(view, dict):
            return view
        rows = select(view, {"begin": op["floor"], "end": op["end"], "keys_only": op.get("keys_only")})
        return rows[-1] if rows else None

    def _seek_first_from(self, op: Op) -> Any:
        view = self._view(op)
        if not isinstance(view, dict):
            return view
        rows = select(view, op)
        return rows[0] if rows else None

    def _scan_last_before(self, op: Op) -> Any:
        view = self._view(op)
        if not isinstance(view, dict):
            return view
        size, last = len(op["ceiling"]), {}
        for key, value in select(view, {"begin": op["begin"], "end": op["end"]}):
            if key[-size:] < op["ceiling"]:
                last[key[:-size]] = key if op.get("keys_only") else [key, value]
        return list(last.values())

    # --- snapshots, iterators, the end -------------------------------------------------------------------------------

    def _snapshot(self, op: Op) -> Any:
        self.snapshots[op["to"]] = dict(self.rows)
        return None

    def _snap_close(self, op: Op) -> Any:
        if op["to"] not in self.snapshots:
            return ABSENT
        self.snapshots[op["to"]] = None
        return None

    def _iter_open(self, op: Op) -> Any:
        view = self._view(op)
        if not isinstance(view, dict):
            return None if isinstance(view, Err) else view
        self.iterators[op["it"]] = _Iterator(op, view, live=op.get("on") is None)
        return None

    def _iter_next(self, op: Op) -> Any:
        if op["it"] not in self.iterators:
            return ABSENT
        return self.iterators[op["it"]].expected(op["n"])

    def _iter_drop(self, op: Op) -> Any:
        return None if self.iterators.pop(op["it"], None) is not None else ABSENT

    def _close(self, op: Op) -> Any:
        self.closed = True
        return None

    def _reopen(self, op: Op) -> Any:
        self.closed = False
        self.snapshots.clear()
        self.iterators.clear()
        return None


class _Iterator:
    """Rows of one instant; while the first step was not made, of any instant since the call."""

    def __init__(self, op: Op, rows: Rows, *, live: bool) -> None:
        self._op = op
        self._open = live
        self._states = [select(rows, op)]

    def changed(self, rows: Rows) -> None:
        if self._open:
            state = select(rows, self._op)
            if state not in self._states:
                self._states.append(state)

    def expected(self, n: int) -> Any:
        answers = [state[:n] for state in self._states]
        return answers[0] if len(answers) == 1 else OneOf(tuple(answers))

    def settle(self, n: int, got: Any) -> None:
        self._open = False
        self._states = [state[n:] for state in self._states if state[:n] == got] or [
            state[n:] for state in self._states
        ]


def select(rows: Mapping[bytes, bytes], op: Op) -> list[Any]:
    """The rows of a half-open range as ``scan`` yields them."""
    keys = sorted((key for key in rows if op["begin"] <= key < op["end"]), reverse=bool(op.get("reverse")))
    return keys if op.get("keys_only") else [[key, rows[key]] for key in keys]
