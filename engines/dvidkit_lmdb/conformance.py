"""What the conformance kit is told of ``lmdb``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dvidkit_conformance.enginecase import EngineCase


class LmdbCase(EngineCase):
    """Small settings: a memory map of 1 MiB has to grow again and again."""

    settings: ClassVar[Sequence[Mapping[str, Any]]] = ({"map_size": 1 << 20},)
