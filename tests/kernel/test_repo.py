"""A repo: its versions, who may write them and when, its branches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from dvidkit.errors import (
    InvalidInputError,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.repo import Repo, Version

PATIENCE = 10.0


def dump(kernel: Kernel) -> list[tuple[bytes, bytes]]:
    """Every stored byte of the kernel's store, its own records too."""
    with kernel.stores["default"].instant() as access:
        return list(access.scan(b"\x00", b"\xff"))


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[BaseException | None]]:
    """Run it in a thread; the list gets what it raised."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


def test_a_mutation_that_needs_an_id_is_waited_for_and_not_blocked(repo: Repo) -> None:
    """DAG-1: a commit waits for a mutation under way, which can meanwhile do whatever changes metadata."""
    view = repo.root["counts"]
    with view.mutation("add") as m:
        thread, outcome = in_thread(repo.root.commit)
        while not repo._gate._closing:  # pyright: ignore[reportPrivateUsage]
            pass
        done, answer = in_thread(lambda: (m.id, repo.describe(alias="renamed meanwhile")))
        done.join(PATIENCE)
        assert answer == [None]
        with pytest.raises(VersionLocked), view.mutation("late"):
            pass
        with pytest.raises(VersionLocked):
            repo.root.commit()
        m.put(view.COUNT.key(b"a"), b"7")
    thread.join(PATIENCE)
    assert outcome == [None]
    assert repo.root.locked
    assert view.count("a") == 7


def test_of_two_threads_that_make_one_branch_one_succeeds(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch's name is unique in its repo, also if two threads ask for it at different parents at once."""
    repo.root.commit()
    child = repo.root.new_version()
    child.commit()
    barrier = threading.Barrier(2)
    original = Repo._add  # pyright: ignore[reportPrivateUsage]

    def together(self: Repo, *args: Any) -> Version:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(0.5)
        return original(self, *args)

    monkeypatch.setattr(Repo, "_add", together)
    runs = [in_thread(lambda parent=parent: repo.branch(parent, "side")) for parent in (repo.root, child)]  # type: ignore[misc]
    for thread, _ in runs:
        thread.join(PATIENCE)
    assert sorted(type(outcome[0]).__name__ for _, outcome in runs) == ["BranchExists", "NoneType"]
    assert [version.branch for version in repo.versions].count("side") == 1


def test_descriptions_by_two_threads_are_both_kept(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing the alias and the description at once loses neither."""
    barrier = threading.Barrier(2)
    original = Repo._change  # pyright: ignore[reportPrivateUsage]

    def together(self: Repo, **fields: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(0.5)
        original(self, **fields)

    monkeypatch.setattr(Repo, "_change", together)
    runs = [in_thread(lambda: repo.describe(alias="new")), in_thread(lambda: repo.describe(description="text"))]
    for thread, _ in runs:
        thread.join(PATIENCE)
    assert (repo.alias, repo.record.description) == ("new", "text")


@pytest.mark.parametrize("name", ["a~1", "a^", "a:b", ":", "", " ", " a", "a\n", "\ud800", None, 5])
def test_a_branch_that_could_not_be_named_is_refused(kernel: Kernel, repo: Repo, name: Any) -> None:
    """DAG-5: a branch's name stands in ``:branch~n``; one that would read otherwise is refused, nothing is written."""
    repo.root.commit()
    before = dump(kernel)
    with pytest.raises(InvalidInputError):
        repo.branch(repo.root, name)
    assert dump(kernel) == before


@pytest.mark.parametrize("name", ["side", "a/b", "Ünïcode", "two words", "tag-1.0", "-"])
def test_a_branch_is_found_under_its_name(kernel: Kernel, repo: Repo, name: str) -> None:
    """DAG-5: whatever is taken as a branch's name resolves to its head."""
    repo.root.commit()
    head = repo.root.make_branch(name, "note")
    assert head.branch == name
    assert head.record.note == "note"
    assert kernel.repos.resolve(f":{name}") == head
    assert kernel.repos.resolve(f"{repo.uuid[:9]}:{name}~1") == repo.root


@pytest.mark.parametrize(
    "operation",
    [
        lambda repo, other: repo.commit(other),
        lambda repo, other: repo.new_version(other),
        lambda repo, other: repo.branch(other, "side"),
        lambda repo, other: repo.merge([repo.root, other]),
        lambda repo, other: repo.set_note(other, "note"),
        lambda repo, other: repo.add_log(other, ["line"]),
        lambda repo, other: repo.writing(other).__enter__(),
        lambda repo, other: repo.create_instance("tally", "more", other),
    ],
)
@pytest.mark.parametrize("locked", [False, True])
def test_a_version_of_another_repo_is_refused(
    kernel: Kernel, repo: Repo, operation: Callable[[Repo, Version], object], locked: bool
) -> None:
    """DAG-2: no operation takes a version of another repo; metadata stay byte-identical and can be read again."""
    other = kernel.repos.create("other").root
    repo.root.commit()
    if locked:
        other.commit()
    before = dump(kernel)
    with pytest.raises(InvalidInputError):
        operation(repo, other)
    assert dump(kernel) == before
    kernel.repos.reload()
    assert len(kernel.repos) == 2


def test_a_commit_interrupted_while_it_waits_leaves_the_version_open(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a Ctrl-C in a commit that waits for a mutation, the version takes writes and can be committed."""

    def interrupt(*args: object) -> bool:
        raise KeyboardInterrupt

    view = repo.root["counts"]
    with view.mutation("add"):
        monkeypatch.setattr(threading.Condition, "wait_for", interrupt)
        with pytest.raises(KeyboardInterrupt):
            repo.root.commit()
        monkeypatch.undo()
    view.add("a")
    repo.root.commit()
    assert repo.root.locked
