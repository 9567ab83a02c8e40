"""The account of changes that a killed server is held to."""

from __future__ import annotations

import pytest
from dvidkit_conformance.service.expected import Account, digest
from dvidkit_conformance.service.load import encode

A, B, C = (digest(text) for text in (b"a", b"b", b"c"))
K = ("v1", "k")


def put(account: Account, place: tuple[str, str], value: bytes | None, status: int | None = 200) -> None:
    """A change that was answered so, or not at all."""
    change = account.begin({place: value})
    if status is not None:
        account.answered(change, status)


def test_what_is_done_must_be_there() -> None:
    """And nothing else; before any change there is nothing."""
    account = Account()
    assert account.may_be(K) == {None}
    put(account, K, A)
    assert account.may_be(K) == {A}
    put(account, K, None)
    assert account.may_be(K) == {None}
    assert account.found({K: A}) == [f"{K}: {A.hex()[:8] if A else ''} was read, possible are nothing"]


def test_what_is_open_may_be_there_and_what_is_refused_may_not() -> None:
    """The value from before may be, too, until a later change is done."""
    account = Account()
    put(account, K, A)
    put(account, K, B, None)
    put(account, K, C, 400)
    assert account.may_be(K) == {A, B}
    account.killed()
    assert account.may_be(K) == {A, B}
    put(account, K, C)
    assert account.may_be(K) == {C}
    assert (account.done, account.refused, account.open) == (2, 1, 1)


def test_changes_at_once() -> None:
    """Of two that overlap either may be last."""
    account = Account()
    first, second = account.begin({K: A}), account.begin({K: B})
    account.answered(second, 200)
    account.answered(first, 200)
    assert account.may_be(K) == {A, B}


def test_errors_of_the_server_leave_it_open() -> None:
    """A 5xx says nothing of what happened."""
    account = Account()
    put(account, K, A, 500)
    assert account.may_be(K) == {A, None}


def test_what_was_read_is_known() -> None:
    """Afterwards it is what may be."""
    account = Account()
    put(account, K, A, None)
    account.killed()
    assert account.found({K: A}) == []
    assert account.may_be(K) == {A}
    assert account.found({K: None}) != []


def test_versions_inherit() -> None:
    """A cell without changes of its own has what its parent may have, also what is open there."""
    account = Account()
    account.parents["v2"] = "v1"
    below = ("v2", "k")
    put(account, K, A)
    put(account, K, B, None)
    assert account.may_be(below) == {A, B}
    assert account.places("v2") == {"k"}
    put(account, below, C, None)
    assert account.may_be(below) == {A, B, C}
    account.killed()
    put(account, below, None)
    assert account.may_be(below) == {None}
    assert account.may_be(K) == {A, B}


@pytest.mark.parametrize(("one", "two", "torn"), [(A, A, False), (None, None, False), (A, None, True), (None, A, True)])
def test_torn_changes_are_told(one: bytes | None, two: bytes | None, torn: bool) -> None:
    """An open change of several cells is there whole, or not at all."""
    account = Account()
    other = ("v1", "l")
    account.begin({K: A, other: A}, own=True)
    account.killed()
    assert bool(account.found({K: one, other: two})) is torn


def test_the_message_of_a_batch() -> None:
    """As Protocol Buffers encodes it, lengths over a byte too."""
    assert encode({"k": b"v"}) == b"\x0a\x06\x0a\x01k\x12\x01v"
    assert encode({"k": b"x" * 200}) == b"\x0a\xce\x01\x0a\x01k\x12\xc8\x01" + b"x" * 200
