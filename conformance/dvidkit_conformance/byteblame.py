"""Which byte clause a wrong answer breaks, from the operation that got it. Kernel-free."""

from __future__ import annotations

from typing import Any, Final

from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.results import Err, Foreign

_BY_NAME: Final = {
    "get_many": "ENG-MANY-1",
    "lend": "ENG-LEND-1",
    "seek_last_before": "ENG-SEEK-1",
    "seek_first_from": "ENG-SEEK-2",
    "scan_pages": "ENG-PAGES-1",
    "scan_last_before": "ENG-LAST-1",
    "delete_range": "ENG-DELR-1",
    "compact": "ENG-COMPACT-1",
    "iter_next": "ENG-SCAN-7",
    "snapshot": "ENG-SNAP-1",
    "snap_close": "ENG-SNAP-3",
    "close": "ENG-CLOSE-1",
    "reopen": "ENG-DUR-1",
}
_CHANGES: Final = frozenset({"write", "delete_range", "reopen", "compact"})


def blame(program: Program, expected: Any, got: Any) -> str:
    """The clause that says what the last operation should have answered."""
    op = program.ops[-1]
    if isinstance(got, Foreign) and got.what.startswith("raises "):
        return "ENG-ERR-1"
    if _foreign(got):
        return "ENG-GET-5"
    if op["op"] == "write":
        return _expect(op) if "expect" in op else "ENG-WRITE-1"
    if op["op"] in _BY_NAME:
        return _BY_NAME[op["op"]]
    if op.get("on") is not None:
        return "ENG-SNAP-3" if isinstance(expected, Err) else "ENG-SNAP-1"
    change = next((done for done in reversed(program.ops) if done["op"] in _CHANGES), {"op": ""})
    if change["op"] == "reopen":
        return "ENG-DUR-2" if _more(expected, got) else "ENG-DUR-1"
    if change["op"] == "delete_range":
        return "ENG-DELR-1"
    if "expect" in change:
        return _expect(change)
    if not change["op"] and got:
        return "ENG-OPEN-6"
    keys = [row[0] for row in change.get("batch", ())]
    if len(set(keys)) < len(keys):
        return "ENG-WRITE-2"
    return _get(expected, got) if op["op"] == "get" else _scan(op, expected, got)


def _foreign(got: Any) -> bool:
    """Whether something of a wrong type is anywhere in the answer."""
    return isinstance(got, Foreign) or (isinstance(got, (list, dict)) and any(map(_foreign, _parts(got))))


def _parts(got: Any) -> list[Any]:
    return list(got.values()) if isinstance(got, dict) else got


def _expect(op: Op) -> str:
    """Which of the clauses of expectations: about empty and absent, about several, or about one."""
    if any(value == b"" for _, value in op["expect"]):
        return "ENG-EXPECT-2"
    return "ENG-EXPECT-3" if len(op["expect"]) > 1 else "ENG-EXPECT-1"


def _more(expected: Any, got: Any) -> bool:
    if isinstance(expected, list) and isinstance(got, list):
        return len(got) > len(expected)
    return expected is None


def _get(expected: Any, got: Any) -> str:
    if expected == b"":
        return "ENG-GET-3"
    if expected is None:
        return "ENG-GET-1" if got == b"" else "ENG-WRITE-3"
    return "ENG-GET-2"


def _scan(op: Op, expected: Any, got: Any) -> str:
    if op.get("reverse"):
        return "ENG-SCAN-5"
    if op.get("keys_only"):
        return "ENG-SCAN-6"
    if not isinstance(got, list) or not isinstance(expected, list):
        return "ENG-SCAN-3"
    keys = [row[0] for row in got if isinstance(row, list) and row]
    if any(not op["begin"] <= key < op["end"] for key in keys):
        return "ENG-SCAN-2"
    if keys != sorted(keys):
        return "ENG-SCAN-1"
    return "ENG-SCAN-3"
