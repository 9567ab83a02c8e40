"""``init``, ``repos``, ``repo`` and ``node``."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dvidkit.engine import StoreConfig
from dvidkit.plugins import Plugins
from dvidkit.store import Store

UUID = re.compile(r"[0-9a-f]{32}")


def test_a_store_and_a_repo(dvidkit: Any) -> None:
    """``init`` makes a store once, ``repos new`` repos in it, ``repos list`` names them."""
    assert dvidkit.text("init", dvidkit.store) == f"made a store of engine lmdb at {dvidkit.store}"
    assert "there already" in dvidkit.text("init", dvidkit.store)
    assert dvidkit.text("repos", "list", "-s", dvidkit.store) == ""
    one = dvidkit.text("repos", "new", "one", "the first", "-s", dvidkit.store)
    two = dvidkit.text("repos", "new", "two", "uuid=" + "ab" * 16, "passcode=x", "-s", dvidkit.store)
    assert UUID.fullmatch(one)
    assert two == "ab" * 16
    assert dvidkit.text("repos", "list", "-s", dvidkit.store) == f"{one}  one  1 versions\n{two}  two  1 versions"
    listed = json.loads(dvidkit.text("repos", "list", "-s", dvidkit.store, "--json"))
    assert listed[0] == {
        "uuid": one,
        "alias": "one",
        "description": "the first",
        "versions": 1,
        "branches": {"master": one},
        "instances": [],
    }


def test_the_store_may_come_from_the_environment(dvidkit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """``DVIDKIT_STORE`` stands for ``-s``; without either it is a wrong command line."""
    root = dvidkit.repo()
    assert "Missing option '-s' / '--store'" in dvidkit.fails("repos", "list", code=2)
    monkeypatch.setenv("DVIDKIT_STORE", dvidkit.store)
    assert root in dvidkit.text("repos", "list")


def test_versions(dvidkit: Any) -> None:
    """Committing, branching and merging, each by the name DVID has for it, under ``repo`` and under ``node``."""
    root = dvidkit.repo()
    at = ("-s", dvidkit.store)
    assert dvidkit.text("node", root[:6], "commit", "-m", "first", "-l", "one", "-l", "two", *at) == root
    left = dvidkit.text("repo", root, "newversion", *at)
    right = dvidkit.text("node", root, "branch", "side", "cd" * 16, "-m", "a try", *at)
    assert right == "cd" * 16
    dvidkit.run("node", left, "note", "to the left", *at)
    dvidkit.run("node", left, "log", "a line", *at)
    for version in (":master", ":side"):
        dvidkit.run("node", version, "commit", *at)
    merged = dvidkit.text("repo", left, "merge", ":side", "-m", "both", *at)
    (found,) = json.loads(dvidkit.text("log", dvidkit.store, "--json"))
    versions = {each["uuid"]: each for each in found["versions"]}
    assert list(versions) == [merged, right, left, root]
    assert versions[merged]["parents"] == [left, right]
    assert (versions[merged]["note"], versions[merged]["committed"]) == ("both", False)
    assert (versions[right]["branch"], versions[right]["note"]) == ("side", "a try")
    assert versions[left]["note"] == "to the left"
    assert [line.partition("  ")[2] for line in versions[root]["log"]] == ["one", "two"]


def test_instances(dvidkit: Any) -> None:
    """``repo UUID new TYPE NAME k=v…`` makes one, with settings under DVID's names."""
    if "keyvalue" not in Plugins().datatypes:
        pytest.skip("no keyvalue datatype is installed")
    root = dvidkit.repo()
    made = dvidkit.text("repo", root, "new", "keyvalue", "kv", "Compression=none", "versioned=0", "-s", dvidkit.store)
    assert UUID.fullmatch(made)
    assert "has a data instance 'kv'" in dvidkit.fails("repo", root, "new", "keyvalue", "kv", "-s", dvidkit.store)
    line = dvidkit.fails("repo", root, "new", "keyvalue", "kv2", "Compresion=none", "-s", dvidkit.store)
    assert "did you mean 'compression'" in line


def test_refusals(dvidkit: Any) -> None:
    """What the kernel refuses is one line and exit code 1; a wrong command line is exit code 2."""
    root = dvidkit.repo()
    at = ("-s", dvidkit.store)
    assert "is not committed" in dvidkit.fails("repo", root, "newversion", *at)
    assert "no version starts with 'ffff'" in dvidkit.fails("node", "ffff", "commit", *at)
    dvidkit.run("node", root, "commit", *at)
    assert "is committed already" in dvidkit.fails("node", root, "commit", *at)
    assert "takes no writes" in dvidkit.fails("node", root, "note", "late", *at)
    assert "no datatype 'nonsense'" in dvidkit.fails("repo", root, "new", "nonsense", "name", *at)
    assert "a setting is NAME=VALUE" in dvidkit.fails("repo", root, "new", "keyvalue", "n", "x", *at, code=2)
    assert "not 'a=b=c'" in dvidkit.fails("repos", "new", "alias", "words", "a=b=c", *at, code=2)
    assert "not 'color=red'" in dvidkit.fails("repos", "new", "alias", "color=red", *at, code=2)
    assert "there is no store at" in dvidkit.fails("repos", "list", "-s", dvidkit.store + "x")
    assert "there is no store at" in dvidkit.fails("info", "/etc/passwd")
    assert "keeps nothing on disk" in dvidkit.fails("init", dvidkit.store + "y", "--engine", "memory")
    assert "no engine 'nonsense'; installed:" in dvidkit.fails("init", dvidkit.store + "y", "--engine", "nonsense")
    assert "No such command 'nonsense'" in dvidkit.fails("nonsense", code=2)


def test_a_store_of_an_engine_that_is_not_installed(dvidkit: Any) -> None:
    """The marker names the engine; the answer names what is installed."""
    dvidkit.run("init", dvidkit.store)
    marker = dvidkit.folder / "store" / "dvidkit.toml"
    marker.write_text(marker.read_text().replace('"lmdb"', '"gone"'))
    assert "no engine 'gone'; installed: " in dvidkit.fails("info", dvidkit.store)
    marker.write_text("not = toml = at all")
    assert "marker that cannot be read" in dvidkit.fails("info", dvidkit.store)


def test_a_store_that_is_open_elsewhere(dvidkit: Any) -> None:
    """The line says who has it."""
    root = dvidkit.repo()
    with Store(Plugins().engine("lmdb"), StoreConfig("lmdb", dvidkit.store)):
        line = dvidkit.fails("node", root, "commit", "-s", dvidkit.store)
        assert re.search(r"is open already \(pid \d+, host .*, since .*\)", line)
