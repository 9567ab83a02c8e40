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
