"""Running jobs in a process of their own, so that a crash or a hang of a driver is a failure and not an end.

The child sends a line of JSON when a job begins, now and then while it runs, and when it ends. If it dies or says
nothing for too long, the job it was at has failed, its journal is the program, and another child goes on with the rest.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
import warnings
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from dvidkit.engine import Engine
from dvidkit.plugins import Plugins
from dvidkit_conformance import journal
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.jobs import all_jobs
from dvidkit_conformance.nursery import Door, Kept, Nursery
from dvidkit_conformance.outcome import Failure
from dvidkit_conformance.patience import Patience
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.running import JobResult, Runner, as_data, from_data

REFERENCE: Final = "memory"


@dataclass(frozen=True, slots=True)
class Task:
    """Jobs for one engine, as one process runs them.

    Attributes:
        engine: name of an installed engine, or the engine object.
        folder: where its stores and its journal are.
        jobs: names, in order.
        profile, seed: see ``Runner``.
        datatypes: whose jobs may be among them.
        extra: datatype classes that are not installed.
        store_class: see ``Harness``.
    """

    engine: str | Engine
    folder: str
    jobs: tuple[str, ...]
    profile: str
    seed: int
    datatypes: tuple[str, ...] = ()
    extra: tuple[Any, ...] = ()
    store_class: Any = None

    def of(self, folder: str, jobs: Iterable[str]) -> Task:
        """The same with other jobs, in a folder of its own."""
        return replace(self, folder=folder, jobs=tuple(jobs))


def run_here(
    task: Task, *, alive: Callable[[], None] = lambda: None, started: Any = None, nursery: Door | None = None
) -> Iterator[JobResult]:
    """Run the jobs in this process."""
    from dvidkit.store import Store
    from dvidkit_conformance.datatypelane import datatype_jobs

    plugins = (nursery.plugins if nursery is not None else None) or Plugins()
    engine = plugins.engine(task.engine) if isinstance(task.engine, str) else task.engine
    profile, folder = PROFILES[task.profile], Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    harness = Harness(
        engine,
        folder,
        store_class=task.store_class or Store,
        scale=profile.scale,
        plugins=plugins,
        extra=task.extra,
        nursery=nursery,
    )
    reference: Harness | None = None
    if engine.name != REFERENCE or type(engine) is not type(plugins.engine(REFERENCE)) or task.store_class:
        (folder / "reference").mkdir(exist_ok=True)
        reference = Harness(
            plugins.engine(REFERENCE), folder / "reference", scale=profile.scale, plugins=plugins, extra=task.extra
        )
    note = journal.FileJournal(folder / "journal") if started else None
    runner = Runner(harness, profile, task.seed, reference=reference, journal=note, alive=alive)
    jobs = {job.name: job for job in [*all_jobs(), *datatype_jobs(harness, task.datatypes, task.extra)]}
    for name in task.jobs:
        if started:
            started(name)
        yield runner.one(jobs[name])


# --- the child -------------------------------------------------------------------------------------------------------
def nursed(task: Task, fd: int, nursery: Door) -> None:
    """The work of a nursery's child."""
    errors = os.open(Path(task.folder) / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    child(task, fd, nursery)


def child(task: Task, fd: int, nursery: Door | None = None) -> None:
    """Run a task and send everything through a pipe."""
    last = [0.0]

    def send(data: Any) -> None:
        os.write(fd, f"{json.dumps(data)}\n".encode())

    def alive() -> None:
        now = time.monotonic()
        if now - last[0] > 0.5:
            last[0] = now
            send({"alive": True})

    try:
        for result in run_here(task, alive=alive, started=lambda name: send({"start": name}), nursery=nursery):
            send({"result": as_data(result)})
    except BaseException:
        send({"broken": traceback.format_exc()})
        raise
    send({"end": True})


def _start(task: Task, fd: int, nursery: Nursery | None) -> _Child | Kept:
    if not isinstance(task.engine, str) or task.extra or task.store_class is not None:
        return _fork(task, fd)
    if nursery is not None:
        with suppress(OSError):
            return nursery.start(partial(nursed, task), fd)
        if nursery.ended:
            raise ChildProcessError("the run was given up")
    return _spawn(task, fd)


@dataclass(slots=True)
class _Child:
    """A process, spawned or forked."""

    pid: int
    process: subprocess.Popen[bytes] | None = None

    def wait(self) -> int:
        """Its return code; negative: the signal it died of."""
        if self.process is not None:
            return self.process.wait()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _spawn(task: Task, fd: int) -> _Child:
    text = b64encode(pickle.dumps(task)).decode("ascii")
    command = [sys.executable, "-X", "faulthandler", "-m", "dvidkit_conformance.isolation", text, str(fd)]
    with open(Path(task.folder) / "stderr", "wb") as errors:
        process = subprocess.Popen(  # noqa: S603
            command, pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
        )
    return _Child(process.pid, process)


def _fork(task: Task, fd: int) -> _Child:
    """For engines that are objects of this process and cannot be named to another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return _Child(pid)
    code = 1
    try:
        errors = os.open(Path(task.folder) / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(errors, 1)
        os.dup2(errors, 2)
        child(task, fd)
        code = 0
    finally:
        os._exit(code)


# --- the parent ------------------------------------------------------------------------------------------------------
def run_isolated(task: Task, nursery: Nursery | None = None) -> Iterator[JobResult]:
    """Run the jobs in children, as many as it takes; children of a nursery where the task can be named to it."""
    left = list(task.jobs)
    while left:
        Path(task.folder).mkdir(parents=True, exist_ok=True)
        current, ended = "", False
        watched = _Watched(replace(task, jobs=tuple(left)), nursery)
        try:
            for message in watched.messages():
                if "start" in message:
                    current = message["start"]
                elif "result" in message:
                    left.remove(message["result"]["job"])
                    yield from_data(message["result"])
                    current = ""
                ended = ended or "end" in message
        except BaseException:
            watched.kill()
            raise
        how = watched.ending()
        if ended or not left:
            return
        if not current:
            current = left[0]
        yield _died(task, current, how)
        left.remove(current)


class _Watched:
    """One child and its messages."""

    def __init__(self, task: Task, nursery: Nursery | None) -> None:
        self._stall = PROFILES[task.profile].stall
        self._read, write = os.pipe()
        os.set_inheritable(write, True)
        self._child = _start(task, write, nursery)
        os.close(write)
        self._silent = False
        self._broken = ""

    def messages(self) -> Iterator[dict[str, Any]]:
        """What the child sends, until it ends or has been silent for too long."""
        waiting, patience = b"", Patience(self._child.pid, self._stall)
        while True:
            ready, _, _ = select.select([self._read], [], [], patience.tick)
            if not ready:
                if not patience.over:
                    continue
                self._silent = True
                self._child.kill()
                return
            data = os.read(self._read, 1 << 16)
            if not data:
                return
            patience.heard()
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                self._broken = message.get("broken", self._broken)
                yield message

    def kill(self) -> None:
        """End it, and ask no more."""
        self._child.kill()
        os.close(self._read)

    def ending(self) -> str:
        """How it ended, in words."""
        os.close(self._read)
        code = self._child.wait()
        if self._silent:
            return f"no sign of life for {self._stall:.0f} s: it hangs"
        if self._broken:
            return f"the kit broke: {self._broken.strip().splitlines()[-1]}"
        if code < 0:
            return f"the process died of signal {-code} ({signal.Signals(-code).name})"
        return f"the process ended with status {code}"


def _died(task: Task, job: str, how: str) -> JobResult:
    """The failure of the job during which the process died."""
    clause = job.split(":")[0]
    program = journal.read(Path(task.folder) / "journal")
    errors = Path(task.folder) / "stderr"
    tail = errors.read_text("utf-8", errors="replace")[-1500:].strip() if errors.exists() else ""
    status = "error" if how.startswith("the kit broke") else "fail"
    name = task.engine if isinstance(task.engine, str) else task.engine.name
    failure = Failure(
        clause,
        job,
        "an answer or an error of the tree",
        how,
        note=f"last words: {tail}" if tail else "",
        program=program.to_json() if program is not None else None,
        steps=program.lines() if program is not None else [],
        replay=f"dvidkit conform {name} --clause {clause} --seed {task.seed}",
        status=status,
    )
    return JobResult(job, clause, status, how, failures=[failure])


if __name__ == "__main__":
    child(pickle.loads(b64decode(sys.argv[1])), int(sys.argv[2]))  # noqa: S301 - written by the parent just now
