"""Tags, resolved merges, another master, hidden branches; what is refused leaves every byte as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dvidkit_conformance.samples import VALUE, Samples

from dvidkit.branching import hide_branch, make_master, resolve, tag
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BranchExists,
    DvidkitError,
    InvalidInputError,
    NotFoundError,
    UnknownInstance,
    UUIDExists,
    VersionConflict,
    VersionLocked,
    VersionUnlocked,
)
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo, Version


@pytest.fixture
def repo() -> Iterator[Repo]:
    """A repo with ``t``, and ``far`` in a store of its own."""
    stores = {"default": StoreConfig("memory", ""), "far": StoreConfig("memory", "")}
    with Kernel(stores, assign={"at=far": "far"}, plugins=Plugins({"samples": Samples()})) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        repo.create_instance("sample-tally", "far", tags="at=far")
        repo.create_instance("sample-tally", "flat", versioned=False)
        yield repo


def dump(repo: Repo) -> list[Any]:
    """Every byte of the metadata's store."""
    with repo.repos.metadata.store.instant() as access:
        return list(access.scan(b"\x00", b"\x04"))


def refused(repo: Repo, error: type[DvidkitError], call: Any) -> None:
    """It raises and changes nothing, neither stored nor in memory."""
    before = dump(repo), repo.versions, dict(repo.nodes)
    with pytest.raises(error):
        call()
    assert (dump(repo), repo.versions, dict(repo.nodes)) == before


def sides(repo: Repo, *values: bytes) -> list[Version]:
    """Committed children of the root, each with its own value of ``k`` in every instance."""
    if not repo.root.locked:
        repo.root["t"].set("base", b"b")
        repo.root.commit()
    found = []
    for number, value in enumerate(values):
        side = repo.root.make_branch(f"side{number}") if number else repo.root.new_version()
        for name in ("t", "far"):
            side[name].set("k", value)
        side.commit()
        found.append(side)
    return found


def test_a_tag_is_a_name_for_ever(repo: Repo) -> None:
    """A committed child whose UUID is the tag; it reads what its parent reads, also after a reload."""
    repo.root["t"].set("a", b"1")
    repo.root.commit()
    tagged = tag(repo.root, "v1.0", "the note")
    assert (tagged.uuid, tagged.locked, tagged.record.note, tagged.branch) == ("v1.0", True, "the note", "tag-v1.0")
    assert tag(repo.root, "v2").record.note == f'Tag of version {repo.uuid} with "v2"'
    repo.repos.reload()
    assert repo.repos.resolve("v1.0")["t"].get("a") == b"1"
    with pytest.raises(VersionLocked):
        repo.repos.resolve("v1.0")["t"].set("a", b"2")


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a~1", "a^", "a b", "\n", "x" * 256, ".", "..", None, 7])
def test_a_tag_that_cannot_be(repo: Repo, name: Any) -> None:
    """It could not stand in a URL, or would be read as something else."""
    repo.root.commit()
    refused(repo, InvalidInputError, lambda: tag(repo.root, name))


def test_a_tag_that_is_taken_or_of_an_open_version(repo: Repo) -> None:
    """By another version anywhere, or its branch by another."""
    refused(repo, VersionUnlocked, lambda: tag(repo.root, "v"))
    repo.root.commit()
    tag(repo.root, "v")
    other = repo.repos.create("other").root
    other.commit()
    refused(repo, UUIDExists, lambda: tag(other, "v"))
    refused(repo, UUIDExists, lambda: tag(repo.root, other.uuid))
    repo.root.make_branch("tag-w")
    refused(repo, BranchExists, lambda: tag(repo.root, "w"))


def test_resolving_decides_by_the_order_of_parents(repo: Repo) -> None:
    """The first parent's value is there at once; instances that are not named keep their conflict."""
    one, two, three = sides(repo, b"1", b"2", b"3")
    merged = resolve(repo, ["t", "t", "flat"], [three, one, two], "note")
    assert merged.parents == (three, one, two)
    assert merged["t"].get("k") == b"3"
    assert merged["t"].get("base") == b"b"
    assert not merged.locked
    with pytest.raises(VersionConflict):
        merged["far"].get("k")


