"""Who hangs is told from who is slow."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from dvidkit_conformance import patience
from dvidkit_conformance.patience import Patience, used


class Clock:
    """A time and a processor time that are set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.used = 100.0
        monkeypatch.setattr(patience, "used", lambda pid: self.used)
        monkeypatch.setattr(patience.time, "monotonic", lambda: self.now)

    def passes(self, seconds: float, used: float) -> None:
        """So much time, of which the process uses so much."""
        self.now += seconds
        self.used += used


@pytest.mark.parametrize(
    ("seconds", "used", "hangs"),
    [
        (29.0, 0.0, False),
        (31.0, 0.0, True),
        (31.0, 0.5, True),
        (31.0, 3.0, False),
        (29.9, 29.9, False),
        (31.0, 30.5, True),
        (290.0, 29.0, False),
        (301.0, 29.0, True),
    ],
)
def test_over(monkeypatch: pytest.MonkeyPatch, seconds: float, used: float, hangs: bool) -> None:
    """Still, in circles, or silent beyond everything; but not who gets a tenth of the machine and uses it."""
    clock = Clock(monkeypatch)
    waiting = Patience(1, 30.0)
    clock.passes(seconds, used)
    assert waiting.over is hangs


def test_a_word_begins_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used and waited before the last word does not count."""
    clock = Clock(monkeypatch)
    waiting = Patience(1, 30.0)
    clock.passes(29.0, 29.0)
    waiting.heard()
    clock.passes(29.0, 29.0)
    assert not waiting.over


def test_used() -> None:
    """Processor time is that of the process; none can be told of one that is not there."""
    before = used(os.getpid())
    while used(os.getpid()) == before:
        pass
    assert used(os.getpid()) > before
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert used(gone.pid) == 0.0


def test_who_stands_still_hangs() -> None:
    """A process that sleeps hangs as soon as the limit has passed, and is asked about more often than that."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as still:
        waiting = Patience(still.pid, 0.5)
        assert waiting.tick <= 0.5
        while not waiting.over:
            time.sleep(waiting.tick)
        still.communicate(b"\n")
