"""Copies of whole stores: identical afterwards, harmless to the source, continued after a kill, refused in time."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import dvidkit
from dvidkit.context import DataContext, MetadataContext, VersionedContext
from dvidkit.copymarks import WHOLE, marks, refuse_unfinished
from dvidkit.datatype import Datatype
from dvidkit.drivers import ready
from dvidkit.engine import Capabilities, Engine, Limits, Loss, StoreConfig
from dvidkit.errors import AlreadyExistsError, CorruptData, InvalidInputError, LimitError, StoreMismatch
from dvidkit.hookspecs import hookimpl
from dvidkit.kernel import Kernel
from dvidkit.keys import TKeyClass, data_key
from dvidkit.mutationlog import MutationLog
from dvidkit.plugins import Plugins
from dvidkit.rowcopy import CopyProgress
from dvidkit.store import Store
from dvidkit.transfer import copy_store
from dvidkit.verify import verify
from dvidkit.versions import VersionDAG

_END = b"\xff" * 40
ENGINES = tuple(ready(Plugins().engines))
PERSISTENT = tuple(name for name in ENGINES if Plugins().engine(name).capabilities.durable is not Loss.NONE)


class Note(Datatype):
    """Texts by name."""

    typename = "note"
    TEXT = TKeyClass(200, "text of a name", terminator=0)
    tkey_classes = (TEXT,)

    def put(self, name: str, text: str) -> None:
        with self.mutation("note") as m:
            m.put(self.TEXT.key(name.encode()), text.encode())


class _Notes:
    @hookimpl
    def dvidkit_datatypes(self) -> list[type[Datatype]]:
        return [Note]


def plugins() -> Plugins:
    """Those installed, and ``note``."""
    return Plugins({"notes": _Notes()})


def opened(engine: str, path: Path, **settings: object) -> Store:
    """A store of an installed engine."""
    return Store(Plugins().engine(engine), StoreConfig(engine, str(path), **settings))  # type: ignore[arg-type]


def filled(store: Store) -> None:
    """Every key space, several versions, tombstones, empty values, and values larger than a batch of small ones."""
    dag = VersionDAG({1: (), 2: (1,), 3: (1,), 4: (2, 3)})
    at = {version: VersionedContext(7, version, dag) for version in (1, 2, 3, 4)}
    store.put_range(at[1], [(b"key%04d" % i, b"%d" % i * (i % 5)) for i in range(3000)])
    store.put(at[2], b"key0001", b"")
    store.delete(at[3], b"key0002")
    store.delete(at[3], b"never there")
    store.put(at[4], b"key0003", os.urandom(300_000))
    store.put(DataContext(8), b"unversioned", b"\x03\x4f\x00")
    store.put(DataContext(0xFFFFFFFE), b"last instance", b"x")
    store.put(MetadataContext(), b"\x30\x01about", b"metadata")
    store.put_blob(b"")
    store.put_blob(os.urandom(100_000))


def dump(store: Store) -> list[tuple[bytes, bytes | None]]:
    """Every raw row."""
    return list(store.raw_range_query(b"\x00", _END))


def everything(store: Store) -> list[tuple[bytes, bytes]]:
    """Every stored row, dvidkit's own too."""
    with store.instant() as access:
        return [row for page in access.pages(b"\x00", _END) for row in page]  # type: ignore[misc]


@pytest.mark.parametrize(("here", "there"), list(itertools.product(ENGINES, ENGINES)))
@pytest.mark.parametrize("sealed", [(True, True), (True, False), (False, True)], ids=str)
def test_a_copy_is_identical_and_the_source_unchanged(
    here: str, there: str, sealed: tuple[bool, bool], tmp_path: Path
) -> None:
    """CPY-1, CPY-5: for every ordered pair of engines the raw dumps are equal, and the source's is what it was."""
    with opened(here, tmp_path / "a", integrity=sealed[0]) as source:
        filled(source)
        before = dump(source)
        with opened(there, tmp_path / "b", integrity=sealed[1]) as target:
            seen: list[CopyProgress] = []
            report = copy_store(source, target, on_progress=seen.append)
            assert dump(target) == before == dump(source)
            assert (report.rows, report.written, report.resumed) == (len(before), len(before), False)
            assert list(marks(target)) == []
            assert verify(target).ok
            assert {step.phase for step in seen} >= {"copy", "compare"}
            assert seen[-1].rows == len(before)


