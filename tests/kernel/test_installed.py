"""Entry points of installed distributions."""

from __future__ import annotations

import importlib.metadata
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dvidkit import installed
from dvidkit.installed import Distribution, Entry, entry_points


def shown(entries: Iterable[Any]) -> list[tuple[str, str, str, str]]:
    """What matters of entry points, in an order of its own."""
    return sorted((each.name, each.value, each.dist.name, each.dist.version) for each in entries)


def install(place: Path, folder: str, entries: str, metadata: str = "") -> None:
    """A distribution, as an installer leaves it."""
    target = place / folder
    target.mkdir(parents=True)
    (target / "entry_points.txt").write_text(entries)
    (target / "METADATA").write_text(metadata)


@pytest.mark.parametrize("group", ["dvidkit", "console_scripts", "pytest11", "no-such-group"])
def test_what_is_installed_here_is_what_python_finds(group: str) -> None:
    """The same entry points of the same distributions as ``importlib.metadata`` finds."""
    assert shown(entry_points(group=group)) == shown(importlib.metadata.entry_points(group=group))


def test_what_installers_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections, comments, spaces, names as the metadata has them; of two distributions of one name the first."""
    metadata = "Metadata-Version: 2.1\nName: Foo.Bar\nVersion: 2.0\n\nName: not this\n"
    entries = "[other]\nx = y\n\n[dvidkit]\n# said = aside\n a = m.n \nb=m:C.d [extra]\n[dvidkit.more]\nz = z\n"
    install(tmp_path / "one", "foo_bar-2.0.dist-info", entries, metadata)
    install(tmp_path / "two", "Foo.Bar-1.0.dist-info", "[dvidkit]\nold = old\n", metadata)
    install(tmp_path / "two", "bare-3.dist-info", "[dvidkit]\nbare = bare\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / each) for each in ("none", "one", "two", "one")])
    found = list(entry_points(group="dvidkit"))
    assert shown(found) == [
        ("a", "m.n", "Foo.Bar", "2.0"), ("b", "m:C.d [extra]", "Foo.Bar", "2.0"), ("bare", "bare", "bare", "3"),
    ]  # fmt: skip
    assert shown(found)[:2] == [each for each in shown(importlib_found()) if each[2] == "Foo.Bar"]


def test_what_cannot_be_read_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution without a file of entry points, or with something else in its place, has none."""
    (tmp_path / "without-1.dist-info").mkdir()
    (tmp_path / "strange-1.dist-info" / "entry_points.txt").mkdir(parents=True)
    install(tmp_path, "good-1.dist-info", "[dvidkit]\na = b\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert shown(entry_points(group="dvidkit")) == [("a", "b", "good", "1")]


def importlib_found() -> list[Any]:
    """What ``importlib.metadata`` finds of distributions that have metadata."""
    found = importlib.metadata.entry_points(group="dvidkit")
    return [entry for entry in found if entry.dist is not None and "Name" in entry.dist.metadata]


def test_what_an_entry_point_stands_for() -> None:
    """A module, or an attribute of one however deep; what is not there is an error."""
    owner = Distribution("own", "1")
    assert Entry("a", "dvidkit.installed", owner).load() is installed
    assert Entry("a", "dvidkit.installed:Entry.load [some]", owner).load() is Entry.load
    for value, error in (("no_such_one", ImportError), ("dvidkit:nothing", AttributeError), ("a b", ValueError)):
        with pytest.raises(error):
            Entry("a", value, owner).load()


def test_archives_eggs_and_finders_are_python_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there may be distributions without a folder of their own, ``importlib.metadata`` is asked."""
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: zipped\nVersion: 1\n")
        file.writestr("zipped-1.dist-info/entry_points.txt", "[dvidkit]\nz = z\n")
    egg = tmp_path / "place" / "egged.egg-info"
    egg.mkdir(parents=True)
    (egg / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: egged\nVersion: 1\n")
    (egg / "entry_points.txt").write_text("[dvidkit]\ne = e\n")
    for place, wanted in ((archive, ("z", "z", "zipped", "1")), (egg.parent, ("e", "e", "egged", "1"))):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [str(place)])
            assert shown(entry_points(group="dvidkit")) == [wanted]

    class Finder:
        @staticmethod
        def find_distributions(context: Any) -> list[Any]:
            return [importlib.metadata.PathDistribution(egg)]

        @staticmethod
        def find_spec(*args: Any) -> None:
            return None

    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert shown(entry_points(group="dvidkit")) == [("e", "e", "egged", "1")]
