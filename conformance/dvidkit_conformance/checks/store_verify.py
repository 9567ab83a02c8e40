"""Clauses of what ``verify`` misses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dvidkit.checksum import seal
from dvidkit.mutationlog import MutationLog, MutationRecord, log_segment
from dvidkit.segment import Segment
from dvidkit.transfer import copy_store
from dvidkit.verify import verify
from dvidkit_conformance.checking import on_kernel, on_store
from dvidkit_conformance.kernelsession import KernelSession
from dvidkit_conformance.storesession import StoreSession

_SPACES: Final = {
    "data": (b"\x01", b"\x02"),
    "metadata": (b"\x00", b"\x01"),
    "blobs": (b"\x02", b"\x03"),
    "mutation log": (b"\x03\x03", b"\x03\x04"),
    "index of the mutation log": (b"\x03\x04", b"\x03\x05"),
}


@on_store("REP-5")
def every_row_is_missed(s: StoreSession) -> None:
    """In each space: one row less, one more, and one as it was before."""
    s.versions((1, []))
    s.put_range((b"a", b"1"), (b"b", b"2"), v=1)
    s.batch((b"\x20a", b"1"), (b"\x20b", b"2"), i="meta")
    for action in ("one", "two"):
        s.store.put_blob(action.encode())
        s.store.commit([log_segment(MutationRecord(action, "repo"), instance=1, version=1, sealed=True)])
    assert s.tap.last is not None
    for space, bounds in _SPACES.items():
        rows = dict(s.tap.last.scan(*bounds))
        key = max(rows)
        new = key[:-1] + bytes((key[-1] ^ 1,)) if space not in ("data",) else key[:5] + b"c" + key[6:]
        other = "REP-5" if space == "data" else "something else"
        changes: dict[str, list[tuple[bytes, bytes | None]]] = {
            "taken away": [(key, None)],
            "added": [(new, seal(new, rows[key][:-4]))],
            "put back": [(key, seal(key, other.encode()))],
        }
        for what, damage in changes.items():
            if what == "put back" and space in ("mutation log", "index of the mutation log"):
                continue  # what is there was never otherwise
            _missed(s, rows, damage, f"a row of the {space} that was {what}")
    found = verify(s.store)
    s.require(found.ok, "nothing found", [each.text for each in found.findings], note="all put right again")


def _missed(s: StoreSession, rows: dict[bytes, Any], damage: list[tuple[bytes, bytes | None]], note: str) -> None:
    assert s.tap.last is not None
    s.tap.last.write(damage, durable=False)
    found = verify(s.store).findings
    s.require(any(each.damage in ("lost", "extra", "replaced") for each in found), "a finding", found, note=note)
    s.tap.last.write([(key, rows.get(key)) for key, _ in damage], durable=False)


def _well(s: StoreSession, note: str) -> None:
    found = verify(s.store)
    s.require(found.ok, "nothing found", [each.text for each in found.findings], note=note)


def _log(s: StoreSession, *entries: tuple[int, int, str]) -> bool:
    """Write records of the log one by one: of an instance at a version, an action. True."""
    for instance, version, action in entries:
        record = MutationRecord(action, "repo")
        s.store.commit([log_segment(record, instance=instance, version=version, sealed=True)])
    return True


@on_store("REP-7")
def nothing_is_missed_in_use(s: StoreSession) -> None:
    """After each step, warm and, where the engine keeps anything, from a cold start."""
    s.versions((1, []), (2, [1]))
    meta = s.context({"i": "meta"})
    one, two = s.context({"i": 1, "v": 1}), s.context({"i": 1, "v": 2})
    steps: dict[str, Callable[[], object]] = {
        "puts, ascending and not": lambda: [s.put_range((b"b", b"1"), (b"c", b"2"), v=1), s.put(b"a", b"3", v=1)],
        "puts above and below, again": lambda: s.put_range((b"a", b""), (b"c", b"longer"), (b"d", b"4"), v=1),
        "deletes, of what is there and is not": lambda: s.batch((b"a", None), (b"x", None), (b"y", b"1"), v=2),
        "puts where there are tombstones": lambda: s.batch((b"a", b"5"), (b"x", b"6"), (b"e", None), v=2),
        "a key twice in a batch": lambda: s.batch(
            (b"t", b"1"), (b"t", None), (b"t", b"2"), (b"c", None), (b"c", b"3"), v=1
        ),
        "several contexts": lambda: s.store.commit(
            [s.store.segment(each, [(b"m", b"1"), (b"t", None)]) for each in (one, two, meta)]
        ),
        "the same again": lambda: s.store.commit(
            [s.store.segment(each, [(b"m", b"22"), (b"n", b"")]) for each in (meta, one, meta)]
        ),
        "metadata deleted": lambda: s.batch((b"m", None), (b"n", None), (b"t", None), (b"o", b"1"), i="meta"),
        "raw writes": lambda: s.store.raw_write([(b"\x00o", None), (b"\x00p", b"O"), (b"\x02" + bytes(16), b"blob")]),
        "raw writes over them": lambda: s.store.raw_write([(b"\x00p", b"P"), (b"\x02" + bytes(16), None)]),
        "the log of three slots": lambda: _log(s, (1, 1, "a"), (1, 1, "b"), (1, 2, "c"), (0, 1, "d"), (0, 1, "e")),
        "data and its log": lambda: s.store.commit([s.store.segment(one, [(b"z", b"1")]), _entry(1), _entry(1)]),
        "a range deleted": lambda: s.delete_range(b"a", b"m", v=2),
        "an instance deleted": lambda: s.do({"op": "delete_all", "i": 1}),
        "and its log": lambda: MutationLog(s.store).forget(1),
        "the instance again": lambda: _log(s, (1, 2, "f")) and s.put(b"a", b"1", v=2),
    }
    for name, step in steps.items():
        step()
        _well(s, name)
        s.reopen()
        _well(s, f"{name}, and reopened")
    with StoreSession(s.harness) as copy:
        copy_store(s.store, copy.store)
        _well(copy, "a copy")


def _entry(instance: int) -> Segment:
    return log_segment(MutationRecord("entry", "repo"), instance=instance, version=1, sealed=True)


@on_kernel("REP-6", reach=("reopen",))
def nothing_is_missed_after_reopening(s: KernelSession) -> None:
    """Versions, branches and instances, twice; each is a change of metadata and a record of the log."""
    for first in (0, 3):
        s.commit(first)
        s.child(first, first + 1)
        s.branch(first, first + 2, f"side{first}")
        s.commit(first + 1)
        s.child(first + 1, first + 3)
        s.instance(f"of{first}", first + 3)
        s.reopen()
        found = verify(s.kernel.stores["default"])
        s.require(found.ok, "nothing found", [each.text for each in found.findings], note="after reopening")
