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


def test_dvids_forms() -> None:
    """DVID's clients send strings under names in any case; Python callers send values; both mean the same."""
    told = parse(
        BlockSize="32,64, 128", VOXELSIZE="8,8.5,1e1", Units="nm, um", versioned="False", Compression="GZIP:5",
        checksum="CRC32", Tags="a=1, b=x=y,", depth="7", scale="2", title="Title",
    )  # fmt: skip
    given_ = parse(
        block_size=(32, 64, 128), voxel_size=[8, 8.5, 10], units=("nm", "um"), versioned=False, compression="gzip",
        gzip_level=5, checksum="crc32", tags={"a": "1", "b": "x=y"}, depth=7, scale=2, title="Title",
    )  # fmt: skip
    assert told == given_
    assert parse(Versioned="1").versioned
    assert Sample.sift({"Depth": 1, "other": 2}) == ({"Depth": 1}, ["other"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("versioned", "yes"), ("versioned", 2), ("depth", True), ("depth", "1_000"), ("depth", "٣"), ("depth", "3.5"),
        ("depth", ""), ("depth", 0), ("depth", 100), ("depth", None), ("BlockSize", "1,2"), ("BlockSize", "1,2,x"),
        ("BlockSize", 64), ("Compression", "zip"), ("Compression", "gzip:x"), ("Compression", "gzip:99"),
        ("tags", "a"), ("tags", 5), ("title", 5), ("scale", -1), ("checksum", 5),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(name: str, value: Any) -> None:
    """A value of another kind, script or range is ``BadConfig``."""
    with pytest.raises(BadConfig):
        parse(**{name: value})


def test_an_unknown_name_gets_a_hint() -> None:
    """An unknown setting names the nearest known one, or all of them; a datatype's own rule is asked last."""
    with pytest.raises(BadConfig, match="did you mean 'block_size'") as caught:
        parse(Blocksise="1,1,1")
    assert caught.value.setting == "Blocksise"
    with pytest.raises(BadConfig, match="known: block_size"):
        parse(zzzzzz=1)
    with pytest.raises(BadConfig, match="not that deep"):
        parse(depth=51, title="shallow")


@given(
    st.builds(
        Sample,
        depth=st.integers(1, 99),
        scale=st.floats(0, allow_nan=False, allow_infinity=False),
        title=st.text(st.characters(exclude_categories=["Cs"])),
        tags=st.dictionaries(st.text("ab=,"), st.text("ab=,"), max_size=3),
        compression=st.sampled_from(["none", "gzip"]),
        gzip_level=st.integers(-1, 9),
        versioned=st.booleans(),
    )
)
def test_settings_survive_their_record(sample: Sample) -> None:
    """What is written in an instance's record is read as the same settings."""
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(sample.to_builtins()))
    assert Sample.parse(again) == sample
