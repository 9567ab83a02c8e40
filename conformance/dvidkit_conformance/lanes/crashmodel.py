"""The oracle of stores whose writer is killed: what was acknowledged, and what was in flight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from hashlib import blake2b
from typing import Final

from dvidkit_conformance import codec
from dvidkit_conformance.lanes.crashops import VERSIONS
from dvidkit_conformance.ops import Op
from dvidkit_conformance.storemodel import META, StoreModel

Rows = list[list[bytes]]
_WHOLE: Final = 48


class CrashModel:
    """The states that a store may be in, by what is known of its writer.

    Args:
        in_part: deletions of ranges take several batches, of which some may have been done.

    Attributes:
        ops: what was acknowledged, in order, and the marks of kills.
        pending: the operation that may or may not have been done; ``None`` while nothing is in flight.
    """

    def __init__(self, *, in_part: bool) -> None:
        self._in_part = in_part
        self.model = with_versions()
        self.ops: list[Op] = [{"op": "version", "v": v, "parents": list(parents)} for v, parents in VERSIONS]
        self.pending: Op | None = None

    def acknowledged(self, op: Op) -> None:
        """This operation was done."""
        apply(self.model, op)
        self.ops.append(op)
        self.pending = None

    def recovered(self, rows: Rows) -> tuple[str, str, str] | None:
        """Judge what was found after a crash, and go on from it.

        Returns:
            ``None`` if it is legal; else the clause that is broken, what was expected and what is there.
        """
        before, pending = brief(self.model.dump()), self.pending
        self.pending = None
        if rows == before:
            return None
        if pending is None:
            return self._blame(before, before, rows, pending)
        later = deepcopy(self.model)
        apply(later, pending)
        after = brief(later.dump())
        if rows == after:
            self.model = later
            self.ops.append(pending)
            return None
        if self._in_part and pending["op"] in ("delete_range", "delete_all") and in_part(before, after, rows):
            self.model = adopted(self.model, rows)
            self.ops.append({**pending, "in part": True})
            return None
        return self._blame(before, after, rows, pending)

    def _blame(self, before: Rows, after: Rows, rows: Rows, pending: Op | None) -> tuple[str, str, str]:
        expected = f"the {len(before)} rows that were acknowledged"
        if pending is not None:
            expected += f", or these and the {pending['op']} in flight: {len(after)} rows"
            if in_part(before, after, rows):
                return "BATCH-9", expected, f"a part of the batch in flight: {_differences(before, rows)}"
        lost = self._lost(rows)
        if lost:
            return "DUR-4", expected, f"the last {lost} acknowledged operations are lost: {_differences(before, rows)}"
        deleting = self._in_part and pending is not None and pending["op"].startswith("delete_")
        return "DEL-6" if deleting else "DUR-4", expected, _differences(before, rows)

    def _lost(self, rows: Rows) -> int:
        """How many operations must be taken back to come to this state; 0 if none of the states was this."""
        model, states = with_versions(), list[Rows]([[]])
        done = [op for op in self.ops if op["op"] not in ("version", "killed") and "in part" not in op]
        for op in done:
            apply(model, op)
            states.append(brief(model.dump()))
        found = [n for n, state in enumerate(states) if state == rows]
        return len(done) - found[-1] if found else 0


def apply(model: StoreModel, op: Op) -> None:
    """Do it on the model; upkeep changes nothing."""
    if op["op"] != "compact":
        model.apply(op)


def brief(rows: Iterable[Sequence[bytes]]) -> Rows:
    """Rows with a digest in the place of each long value."""
    return [[key, value if len(value) <= _WHOLE else _digest(value)] for key, value in rows]


def _digest(value: bytes) -> bytes:
    return b"%d bytes " % len(value) + blake2b(value, digest_size=12).hexdigest().encode()


def with_versions() -> StoreModel:
    """An empty store with the versions that writers write at."""
    model = StoreModel()
    for v, parents in VERSIONS:
        model.apply({"op": "version", "v": v, "parents": list(parents)})
    return model


def in_part(before: Rows, after: Rows, rows: Rows) -> bool:
    """Whether every TKey is as it was before or as it is after."""
    old, new, found = _by_tkey(before), _by_tkey(after), _by_tkey(rows)
    return all(found.get(tkey, []) in (old.get(tkey, []), new.get(tkey, [])) for tkey in {*old, *new, *found})


def _by_tkey(rows: Rows) -> dict[bytes, Rows]:
    """Rows of the same TKey, instance and version together: a value and a tombstone exclude each other."""
    found: dict[bytes, Rows] = {}
    for key, value in rows:
        found.setdefault(key[:-1] if key[:1] == b"\x01" else key, []).append([key, value])
    return found


def adopted(model: StoreModel, rows: Rows) -> StoreModel:
    """The model without the entries that are gone and with the tombstones that have come."""
    there = {key for key, _ in rows}
    later = deepcopy(model)
    for i, tkeys in list(later.entries.items()):
        for tkey, versions in list(tkeys.items()):
            for version in list(versions):
                if codec.data_key(i, tkey, version, codec.TOMBSTONE) in there:
                    versions[version] = None
                elif codec.data_key(i, tkey, version) not in there:
                    del versions[version]
            if not versions:
                del tkeys[tkey]
    for key in there:
        _buried(later, key)
    for place, plain in later.plain.items():
        for tkey in [t for t in plain if place != META and codec.data_key(int(place), t, 0) not in there]:
            del plain[tkey]
    return later


def _buried(model: StoreModel, key: bytes) -> None:
    """A tombstone of a TKey that had no entry at its version."""
    if key[:1] == b"\x01" and key[-1] == codec.TOMBSTONE:
        entry = codec.entry(key)
        model.entries.setdefault(entry.instance, {}).setdefault(entry.tkey, {})[entry.version] = None


def _differences(expected: Rows, got: Rows) -> str:
    wanted, found = ({key: value for key, value in rows} for rows in (expected, got))  # noqa: C416 - rows are lists
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    changed = [key for key in wanted if key in found and wanted[key] != found[key]]
    parts = [
        f"{len(keys)} {what} (such as {keys[0]!r})"
        for what, keys in (("missing", missing), ("too many", extra), ("changed", changed))
        if keys
    ]
    return f"{len(got)} rows, {', '.join(parts) or 'in another order'}"