def test_a_deletion_is_no_conflict(repo: Repo) -> None:
    """Where one side deleted what the other left alone, or changed, reads are as at any merge."""
    repo.root["t"].set("k", b"0")
    one, two = sides(repo, b"1", b"2")
    three = repo.root.make_branch("third")
    with three["t"].mutation("x") as m:
        m.delete(VALUE.key(b"k"))
        m.delete(VALUE.key(b"base"))
    three.commit()
    assert resolve(repo, ["t"], [three, one])["t"].get("k") == b"1"
    merged = resolve(repo, ["t"], [two, three])
    assert (merged["t"].get("k"), merged["t"].get("base")) == (b"2", None)


def test_a_resolve_that_is_refused(repo: Repo) -> None:
    """As a merge; and of what lies in another store than the metadata."""
    one, two = sides(repo, b"1", b"2")
    refused(repo, UnknownInstance, lambda: resolve(repo, ["nothing"], [one, two]))
    refused(repo, InvalidInputError, lambda: resolve(repo, ["t", "far"], [one, two]))
    refused(repo, InvalidInputError, lambda: resolve(repo, ["t"], [one]))
    refused(repo, InvalidInputError, lambda: resolve(repo, ["t"], [one, one]))
    refused(repo, InvalidInputError, lambda: resolve(repo, ["t"], [one, repo.root]))
    still_open = repo.root.make_branch("open")
    refused(repo, VersionUnlocked, lambda: resolve(repo, ["t"], [one, still_open]))


def test_another_master(repo: Repo) -> None:
    """The branch is master and the old one has another name, at once and after a reload."""
    one, two = sides(repo, b"1", b"2")
    below = one.new_version()
    make_master(two, "old")
    for found in (repo, repo):
        assert [found.repos.resolve(version.uuid).branch for version in (one, below, two)] == ["old", "old", "master"]
        assert found.repos.resolve(":master") == found.repos.resolve(two.uuid)
        found.repos.reload()


def test_a_master_that_cannot_be(repo: Repo) -> None:
    """Not the first of a branch beside master, or a name for the old one that is taken."""
    refused(repo, InvalidInputError, lambda: make_master(repo.root, "old"))
    one, two = sides(repo, b"1", b"2")
    refused(repo, InvalidInputError, lambda: make_master(one, "old"))
    below = two.new_version()
    refused(repo, InvalidInputError, lambda: make_master(below, "old"))
    refused(repo, InvalidInputError, lambda: make_master(two, ""))
    for name in ("master", "side1"):
        refused(repo, BranchExists, lambda name=name: make_master(two, name))


def test_hiding_a_branch(repo: Repo) -> None:
    """It has no head and no place in lists; its versions are found by UUID, and its name stays taken."""
    _, two = sides(repo, b"1", b"2")
    hide_branch(repo, "side1")
    assert "side1" not in repo.branches()
    with pytest.raises(NotFoundError):
        repo.head("side1")
    assert repo.repos.resolve(two.uuid)["t"].get("k") == b"2"
    with pytest.raises(BranchExists):
        repo.root.make_branch("side1")
    repo.repos.reload()
    assert "side1" not in repo.repos.resolve(repo.uuid).repo.branches()


def test_a_branch_that_cannot_be_hidden(repo: Repo) -> None:
    """Master, one that there is not, and one that others go on from."""
    one, two = sides(repo, b"1", b"2")
    for name in ("", "master"):
        refused(repo, InvalidInputError, lambda name=name: hide_branch(repo, name))
    refused(repo, NotFoundError, lambda: hide_branch(repo, "nothing"))
    repo.merge([one, two])
    refused(repo, InvalidInputError, lambda: hide_branch(repo, "side1"))
