"""Clauses of what ``verify`` misses."""

from __future__ import annotations

from typing import Any, Final

from dvidkit.checksum import seal
from dvidkit.mutationlog import MutationRecord, log_segment
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
