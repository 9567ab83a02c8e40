"""The repos of a kernel: making, naming, reloading, and several kernels at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_memory.engine import MemoryEngine

from dvidkit import upkeep
from dvidkit.errors import (
    ConflictError,
    InvalidInputError,
    UnknownUUID,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo

MakeKernel = Callable[..., Kernel]


def dump(kernel: Kernel) -> list[tuple[bytes, bytes]]:
    """Every stored byte of the kernel's store, its own records too."""
    with kernel.stores["default"].instant() as access:
        return list(access.scan(b"\x00", b"\xff"))


@pytest.fixture
def two(make_kernel: MakeKernel) -> tuple[Kernel, Kernel]:
    """Two kernels over one store, as two processes would have it."""
    engine = wrapped(MemoryEngine(), shared=True)
    return make_kernel(engine), make_kernel(engine)


def test_handles_stay_true_when_metadata_are_read_again(two: tuple[Kernel, Kernel]) -> None:
    """After a reload, versions, repos and instances handed out before say what is there now, and take no old rights."""
    mine, theirs = two
    repo = mine.repos.create("repo")
    instance = repo.create_instance("tally", "counts")
    view, root = repo.root["counts"], repo.root
    theirs.repos.reload()
    other = theirs.repos.resolve(repo.uuid)
    other.commit("theirs")
    child = other.new_version()
    with pytest.raises(ConflictError):
        repo.describe(alias="stale")
    mine.repos.reload()
    assert root.locked
    with pytest.raises(VersionLocked):
        view.add("a")
    with pytest.raises(VersionLocked):
        root.commit("mine")
    assert root.record.note == "theirs"
    assert [version.uuid for version in root.children] == [child.uuid]
    assert mine.repos.resolve(repo.uuid) == root
    assert mine.repos[repo.uuid] is repo
    assert repo.instance("counts") is instance, "two locks for one instance would lose updates"
    repo.describe(alias="now")
    theirs.repos.reload()
    assert theirs.repos[repo.uuid].alias == "now"


def test_what_another_process_made_or_took_away_is_seen_after_a_reload(two: tuple[Kernel, Kernel]) -> None:
    """A reload brings new repos, versions and instances, changed settings and names, and drops what was deleted."""
    mine, theirs = two
    repo = mine.repos.create("repo")
    kept = repo.create_instance("tally", "kept")
    repo.create_instance("tally", "dropped")
    theirs.repos.reload()
    their_repo = theirs.repos[repo.uuid]
    upkeep.rename_instance(their_repo.instance("kept"), "renamed")
    upkeep.set_tags(their_repo.instance("renamed"), {"a": "1"})
    upkeep.delete_instance(their_repo.instance("dropped"))
    theirs.repos.create("second")
    assert theirs.repos.deletions.wait(10)
    mine.repos.reload()
    assert repo.instance("renamed") is kept
    assert kept.settings.tags == {"a": "1"}
    assert sorted(repo.instances) == ["renamed"]
    assert len(mine.repos) == 2
    theirs.repos.reload()
    upkeep.delete_repo(theirs.repos[repo.uuid])
    assert theirs.repos.deletions.wait(10)
    mine.repos.reload()
    assert [each.alias for each in mine.repos] == ["second"]
    with pytest.raises(UnknownUUID):
        mine.repos.resolve(repo.uuid)


@pytest.mark.parametrize("sign", "~^")
def test_a_reference_of_absurd_length_is_unknown(repo: Repo, sign: str) -> None:
    """DAG-5: a step with thousands of digits is an unknown version, not a ValueError."""
    for count in ("9" * 9, "9" * 10, "9" * 5000):
        with pytest.raises(UnknownUUID):
            repo.repos.resolve(f"{repo.uuid}{sign}{count}")


def test_looking_up_while_versions_are_added_never_fails(kernel: Kernel) -> None:
    """CONC: prefixes, listings and branches can be asked for while other threads add versions."""
    repo = kernel.repos.create("repo", root="f" * 32)
    stop = threading.Event()
    errors: list[BaseException] = []

    def look() -> None:
        try:
            while not stop.is_set():
                kernel.repos.resolve("ffff")
                repo.branches()
                assert len(list(repo.dag)) >= 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=look, daemon=True) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        repo.root.commit()
        for number in range(300):
            if errors:
                break
            repo.root.make_branch(f"branch {number}", uuid=f"{number:032x}")
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        for thread in threads:
            thread.join(10)
    assert errors == []


@pytest.mark.parametrize(
    "operation",
    [
        lambda repo: repo.repos.create(alias=5),
        lambda repo: repo.repos.create(description=None),
        lambda repo: repo.repos.create(alias="\ud800"),
        lambda repo: repo.describe(alias=b"bytes"),
        lambda repo: repo.set_properties({"a": 1 << 70}),
        lambda repo: repo.set_properties({"a": object()}),
        lambda repo: repo.set_properties({5: "a"}),
        lambda repo: repo.log("one text"),
        lambda repo: repo.add_log(repo.root, "one text"),
        lambda repo: repo.set_note(repo.root, 5),
        lambda repo: repo.root.commit(note=5),
        lambda repo: repo.root.commit(log="one text"),
        lambda repo: repo.root.commit(log=["\ud800"]),
    ],
)
def test_metadata_that_could_not_be_read_again_is_never_written(
    kernel: Kernel, repo: Repo, operation: Callable[[Repo], object]
) -> None:
    """ERR-1: a wrong type among metadata is refused before any effect; the store can always be opened again."""
    before, root = dump(kernel), repo.root.record
    with pytest.raises(InvalidInputError):
        operation(repo)
    assert dump(kernel) == before
    assert repo.root.record == root
    kernel.repos.reload()
    assert len(kernel.repos) == 1
