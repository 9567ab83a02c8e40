"""The oracle of versioned stores, written from the definitions of the specification. It imports nothing of the kernel.

``E(k)`` maps versions to a value or a tombstone (``None`` here). Of the versions that a version can see and that hold
an entry, the maximal ones are those no other of them descends from; the answer is the one maximal live value, nothing,
or a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

from dvidkit_conformance import codec
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err

META = "meta"
POINTS: Final = ("get", "exists", "get_version")
RANGES: Final = ("get_range", "keys_in_range", "iter_range", "process_range", "send_keys")
READS: Final = frozenset({*POINTS, *RANGES, "get_many", "raw", "dump", "observe"})
"""Operations that change nothing."""
Place = int | str
Conflict = tuple[bytes, list[int]]


class StoreModel:
    """What a ``Store`` must answer, and which raw entries it must leave."""

    def __init__(self) -> None:
        self.ancestors: dict[int, frozenset[int]] = {}
        self.entries: dict[int, dict[bytes, dict[int, bytes | None]]] = {}
        self.plain: dict[Place, dict[bytes, bytes]] = {}
        self._known_maximal: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}
        self._known_seen: dict[tuple[Place, int, bytes], tuple[bytes | None, list[int]]] = {}

    def apply(self, op: Op) -> Any:
        """Do the operation and say what it must answer."""
        answer = getattr(self, f"_{op['op']}")(op)
        if op["op"] not in READS:
            self._known_seen.clear()
        return answer

    def settle(self, op: Op, got: Any) -> None:
        """Nothing is left open here."""

    # --- the rule ----------------------------------------------------------------------------------------------------

    def resolve(self, i: int, v: int, tkey: bytes) -> list[int]:
        """Versions of the live maximal entries: none, one, or a conflict."""
        entries = self.entries.get(i, {}).get(tkey)
        if not entries:
            return []
        return [version for version in self._maximal(v, tuple(entries)) if entries[version] is not None]

    def _maximal(self, v: int, holders: tuple[int, ...]) -> tuple[int, ...]:
        """Of the versions that hold an entry, the maximal ones that ``v`` can see. Ancestors never change."""
        found = self._known_maximal.get((v, holders))
        if found is None:
            seen = self.ancestors[v].intersection(holders)
            maximal = [a for a in seen if not any(a != b and a in self.ancestors[b] for b in seen)]
            found = self._known_maximal[v, holders] = tuple(sorted(maximal))
        return found

    def _version(self, op: Op) -> Any:
        v, parents = op["v"], op["parents"]
        if v not in self.ancestors and all(parent in self.ancestors for parent in parents):
            self.ancestors[v] = frozenset({v}).union(*(self.ancestors[parent] for parent in parents))
        return None

    # --- changes -----------------------------------------------------------------------------------------------------

    def _put(self, op: Op) -> Any:
        return self._change(op, [[op["key"], op["value"]]])

    def _delete(self, op: Op) -> Any:
        return self._change(op, [[op["key"], None]])

    def _put_range(self, op: Op) -> Any:
        return self._change(op, op["pairs"])

    def _batch(self, op: Op) -> Any:
        return self._change(op, op["pairs"])

    def _delete_range(self, op: Op) -> Any:
        if not self._known(op):
            return Err("NotFoundError")
        live, conflicts = self._visible(op)
        if conflicts:
            return {"conflicts": conflicts}
        return self._change(op, [[tkey, None] for tkey, _, _ in live])

    def _delete_all(self, op: Op) -> Any:
        self.entries.pop(op["i"], None)
        self.plain.pop(op["i"], None)
        return None

    def _change(self, op: Op, given: Iterable[Any]) -> Any:
        pairs = list(given)
        place: Any = op["i"]
        if not self._known(op):
            return Err("NotFoundError")
        if op["i"] != META and self._breaks_contract(op["i"], [pair[0] for pair in pairs]):
            return Err("KeyContractError")
        for tkey, value in pairs:
            if op.get("v") is not None:
                self.entries.setdefault(place, {}).setdefault(tkey, {})[op["v"]] = value
            elif value is None:
                self.plain.get(op["i"], {}).pop(tkey, None)
            else:
                self.plain.setdefault(place, {})[tkey] = value
        return None

    def _breaks_contract(self, i: int, new: list[bytes]) -> bool:
        stored = set(self.entries.get(i, {})) | set(self.plain.get(i, {}))
        together = sorted(stored.union(new))
        return any(after.startswith(before) for before, after in pairwise(together))

    def _known(self, op: Op) -> bool:
        return op.get("v") is None or op["v"] in self.ancestors

    # --- reads -------------------------------------------------------------------------------------------------------

    def _seen(self, op: Op, tkey: bytes) -> tuple[bytes | None, list[int]]:
        """(value, versions of the live maximal entries)."""
        if op.get("v") is None:
            value = self.plain.get(op["i"], {}).get(tkey)
            return value, [] if value is None else [0]
        key = op["i"], op["v"], tkey
        found = self._known_seen.get(key)
        if found is None:
            winners = self.resolve(*key)
            value = self.entries[op["i"]][tkey][winners[0]] if len(winners) == 1 else None
            found = self._known_seen[key] = value, winners
        return found

    def _get(self, op: Op) -> Any:
        return self._point(op, lambda value, winners: value)

    def _exists(self, op: Op) -> Any:
        return self._point(op, lambda value, winners: value is not None)

    def _get_version(self, op: Op) -> Any:
        return self._point(op, lambda value, winners: winners[0] if winners else None)

    def _point(self, op: Op, answer: Any) -> Any:
        if not self._known(op):
            return Err("NotFoundError")
        value, winners = self._seen(op, op["key"])
        return {"conflicts": [[op["key"], winners]]} if len(winners) > 1 else answer(value, winners)

    def _get_many(self, op: Op) -> Any:
        if not self._known(op):
            return Err("NotFoundError")
        seen = [(tkey, *self._seen(op, tkey)) for tkey in op["keys"]]
        conflicts = [[tkey, winners] for tkey, _, winners in seen if len(winners) > 1]
        return {"rows": [value for _, value, _ in seen], "conflicts": sorted(conflicts)}

    def _visible(self, op: Op) -> tuple[list[tuple[bytes, bytes, int]], list[list[Any]]]:
        """(TKey, value, version) of what is live in the closed range, and the conflicts."""
        if op.get("v") is None:
            tkeys: Iterable[bytes] = self.plain.get(op["i"], {})
        else:
            tkeys = self.entries.get(op["i"], {})
        rows: list[tuple[bytes, bytes, int]] = []
        conflicts: list[list[Any]] = []
        for tkey in sorted(tkey for tkey in tkeys if op["first"] <= tkey <= op["last"]):
            value, winners = self._seen(op, tkey)
            if len(winners) > 1:
                conflicts.append([tkey, winners])
            elif value is not None:
                rows.append((tkey, value, winners[0]))
        return rows, conflicts

    def _range(self, op: Op, row: Any) -> Any:
        if not self._known(op):
            return Err("NotFoundError")
        rows, conflicts = self._visible(op)
        answer = [row(*each) for each in rows]
        if op.get("limit") is not None:
            answer = answer[: op["limit"]]
        return {"rows": answer, "conflicts": conflicts}

    def _get_range(self, op: Op) -> Any:
        return self._range(op, lambda tkey, value, version: [tkey, value])

    _iter_range = _process_range = _get_range

    def _keys_in_range(self, op: Op) -> Any:
        return self._range(op, lambda tkey, value, version: tkey)

    def _send_keys(self, op: Op) -> Any:
        def full(tkey: bytes, value: bytes, version: int) -> bytes:
            return b"\x00" + tkey if op["i"] == META else codec.data_key(op["i"], tkey, version)

        return self._range(op, full)

    # --- raw ---------------------------------------------------------------------------------------------------------

    def dump(self, places: Iterable[Place] | None = None) -> list[list[bytes]]:
        """Every full key and its value, in order; of these instances, or of all."""
        wanted = set(places) if places is not None else {*self.entries, *self.plain}
        rows: list[list[bytes]] = []
        for i in wanted:
            for tkey, value in self.plain.get(i, {}).items():
                rows.append([b"\x00" + tkey if i == META else codec.data_key(int(i), tkey, 0), value])
            for tkey, versions in self.entries.get(i, {}).items() if isinstance(i, int) else ():
                for version, entry in versions.items():
                    mark = codec.TOMBSTONE if entry is None else codec.VALUE
                    rows.append([codec.data_key(int(i), tkey, version, mark), entry or b""])
        return sorted(rows)

    def _dump(self, op: Op) -> Any:
        return self.dump(op.get("of"))

    def _raw(self, op: Op) -> Any:
        rows = [row for row in self.dump() if op["first"] <= row[0] <= op["last"]]
        return [[key, None] for key, _ in rows] if op.get("keys_only") else rows

    def _raw_delete(self, op: Op) -> Any:
        found = codec.entry(op["key"])
        entries = self.entries.get(found.instance, {}).get(found.tkey, {})
        value = entries.get(found.version, b"")
        if found.version in entries and (value is None) == (found.mark == codec.TOMBSTONE):
            del entries[found.version]
            if not entries:
                del self.entries[found.instance][found.tkey]
        return None

    def _raw_put(self, op: Op) -> Any:
        found = codec.entry(op["key"])
        value = None if found.mark == codec.TOMBSTONE else op["value"]
        self.entries.setdefault(found.instance, {}).setdefault(found.tkey, {})[found.version] = value
        return None

    def _reopen(self, op: Op) -> Any:
        return None

    def tkeys(self, i: Place) -> list[bytes]:
        """Every TKey with an entry."""
        return sorted({*self.plain.get(i, {}), *(self.entries.get(i, {}) if isinstance(i, int) else ())})
