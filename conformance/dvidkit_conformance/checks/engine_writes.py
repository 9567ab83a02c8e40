"""Clauses of writing bytes: batches, expectations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from dvidkit_conformance.bytesession import ByteSession, rows_of
from dvidkit_conformance.checking import on_bytes

ABC = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))


@on_bytes("ENG-WRITE-1")
def visible_at_once(s: ByteSession) -> None:
    """By every read and by a new snapshot; nothing else has changed."""
    for n in range(4):
        s.write((b"k%d" % n, b"%d" % n), (b"k", b"%d" % n))
        s.see(b"k", b"k%d" % n, b"k0")
        s.snapshot("s")
        s.see(b"k%d" % n, on="s")


@on_bytes("ENG-WRITE-2")
def last_in_batch_holds(s: ByteSession) -> None:
    """Puts and deletes of one key, in every order."""
    s.write((b"a", b"1"), (b"a", b"2"))
    s.see(b"a")
    s.write((b"b", b"1"), (b"b", None))
    s.see(b"b")
    s.write((b"a", None), (b"a", b"3"))
    s.see(b"a")
    s.write((b"c", b"1"), (b"a", b"4"), (b"c", None), (b"a", None), (b"c", b"2"), (b"a", b"5"), (b"a", b"6"))
    s.see(b"a", b"c")


@on_bytes("ENG-WRITE-3", reach=("absent_read",))
def delete_one_key(s: ByteSession) -> None:
    """Its prefixes, extensions and neighbours stay; deleting what is absent is nothing."""
    s.write(*((key, b"v") for key in (b"a", b"aa", b"aa\x00", b"aaa", b"ab", b"b")))
    s.write((b"aa", None))
    s.see(b"aa", b"a", b"aaa")
    s.write((b"zz", None), (b"aa", None))
    s.see(b"aa")
    for key in (b"a", b"aa\x00", b"aaa", b"ab", b"b"):
        s.write((key, None))
        s.scan()


@on_bytes("ENG-WRITE-4")
def empty_batch(s: ByteSession) -> None:
    """In an empty store and in a full one."""
    s.write()
    s.scan()
    s.write(*ABC)
    s.write()
    s.scan()


class _Broken(list[Any]):
    """A batch that raises after some of its changes, however it is walked."""

    def __iter__(self) -> Iterator[Any]:
        yield from self[:2]
        raise _Interrupted


class _Interrupted(Exception):
    pass


@on_bytes("ENG-WRITE-5")
def nothing_on_error(s: ByteSession) -> None:
    """A batch that raises while it is walked; one with text, one with too long a key, if the engine refuses it."""
    s.write((b"a", b"old"), (b"d", b"old"))
    good: list[Any] = [(b"a", b"new"), (b"b", b"new"), (b"d", None), (b"c", b"new")]
    too_long = b"k" * (min(s.harness.engine.limits.max_key, 1 << 20) + 1)
    _try(s, _Broken(good), "a batch that raises at its third change")
    _try(s, [*good, (b"e", "text"), (b"f", b"new")], "a batch whose fifth value is text")
    _try(s, [*good, (too_long, b"x"), (b"e", b"new")], f"a batch whose fifth key has {len(too_long)} bytes")


def _try(s: ByteSession, batch: list[Any], what: str) -> None:
    with suppress(Exception):
        s.store.write(cast(Any, batch), durable=False)
        return
    expected = [[b"a", b"old"], [b"d", b"old"]]
    got = rows_of(s.store.scan(b"", b"\xff"))
    s.require(got == expected, expected, got, note=f"after write of {what} had raised")
    s.store.write([(b"z", b"1")], durable=False)
    s.store.write([(b"z", None)], durable=False)
    got = rows_of(s.store.scan(b"", b"\xff"))
    s.require(got == expected, expected, got, note=f"after write of {what} had raised, and one more write was made")


@on_bytes("ENG-WRITE-6")
def large_batch(s: ByteSession) -> None:
    """3,000 puts, then 3,000 deletes and puts."""
    n = min(3000, s.harness.engine.limits.max_batch_ops)
    s.write(*((b"%05d" % row, b"v%d" % row) for row in range(n)))
    s.scan()
    s.write(*((b"%05d" % row, None if row % 2 else b"w") for row in range(n)))
    s.scan()


@on_bytes("ENG-WRITE-7")
def batch_is_the_callers(s: ByteSession) -> None:
    """The list and the mapping are changed after the call."""
    batch: list[tuple[bytes, bytes | None]] = [(b"a", b"1"), (b"b", b"2")]
    expect: dict[bytes, bytes | None] = {b"a": None}
    s.store.write(batch, durable=False, expect=expect)
    batch[0] = (b"a", b"changed")
    batch.append((b"c", b"added"))
    expect[b"a"] = b"changed"
    got = rows_of(s.store.scan(b"", b"\xff"))
    s.require(
        got == [[b"a", b"1"], [b"b", b"2"]], [[b"a", b"1"], [b"b", b"2"]], got, note="the batch was changed later"
    )
    s.model.rows.update({b"a": b"1", b"b": b"2"})
    s.write((b"d", b"4"))
    batch.clear()
    s.see(b"a", b"c", b"d")


@on_bytes("ENG-WRITE-8")
def buffered(s: ByteSession) -> None:
    """Durable and buffered writes in turn."""
    for n in range(6):
        s.write((b"a", b"%d" % n), (b"k%d" % n, b"x"), durable=n % 2 == 0)
        s.see(b"a")
    s.write((b"k1", None), durable=True)
    s.write((b"k2", None))
    s.see(b"k1", b"k2")


@on_bytes("ENG-EXPECT-1", reach=("refused:ConflictError",))
def expectation(s: ByteSession) -> None:
    """One that holds, one that does not."""
    s.write((b"a", b"1"))
    s.write((b"a", b"2"), expect={b"a": b"1"})
    s.see(b"a")
    s.write((b"a", b"3"), (b"b", b"new"), expect={b"a": b"1"})
    s.see(b"a", b"b")
    s.write((b"a", None), expect={b"a": b"2"})
    s.see(b"a")
    s.write((b"a", b"4"), expect={b"a": b"2"})
    s.see(b"a")


@on_bytes("ENG-EXPECT-2", reach=("refused:ConflictError",))
def absent_is_not_empty(s: ByteSession) -> None:
    """``None`` against an empty value, and the other way round."""
    s.write((b"e", b""))
    s.write((b"e", b"x"), expect={b"e": None})
    s.see(b"e")
    s.write((b"n", b"x"), expect={b"n": b""})
    s.see(b"n")
    s.write((b"n", b"y"), expect={b"n": None})
    s.see(b"n")
    s.write((b"e", b"y"), expect={b"e": b""})
    s.see(b"e")


@on_bytes("ENG-EXPECT-3", reach=("refused:ConflictError",))
def every_expectation(s: ByteSession) -> None:
    """The failing one first, in the middle and last, of keys in the batch and not."""
    s.write(*ABC)
    for wrong in (b"a", b"b", b"c"):
        expect: dict[bytes, bytes | None] = {b"a": b"1", b"b": b"2", b"c": b"3"}
        expect[wrong] = b"other"
        s.write((b"x", b"new"), (b"a", b"new"), expect=expect)
        s.see(b"a", b"x")
    s.write((b"x", b"new"), expect={b"a": b"1", b"zz": b"1"})
    s.see(b"x")
    s.write((b"x", b"new"), expect={b"a": b"1", b"zz": None})
    s.see(b"x")


@on_bytes("ENG-EXPECT-4", reach=("refused:ConflictError",))
def before_the_batch(s: ByteSession) -> None:
    """What the batch itself makes does not count; without changes it is checked too."""
    s.write((b"a", b"2"), expect={b"a": b"2"})
    s.see(b"a")
    s.write((b"a", b"1"), expect={b"a": None})
    s.write((b"a", b"2"), (b"b", b"2"), expect={b"a": b"1", b"b": None})
    s.see(b"a", b"b")
    s.write(expect={b"a": b"1"})
    s.write(expect={b"a": b"2"})
    s.see(b"a")
