"""Which store keeps a new data instance."""

from __future__ import annotations

from typing import Any

import pytest

from dvidkit.assignment import Assignment
from dvidkit.errors import BadConfig

STORES: dict[str, object] = {"default": 0, "a": 1, "b": 2, "c": 3, "d": 4}


@pytest.mark.parametrize(
    ("rules", "store"),
    [
        ({}, "default"),
        ({"default": "a"}, "a"),
        ({"default": "a", "roi": "b"}, "b"),
        ({"roi": "b", "kind=x": "c"}, "c"),
        ({"roi": "b", "kind=y": "c"}, "b"),
        ({"roi": "b", "kind=x": "c", "name:root": "d"}, "d"),
        ({"other:root": "d", "name:other": "d", "keyvalue": "a"}, "default"),
    ],
)
def test_the_first_rule_that_fits(rules: dict[str, str], store: str) -> None:
    """Instance, then tag, then datatype, then the default."""
    assert Assignment(rules, STORES).store_of("roi", "name", "root", {"kind": "x", "z": "1"}) == store


@pytest.mark.parametrize(
    ("rules", "stores", "default", "metadata"),
    [
        ({}, STORES, "default", "default"),
        ({}, {"only": None}, "only", "only"),
        ({"metadata": "a"}, STORES, "default", "a"),
        ({"default": "b"}, STORES, "b", "b"),
    ],
)
def test_the_default_and_the_metadata(rules: dict[str, str], stores: Any, default: str, metadata: str) -> None:
    """The store of that name, else the first; metadata are there too unless a rule says otherwise."""
    found = Assignment(rules, stores)
    assert (found.default, found.metadata) == (default, metadata)


def test_a_rule_of_no_store() -> None:
    """Is an error that names the rule."""
    with pytest.raises(BadConfig) as caught:
        Assignment({"roi": "nothing"}, STORES)
    assert caught.value.setting == "roi"
