"""What the conformance kit is told of ``filesystem``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dvidkit_conformance.enginecase import EngineCase


class FilesystemCase(EngineCase):
    """Small settings: journals of 16 KiB are finished, cleaned and dropped all the time."""

    settings: ClassVar[Sequence[Mapping[str, Any]]] = ({"journal_size": 1 << 14},)
