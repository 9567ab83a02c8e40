"""Which clause a wrong answer of a ``Store`` breaks, from the model's knowledge of what was right. Kernel-free."""

from __future__ import annotations

from typing import Any, Final

from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err, Foreign, matches
from dvidkit_conformance.storemodel import StoreModel

_RANGES: Final = frozenset({"get_range", "keys_in_range", "iter_range", "process_range", "send_keys"})
_OTHER_READS: Final = {"exists": "KV-10", "get_version": "VER-8", "get_many": "ORD-6", "raw": "RAW-1", "dump": "RAW-2"}


def blame(model: StoreModel, op: Op, expected: Any, got: Any, *, reopened: bool) -> str:
    """The clause that says what this answer should have been."""
    name = op["op"]
    if isinstance(got, Foreign) and got.what.startswith("raises "):
        return "ERR-2"
    if reopened:
        return "DUR-2" if _less(expected, got) else "DUR-1"
    if isinstance(expected, Err) or isinstance(got, Err):
        return "KEY-4" if "KeyContractError" in (getattr(expected, "name", ""), getattr(got, "name", "")) else "ERR-2"
    if name == "get":
        return _get(model, op, expected, got)
    if _conflicts(expected) != _conflicts(got):
        return "MERGE-4" if len(_conflicts(expected)) > len(_conflicts(got)) else "MERGE-3"
    if name in _RANGES:
        return _range(model, op, expected, got)
    if name in _OTHER_READS:
        return _OTHER_READS[name]
    return ""


def _conflicts(answer: Any) -> list[Any]:
    return list(answer.get("conflicts", ())) if isinstance(answer, dict) else []


def _less(expected: Any, got: Any) -> bool:
    """Whether what came is more than what was expected: something deleted is back."""
    if isinstance(expected, list) and isinstance(got, list):
        return len(got) > len(expected)
    return expected is None and got is not None


def _get(model: StoreModel, op: Op, expected: Any, got: Any) -> str:
    if isinstance(expected, dict):
        return "MERGE-4"
    if isinstance(got, dict):
        return "MERGE-2" if expected is None else "MERGE-3"
    v = op.get("v")
    if v is None:
        return "KV-5" if expected == b"" else "KV-1" if expected is None else "KV-2"
    entries = model.entries.get(op["i"], {}).get(op["key"], {})
    if got is None:
        return _lost(model, v, entries, expected)
    return _wrong(model, v, [w for w, value in entries.items() if value == got], expected)


def _lost(model: StoreModel, v: int, entries: dict[int, bytes | None], expected: Any) -> str:
    """A value that is not shown."""
    if expected == b"":
        return "KV-5"
    seen = model.ancestors[v]
    if any(entry is None and w not in seen for w, entry in entries.items()):
        return "VER-3"
    if any(entry is None and w in seen for w, entry in entries.items()):
        return "TOMB-4" if v in entries else "MERGE-7" if _merged(model, v) else "TOMB-9"
    return "KV-2" if v in entries else "MERGE-1" if _merged(model, v) else "VER-1"


def _merged(model: StoreModel, v: int) -> bool:
    seen = model.ancestors[v]
    return any(a not in model.ancestors[b] and b not in model.ancestors[a] for a in seen for b in seen)


def _wrong(model: StoreModel, v: int, writers: list[int], expected: Any) -> str:
    """A value that should not be shown, or another one than should."""
    seen = model.ancestors[v]
    if any(w in seen for w in writers):
        return "TOMB-1" if expected is None else "VER-5"
    if any(v in model.ancestors[w] for w in writers):
        return "VER-2"
    return "VER-3" if writers else "KEY-2"


def _range(model: StoreModel, op: Op, expected: Any, got: Any) -> str:
    if not isinstance(got, dict) or not isinstance(got.get("rows"), list):
        return "ORD-6"
    keys, found = _keys(expected["rows"]), _keys(got["rows"])
    extra = [key for key in found if key not in keys]
    if found != sorted(set(found)):
        return "ORD-1" if len(set(found)) == len(found) else "ORD-5"
    if extra and op["op"] != "send_keys":
        if not all(op["first"] <= key <= op["last"] for key in extra):
            return "ORD-4"
        entries = model.entries.get(op["i"], {})
        seen = model.ancestors.get(op.get("v") or 0, frozenset())
        if any(entry is None and w in seen for w, entry in entries.get(extra[0], {}).items()):
            return "TOMB-2" if op["op"] == "get_range" else "TOMB-3"
        return "VER-6"
    if [key for key in keys if key not in found]:
        return "ORD-3" if op["last"] in keys and op["last"] not in found else "ORD-5"
    return "VER-6" if matches(keys, found) else "ORD-6"


def _keys(rows: list[Any]) -> list[Any]:
    return [row[0] if isinstance(row, (list, tuple)) else row for row in rows]
