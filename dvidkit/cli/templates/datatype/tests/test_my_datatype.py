"""What my-datatype promises its users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import dvidkit
from dvidkit.errors import InvalidInputError, OutOfBounds, VersionLocked


@pytest.fixture
def repo() -> Iterator[dvidkit.Repo]:
    """A repo in memory with an instance ``counts``."""
    with dvidkit.open(engine="memory") as kernel:
        repo = kernel.repos.create("test")
        repo.create_instance("my-datatype", "counts", most=10)
        yield repo


def test_counting(repo: dvidkit.Repo) -> None:
    """Adds add up; what was never counted is 0; forgetting forgets."""
    counts = repo.root["counts"]
    assert counts.add("a") == 1
    assert counts.add("a", 4) == 5
    assert (counts.count("a"), counts.count("b")) == (5, 0)
    counts.add("b", 2)
    assert counts.counts() == {"a": 5, "b": 2}
    counts.forget("a")
    assert counts.counts() == {"b": 2}


def test_refusals_change_nothing(repo: dvidkit.Repo) -> None:
    """Out of bounds, not a name, committed."""
    counts = repo.root["counts"]
    counts.add("a", 9)
    with pytest.raises(OutOfBounds):
        counts.add("a", 2)
    with pytest.raises(InvalidInputError):
        counts.add("")
    repo.root.commit()
    with pytest.raises(VersionLocked):
        counts.add("a", -1)
    assert counts.counts() == {"a": 9}


def test_versions_do_not_disturb_each_other(repo: dvidkit.Repo) -> None:
    """A child sees its parent's counts; its own are not seen above or beside it."""
    repo.root["counts"].add("a", 1)
    repo.root.commit()
    one, two = repo.root.new_version(), repo.root.make_branch("two")
    one["counts"].add("a", 1)
    two["counts"].forget("a")
    seen = [version["counts"].count("a") for version in (repo.root, one, two)]
    assert seen == [1, 2, 0]


def test_endpoints(repo: dvidkit.Repo) -> None:
    """The HTTP methods do what the Python methods do."""
    counts = repo.root["counts"]
    name = {"name": "a"}
    assert counts.post_count(dvidkit.Request("POST", name, body=b"3")).body == b"3"
    assert counts.get_count(dvidkit.Request("GET", name)).body == b"3"
    assert counts.get_counts(dvidkit.Request("GET")).body == b'{"a":3}'
    counts.delete_count(dvidkit.Request("DELETE", name))
    assert counts.counts() == {}
