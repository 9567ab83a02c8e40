"""The power lane: an engine that forgets to sync is caught, one that cannot be recorded is untested."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kit import check
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.lanes.power import power
from dvidkit_conformance.powerloss import Disk, Inode
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.session import Violation
from dvidkit_filesystem.conformance import FilesystemCase, Recorder
from dvidkit_filesystem.engine import FilesystemEngine


class _NoSync(Recorder):
    """Files are never synced."""

    def sync(self, descriptor: int) -> None:
        """Nothing."""


class _NoDirectorySync(Recorder):
    """Directories are never synced."""

    def sync_directory(self, path: str) -> None:
        """Nothing."""


def _case(recorder: type[Recorder]) -> Callable[[Any], FilesystemCase]:
    class Case(FilesystemCase):
        """Recorded by another recorder."""

        def recorded(self, on_operation: Callable[[Disk, str], object]) -> Recorder:
            return recorder(on_operation)

    return lambda engine: Case()


@pytest.mark.parametrize("recorder", [_NoSync, _NoDirectorySync])
def test_what_is_not_synced_is_missed(
    recorder: type[Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that acknowledges what may still be lost breaks DUR-5."""
    monkeypatch.setattr(sys.modules["dvidkit_conformance.lanes.power"], "case_of", _case(recorder))
    run = Run(Harness(FilesystemEngine(), tmp_path), PROFILES["ci"])
    with pytest.raises(Violation) as violation:
        power(run)
    assert violation.value.clause == "DUR-5"
    assert violation.value.program is not None


def test_what_takes_too_long_is_untested() -> None:
    """A native driver's power is not taken in the shortest profile: the clause says so, and is not passed."""
    pytest.importorskip("lmdb")
    report = check("lmdb", datatypes=[], profile="quick", clauses=["DUR-5"], isolate=False)
    result = report.engines[0].result("DUR-5")
    assert result.status == "untested"
    assert "longer profiles" in result.reason


def test_a_tail_of_zeros_is_among_the_losses() -> None:
    """A file may have grown without its content; pages may be there without those before them."""

    def lost(pieces: Sequence[bytes]) -> set[bytes]:
        inode = Inode(b"", [("write", 64 * n, piece) for n, piece in enumerate(pieces)])
        return {Disk.content(inode, random.Random(n), "some") for n in range(200)}

    found = lost([b"a" * 64, b"b" * 64])
    assert {b"", b"a" * 64, bytes(64), bytes(128), bytes(64) + b"b" * 64, b"a" * 64 + bytes(64)} <= found
