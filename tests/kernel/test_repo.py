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
