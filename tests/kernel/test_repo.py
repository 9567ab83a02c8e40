"""A repo: its versions, who may write them and when, its branches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from dvidkit.errors import (
    BranchExists,
    DvidkitError,
    InvalidInputError,
    NotFoundError,
    StoreBusy,
    UnknownInstance,
    VersionLocked,
    VersionUnlocked,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo, Version

PATIENCE = 10.0


def dump(kernel: Kernel) -> list[tuple[bytes, bytes]]:
    """Every stored byte of the kernel's store, its own records too."""
    with kernel.stores["default"].instant() as access:
        return list(access.scan(b"\x00", b"\xff"))


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[BaseException | None]]:
    """Run it in a thread; the list gets what it raised."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def test_a_mutation_that_needs_an_id_is_waited_for_and_not_blocked(repo: Repo) -> None:
    """DAG-1: a commit waits for a mutation under way, which can meanwhile do whatever changes metadata."""
    view = repo.root["counts"]
    with view.mutation("add") as m:
        thread, outcome = in_thread(repo.root.commit)
        while not repo._closing:  # pyright: ignore[reportPrivateUsage]
            pass
        done, answer = in_thread(lambda: (m.id, repo.describe(alias="renamed meanwhile")))
        done.join(PATIENCE)
        assert answer == [None]
        with pytest.raises(VersionLocked), view.mutation("late"):
            pass
        with pytest.raises(VersionLocked):
            repo.root.commit()
        m.put(view.COUNT.key(b"a"), b"7")
    thread.join(PATIENCE)
    assert outcome == [None]
    assert repo.root.locked
    assert view.count("a") == 7
