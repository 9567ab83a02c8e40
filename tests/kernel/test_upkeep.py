"""Names, syncs, tags, settings, and deletion that survives interruption."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.samples import VALUE, Samples

from dvidkit import upkeep
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    BadConfig,
    DvidkitError,
    InstanceExists,
    InvalidInputError,
    NotAllowed,
    StoreClosed,
    UnknownInstance,
    UnknownUUID,
)
from dvidkit.kernel import Kernel
from dvidkit.keys import instance_range
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit.store import Store


def opened(path: Path) -> Kernel:
    """A kernel on disk with the sample datatypes."""
    return Kernel(StoreConfig("lmdb", str(path / "store")), plugins=Plugins({"samples": Samples()}))


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    """A repo with a passcode, ``t`` and ``m``."""
    with opened(tmp_path) as kernel:
        repo = kernel.repos.create("r", passcode="word")
        repo.create_instance("sample-tally", "t")
        repo.create_instance("sample-mirror", "m")
        yield repo


def keys(store: Store, instance: int) -> int:
    """How many data keys an instance has."""
    with store.instant() as access:
        return len(list(access.scan(*instance_range(instance), keys_only=True)))


def metadata(repo: Repo) -> list[Any]:
    """Everything in the metadata key space but the revision."""
    with repo.repos.metadata.store.instant() as access:
        return [row for row in access.scan(b"\x00", b"\x01") if row[0][1] != 0x10]


def test_renaming(repo: Repo) -> None:
    """Data, data UUID and syncs stay; a taken or impossible name, or a wrong passcode, changes nothing."""
    upkeep.set_syncs(repo.instance("m"), ["t"])
    repo.root["t"].set("a", b"1")
    before, instance = metadata(repo), repo.instance("t")
    for name, passcode, error in (
        ("m", "word", InstanceExists),
        ("t", "word", InstanceExists),
        ("a/b", "word", InvalidInputError),
        ("log", "word", InvalidInputError),
        ("new", "", NotAllowed),
        ("new", "wrong", NotAllowed),
    ):
        with pytest.raises(error):
            upkeep.rename_instance(instance, name, passcode)
    assert metadata(repo) == before
    upkeep.rename_instance(instance, "new", "word")
    assert set(repo.instances) == {"new", "m"}
    assert repo.root["new"].get("a") == b"1"
    assert repo.instance("m").syncs == (instance,)
    repo.repos.reload()
    assert repo.repos.resolve(repo.uuid)["new"].get("a") == b"1"


def test_syncs(repo: Repo) -> None:
    """Added to unless replaced; itself, an unknown one, or one that tells nothing that is answered is refused."""
    mirror = repo.instance("m")
    repo.create_instance("sample-tally", "u")
    upkeep.set_syncs(mirror, ["t"])
    upkeep.set_syncs(mirror, ["u", "t"])
    assert [source.name for source in mirror.syncs] == ["t", "u"]
    for names, error in (
        (["m"], InvalidInputError),
        (["nothing"], UnknownInstance),
        (["t", "nothing"], UnknownInstance),
    ):
        with pytest.raises(error):
            upkeep.set_syncs(mirror, names, replace=True)
    with pytest.raises(InvalidInputError):
        upkeep.set_syncs(repo.instance("t"), ["u"])
    assert [source.name for source in mirror.syncs] == ["t", "u"]
    upkeep.set_syncs(mirror, ["u"], replace=True)
    assert [source.name for source in mirror.syncs] == ["u"]
    upkeep.delete_instance(repo.instance("u"), "word")
    assert mirror.syncs == ()


def test_tags_and_settings(repo: Repo) -> None:
    """Kept over a restart; what does not fit changes nothing."""
    instance = repo.instance("t")
    upkeep.set_tags(instance, {"a": "1", "b": "2"})
    upkeep.set_tags(instance, {"a": "3"})
    upkeep.set_tags(repo.instance("m"), {}, replace=True)
    for bad in ({"a": 1}, {2: "x"}):
        with pytest.raises(BadConfig):
            upkeep.set_tags(instance, bad)  # type: ignore[arg-type]
    for changes in ({"nothing": 1}, {"compression": "zip"}):
        with pytest.raises(BadConfig):
            upkeep.change_settings(instance, **changes)
    repo.repos.reload()
    assert repo.repos.resolve(repo.uuid).repo.instance("t").settings.tags == {"a": "3", "b": "2"}


def test_deleting_an_instance(repo: Repo) -> None:
    """Gone at once, its data in every version soon; a passcode guards it; nothing else is touched."""
    for number in range(30):
        repo.root["t"].set(str(number), b"x")
    upkeep.set_syncs(repo.instance("m"), ["t"])
    repo.root["t"].set("told", b"x")
    instance = repo.instance("t")
    with pytest.raises(NotAllowed):
        upkeep.delete_instance(instance, "wrong")
    assert "t" in repo.instances
    upkeep.delete_instance(instance, "word")
    with pytest.raises(UnknownInstance):
        repo.instance("t")
    assert repo.repos.deletions.wait(20)
    assert keys(instance.store, instance.id) == 0
    assert repo.root["m"].get("told") == b"x."
    for change in (
        lambda: upkeep.delete_instance(instance, "word"),
        lambda: upkeep.rename_instance(instance, "again", "word"),
        lambda: upkeep.set_tags(instance, {"a": "b"}),
        lambda: upkeep.set_syncs(instance, []),
    ):
        with pytest.raises(UnknownInstance):
            change()
    assert repo.create_instance("sample-tally", "t").id != instance.id
    assert repo.root["t"].get("1") is None


def test_deleting_a_repo(repo: Repo) -> None:
    """With all its versions, instances and records; other repos stay."""
    repos = repo.repos
    other = repos.create("other")
    repo.root["t"].set("a", b"1")
    instance = repo.instance("t")
    with pytest.raises(NotAllowed):
        upkeep.delete_repo(repo, "wrong")
    upkeep.delete_repo(repo, "word")
    with pytest.raises(UnknownUUID):
        repos.resolve(repo.uuid)
    with pytest.raises(UnknownUUID):
        upkeep.delete_repo(repo, "word")
    with pytest.raises(UnknownInstance):
        upkeep.set_tags(instance, {"a": "b"})
    assert repos.deletions.wait(20)
    assert keys(instance.store, instance.id) == 0
    repos.reload()
    assert [each.uuid for each in repos] == [other.uuid]


@pytest.mark.parametrize("whole", [True, False], ids=["repo", "instance"])
def test_an_interrupted_deletion_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """The next process goes on from the record; meanwhile the thing is gone for readers."""
    with opened(tmp_path) as kernel, monkeypatch.context() as patch:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        repo.root["t"].set("a", b"1")
        instance = repo.instance("t").id

        def stopped(*args: Any, **options: Any) -> None:
            raise StoreClosed("stopped")

        patch.setattr(Store, "delete_all", stopped)
        if whole:
            upkeep.delete_repo(repo)
        else:
            upkeep.delete_instance(repo.instance("t"))
        assert not kernel.repos.deletions.wait(0.2)
        assert keys(kernel.stores["default"], instance) == 1
    with opened(tmp_path) as kernel:
        assert len(kernel.repos) == (0 if whole else 1)
        assert kernel.repos.deletions.wait(20)
        assert keys(kernel.stores["default"], instance) == 0
        assert not kernel.repos.metadata.read().instances


def test_a_deletion_that_fails_holds_up_no_other(
    repo: Repo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is left for the next start, and the next deletion is done."""
    caplog.set_level(logging.CRITICAL)
    plain, failing = Store.delete_all, repo.instance("t").id

    def delete_all(self: Store, ctx: Any, **options: Any) -> None:
        if ctx.instance == failing:
            raise OSError("broken")
        plain(self, ctx, **options)

    monkeypatch.setattr(Store, "delete_all", delete_all)
    repo.root["t"].set("a", b"1")
    mirror = repo.instance("m")
    upkeep.delete_instance(repo.instance("t"), "word")
    upkeep.delete_instance(mirror, "word")
    assert repo.repos.deletions.wait(20)
    assert keys(mirror.store, mirror.id) == 0
    assert keys(mirror.store, failing) == 1