def test_a_copied_store_is_used_like_its_source(tmp_path: Path) -> None:
    """Repos, DAG, instances, notes and the mutation log are in the copy, and it can be written."""
    with dvidkit.open(str(tmp_path / "a"), plugins=plugins()) as kernel:
        repo = kernel.repos.create("one")
        repo.create_instance("note", "n")
        repo.root["n"].put("a", "first")
        repo.root.commit("done")
        repo.root.new_version()["n"].put("a", "second")
        log = [record.to_json() for record in MutationLog(kernel.stores["default"]).after(0)]
    with opened("lmdb", tmp_path / "a", create=False) as source, opened("lmdb", tmp_path / "b") as target:
        copy_store(source, target)
    with dvidkit.open(str(tmp_path / "b"), create=False, plugins=plugins()) as kernel:
        head = kernel.repos.resolve(":master")
        assert head["n"].store.get(head["n"].ctx, Note.TEXT.key(b"a")) == b"second"
        assert [record.to_json() for record in MutationLog(kernel.stores["default"]).after(0)] == log
        assert len(log) > 3
        head["n"].put("b", "third")
        head.repo.create_instance("note", "n2")
        assert verify(kernel.stores["default"]).findings == ()


def test_only_an_empty_target_is_filled(tmp_path: Path) -> None:
    """A target with data, of any key space, is refused and stays as it was."""
    with opened("memory", tmp_path) as source:
        filled(source)
        for key in (data_key(1, b"k", 1), b"\x00k", b"\x02" + bytes(16)):
            with opened("memory", tmp_path) as target:
                target.raw_put(key, b"mine")
                with pytest.raises(AlreadyExistsError, match="only copied to an empty one"):
                    copy_store(source, target)
                assert dump(target) == [(key, b"mine")]
                assert list(marks(target)) == []


def test_a_store_is_not_copied_to_itself(tmp_path: Path) -> None:
    """Source and target must be two stores."""
    with opened("memory", tmp_path) as store, pytest.raises(InvalidInputError, match="to itself"):
        copy_store(store, store)


def test_keys_over_the_targets_limit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """CPY-6: the error names the key; the target is as empty as it was."""
    with opened("memory", tmp_path) as source, opened("lmdb", tmp_path / "b") as target:
        filled(source)
        source.put(DataContext(5), b"k" * 600, b"")
        empty = everything(target)
        with pytest.raises(LimitError) as caught:
            copy_store(source, target)
        assert (caught.value.what, caught.value.limit, caught.value.got) == ("max_key", 511, 614)
        assert everything(target) == empty


class _Small(Engine):
    """The memory engine with other limits."""

    name = "small"
    capabilities = Capabilities(durable=Loss.NONE, buffered=Loss.NONE)

    def __init__(self, **limits: int) -> None:
        self.limits = Limits(**limits)  # type: ignore[misc]

    def open(self, config: StoreConfig):  # type: ignore[no-untyped-def]
        return Plugins().engine("memory").open(StoreConfig("memory"))


@pytest.mark.parametrize("limits", [{"max_value": 1000}, {"max_batch_bytes": 2000}], ids=str)
def test_values_over_a_limit_are_refused_too(limits: dict[str, int], tmp_path: Path) -> None:
    """So are values, and rows that no batch can hold."""
    with opened("memory", tmp_path) as source, Store(_Small(**limits), StoreConfig("small")) as target:
        source.put(DataContext(1), b"k", bytes(5000))
        with pytest.raises(LimitError) as caught:
            copy_store(source, target)
        assert caught.value.what == next(iter(limits))
        assert dump(target) == []


def test_small_batches_copy_all_the_same(tmp_path: Path) -> None:
    """Batches are cut to the target's limits of operations and bytes."""
    limits = {"max_batch_ops": 40, "max_batch_bytes": 400_000}
    with opened("memory", tmp_path) as source, Store(_Small(**limits), StoreConfig("small")) as target:
        filled(source)
        source.put_range(DataContext(9), [(b"big%d" % i, bytes(90_000)) for i in range(10)])
        copy_store(source, target)
        assert dump(target) == dump(source)


def test_a_damaged_source_is_not_copied(tmp_path: Path) -> None:
    """A value that fails its checksum ends the copy with its key; the target stays marked as unfinished."""
    with opened("memory", tmp_path) as source, opened("memory", tmp_path) as target:
        filled(source)
        key = data_key(7, b"key0007", 1)
        with source.instant() as access:
            stored = access.get(key)
        assert stored is not None
        source._life.bytes.write([(key, b"?" + stored[1:])], durable=False)
        with pytest.raises(CorruptData) as caught:
            copy_store(source, target)
        assert caught.value.key == key
        with pytest.raises(StoreMismatch, match="unfinished copy"):
            refuse_unfinished(target)


