"""Copies of one data instance: relabelled, or flattened at one version; seen only when they are complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import dvidkit
from dvidkit.copymarks import marks
from dvidkit.datatype import Datatype
from dvidkit.drivers import ready
from dvidkit.engine import StoreConfig
from dvidkit.errors import (
    CorruptData,
    InstanceExists,
    InvalidInputError,
    LimitError,
    NotFoundError,
    UUIDExists,
    VersionConflict,
    VersionLocked,
)
from dvidkit.hookspecs import hookimpl
from dvidkit.instancecopy import copy_instance, copy_versions, flatten_instance
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass, data_key, instance_range
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit.rowcopy import CopyProgress
from dvidkit.store import Store
from dvidkit.verify import verify


class Note(Datatype):
    """Texts by name."""

    typename = "note"
    TEXT = TKeyClass(200, "text of a name", terminator=0)
    MARK = TKeyClass(201, "mark", width=2)
    tkey_classes = (MARK, TEXT)

    def put(self, name: str, text: str) -> None:
        with self.mutation("note") as m:
            m.put(self.TEXT.key(name.encode()), text.encode())

    def delete(self, name: str) -> None:
        with self.mutation("note") as m:
            m.delete(self.TEXT.key(name.encode()))

    def mark(self, number: int) -> None:
        with self.mutation("mark") as m:
            m.put(self.MARK.key(number.to_bytes(2, "big")), b"")

    def all(self) -> dict[bytes, bytes]:
        return dict(self.store.get_range(self.ctx, b"\x02", b"\xfe"))


class _Notes:
    @hookimpl
    def dvidkit_datatypes(self) -> list[type[Datatype]]:
        return [Note]


def kernel(engine: str = "memory", path: Path = Path()) -> Kernel:
    """A kernel that has ``note``."""
    return Kernel(StoreConfig(engine, str(path)), plugins=Plugins({"notes": _Notes()}))


@pytest.fixture
def source() -> Iterator[Repo]:
    """A repo with a merge, in which ``n`` was written, overwritten and deleted everywhere, and ``u`` is unversioned."""
    with kernel() as here:
        here.repos.create("other").root.commit()
        repo = here.repos.create("source", "made for copying", passcode="secret")
        repo.create_instance("note", "before")
        repo.create_instance("note", "n", tags="a=b")
        repo.create_instance("note", "u", versioned=False)
        root = repo.root
        for number in range(40):
            root["n"].put(f"key{number:02}", f"root {number}")
        root["n"].mark(1)
        root["u"].put("one", "state")
        root.commit("first", ["a line"])
        left, right = root.new_version(), root.make_branch("side")
        left["n"].put("key01", "left")
        left["n"].delete("key02")
        right["n"].put("key03", "")
        right["n"].delete("key03")
        right["n"].put("key04", "right")
        left.commit()
        right.commit()
        merged = repo.merge([left, right])
        merged["n"].put("key05", "merged")
        yield repo


def rows(repo: Repo, name: str) -> list[tuple[bytes, str, bytes]]:
    """(TKey, UUID of the version and mark, value) of every row of an instance."""
    instance = repo.instance(name)
    begin, end = instance_range(instance.id)
    uuids: dict[int, str] = {version.id: version.uuid for version in repo.versions}
    return sorted(
        (key[5:-9], f"{uuids[int.from_bytes(key[-9:-5], 'big')]} {key[-1]}", value or b"")
        for key, value in instance.store.raw_range_query(begin, end)
        if key < end
    )


def store_of(repo: Repo) -> Store:
    """The store of the repo's kernel."""
    return repo.repos.kernel.stores["default"]


def test_a_copy_in_the_same_repo_is_equal_after_relabelling(source: Repo) -> None:
    """CPY-2: same TKeys, versions, marks and values under another instance id; the source is as it was."""
    before = rows(source, "n")
    made, report = copy_instance(source.instance("n"), source, name="twin")
    assert rows(source, "twin") == rows(source, "n") == before
    assert (report.rows, report.resumed) == (len(before), False)
    assert made is source.instance("twin")
    assert made.id != source.instance("n").id
    assert made.uuid != source.instance("n").uuid
    assert made.settings == source.instance("n").settings
    for version in source.versions:
        assert version["twin"].all() == version["n"].all()
    assert verify(store_of(source)).findings == ()


@pytest.mark.parametrize("engine", tuple(ready(Plugins().engines)))
@pytest.mark.parametrize("integrity", [True, False])
def test_a_copy_into_another_store(source: Repo, engine: str, integrity: bool, tmp_path: Path) -> None:
    """The versions come first, under their UUIDs; then instances read alike at each of them, also when reopened."""
    config = StoreConfig(engine, str(tmp_path / "b"), integrity=integrity)
    with Kernel(config, plugins=Plugins({"notes": _Notes()})) as there:
        there.repos.create("in the way")
        repo = copy_versions(source, there.repos)
        for name in ("n", "u"):
            copy_instance(source.instance(name), repo)
            assert rows(repo, name) == rows(source, name)
        assert copy_versions(source, there.repos) is repo
        assert (repo.alias, repo.record.passcode) == ("source", source.record.passcode)
        for version in source.versions:
            twin = there.repos.resolve(version.uuid)
            assert twin.branch == version.branch
            assert twin.locked == version.locked
            assert (twin.record.note, twin.record.log) == (version.record.note, version.record.log)
            assert [parent.uuid for parent in twin.parents] == [parent.uuid for parent in version.parents]
            for name in ("n", "u"):
                assert twin[name].all() == version[name].all()
        repo.head()["n"].put("more", "can be written")
        assert verify(store_of(repo)).findings == ()


