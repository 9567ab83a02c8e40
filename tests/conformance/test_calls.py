"""Failing system calls: engines that are wrong then are caught by DUR-8, and a right one is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kit import check
from dvidkit_conformance.lanes import Run, calls
from dvidkit_conformance.lanes.calls import failing_calls, killed_at_calls, spread
from dvidkit_conformance.lanes.preload import Control, NoPreload, environment, library
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.session import Violation

_FAULTS = ("IgnoresSync", "RetriesSync", "LeavesErrors", "WritesInPlace", "BelievesShortWrites")


@pytest.fixture
def faults(tmp_path: Path, importable: Callable[[str], Any]) -> Any:
    """The module of the engines, which a fresh interpreter finds too."""
    try:
        library(tmp_path)
    except NoPreload as error:
        pytest.skip(f"NOT TESTED: {error}")
    return importable("callfaults")


def test_the_ground_is_sound(faults: Any, tmp_path: Path) -> None:
    """The engine from which the faults derive goes on after every error."""
    run = Run(Harness(faults.engine(faults.Safe), tmp_path), PROFILES["ci"])
    failing_calls(run)
    assert (run.untested, run.missing) == ("", [])
    assert run.probes["failed"] >= 15
    assert {"open", "write", "fsync", "rename"} <= set(run.probes)


@pytest.mark.parametrize("name", _FAULTS)
def test_caught(name: str, faults: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault breaks DUR-8, by the call that shows it."""
    assert {fault.__name__ for fault in faults.FAULTS} == set(_FAULTS)
    monkeypatch.setattr("dvidkit_conformance.lanes.calls._TRIALS", (0, 1 << 30, 0))
    if name == "BelievesShortWrites":
        monkeypatch.setattr(calls, "_WAYS", calls._WAYS[::-1])  # what shows it comes first
    run = Run(Harness(faults.engine(getattr(faults, name)), tmp_path), PROFILES["ci"])
    with pytest.raises(Violation) as violation:
        failing_calls(run)
    assert violation.value.clause == "DUR-8"
    assert violation.value.program is not None
    shown = {"IgnoresSync": "fsync", "RetriesSync": "fsync", "BelievesShortWrites": "write"}
    assert f"{shown.get(name, ' ')} of" in violation.value.note or name not in shown


def test_a_wait_that_is_left_out_is_found(faults: Any, tmp_path: Path) -> None:
    """A durable write without a wait for the disk breaks DUR-5, though no call fails; one that changes nothing not."""
    failing_calls(Run(Harness(faults.engine(faults.WritesChanges), tmp_path), PROFILES["quick"]))
    run = Run(Harness(faults.engine(faults.SkipsSyncs), tmp_path), PROFILES["quick"])
    with pytest.raises(Violation, match="waits for the disk") as violation:
        failing_calls(run)
    assert violation.value.clause == "DUR-5"


@pytest.mark.parametrize(
    "call", ["os.pwritev(f, [b'x'], 0)", "os.pwrite(f, b'x', 0)", "os.writev(f, [b'x'])", "os.write(f, b'x')"]
)
def test_every_way_of_writing_is_seen(call: str, tmp_path: Path) -> None:
    """What Python calls for each is in the library: a write that it does not see never fails."""
    try:
        made = library(tmp_path)
    except NoPreload as error:
        pytest.skip(f"NOT TESTED: {error}")
    control = Control.made(tmp_path / "control")
    below = tmp_path / "below"
    below.mkdir()
    program = f"import os; f = os.open({str(below / 'file')!r}, os.O_RDWR | os.O_CREAT); {call}; os.fsync(f)"
    env = dict(environment(made, control, below))
    control.arm(0)
    subprocess.run([sys.executable, "-c", program], env=env, check=True)
    assert (control.writes, control.syncs) == (1, 1)


def test_killed_at_calls(faults: Any, tmp_path: Path) -> None:
    """A batch that is written in parts is found torn, where the process is killed between them."""
    right = Run(Harness(faults.engine(faults.Safe), tmp_path), PROFILES["ci"])
    killed_at_calls(right)
    assert right.probes["failed"] >= 10
    with pytest.raises(Violation) as violation:
        killed_at_calls(Run(Harness(faults.engine(faults.LargeOnesInParts), tmp_path), PROFILES["ci"]))
    assert violation.value.clause == "BATCH-9"
    assert "kills the process" in violation.value.note


def test_without_a_compiler_it_is_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clause says what is missing, and is neither passed nor failed."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    report = check("filesystem", datatypes=[], profile="quick", clauses=["DUR-8"], isolate=False)
    result = report.engines[0].result("DUR-8")
    assert result.status == "untested"
    assert "no C compiler" in result.reason


def test_an_engine_of_this_process_alone_is_untested(faults: Any, tmp_path: Path) -> None:
    """It cannot be given to an interpreter that was begun with the library."""
    own = type("Own", (faults.Safe,), {})
    run = Run(Harness(faults.engine(own), tmp_path), PROFILES["quick"])
    failing_calls(run)
    assert "another process" in run.untested


def test_numbers_are_spread() -> None:
    """The first, the last, and evenly between; all if there are few."""
    assert spread(5, 12) == [1, 2, 3, 4, 5]
    assert spread(100, 4) == [1, 34, 67, 100]
    assert spread(100, 1) == [1]
    assert spread(0, 3) == []
