"""Answers are compared with their types."""

from __future__ import annotations

from typing import Any

import pytest
from dvidkit_conformance.results import Err, Foreign, OneOf, difference, matches, plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (1, 1.0),
        (b"a", "a"),
        (b"a", bytearray(b"a")),
        (None, []),
        ([1, 2], (1, 2)),
        ([1], [True]),
        ({"a": [1]}, {"a": [1.0]}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ([b"x", None], [b"x", b""]),
        (Err("BadKey"), Err("BadType")),
        (Err("BadKey"), Foreign("BadKey")),
        ([Err("BadKey")], ["BadKey"]),
    ],
)
def test_unlike(one: Any, other: Any) -> None:
    """What differs in value or in type differs, at any depth, whichever was expected."""
    assert not matches(one, other)
    assert not matches(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([b"a", None, 1, "x"], [bytes([97]), None, 1, str(b"x", "ascii")]),
        ({"a": 1, "b": [0.0]}, {"b": [-0.0], "a": 1}),
        ([Err("BadKey")], [Err("BadKey")]),
        (2**70, 2**70),
    ],
)
def test_alike(one: Any, other: Any) -> None:
    """What is equal is alike: other objects, another order of names, marks within."""
    assert matches(one, other)
    assert matches(other, one)


def test_one_of_several() -> None:
    """One right answer is enough, also within a list."""
    several = OneOf((1, [2]))
    assert matches(several, [2])
    assert matches([several], [1])
    assert not matches(several, True)


def test_plain() -> None:
    """Tuples become lists; what is neither data nor a mark is foreign, however deep, and matches no data."""
    assert plain((1, (b"x", {"a": (None,)}))) == [1, [b"x", {"a": [None]}]]

    class Bytes(bytes):
        pass

    assert isinstance(plain([Bytes(b"x")])[0], Foreign)
    assert not matches([b"x"], plain([Bytes(b"x")]))


def test_long_texts_are_shown_where_they_differ() -> None:
    """A text of thousands of characters that differs in the middle is not shown by a beginning that is alike."""
    expected, got = "0" * 5000, "0" * 2000 + "1" + "0" * 2999
    one, other = difference({"mask": expected, "spans": []}, {"mask": got, "spans": []})
    assert one.keys() == other.keys() == {"mask"}
    assert one["mask"] != other["mask"]
    assert max(len(one["mask"]), len(other["mask"])) < 200
    assert "character 2000 of 5000" in one["mask"]
    assert difference({"a": "short"}, {"a": "other"}) == ({"a": "short"}, {"a": "other"})