def test_many_names_at_once(repo: Repo) -> None:
    """Of several that want one name, one gets it."""
    for number in range(8):
        repo.create_instance("sample-tally", f"n{number}")
    won: list[int] = []

    def rename(number: int) -> None:
        try:
            upkeep.rename_instance(repo.instance(f"n{number}"), "wanted", "word")
            won.append(number)
        except DvidkitError:
            pass

    threads = [threading.Thread(target=rename, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(repo.instances) == 10


# --- changes under way while something is deleted ---------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False], ids=["repo", "instance"])
def test_a_deletion_waits_for_mutations_under_way(repo: Repo, whole: bool) -> None:
    """What a mutation writes that had begun before is removed too; one that begins afterwards is refused."""
    instance, begun, go = repo.instance("t"), threading.Event(), threading.Event()
    view, root = repo.root["t"], repo.root

    def write() -> None:
        with view.mutation("set") as mutation:
            mutation.put(VALUE.key(b"late"), b"1")
            begun.set()
            assert go.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(20)
    if whole:
        upkeep.delete_repo(repo, "word")
    else:
        upkeep.delete_instance(instance, "word")
    with pytest.raises(UnknownInstance):
        view.set("later", b"1")
    assert not repo.repos.deletions.wait(0.2)
    go.set()
    thread.join()
    assert repo.repos.deletions.wait(20)
    assert keys(instance.store, instance.id) == 0
    assert not root.locked


def test_subscribers_are_deleted_under_fire(tmp_path: Path) -> None:
    """Threads write to a tally while its mirrors are made and deleted: no write fails, no key of a mirror is left."""
    with opened(tmp_path) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        over, faults, gone = threading.Event(), list[BaseException](), list[int]()

        def write(thread: int) -> None:
            number = 0
            while not over.is_set():
                try:
                    repo.root["t"].set(f"{thread}-{number % 5}", b"x")
                except BaseException as error:
                    faults.append(error)
                    return
                number += 1

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for number in range(10):
            mirror = repo.create_instance("sample-mirror", f"m{number}")
            upkeep.set_syncs(mirror, ["t"])
            gone.append(mirror.id)
            upkeep.delete_instance(mirror)
        over.set()
        for thread in threads:
            thread.join()
        assert faults == []
        assert kernel.repos.deletions.wait(20)
        assert [keys(kernel.stores["default"], instance) for instance in gone] == [0] * 10


def test_the_end_does_not_wait_for_a_mutation(tmp_path: Path) -> None:
    """A deletion that waits is left for the next start."""
    kernel = opened(tmp_path)
    repo = kernel.repos.create("r")
    instance = repo.create_instance("sample-tally", "t").id
    repo.root["t"].set("a", b"1")
    with repo.root["t"].mutation("set"):
        upkeep.delete_instance(repo.instance("t"))
        kernel.close()
    with opened(tmp_path) as kernel:
        assert kernel.repos.deletions.wait(20)
        assert keys(kernel.stores["default"], instance) == 0


def test_a_deleted_repo_takes_no_changes(repo: Repo) -> None:
    """Whoever still holds it is told, and no record appears that belongs to nothing."""
    root = repo.root
    upkeep.delete_repo(repo, "word")
    assert repo.repos.deletions.wait(20)
    before = metadata(repo)
    for change in (
        lambda: repo.create_instance("sample-tally", "new"),
        lambda: repo.describe("alias"),
        lambda: repo.log(["line"]),
        lambda: root.commit(),
        lambda: repo.set_note(root, "note"),
    ):
        with pytest.raises(UnknownUUID):
            change()
    assert metadata(repo) == before