class _Interrupt(Exception):
    pass


def interrupted(source: Store, target: Store, after: int) -> None:
    """Copy, but stop when so many rows are copied."""

    def stop(step: CopyProgress) -> None:
        if step.phase == "copy" and step.rows >= after:
            raise _Interrupt

    with pytest.raises(_Interrupt):
        copy_store(source, target, on_progress=stop)


def test_an_interrupted_copy_goes_on_from_what_is_there(tmp_path: Path) -> None:
    """CPY-4: continued, it writes only what is missing or was changed in the source meanwhile."""
    with opened("memory", tmp_path) as source, Store(_Small(max_batch_ops=400), StoreConfig("small")) as target:
        filled(source)
        interrupted(source, target, 2000)
        there = len(dump(target))
        assert 500 < there < len(dump(source))
        with opened("memory", tmp_path) as other, pytest.raises(AlreadyExistsError, match="unfinished copy"):
            copy_store(other, target)
        with opened("memory", tmp_path) as other, pytest.raises(StoreMismatch, match="unfinished copy"):
            copy_store(target, other)
        assert [finding.damage for finding in verify(target).findings] == ["unfinished"]

        source.raw_delete(data_key(7, b"key0000", 1))
        source.raw_put(data_key(7, b"key0001", 1), b"changed meanwhile")
        report = copy_store(source, target)
        assert report.resumed
        assert report.written == len(dump(source)) - there + 2 + 1
        assert dump(target) == dump(source)
        assert verify(target).ok


def test_a_kernel_refuses_a_half_copied_store(tmp_path: Path) -> None:
    """Until the copy is complete the target is no store; the same copy makes it one."""
    with opened("lmdb", tmp_path / "a") as source, opened("lmdb", tmp_path / "b") as target:
        filled(source)
        interrupted(source, target, 1)
    with pytest.raises(StoreMismatch, match="run the same copy again"):
        Kernel(StoreConfig("lmdb", str(tmp_path / "b")))
    with opened("lmdb", tmp_path / "a") as source, opened("lmdb", tmp_path / "b") as target:
        copy_store(source, target)
    Kernel(StoreConfig("lmdb", str(tmp_path / "b"))).close()


_COPY = """
    import sys
    import time
    from dvidkit.engine import StoreConfig
    from dvidkit.plugins import Plugins
    from dvidkit.store import Store
    from dvidkit.transfer import copy_store

    def store(engine, path):
        return Store(Plugins().engine(engine), StoreConfig(engine, path))

    def tell(step):
        if step.phase == sys.argv[5] and step.rows >= int(sys.argv[6]):
            print("here", flush=True)
            time.sleep(60)

    with store(sys.argv[1], sys.argv[2]) as source, store(sys.argv[3], sys.argv[4]) as target:
        copy_store(source, target, on_progress=tell)
"""


@pytest.mark.parametrize("engine", PERSISTENT)
def test_a_copy_killed_at_any_moment_is_completed_by_the_next(engine: str, tmp_path: Path) -> None:
    """CPY-4 with kill -9: however often it is killed, the copy that ends is identical, and checks out."""
    with opened(engine, tmp_path / "a") as source:
        dag = VersionDAG({1: (), 2: (1,)})
        for version in (1, 2):
            at = VersionedContext(3, version, dag)
            source.put_range(at, [(b"key%05d" % i, os.urandom(2000)) for i in range(6000)])
        before = dump(source)
    command = [sys.executable, "-c", textwrap.dedent(_COPY), engine, str(tmp_path / "a"), engine, str(tmp_path / "b")]
    for phase, rows in (("copy", 1), ("copy", 3000), ("copy", 7000), ("copy", 12000), ("compare", 5000)):
        child = subprocess.Popen([*command, phase, str(rows)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        with opened(engine, tmp_path / "b") as target:
            assert [key for key, _ in marks(target)] == [None]
    subprocess.run([*command, "-", "0"], check=True, stdout=subprocess.DEVNULL)
    with opened(engine, tmp_path / "b") as target:
        assert dump(target) == before
        assert verify(target).ok
        with target.instant() as access:
            assert access.get(WHOLE) is None
