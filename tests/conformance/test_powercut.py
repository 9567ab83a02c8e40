"""Loss of power on a mounted image: what does not sync is caught, and without a mount nothing is claimed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kit import check
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.lanes.image import Image, copied, mounts, refusal, unmount_below, unmount_stale
from dvidkit_conformance.lanes.powercut import cuts
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.session import Violation

from dvidkit.engine import Engine
from dvidkit.plugins import Plugins

_DRIVERS = {"lmdb": "lmdb", "leveldb": "plyvel", "rocksdb": "rocksdict"}


@pytest.fixture
def mountable(tmp_path: Path) -> Iterator[Path]:
    """A directory in which images may be mounted, and are not any more afterwards."""
    refused = refusal(tmp_path / "try.img")
    if refused:
        pytest.skip(f"NOT TESTED: {refused}")
    yield tmp_path
    unmount_below(tmp_path)


def _engine(name: str) -> Engine:
    pytest.importorskip(_DRIVERS[name])
    return Plugins().engine(name)


@pytest.mark.parametrize("name", _DRIVERS)
def test_what_is_not_synced_is_missed(
    name: str, mountable: Path, importable: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that is not told to sync loses what it acknowledged: DUR-5, with the program."""
    monkeypatch.setattr("dvidkit_conformance.lanes.powercut._WRITTEN_BACK", 0.0)
    pytest.importorskip(_DRIVERS[name])
    run = Run(Harness(importable("careless").careless(name), mountable), PROFILES["ci"])
    with pytest.raises(Violation) as violation:
        cuts(run)
    assert violation.value.clause == "DUR-5"
    assert violation.value.program is not None
    assert len(violation.value.program.ops) > 4
    assert not [place for place in mounts() if mountable in place.parents]


@pytest.mark.parametrize("name", _DRIVERS)
def test_engines_keep_what_they_acknowledged(name: str, mountable: Path) -> None:
    """The engines as they are survive every cut of profile ci, and are mounted nowhere afterwards."""
    run = Run(Harness(_engine(name), mountable), PROFILES["ci"])
    cuts(run)
    assert (run.untested, run.missing) == ("", [])
    assert run.probes["cut"] == 6
    assert not [place for place in mounts() if mountable in place.parents]


def test_a_copy_is_what_was_synced(mountable: Path) -> None:
    """Of two files the one that was synced is on the copy; of the other not a byte."""
    image, copy = Image(mountable / "disk.img").made(), Image(mountable / "copy.img")
    image.mount()
    for name in ("synced", "unsynced"):
        with open(image.place / name, "wb") as file:
            file.write(name.encode() * 1000)
            file.flush()
            if name == "synced":
                os.fsync(file.fileno())
    image.copy(copy.file)
    image.unmount()
    copy.mount()
    assert (copy.place / "synced").read_bytes() == b"synced" * 1000
    unsynced = copy.place / "unsynced"
    assert not unsynced.exists() or not unsynced.read_bytes().strip(b"\0")
    copy.unmount()


def test_holes_are_not_copied(tmp_path: Path) -> None:
    """A copy is the same, and takes no room for holes."""
    source, target = tmp_path / "source", tmp_path / "target"
    with open(source, "wb") as file:
        file.truncate(64 << 20)
        os.pwrite(file.fileno(), b"begin", 0)
        os.pwrite(file.fileno(), b"middle", 20 << 20)
    copied(source, target)
    assert target.stat().st_size == 64 << 20
    assert target.stat().st_blocks * 512 < 8 << 20
    with open(target, "rb") as copy:
        assert copy.read(5) == b"begin"
        copy.seek(20 << 20)
        assert copy.read(6) == b"middle"


def test_what_a_killed_run_left_is_unmounted(mountable: Path) -> None:
    """An image whose process is gone is unmounted by the next run; one of a process that lives is not."""
    child = os.fork()
    if child == 0:
        Image(mountable / "left.img").made().mount()
        os._exit(0)
    os.waitpid(child, 0)
    ours = Image(mountable / "ours.img").made()
    ours.mount()
    assert len([place for place in mounts() if place.parent == mountable]) == 2
    unmount_stale()
    assert [place for place in mounts() if place.parent == mountable] == [ours.place]
    ours.unmount()


def test_without_the_right_to_mount_it_is_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing may be mounted the clause says why, and is neither passed nor failed."""
    pytest.importorskip("lmdb")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    report = check("lmdb", datatypes=[], profile="ci", clauses=["DUR-5"], isolate=False)
    result = report.engines[0].result("DUR-5")
    assert result.status == "untested"
    assert "only root may mount" in result.reason
