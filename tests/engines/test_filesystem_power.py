"""Loss of power and failing operations, replayed for the filesystem engine through its ``Files``.

The model of the disk is the kit's (``dvidkit_conformance.powerloss``), whose power lane (DUR-5) replays every loss of
many programs in the nightly profile; here it is one program, and what a lane does not know of this engine.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from dvidkit_conformance.powerloss import MOODS, Disk
from dvidkit_filesystem.conformance import Recorder
from dvidkit_filesystem.engine import FilesystemEngine
from dvidkit_filesystem.files import Files

from dvidkit.engine import StoreConfig
from dvidkit.errors import CorruptData, StoreError, StoreFull, StorePoisoned

END: Final = b"\xff" * 8

Batch = list[tuple[bytes, bytes | None]]
State = dict[bytes, bytes]


@dataclass
class Run:
    """A program while it runs: the state after each write, and which of them are acknowledged."""

    states: list[State] = field(default_factory=lambda: [{}])
    acknowledged: int = 0
    safe: int = 0

    def write(self, store: Any, batch: Batch, *, durable: bool) -> None:
        """Write, and keep account."""
        state = dict(self.states[-1])
        for key, value in batch:
            state.pop(key, None)
            if value is not None:
                state[key] = value
        self.states.append(state)
        store.write(batch, durable=durable)
        self.acknowledged += 1
        if durable:
            self.safe = self.acknowledged

    def legal(self) -> list[State]:
        """What a loss of power may leave now: a prefix of the writes that has all durable ones."""
        return self.states[self.safe : self.acknowledged + 2]


def programs(seed: int, length: int) -> Iterator[tuple[Batch, bool]]:
    """Batches that overwrite, delete, fill journals of four kilobytes and have them cleaned."""
    chance = random.Random(seed)
    for _ in range(length):
        size = chance.choice([1, 1, 2, 8])
        keys = [b"%02d" % chance.randrange(25) for _ in range(size)]
        values = [
            chance.choice([None, b"", chance.randbytes(20), chance.randbytes(chance.randrange(900))]) for _ in keys
        ]
        yield list(zip(keys, values, strict=True)), chance.random() < 0.4


class NoSync(Files):
    """Files that are as good as on disk."""

    def sync(self, descriptor: int) -> None:
        """Not for tests."""

    def sync_directory(self, path: str) -> None:
        """Not for tests."""


def opened(folder: Path, files: Files | None = None) -> Any:
    """The store there."""
    options = {"journal_size": 4096}
    return FilesystemEngine(files or NoSync()).open(StoreConfig("filesystem", str(folder), options=options))


def rows(store: Any) -> State:
    """All rows."""
    return dict(store.scan(b"\x00", END))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A store that was just made."""
    opened(tmp_path / "base").close()
    return tmp_path / "base"


class Lab:
    """Puts contents in the place of a store's files and opens it."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.path = folder / "crashed"
        shutil.copytree(base, self.path)

    def opened(self, content: dict[str, bytes], files: Recorder | None = None) -> Any:
        """The store with these files."""
        data = self.path / "data"
        for name in set(os.listdir(data)) - content.keys():
            (data / name).unlink()
        for name, piece in content.items():
            (data / name).write_bytes(piece)
        if files is not None:
            files.load(str(data))
        return opened(self.path, files)


def contents(path: Path) -> dict[str, bytes]:
    """The store's own files."""
    return {file.name: file.read_bytes() for file in (path / "data").iterdir()}


