"""Nothing of a run is left behind, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvidkit_conformance.workdir import PREFIX, remove, sweep, workdir

_PATIENCE = 120.0


def _run(folder: Path) -> subprocess.Popen[bytes]:
    """A run of the kit that is at work in a directory below ``folder``."""
    command = [sys.executable, "-m", "dvidkit_conformance.cli", "memory", "--datatype", "none", "--workdir"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell has what it starts with & ignore it.
    try:
        run = subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, before)
    until = time.monotonic() + _PATIENCE
    while not list(folder.glob(f"{PREFIX}*/*/own*/journal")):
        assert run.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    return run


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_told_to_end(tmp_path: Path, sign: signal.Signals) -> None:
    """A run that is told to end does so at once, with a failure, and removes its directory."""
    run = _run(tmp_path)
    run.send_signal(sign)
    assert run.wait(_PATIENCE) != 0
    assert list(tmp_path.iterdir()) == []


def test_killed(tmp_path: Path) -> None:
    """What a killed run leaves, the next one removes; its children end by themselves."""
    run = _run(tmp_path)
    run.kill()
    run.wait(_PATIENCE)
    (left,) = tmp_path.iterdir()
    until = time.monotonic() + _PATIENCE
    while left.exists():
        sweep(tmp_path)
        assert time.monotonic() < until
    with workdir(tmp_path) as path:
        assert list(tmp_path.iterdir()) == [path]


def test_living_runs_keep_theirs(tmp_path: Path) -> None:
    """A directory that is held, one that is being made and what is none of a run's stay."""
    (tmp_path / f"{PREFIX}being-made").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "held").write_bytes(b"")
    with workdir(tmp_path) as first:
        assert sweep(tmp_path) == []
        with workdir(tmp_path) as second:
            assert first.is_dir()
            assert second.is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {f"{PREFIX}being-made", "other"}


def test_left_over(tmp_path: Path) -> None:
    """A directory whose lock nobody holds is removed; a link to one is not followed."""
    left, elsewhere = tmp_path / f"{PREFIX}left", tmp_path / "elsewhere"
    for folder in (left, elsewhere):
        folder.mkdir()
        (folder / "held").write_bytes(b"")
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    assert sweep(tmp_path) == [left]
    assert (elsewhere / "held").exists()


def test_remove_says_whether_it_is_gone(tmp_path: Path) -> None:
    """A directory is gone afterwards, or the answer says that it is not."""
    (tmp_path / "gone").mkdir()
    assert remove(tmp_path / "gone")
    assert remove(tmp_path / "never was")
