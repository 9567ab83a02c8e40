"""Clauses of looking after a store: compaction, backups, read-only openings, repair."""

from __future__ import annotations

import threading
from itertools import count

from dvidkit.errors import DvidkitError, ReadOnlyStore
from dvidkit_conformance.bytesession import ByteSession
from dvidkit_conformance.checking import on_bytes
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import attempt

_KEYS = (b"b", b"d", b"d\x00", b"dd", b"f", b"\x7f", b"\x80", b"\xff")


def _fill(s: ByteSession) -> None:
    s.write(*((key, b"v" + key) for key in _KEYS[:-1]), (_KEYS[-1], b""))


@on_bytes("ENG-COMPACT-1", reach=("compact",))
def compact(s: ByteSession) -> None:
    """After overwrites and deletes, with a snapshot open."""
    s.write(*((b"%04d" % n, b"v" * 100) for n in range(500)))
    s.snapshot("s")
    s.iterate("i")
    s.step("i", 9)
    s.write(*((b"%04d" % n, None if n % 2 else b"w" * (n % 3)) for n in range(500)))
    s.snapshot("t")
    s.do({"op": "compact"})
    s.step("i", 600)
    s.write((b"0001", b""), (b"0002", None))
    s.do({"op": "compact"})
    s.scan(on="t")
    s.scan()
    s.scan(on="s")
    s.reopen()
    s.scan()


@on_bytes("ENG-BACKUP-1")
def backup(s: ByteSession) -> None:
    """Opened beside the original."""
    _fill(s)
    target = s.harness.fresh()
    s.store.backup(str(target))  # type: ignore[attr-defined]
    s.write((b"later", b"x"))
    copy = s.harness.open(target, create=False)
    try:
        got = [list(row) for row in copy.scan(b"", b"\xff\xff")]
    finally:
        copy.close()
        s.harness.remove(target)
    expected = [[key, b"v" + key if key != _KEYS[-1] else b""] for key in sorted(_KEYS)]
    s.require(got == expected, expected, got, note="the rows of the backup, opened")
    s.see(b"later")


@on_bytes("ENG-BACKUP-1")
def backup_of_many_rows(s: ByteSession) -> None:
    """All of them; and a path where a store is already is refused, and left as it is."""
    target = s.harness.fresh()
    s.write(*((b"%05d" % n, b"v" * (n % 5)) for n in range(2600)))
    s.store.backup(str(target))  # type: ignore[attr-defined]
    s.write((b"later", b"x"))
    again = attempt(lambda: s.store.backup(str(target)))  # type: ignore[attr-defined]
    s.require(isinstance(again, Err), "an error of the tree", again, note="backup to a path where a store is")
    copy = s.harness.open(target, create=False)
    try:
        got = list(copy.scan(b"", b"\xff\xff"))
    finally:
        copy.close()
        s.harness.remove(target)
    s.require(got == [(b"%05d" % n, b"v" * (n % 5)) for n in range(2600)], "2600 rows as written", f"{len(got)} rows")


@on_bytes("ENG-BACKUP-1")
def backup_of_one_instant(s: ByteSession) -> None:
    """While another thread writes the first and the last row together: they are of one batch."""
    target, done = s.harness.fresh(), threading.Event()
    s.write(*((b"%05d" % n, b"0") for n in range(2600)))

    def write() -> None:
        for n in count():
            if done.is_set():
                return
            s.store.write([(b"00000", b"%d" % n), (b"02599", b"%d" % n)], durable=False)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        s.store.backup(str(target))  # type: ignore[attr-defined]
    finally:
        done.set()
        writer.join()
    copy = s.harness.open(target, create=False)
    try:
        first, last = copy.get(b"00000"), copy.get(b"02599")
    finally:
        copy.close()
        s.harness.remove(target)
    s.require(first == last, first, last, note="the last row of a backup, of which the first was written with it")


@on_bytes("ENG-RO-1")
def read_only(s: ByteSession) -> None:
    """Reads answer, writes are refused, files stay."""
    _fill(s)
    s.do({"op": "close"})
    before = s.harness.files(s.path)
    store = s.harness.open(s.path, create=False, read_only=True)
    got = [list(row) for row in store.scan(b"", b"\xff\xff")]
    refused = attempt(lambda: store.write([(b"x", b"1")], durable=False))
    opened = s.harness.files(s.path)
    store.close()
    expected = [[key, value] for key, value in sorted(s.model.rows.items())]
    s.require(got == expected, expected, got, note="scan of the read-only store")
    s.require(refused == Err(ReadOnlyStore.__name__), Err("ReadOnlyStore"), refused, note="write to it")
    for files, when in ((opened, "while it is open"), (s.harness.files(s.path), "after close")):
        changed = sorted(name for name in {*before, *files} if before.get(name) != files.get(name))
        s.require(not changed, "no file changed", changed, note=when)


@on_bytes("ENG-REPAIR-1")
def repair(s: ByteSession) -> None:
    """Repaired while closed, then opened."""
    _fill(s)
    s.do({"op": "close"})
    try:
        s.harness.engine.repair(str(s.path))
    except DvidkitError as error:
        raise s.violation("a healthy store is left as it is", Err(type(error).__name__)) from error
    s.do({"op": "reopen"})
    s.scan()