class TestPowerLoss:
    @pytest.mark.parametrize("seed", [0])
    def test_every_prefix_of_operations(self, base: Path, tmp_path: Path, seed: int) -> None:
        """Before every operation on a file: whatever part of the unsynced is lost, a legal state comes back.

        All that was written durably is there, of the rest a prefix, no batch in part; and the store goes on.
        """
        chance = random.Random(seed)
        lab, run = Lab(base, tmp_path), Run()
        checked = [0]
        seen: set[str] = set()

        def crash(disk: Disk, what: str) -> None:
            seen.add(what)
            for mood in MOODS:
                store = lab.opened(disk.after_crash(chance, mood))
                found = rows(store)
                assert found in run.legal(), f"seed {seed}, before {what}, write {run.acknowledged}, {mood}"
                store.write([(b"after", b"crash")], durable=True)
                store.close()
                checked[0] += 1

        files = Recorder(crash)
        work = tmp_path / "work"
        shutil.copytree(base, work)
        files.load(str(work / "data"))
        store = opened(work, files)
        for batch, durable in programs(seed, 30):
            run.write(store, batch, durable=durable)
        store.close()
        run.safe = run.acknowledged
        crash(files.disk, "the end")
        assert checked[0] > 200
        assert {"create", "write", "sync", "sync directory", "rename", "unlink"} <= seen

    @pytest.mark.parametrize("seed", [0])
    def test_crash_in_recovery(self, base: Path, tmp_path: Path, seed: int) -> None:
        """A second loss of power while the store is being opened after the first: what was safe is safe."""
        chance = random.Random(seed)
        lab, run = Lab(base, tmp_path), Run()
        again = Lab(base, tmp_path / "again")
        disks: list[tuple[Disk, list[State]]] = []
        files = Recorder(lambda disk, _: disks.append((deepcopy(disk), run.legal())))
        work = tmp_path / "work"
        shutil.copytree(base, work)
        files.load(str(work / "data"))
        store = opened(work, files)
        for batch, durable in programs(seed, 40):
            run.write(store, batch, durable=durable)
        store.close()
        for disk, legal in disks[:: max(1, len(disks) // 60)]:
            content = disk.after_crash(chance, "some")
            second: list[Disk] = []
            lab.opened(content, Recorder(lambda disk, _, second=second: second.append(deepcopy(disk)))).close()
            for later in second:
                store = again.opened(later.after_crash(chance, chance.choice(MOODS)))
                assert rows(store) in legal
                store.close()


class Failing(Files):
    """Fails at the n-th operation that changes anything, and from then on if it is to stay; a write does a part."""

    def __init__(self, at: int, error: int, *, stays: bool = False) -> None:
        self.left = at
        self.failed = 0
        self._error = error
        self._stays = stays

    def _may_fail(self) -> None:
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self._stays):
            self.failed += 1
            raise OSError(self._error, os.strerror(self._error))

    def write(self, descriptor: int, pieces: Sequence[bytes], offset: int) -> None:
        try:
            self._may_fail()
        except OSError:
            whole = b"".join(pieces)
            super().write(descriptor, [whole[: len(whole) // 2]], offset)
            raise
        super().write(descriptor, pieces, offset)

    def create(self, path: str) -> int:
        self._may_fail()
        return super().create(path)

    def truncate(self, descriptor: int, size: int) -> None:
        self._may_fail()
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        self._may_fail()

    def sync_directory(self, path: str) -> None:
        self._may_fail()

    def rename(self, source: str, target: str) -> None:
        self._may_fail()
        super().rename(source, target)

    def unlink(self, path: str) -> None:
        self._may_fail()
        super().unlink(path)


class TestFailingOperations:
    @pytest.mark.parametrize("stays", [False, True])
    @pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
    def test_at_each_operation(self, base: Path, tmp_path: Path, error: int, stays: bool) -> None:
        """Whichever operation fails: an error of ours or none, reads go on, and after reopening all is as it was told.

        What was acknowledged is there. What was refused is not, but for one batch whose sync failed and could not be
        cut off again.
        """
        failures = 0
        for at in range(1, 400):
            work = tmp_path / f"work{at}"
            shutil.copytree(base, work)
            files = Failing(at, error, stays=stays)
            try:
                store = opened(work, files)
            except StoreError:
                failures += 1
                assert rows(opened(work)) == {}
                continue
            state: State = {}
            doubtful: list[State] = []
            for batch, durable in programs(5, 45):
                try:
                    store.write(batch, durable=durable)
                except StorePoisoned:
                    pass
                except StoreFull if error == errno.ENOSPC else StoreError:  # noqa: B030
                    doubtful.append(applied(state, batch))
                else:
                    state = applied(state, batch)
                    doubtful.clear()
                assert rows(store) == state
            store.close()
            failures += bool(files.failed)
            store = opened(work)
            found = rows(store)
            assert found == state or (error == errno.EIO and found in doubtful) or (stays and found in doubtful)
            store.write([(b"after", b"1")], durable=True)
            store.close()
            store = opened(work)
            assert rows(store) == {**found, b"after": b"1"}
            store.close()
            shutil.rmtree(work)
            if not files.failed:
                break
        assert failures > 60

    def test_no_room(self, base: Path, tmp_path: Path) -> None:
        """A write for which there is no room leaves no trace, and the next smaller one is made, without reopening."""
        files = Failing(10**9, errno.ENOSPC)
        store = opened(base, files)
        store.write([(b"k", b"v")], durable=True)
        for n in range(20):
            files.left = 1
            with pytest.raises(StoreFull):
                store.write([(b"k", b"x" * 500), (b"n", b"x")], durable=n % 2 == 0)
            assert rows(store) == {b"k": b"v"} | {b"%d" % m: b"v" for m in range(n)}
            store.write([(b"%d" % n, b"v")], durable=n % 3 == 0)
        store.close()
        store = opened(base)
        assert rows(store) == {b"k": b"v"} | {b"%d" % n: b"v" for n in range(20)}
        assert store.report.dropped_bytes == 0
        store.close()

    def test_a_failed_sync_is_not_tried_again(self, base: Path) -> None:
        """After it nothing is written until the store was opened again; then what is there is written once more."""
        files = Failing(10**9, errno.EIO)
        store = opened(base, files)
        store.write([(b"a", b"1")], durable=True)
        store.write([(b"b", b"2")], durable=False)
        files.left = 2
        with pytest.raises(StoreError):
            store.write([(b"c", b"3")], durable=True)
        for durable in (True, False):
            with pytest.raises(StorePoisoned):
                store.write([(b"d", b"4")], durable=durable)
        with pytest.raises(StorePoisoned):
            store.compact(b"\x00", END)
        assert rows(store) == {b"a": b"1", b"b": b"2"}
        store.close()
        written: list[str] = []
        recorder = Recorder(lambda _, what: written.append(what))
        recorder.load(str(base / "data"))
        store = opened(base, recorder)
        assert written[:2] == ["write", "sync"]
        assert rows(store) == {b"a": b"1", b"b": b"2"}
        assert store.report.recovered == 1
        store.close()


def applied(state: State, batch: Batch) -> State:
    """The state after the batch."""
    state = dict(state)
    for key, value in batch:
        state.pop(key, None)
        if value is not None:
            state[key] = value
    return state


class TestTornOrDamaged:
    """A crash leaves a torn end; damage is anything else. One is dropped, the other reported."""

    @pytest.fixture
    def killed(self, base: Path) -> Path:
        """A store whose process died: ten durable writes, then ten buffered ones."""
        store = opened(base)
        for n in range(20):
            store.write([(b"%02d" % n, b"v" * 150)], durable=n < 10)
        frozen = base.parent / "killed"
        shutil.copytree(base, frozen)
        store.close()
        return frozen

    @staticmethod
    def journal(path: Path) -> Path:
        """The only journal."""
        return path / "data" / "journal-00000001"

    def test_nothing_wrong(self, killed: Path) -> None:
        """After a kill everything is there."""
        store = opened(killed)
        assert len(rows(store)) == 20
        assert store.report.recovered == 10
        assert store.report.dropped_bytes == 0
        store.close()

    def test_cut_at_every_length(self, killed: Path, tmp_path: Path) -> None:
        """Within the durable part: damage. Behind it: the records up to there, and how many bytes were dropped."""
        lab, files, name = Lab(killed, tmp_path), contents(killed), "journal-00000001"
        outcomes = []
        for length in range(len(files[name]) + 1):
            try:
                store = lab.opened({**files, name: files[name][:length]})
            except CorruptData:
                outcomes.append(-1)
            else:
                found = len(rows(store))
                assert sorted(rows(store)) == [b"%02d" % n for n in range(found)]
                outcomes.append(found)
                store.close()
        assert outcomes == sorted(outcomes)
        assert set(outcomes) == {-1, *range(10, 21)}

    @pytest.mark.parametrize("filler", [b"\0", b"\xff", b"dvR1"])
    def test_a_tail_that_was_never_written(self, killed: Path, filler: bytes) -> None:
        """Zeros, or anything that is no record, behind the last record: dropped and counted."""
        with open(self.journal(killed), "ab") as file:
            file.write(filler * 1000)
        store = opened(killed)
        assert len(rows(store)) == 20
        assert store.report.dropped_bytes == 1000 * len(filler)
        store.close()
        assert opened(killed).report.dropped_bytes == 0

    def test_a_hole_among_buffered_writes(self, killed: Path) -> None:
        """Pages that were lost among writes that nobody was promised: everything from there on is dropped."""
        data = bytearray(self.journal(killed).read_bytes())
        size = len(data) // 20
        data[size * 14 : size * 14 + 100] = bytes(100)
        self.journal(killed).write_bytes(data)
        store = opened(killed)
        assert sorted(rows(store)) == [b"%02d" % n for n in range(13)] or len(rows(store)) in (13, 14)
        assert store.report.dropped_bytes > 5 * size
        store.close()

    def test_a_hole_among_durable_writes(self, killed: Path) -> None:
        """The same where it was promised: damage, found out even without the mark."""
        data = bytearray(self.journal(killed).read_bytes())
        size = len(data) // 20
        data[size * 4 : size * 4 + 100] = bytes(100)
        self.journal(killed).write_bytes(data)
        with pytest.raises(CorruptData):
            opened(killed)
        stale = opened(killed.parent / "base")
        stale.close()

    def test_a_stale_mark_does_not_hide_damage(self, base: Path, tmp_path: Path) -> None:
        """Where the mark of before the durable writes is all there is, the records behind the damage tell."""
        store = opened(base)
        stale = (base / "data" / "acknowledged").read_bytes()
        for n in range(20):
            store.write([(b"%02d" % n, b"v" * 150)], durable=True)
        frozen = tmp_path / "frozen"
        shutil.copytree(base, frozen)
        store.close()
        (frozen / "data" / "acknowledged").write_bytes(stale)
        data = bytearray(self.journal(frozen).read_bytes())
        data[len(data) // 2] ^= 1
        self.journal(frozen).write_bytes(data)
        with pytest.raises(CorruptData, match="behind it is whole"):
            opened(frozen)


class TestEveryByte:
    """Each byte of each file of a small store that was closed, changed once."""

    @pytest.fixture
    def made(self, base: Path) -> Path:
        """Some kilobytes in two journals: short and long values, deletions, a batch of several."""
        store = opened(base)
        for n in range(12):
            batch: Batch = [
                (b"%02d" % n, b"short"),
                (b"long%02d" % n, b"v" * (100 + 40 * n)),
                (b"%02d" % (n - 3), None),
            ]
            store.write(batch, durable=True)
        store.close()
        return base

    @staticmethod
    def outcome(lab: Lab, files: dict[str, bytes], expected: State) -> str:
        """``whole``, or how it is said that it is not; anything else is a failure."""
        try:
            store = lab.opened(files)
        except StoreError:
            return "refused"
        try:
            found: State | None = rows(store)
        except CorruptData:
            found = None
        for key, value in expected.items():
            try:
                assert store.get(key) == value
            except CorruptData:
                assert found is None
        store.close()
        assert found in (None, expected)
        return "whole" if found is not None else "reported"

    @pytest.mark.parametrize("change", ["flip", "zero", "cut"])
    def test_is_found_or_of_no_consequence(self, made: Path, tmp_path: Path, change: str) -> None:
        """Never a wrong value, never a row less or more without an error."""
        store = opened(made)
        expected = rows(store)
        store.close()
        lab, files = Lab(made, tmp_path), contents(made)
        outcomes: dict[str, set[str]] = {name: set() for name in files}
        for name, whole in files.items():
            for at in range(0, len(whole), 7 if change == "zero" else 1):
                if change == "flip":
                    data = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
                elif change == "zero":
                    data = whole[:at] + bytes(min(40, len(whole) - at)) + whole[at + 40 :]
                else:
                    data = whole[:at]
                if data != whole:
                    outcomes[name].add(self.outcome(lab, {**files, name: data}, expected))
        journals = [found for name, found in outcomes.items() if name.startswith("journal")]
        assert len(journals) >= 2
        assert outcomes["manifest"] == {"refused"}
        assert all("whole" not in found for found in journals)
        assert change == "cut" or set.union(*journals) == {"refused", "reported"}

    def test_every_file_missing(self, made: Path, tmp_path: Path) -> None:
        """Any file that is gone is missed."""
        for name in [file.name for file in (made / "data").iterdir()]:
            shutil.copytree(made, tmp_path / name)
            (tmp_path / name / "data" / name).unlink()
            with pytest.raises(CorruptData, match=name):
                opened(tmp_path / name)
