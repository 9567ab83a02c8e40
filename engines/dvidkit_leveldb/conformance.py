"""What the conformance kit is told of ``leveldb``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dvidkit_conformance.enginecase import EngineCase


class LevelDBCase(EngineCase):
    """Small settings: a write buffer of 64 KiB goes to a table, and tables are merged, all the time."""

    settings: ClassVar[Sequence[Mapping[str, Any]]] = ({"write_buffer_size": 1 << 16},)