def test_the_repo_must_have_the_versions(source: Repo) -> None:
    """An instance goes only where its versions are; versions go only where none of them is."""
    with kernel() as there:
        stranger = there.repos.create()
        with pytest.raises(NotFoundError, match="lacks 4 of 4 versions"):
            copy_instance(source.instance("n"), stranger)
        assert stranger.instances == {}
        there.repos.create(root=source.head().uuid)
        with pytest.raises(UUIDExists):
            copy_versions(source, there.repos)
        assert len(there.repos) == 2


def test_names_are_checked_before_anything_is_written(source: Repo) -> None:
    """A taken or impossible name is refused."""
    with pytest.raises(InstanceExists):
        copy_instance(source.instance("n"), source)
    with pytest.raises(InvalidInputError):
        copy_instance(source.instance("n"), source, name="a/b")
    assert list(marks(store_of(source))) == []


def test_limits_are_checked_before_anything_is_written(tmp_path: Path) -> None:
    """CPY-6 for instances: no instance id is taken, no mark is left."""
    with kernel() as here, kernel("lmdb", tmp_path / "b") as there:
        repo = here.repos.create()
        repo.create_instance("note", "n")
        repo.root["n"].put("k" * 600, "long")
        target = copy_versions(repo, there.repos)
        with pytest.raises(LimitError, match="max_key of 511"):
            copy_instance(repo.instance("n"), target)
        assert list(marks(there.stores["default"])) == []
        assert target.create_instance("note", "first").id == 1


class _Stop(Exception):
    pass


def test_an_interrupted_copy_is_not_seen_and_goes_on(source: Repo, tmp_path: Path) -> None:
    """CPY-4: until it is complete there is no instance; the same copy continues under the id it had."""

    def stop(step: CopyProgress) -> None:
        if step.phase == "compare":
            raise _Stop

    with kernel("lmdb", tmp_path / "b") as there:
        repo = copy_versions(source, there.repos)
        with pytest.raises(_Stop):
            copy_instance(source.instance("n"), repo, on_progress=stop)
        assert repo.instances == {}
        findings = verify(there.stores["default"]).findings
        assert [(finding.damage, finding.instance) for finding in findings] == [("unfinished", 1)]
    with kernel("lmdb", tmp_path / "b") as there:
        repo = there.repos[source.uuid]
        copy_instance(source.instance("u"), repo)
        made, report = copy_instance(source.instance("n"), repo)
        assert (made.id, report.resumed, report.written) == (1, True, 0)
        assert rows(repo, "n") == rows(source, "n")
        assert list(marks(there.stores["default"])) == []
        assert verify(there.stores["default"]).ok


def test_flattened_it_holds_what_the_version_sees(source: Repo) -> None:
    """CPY-3: reading the copy at its version gives what reading the source at its version gave; nothing lies above."""
    for number, version in enumerate(source.versions):
        made, _ = flatten_instance(source.instance("n"), version, source.head(), name=f"flat{number}")
        assert source.head()[made.name].all() == version["n"].all()
        assert {where for _, where, _ in rows(source, made.name)} <= {f"{source.head().uuid} 3"}
    made, _ = flatten_instance(source.instance("u"), source.root, source.head(), name="flat u")
    assert source.root["flat u"].all() == source.root["u"].all() == source.head()["flat u"].all()


def test_flattening_refuses_conflicts_and_committed_targets(source: Repo) -> None:
    """Nothing is written when the version has conflicts, or the target is committed."""
    head = source.head()
    head.commit()
    one, two = head.new_version(), head.make_branch("two")
    one["n"].put("both", "1")
    two["n"].put("both", "2")
    one.commit()
    two.commit()
    merged = source.merge([one, two])
    with pytest.raises(VersionConflict, match="both"):
        flatten_instance(source.instance("n"), merged, merged, name="flat")
    with pytest.raises(VersionLocked):
        flatten_instance(source.instance("n"), one, head, name="flat")
    with kernel() as there, pytest.raises(InvalidInputError):
        flatten_instance(source.instance("n"), there.repos.create().root, merged, name="flat")
    assert "flat" not in source.instances
    assert list(marks(store_of(source))) == []


def test_entries_of_unknown_versions_end_the_copy(source: Repo) -> None:
    """A row of a version that the repo does not have has no place in the target."""
    store_of(source).raw_put(data_key(source.instance("n").id, Note.TEXT.key(b"key10"), 99), b"?")
    with pytest.raises(CorruptData, match="version 99"):
        copy_instance(source.instance("n"), source, name="twin")


def test_instances_of_missing_datatypes_are_copied_too(tmp_path: Path) -> None:
    """Copying is about bytes: the datatype need not be installed."""
    with dvidkit.open(str(tmp_path / "a"), plugins=Plugins({"notes": _Notes()})) as here:
        repo = here.repos.create()
        repo.create_instance("note", "n")
        repo.root["n"].put("a", "b")
        wanted = rows(repo, "n")
    with dvidkit.open(str(tmp_path / "a")) as here:
        repo = next(iter(here.repos))
        copy_instance(repo.instance("n"), repo, name="twin")
        flatten_instance(repo.instance("n"), repo.root, repo.root, name="flat")
        assert rows(repo, "twin") == wanted == rows(repo, "flat")
