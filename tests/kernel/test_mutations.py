"""Mutations: one change, one batch; locks, refusals, and what subscribers add."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dvidkit import upkeep
from dvidkit.datatype import Datatype
from dvidkit.errors import BadKey, BadType, InvalidInputError, StoreBusy, VersionLocked
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass
from dvidkit.mutations import Event, Mutation, Part
from dvidkit.repo import Repo

MakeKernel = Callable[..., Kernel]
KEY = TKeyClass(200, "count of a name", terminator=0)


def key(name: bytes) -> bytes:
    """A TKey of ``tally``."""
    return KEY.key(name)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_tkeys_may_be_any_bytes(repo: Repo, kind: Callable[[bytes], Any]) -> None:
    """KV-7, KV-9: a mutation takes bytes-like TKeys and values as the store does, and copies them."""
    view = repo.root["counts"]
    value = bytearray(b"1")
    with view.mutation("add") as m:
        m.put(kind(key(b"a")), value)
        value[:] = b"2"
        assert m.get(kind(key(b"a"))) == b"1"
        assert m.lock(iter([kind(key(b"a")), kind(key(b"b"))])) == {key(b"a"): b"1", key(b"b"): None}
        m.delete(kind(key(b"b")))
    assert view.count("a") == 1


@pytest.mark.parametrize("tkey", ["text", 5, None])
def test_a_tkey_that_is_none_is_refused(repo: Repo, tkey: Any) -> None:
    """KV-9: whatever is not bytes is ``BadType``, and the mutation can go on without it."""
    view = repo.root["counts"]
    with view.mutation("add") as m:
        for operation in (
            lambda: m.put(tkey, b""),
            lambda: m.put(key(b"a"), tkey),
            lambda: m.delete(tkey),
            lambda: m.get(tkey),
            lambda: m.lock([tkey]),
        ):
            with pytest.raises(BadType):
                operation()
        m.put(key(b"a"), b"1")
    assert view.count("a") == 1


def test_a_mutation_works_only_in_its_block(repo: Repo) -> None:
    """BATCH-7: what is put before or after the block would be lost, and a second block would write all again."""
    view = repo.root["counts"]
    m = view.mutation("add")

    def refused() -> None:
        for operation in (
            lambda: m.put(key(b"a"), b"1"),
            lambda: m.delete(key(b"a")),
            lambda: m.lock([key(b"a")]),
        ):
            with pytest.raises(InvalidInputError):
                operation()

    refused()
    with m:
        m.put(key(b"a"), b"1")
    refused()
    view.store.delete(view.ctx, key(b"a"))
    with pytest.raises(InvalidInputError), m:
        pass
    assert view.count("a") == 0
    view.add("a")
    repo.root.commit()
