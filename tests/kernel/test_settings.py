"""Settings of instances: DVID's forms and Python's, refusals that say what is known."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit.errors import BadConfig
from dvidkit.settings import Settings


class Sample(Settings, frozen=True, kw_only=True):
    """One field of every kind."""

    block_size: tuple[int, int, int] = (64, 64, 64)
    voxel_size: tuple[float, float, float] = (8.0, 8.0, 8.0)
    units: tuple[str, ...] = ("nm",)
    depth: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    scale: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    place: Literal["Left", "right"] = "Left"
    title: str = ""

    def check(self) -> None:
        """A rule over two fields."""
        if self.depth > 50 and self.title == "shallow":
            raise BadConfig("a shallow thing is not that deep", setting="depth")


def parse(**config: Any) -> Sample:
    """Settings of the sample."""
    return Sample.parse(config)
