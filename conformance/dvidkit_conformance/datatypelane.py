"""Any datatype on any engine, from the datatype's conformance case alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dvidkit_conformance.harness import Harness


def datatype_jobs(harness: Harness, names: Sequence[str], extra: Sequence[Any]) -> list[Any]:
    """The jobs of these datatypes."""
    return []
