"""The repos of a kernel: making, naming, reloading, and several kernels at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest
from dvidkit_conformance.wrapping import wrapped
from dvidkit_lmdb import plugin as lmdb_plugin
from dvidkit_lmdb.engine import LmdbEngine
from dvidkit_memory.engine import MemoryEngine

from dvidkit import records, upkeep
from dvidkit.context import MetadataContext
from dvidkit.errors import (
    AmbiguousUUID,
    BadConfig,
    ConflictError,
    DvidkitError,
    InstanceExists,
    InvalidInputError,
    PluginLoadError,
    UnknownDatatype,
    UnknownInstance,
    UnknownUUID,
    UUIDExists,
    VersionLocked,
)
from dvidkit.findings import Damage
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit.verify import verify

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


def test_references(kernel: Kernel) -> None:
    """DAG-5: UUIDs, prefixes in any case, branches, ``~n`` and ``^n``."""
    repo = kernel.repos.create("repo", root="a" * 32)
    root = repo.root
    root.commit()
    one = root.new_version(uuid="AB" + "0" * 30)
    side = root.make_branch("side", uuid="ac" + "0" * 30)
    one.commit()
    side.commit()
    merged = repo.merge([one, side], uuid="b" * 32)
    wanted = {
        "a" * 32: root, "A" * 32: root, "aa": root, "AB": one, "ac": side, "b": merged, ":": merged, ":master": merged,
        ":side": side, "ab:side": side, "b~0": merged, "b~": one, "b~1": one, "b~2": root, "b^": one, "b^1": one,
        "b^2": side, "b^0": merged, "b^2~1": root, "b^2^1": root, ":master~2": root, ":master^2": root, ":^": one,
    }  # fmt: skip
    for reference, version in wanted.items():
        assert kernel.repos.resolve(reference) == version, reference
        assert kernel.repos[reference] is repo
    for unknown in ("", "c", "x", ":none", "b~3", "b^3", "a~1x", "a:b:c", "a~a", "~", "b^2^2", None, 5, "a:side~9"):
        with pytest.raises((UnknownUUID, AmbiguousUUID)):
            kernel.repos.resolve(unknown)  # type: ignore[arg-type]
    with pytest.raises(AmbiguousUUID) as caught:
        kernel.repos.resolve("a")
    assert caught.value.matches == ("a" * 32, one.uuid, side.uuid)
    assert kernel.repos.find(one.uuid) == one
    kernel.repos.create("second")
    with pytest.raises(UnknownUUID, match="names no repo"):
        kernel.repos.resolve(":master")


def test_refused_creations_change_nothing(kernel: Kernel) -> None:
    """A UUID or name that is taken or cannot be, a committed version, an unknown datatype: nothing is written."""
    repo = kernel.repos.create("repo", root="a" * 32)
    repo.create_instance("tally", "counts")
    other = kernel.repos.create("other")
    before = dump(kernel)
    refusals: list[tuple[Callable[[], object], type[DvidkitError]]] = [
        (lambda: kernel.repos.create(root="A" * 32), UUIDExists),
        (lambda: kernel.repos.create(root="a" * 31), InvalidInputError),
        (lambda: kernel.repos.create(root=5), InvalidInputError),  # type: ignore[arg-type]
        (lambda: repo.create_instance("tally", "counts"), InstanceExists),
        (lambda: repo.create_instance("nothing", "new"), UnknownDatatype),
        (lambda: repo.create_instance("tally", "new", other.root), InvalidInputError),
        (lambda: repo.create_instance("tally", "new", nonsense=1), BadConfig),
        *[(lambda name=name: repo.create_instance("tally", name), InvalidInputError)  # type: ignore[misc]
          for name in ("", " a", "a/b", "log", ".", "..", "a\n", "x" * 256, None)],
    ]  # fmt: skip
    for refused, error in refusals:
        with pytest.raises(error):
            refused()
        assert dump(kernel) == before
    repo.root.commit()
    before = dump(kernel)
    with pytest.raises(VersionLocked):
        repo.create_instance("tally", "new")
    assert dump(kernel) == before
    with pytest.raises(UnknownInstance):
        repo.instance("new")


def test_of_kernels_that_race_the_second_is_told(two: tuple[Kernel, Kernel]) -> None:
    """A change made from metadata that another process has changed is ``ConflictError``; read again, it succeeds."""
    mine, theirs = two
    repo = mine.repos.create("repo")
    before = dump(mine)
    with pytest.raises(ConflictError):
        theirs.repos.create("late")
    assert dump(mine) == before
    assert not theirs.repos.metadata.stale()
    assert theirs.repos.known(repo.uuid)
    late = theirs.repos.create("late")
    assert late.id == repo.id + 1
    assert late.root.id == repo.root.id + 1


def test_instances_made_by_many_threads_have_ids_of_their_own(kernel: Kernel) -> None:
    """Sixteen threads make instances, the same names among them: each name once, each id once, as many as succeeded."""
    repo = kernel.repos.create("repo")
    made: list[int] = []

    def make(thread: int) -> None:
        for number in range(5):
            try:
                made.append(repo.create_instance("tally", f"name {(thread + number) % 20}").id)
            except InstanceExists:
                continue

    threads = [threading.Thread(target=make, args=(thread,), daemon=True) for thread in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == len(set(made)) == len(repo.instances) == 20


def test_a_repo_is_the_same_after_opening_it_again(make_kernel: MakeKernel) -> None:
    """DAG-4: versions, branches, notes, instances, settings and counters survive; a missing datatype only when used."""
    first = make_kernel(LmdbEngine())
    repo = first.repos.create("repo", "text", root="a" * 32, passcode="word")
    repo.create_instance("tally", "counts", Tags="a=1")
    repo.root["counts"].add("x", 3)
    repo.root.commit("note", ["line"])
    side = repo.root.make_branch("side")
    nodes, mutation = dict(repo.nodes), repo.next_mutation_id()
    first.close()
    again = make_kernel(LmdbEngine()).repos["a" * 32]
    assert (again.record, again.nodes) == (repo.record, nodes)
    assert again.head("side").uuid == side.uuid
    assert again.root["counts"].count("x") == 3
    assert again.instance("counts").settings == repo.instance("counts").settings
    assert again.next_mutation_id() > mutation
    again.repos.kernel.close()
    with (
        Kernel(
            again.repos.kernel.stores["default"].config, plugins=Plugins({"e": lmdb_plugin}, installed=False)
        ) as bare,
        pytest.raises(PluginLoadError, match="tally"),
    ):
        _ = bare.repos["a" * 32].root["counts"]


@pytest.mark.parametrize("lost", ["repo", "root", "middle"])
def test_records_that_belong_to_nothing_are_left_out(
    make_kernel: MakeKernel, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    """A kernel opens although a record that others hang on is gone: these are named, left out, and found by verify."""
    engine = wrapped(MemoryEngine(), shared=True)
    kernel = make_kernel(engine)
    kept = kernel.repos.create("kept")
    kept.create_instance("tally", "counts")
    repo = kernel.repos.create("hurt")
    repo.create_instance("tally", "counts")
    repo.root.commit()
    middle = repo.root.new_version()
    middle.commit()
    middle.new_version()
    tkey = {
        "repo": records.repo_tkey(repo.id),
        "root": records.node_tkey(repo.id, repo.root.id),
        "middle": records.node_tkey(repo.id, middle.id),
    }[lost]
    kernel.stores["default"].delete(MetadataContext(), tkey)
    again = make_kernel(engine)
    left = {"repo": ["version", "version", "version", "instance"], "root": ["version", "version", "repo", "instance"]}
    said = [record.message for record in caplog.records if record.name == "dvidkit.kernel.repos"]
    assert [text.split()[0] for text in said] == left.get(lost, ["version"])
    assert {each.alias for each in again.repos} == ({"kept", "hurt"} if lost == "middle" else {"kept"})
    again.repos.resolve(kept.uuid)["counts"].add("a")
    again.repos.create("new").create_instance("tally", "counts")
    again.repos.reload()
    damage = {each.damage for each in verify(again.stores["default"]).findings}
    assert Damage.INCONSISTENT in damage
