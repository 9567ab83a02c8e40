"""Settings of instances: DVID's forms and Python's, refusals that say what is known."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", "nan"),
        ("scale", "inf"),
        ("scale", "1e999"),
        ("scale", float("nan")),
        ("scale", float("-inf")),
        ("VoxelSize", "1,nan,1"),
        ("VoxelSize", (1.0, float("inf"), 1.0)),
        ("BlockSize", f"1,1,{1 << 70}"),
        ("BlockSize", (1, 1, 1 << 70)),
        ("depth", "9" * 5000),
        ("title", "\ud800"),
        ("tags", {"a": "\ud800"}),
    ],
)
def test_a_value_that_could_not_be_kept_or_compared_is_refused(name: str, value: Any) -> None:
    """A setting is a finite number of 64 bits or text in UTF-8: NaN passes every limit, the rest cannot be stored."""
    with pytest.raises(BadConfig):
        parse(**{name: value})


def test_choices_are_found_in_any_case() -> None:
    """DVID's clients write choices in any case, also those whose declaration has capitals."""
    assert parse(place="LEFT").place == parse(place="Left").place == "Left"
    assert parse(place="RIGHT", Compression="LZ4").place == "right"
    with pytest.raises(BadConfig):
        parse(place="middle")


def test_a_setting_given_twice_is_refused() -> None:
    """Two spellings of one setting in one configuration leave open which is meant."""
    with pytest.raises(BadConfig) as caught:
        parse(block_size="1,1,1", BlockSize="2,2,2")
    assert caught.value.setting == "BlockSize"
