"""The damage lane's own parts: what is done to files, and how what a store gives is judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvidkit_conformance.lanes.examining import PAGE, Trial, damage, invented, short

_SIGHT = {
    "raw": [[b"\x01k", b"1"], [b"\x01l", b"2"]],
    "range v1": [[b"k", b"1"], [b"l", b"2"]],
    "get v1 b'k'": b"1",
    "get v1 b'x'": None,
}


@pytest.mark.parametrize(
    ("trial", "expected"),
    [
        (("flip", "f", 0), b"\x01" + bytes(PAGE) + b"xyz"),
        (("flip", "f", 1), b"\x00\xff" + bytes(PAGE - 1) + b"xyz"),
        (("zero", "f", PAGE), bytes(PAGE) + bytes(4)),
        (("cut", "f", 3), bytes(3)),
    ],
)
def test_damage(trial: Trial, expected: bytes, tmp_path: Path) -> None:
    """One byte changes, a page is zeroed as far as the file goes, the rest is cut off."""
    (tmp_path / "f").write_bytes(bytes(PAGE + 1) + b"xyz")
    damage(tmp_path, trial)
    assert (tmp_path / "f").read_bytes() == expected


def test_deleting(tmp_path: Path) -> None:
    """The file is gone."""
    (tmp_path / "f").write_bytes(b"")
    damage(tmp_path, ("delete", "f", 0))
    assert not (tmp_path / "f").exists()


def test_nothing_wrong_is_nothing() -> None:
    """What was written, and errors, are neither inventions nor losses."""
    for got in (_SIGHT, {name: {"error": "CorruptData"} for name in _SIGHT}):
        assert invented(_SIGHT, got) == short(_SIGHT, got) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"raw": [[b"\x01k", b"2"], [b"\x01l", b"2"]]},
        {"range v1": [[b"k", b"2"]]},
        {"range v1": [[b"m", b"1"]]},
        {"get v1 b'k'": b"2"},
        {"get v1 b'x'": b"1"},
    ],
)
def test_inventions(changed: dict[str, object]) -> None:
    """Another value, another key's value, a key that was never written."""
    assert "never written" in invented(_SIGHT, {**_SIGHT, **changed})


@pytest.mark.parametrize("changed", [{"raw": []}, {"range v1": [[b"k", b"1"]]}, {"get v1 b'k'": None}])
def test_losses(changed: dict[str, object]) -> None:
    """A row that is not given, without an error."""
    assert not invented(_SIGHT, {**_SIGHT, **changed})
    assert "no error" in short(_SIGHT, {**_SIGHT, **changed})
