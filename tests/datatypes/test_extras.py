"""Datatypes whose libraries are not installed."""

from __future__ import annotations

import sys

import pytest

from dvidkit.errors import MissingExtra
from dvidkit.plugins import Plugins


@pytest.mark.parametrize(
    ("library", "plugins"), [("numpy", {"images", "roi"}), ("PIL", {"images"}), ("cramjam", {"images"})]
)
def test_a_missing_library_breaks_its_plugins_alone(
    library: str, plugins: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which plugins are broken, by what and how to mend it is known without a library having been used."""
    monkeypatch.setitem(sys.modules, library, None)
    found = Plugins()
    broken = {each.name: each.failures for each in found.loaded if each.failures}
    assert set(broken) == plugins
    for failures in broken.values():
        assert isinstance(failures[0].__cause__, MissingExtra)
        assert f"{library}: pip install 'dvidkit[images]'" in str(failures[0])
    assert "keyvalue" in found.datatypes
