"""Verbs that rename, reorder or take away."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("lmdb")


def listed(dvidkit: Any) -> list[dict[str, Any]]:
    """The repos."""
    found: list[dict[str, Any]] = json.loads(dvidkit.text("repos", "list", "-s", dvidkit.store, "--json"))
    return found


def test_instances_are_renamed_and_deleted(dvidkit: Any) -> None:
    """With the passcode, as in DVID or as ``passcode=``; by name or data UUID; only after a yes; nothing is left."""
    root = dvidkit.repo(passcode="word")
    at = ("-s", dvidkit.store)
    one = dvidkit.text("repo", root, "new", "keyvalue", "one", *at)
    dvidkit.text("repo", root, "new", "keyvalue", "two", *at)
    dvidkit.fails("repo", root, "rename", "one", "three", *at)
    dvidkit.fails("repo", root, "rename", "one", "two", "word", *at)
    dvidkit.run("repo", root, "rename", "one", "three", "word", *at)
    assert listed(dvidkit)[0]["instances"] == ["three", "two"]
    dvidkit.run("repo", root, "delete", "three", "word", *at, stdin=b"n\n", code=1)
    dvidkit.fails("repo", root, "delete", "three", "wrong", "--yes", *at)
    assert listed(dvidkit)[0]["instances"] == ["three", "two"]
    dvidkit.run("repo", root, "delete", one, "passcode=word", "--yes", *at)
    dvidkit.run("repo", root, "delete", "two", "word", *at, stdin=b"y\n")
    assert listed(dvidkit)[0]["instances"] == []
    dvidkit.fails("repo", root, "delete", "two", "word", "--yes", *at)
    dvidkit.run("verify", dvidkit.store)


def test_repos_are_deleted(dvidkit: Any) -> None:
    """By the full UUID of the root; others stay."""
    root = dvidkit.repo()
    at = ("-s", dvidkit.store)
    other = dvidkit.text("repos", "new", "other", *at)
    dvidkit.fails("repos", "delete", root[:8], "--yes", *at, code=2)
    dvidkit.run("repos", "delete", root, "--yes", *at)
    assert [each["uuid"] for each in listed(dvidkit)] == [other]
    dvidkit.fails("repos", "delete", root, "--yes", *at)


def test_branches(dvidkit: Any) -> None:
    """A branch becomes master, another is hidden; what is refused changes nothing."""
    root = dvidkit.repo()
    at = ("-s", dvidkit.store)
    dvidkit.run("node", root, "commit", *at)
    left = dvidkit.text("repo", root, "newversion", *at)
    right = dvidkit.text("repo", root, "branch", "side", *at)
    dvidkit.fails("repo", left, "make-master", "old", *at)
    dvidkit.run("repo", right, "make-master", "old", *at)
    assert listed(dvidkit)[0]["branches"] == {"master": right, "old": left}
    dvidkit.fails("repo", root, "hide-branch", "master", *at)
    dvidkit.run("repo", root, "hide-branch", "old", *at)
    assert "old" not in listed(dvidkit)[0]["branches"]


def test_tags_and_resolved_merges(dvidkit: Any) -> None:
    """A tag names its version; where versions disagree the first decides."""
    root = dvidkit.repo()
    at = ("-s", dvidkit.store)
    dvidkit.text("repo", root, "new", "keyvalue", "kv", *at)
    dvidkit.run("node", root, "commit", *at)
    left = dvidkit.text("repo", root, "newversion", *at)
    right = dvidkit.text("repo", root, "branch", "side", *at)
    for version, value in ((left, b"left"), (right, b"right")):
        dvidkit.run("put", dvidkit.store, version, "kv", "a", stdin=value)
        dvidkit.run("node", version, "commit", *at)
    assert dvidkit.text("node", left, "tag", "v1", *at) == "v1"
    merged = dvidkit.text("repo", right, "resolve", left, "-d", "kv", *at)
    assert dvidkit.text("get", dvidkit.store, merged, "kv", "a") == "right"
    assert dvidkit.text("get", dvidkit.store, "v1", "kv", "a") == "left"
    dvidkit.fails("node", left, "tag", "v1", *at)
