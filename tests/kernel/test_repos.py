"""The repos of a kernel: making, naming, reloading, and several kernels at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_memory.engine import MemoryEngine

from dvidkit import upkeep
from dvidkit.errors import (
    AmbiguousUUID,
    BadConfig,
    ConflictError,
    DvidkitError,
    InstanceExists,
    InvalidInputError,
    UnknownDatatype,
    UnknownInstance,
    UnknownUUID,
    UUIDExists,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo

MakeKernel = Callable[..., Kernel]


def dump(kernel: Kernel) -> list[tuple[bytes, bytes]]:
    """Every stored byte of the kernel's store, its own records too."""
    with kernel.stores["default"].instant() as access:
        return list(access.scan(b"\x00", b"\xff"))


@pytest.fixture
def two(make_kernel: MakeKernel) -> tuple[Kernel, Kernel]:
    """Two kernels over one store, as two processes would have it."""
    engine = wrapped(MemoryEngine(), shared=True)
    return make_kernel(engine), make_kernel(engine)
