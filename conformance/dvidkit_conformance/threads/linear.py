"""Is there one order of the calls that explains every answer? The search of Wing and Gong, with Lowe's memory.

A history is *linearizable* if every call can be given an instant between its beginning and its end so that, done one
after the other in that order, each would have answered what it did. A call that never returned may have an instant
after its beginning or none.

The search places one call after the other. A call can be next if no other that is still to be placed had ended before
it began. Two shortcuts keep it small and lose nothing: a call that changes nothing and fits is placed at once, and a
set of placed calls with the same rows is not searched twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import show
from dvidkit_conformance.threads.history import DONE, Call

Rows = frozenset[tuple[bytes, bytes]]
"""A state: every key with its value."""

EMPTY: Final[Rows] = frozenset()
READS: Final = frozenset({"get", "exists", "range", "keys", "many"})
_CONFLICT: Final = {"error": "ConflictError"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the search found.

    Attributes:
        order: calls in an order that explains them; ``None`` if there is none.
        stuck: if there is none, the calls of which none could come next where the search got furthest.
        rows: the state there.
    """

    order: list[Call] | None
    stuck: tuple[Call, ...] = ()
    rows: Rows = EMPTY

    def text(self) -> str:
        """Why there is no order, for people."""
        state = dict(sorted(self.rows))
        told = "; ".join(f"{show(call.answer)} to thread {call.thread}'s {said(call.op)}" for call in self.stuck[:4])
        return f"with {show(state)} stored, none of these can come next: {told}"


def said(op: Op) -> str:
    """The operation for people."""
    return " ".join([str(op["op"]), *(f"{name}={show(value)}" for name, value in op.items() if name != "op")])


def after(rows: Rows, op: Op) -> tuple[Any, Rows]:
    """What a right store answers, and the rows afterwards.

    Operations: ``put key value``; ``delete key``; ``batch pairs`` (value ``None`` deletes); ``cas key old new``;
    ``delete_range first last``; ``get key``; ``exists key``; ``many keys``; ``range first last``; ``keys first last``.
    Ranges are closed at both ends.
    """
    held = dict(rows)
    name = op["op"]
    if name in READS:
        return _read(held, op), rows
    if name == "cas" and held.get(op["key"]) != op["old"]:
        return _CONFLICT, rows
    for key, value in changes(op, held):
        if value is None:
            held.pop(key, None)
        else:
            held[key] = value
    return DONE, frozenset(held.items())


def changes(op: Op, held: Iterable[bytes]) -> list[tuple[bytes, bytes | None]]:
    """What a change would do, given the keys that are there."""
    name = op["op"]
    if name == "put":
        return [(op["key"], op["value"])]
    if name == "delete":
        return [(op["key"], None)]
    if name == "cas":
        return [(op["key"], op["new"])]
    if name == "batch":
        return [(key, value) for key, value in op["pairs"]]
    if name == "delete_range":
        return [(key, None) for key in held if op["first"] <= key <= op["last"]]
    raise ValueError(f"no operation {name!r}")


def _read(held: dict[bytes, bytes], op: Op) -> Any:
    name = op["op"]
    if name == "get":
        return held.get(op["key"])
    if name == "exists":
        return op["key"] in held
    if name == "many":
        return [held.get(key) for key in op["keys"]]
    keys = sorted(key for key in held if op["first"] <= key <= op["last"])
    return keys if name == "keys" else [[key, held[key]] for key in keys]


def linearize(calls: Sequence[Call], rows: Rows = EMPTY) -> Verdict:
    """Search an order. Calls that raised an error which by contract has no effect must be left out before."""
    return _Search(calls).run(rows)


def keys_of(op: Op) -> frozenset[bytes]:
    """The keys that an operation names."""
    if "key" in op:
        return frozenset({op["key"]})
    if "pairs" in op:
        return frozenset(key for key, _ in op["pairs"])
    return frozenset(op.get("keys", ()))


def by_key(calls: Iterable[Call]) -> dict[bytes, list[Call]]:
    """Histories of single keys. A history of calls of one key each is linearizable if and only if each of these is."""
    found: dict[bytes, list[Call]] = {}
    for call in calls:
        (key,) = keys_of(call.op)
        found.setdefault(key, []).append(call)
    return found


@dataclass(slots=True)
class _Node:
    """A state of the search: which calls are placed (bits), the rows, and the last call with the node before."""

    placed: int
    rows: Rows
    last: Call | None = None
    before: _Node | None = None

    def order(self) -> list[Call]:
        """The calls placed so far."""
        found: list[Call] = []
        node: _Node | None = self
        while node is not None and node.last is not None:
            found.append(node.last)
            node = node.before
        return found[::-1]


class _Search:
    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls = sorted(calls, key=lambda call: call.begun)
        self.needed = sum(1 << n for n, call in enumerate(self.calls) if call.ended is not None)

    def run(self, rows: Rows) -> Verdict:
        seen: set[tuple[int, Rows]] = set()
        stack = [_Node(0, rows)]
        furthest, most = stack[0], -1
        while stack:
            node = self._reads_placed(stack.pop())
            if node.placed & self.needed == self.needed:
                return Verdict(node.order())
            if (node.placed, node.rows) in seen:
                continue
            seen.add((node.placed, node.rows))
            count = (node.placed & self.needed).bit_count()
            if count > most:
                furthest, most = node, count
            stack += reversed(list(self._next(node)))
        return Verdict(None, tuple(self.calls[n] for n in self._open(furthest.placed)), furthest.rows)

    def _open(self, placed: int) -> list[int]:
        """Calls that can be next: begun before any other that is to be placed has ended."""
        found: list[int] = []
        earliest: int | None = None
        for n, call in enumerate(self.calls):
            if placed >> n & 1:
                continue
            if earliest is not None and call.begun > earliest:
                break
            found.append(n)
            if call.ended is not None and (earliest is None or call.ended < earliest):
                earliest = call.ended
        return found

    def _reads_placed(self, node: _Node) -> _Node:
        while True:
            for n in self._open(node.placed):
                call = self.calls[n]
                fits = call.ended is not None and call.op["op"] in READS
                if fits and after(node.rows, call.op)[0] == call.answer:
                    node = _Node(node.placed | 1 << n, node.rows, call, node)
                    break
            else:
                return node

    def _next(self, node: _Node) -> Iterable[_Node]:
        for n in self._open(node.placed):
            call = self.calls[n]
            answer, rows = after(node.rows, call.op)
            if call.ended is None or answer == call.answer:
                yield _Node(node.placed | 1 << n, rows, call, node)
