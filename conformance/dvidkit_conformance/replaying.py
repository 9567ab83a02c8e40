"""Replaying one program on one engine, in a child, so that a crash of a driver is an answer and not an end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

from dvidkit.engine import Engine
from dvidkit.plugins import Plugins
from dvidkit_conformance import lanes
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.journal import FileJournal, read
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.ops import Program
from dvidkit_conformance.outcome import Failure
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.results import show

_PATIENCE: Final = 300.0
"""Seconds after which a replay in another process counts as hanging."""


def replayed(program: Program, engine: str | Engine, *, isolate: bool = True) -> list[Failure]:
    """What the program violates: nothing, or one failure. Isolated, it runs in a child.

    Raises:
        UnknownEngine: not installed.
    """
    plugins = Plugins()
    found = plugins.engine(engine) if isinstance(engine, str) else engine
    with tempfile.TemporaryDirectory(prefix="dvidkit-replay-") as folder:
        if not isolate:
            return _here(program, found, plugins, Path(folder))
        named = isinstance(engine, str)
        code = _spawned(program, found.name, folder) if named else _forked(program, found, plugins, Path(folder))
        answer = Path(folder) / "answer"
        if answer.exists():
            return [Failure(**each) for each in json.loads(answer.read_text("utf-8"))]
        return [_died(read(Path(folder) / "journal") or program, code)]


def _here(program: Program, engine: Engine, plugins: Plugins, folder: Path, *, note: bool = False) -> list[Failure]:
    run = Run(Harness(engine, folder, plugins=plugins), PROFILES["quick"])
    if note:
        run.journal = FileJournal(folder / "journal")
    violation = lanes.replay(run, program)
    if violation is None:
        return []
    done = violation.program or program
    shown = show(violation.expected), show(violation.got)
    return [
        Failure(violation.clause or "?", "replay", *shown, violation.note, done.to_json(), done.lines(), minimal=True)
    ]


def _answer(program: Program, engine: Engine, plugins: Plugins, folder: Path) -> None:
    failures = [failure.to_json() for failure in _here(program, engine, plugins, folder, note=True)]
    (folder / "writing").write_text(json.dumps(failures), "utf-8")
    (folder / "writing").rename(folder / "answer")


def _spawned(program: Program, name: str, folder: str) -> int | None:
    command = [sys.executable, "-m", "dvidkit_conformance.replaying", name, folder]
    text = json.dumps(program.to_json()).encode()
    try:
        done = subprocess.run(command, input=text, capture_output=True, timeout=_PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


def _forked(program: Program, engine: Engine, plugins: Plugins, folder: Path) -> int:
    """For engines that are objects of this process and cannot be named to another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        _answer(program, engine, plugins, folder)
        code = 0
    finally:
        os._exit(code)


def _died(program: Program, code: int | None) -> Failure:
    """The failure of a replay that did not come to its end."""
    if code is None:
        how = f"no answer for {_PATIENCE:.0f} s: it hangs"
    elif code < 0:
        how = f"the process died of signal {-code} ({signal.Signals(-code).name})"
    else:
        how = f"the process ended with status {code}"
    wanted: dict[str, Any] = {"expected": "an answer or an error of the tree", "got": how}
    return Failure("?", "replay", **wanted, program=program.to_json(), steps=program.lines())


if __name__ == "__main__":
    _plugins = Plugins()
    _answer(Program.from_json(json.load(sys.stdin)), _plugins.engine(sys.argv[1]), _plugins, Path(sys.argv[2]))
