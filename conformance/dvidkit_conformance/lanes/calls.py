"""DUR-8: the n-th system call that changes the store's files fails, or writes less than it was told to.

A writer opens, writes and closes a store; for each n it does so anew, on a copy of the same store or where none is yet,
and the n-th of its calls (open, write, fsync, ftruncate, rename, unlink …) fails once. Every error must be of
the tree; what was acknowledged must be there, what failed is there or not, whole; the store goes on, and opens again.

For BATCH-9 the process is killed at the n-th call instead, in the middle of batches so large that an engine might write
them in parts, and of a compaction.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit_conformance.enginecase import case_of
from dvidkit_conformance.lanes.crashops import VERSIONS
from dvidkit_conformance.lanes.known import Known
from dvidkit_conformance.lanes.preload import Control, NoPreload, environment, library
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.lanes.undeterred import PROGRAMS, Attempts
from dvidkit_conformance.lanes.zygote import Zygote
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.session import Violation

_TRIALS: Final = (3, 12, 1 << 30)
"""Calls that are made to fail in each way, at most, evenly spread."""


_KILLS: Final = {"torn": (0, 12, 1 << 30), "compacted": (0, 4, 200)}
"""Calls at which the process is killed, by the program; in the shortest profile none."""
_BATCH: Final = 10_000
"""Changes that an engine must take in a batch for the large ones, with the kernel's own rows."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How calls are made to fail.

    Attributes:
        new: the store is being made.
        shorter: writes write half; otherwise calls fail with EIO.
        share: of the profile's trials.
        deadly: the process is killed.
    """

    new: bool
    shorter: bool
    share: float
    deadly: bool = False


_WAYS: Final = (_Way(False, False, 1.0), _Way(True, False, 0.5), _Way(False, True, 0.5))


_DEADLY: Final = _Way(False, False, 1.0, deadly=True)


def failing_calls(run: Run) -> None:
    """DUR-8."""
    run.untested = _over_calls(run, _Calls.all_ways)
    if not run.untested:
        run.need("failed", "went_on", "error_of_the_tree")


def killed_at_calls(run: Run) -> None:
    """BATCH-9, where calls can be counted: the process is killed at one of them."""
    if run.profile.scale and run.harness.engine.limits.max_batch_ops >= _BATCH:
        _over_calls(run, _Calls.all_kills)


def _over_calls(run: Run, do: Callable[[_Calls], None]) -> str:
    """Do it with each setting; why it cannot be done here, or nothing."""
    folder = run.harness.fresh_folder()
    stores = folder / "stores"
    stores.mkdir()
    try:
        control = Control.made(folder / "control")
        env = environment(library(folder), control, stores)
        zygote = Zygote(run.harness, env=env)
    except (NoPreload, ChildProcessError) as error:
        return f"no system call can be made to fail: {error}"
    with zygote:
        for options in _settings(run):
            calls = _Calls(run, zygote, control, stores, options)
            if not calls.begun():
                return "no system call can be made to fail: the preloaded library does not see any"
            do(calls)
    run.harness.remove(folder)
    return ""


def _settings(run: Run) -> list[Mapping[str, Any]]:
    """Small settings, under which more files are made and dropped; in the longest profile the ordinary ones too."""
    small = list(case_of(run.harness.engine).settings[:1])
    return [*small, {}] if run.profile.scale == 2 or not small else small


class _Calls:
    """One engine with one setting."""

    def __init__(self, run: Run, zygote: Zygote, control: Control, stores: Path, options: Mapping[str, Any]) -> None:
        self._run = run
        self._zygote = zygote
        self._control = control
        self._path = stores / "store"
        self._base = stores.parent / "base"
        self._options = options
        self._where = ""
        self._lazy: list[Op] = []
        """Operations that were done, and changed files without a wait for the disk."""

    def begun(self) -> bool:
        """Make the store that is copied; whether any call was seen."""
        count = self._trial(0, _Way(True, False, 0), "before")
        shutil.rmtree(self._base, ignore_errors=True)
        shutil.copytree(self._path, self._base)
        return count > 0

    def all_ways(self) -> None:
        """Each way, over calls that are evenly spread over all there are."""
        for way in _WAYS:
            count = self._trial(0, way, "written")
            self._all_waited()
            for at in spread(count, round(_TRIALS[self._run.profile.scale] * way.share)):
                self._trial(at, way, "written")

    def all_kills(self) -> None:
        """At calls that are evenly spread over each program."""
        for program, most in _KILLS.items():
            if program != "compacted" or self._run.harness.offers("compact"):
                count = self._trial(0, _DEADLY, program)
                self._all_waited()
                for at in spread(count, most[self._run.profile.scale]):
                    self._trial(at, _DEADLY, program)

    def _all_waited(self) -> None:
        """Every durable operation that changes files waits for the disk, be it by a file that was opened so."""
        lazy = [op for op in self._lazy if op.get("durable", True) and op["op"] != "compact"]
        if lazy and self._run.harness.offers("power"):
            self._where = "nothing fails"
            raise self._violation(
                "every durable write waits for the disk", f"{_brief(lazy[0])} does not", Known(), "DUR-5"
            )

    def _trial(self, at: int, way: _Way, program: str) -> int:
        """A life in which this call fails, and two in which none does; how many calls the first one made.

        Where none is made to fail, the store is just made, or calls are just counted.
        """
        self._run.cases += 1
        self._run.alive()
        shutil.rmtree(self._path, ignore_errors=True)
        known = Known()
        if not way.new:
            shutil.copytree(self._base, self._path)
            known.done(*PROGRAMS["before"], *PROGRAMS["afterwards"])
        how = "kills the process" if way.deadly else "writes less" if way.shorter else "fails"
        self._where = f"call {at} {how}{' while the store is made' * way.new}"
        self._control.arm(at, shorter=way.shorter, deadly=way.deadly)
        self._lazy = []
        self._life(known, program, way)
        lazy = self._lazy
        count = self._control.calls
        if self._control.fired:
            self._where += f": {self._control}"
            self._run.probes["failed"] += 1
            self._run.probes[self._control.what] += 1
        self._control.arm(0)
        if at or program == "before":
            self._life(known, "afterwards")
            if not way.deadly:
                self._life(known, "nothing")
            self._run.probes["went_on"] += 1
        self._lazy = lazy
        return count

    def _life(self, known: Known, program: str, way: _Way | None = None) -> None:
        ops = PROGRAMS[program]
        tried = len(known.ops)
        writer = self._zygote.start(Attempts(str(self._path), self._options, program))
        try:
            with writer:
                for message in writer.hear(self._run.profile.stall / 2):
                    self._note(message, known, ops)
        except TimeoutError as error:
            raise self._violation("an answer", f"{error}: it hangs", known) from None
        status = writer.ended()
        if way is not None and way.deadly and self._control.fired and status == -signal.SIGKILL:
            for op in ops[len(known.ops) - tried :][:1]:
                known.failed(op)
        elif status:
            died = f"signal {-status}" if status < 0 else f"status {status}"
            raise self._violation("an error of the tree", f"the process died of {died}", known)

    def _note(self, message: tuple[Any, ...], known: Known, ops: tuple[Op, ...]) -> None:
        said = message[0]
        if said == "done":
            if message[2]:
                raise self._violation(
                    "an error, as the disk was waited for in vain", f"acknowledged after {message[2]}", known
                )
            known.done(ops[message[1]])
            self._lazy += [ops[message[1]]] if message[3] else []
        elif said == "failed":
            known.failed(ops[message[1]])
            self._run.probes["error_of_the_tree"] += 1
            if ops is PROGRAMS["afterwards"]:
                raise self._violation("a write that succeeds, as nothing fails any more", f"raises {message[2]}", known)
        elif said == "rows":
            count = known.count
            if not known.found(message[1]):
                raise self._violation(f"one of {count} states", "another", known)
        elif said == "error":
            raise self._violation("an error of the tree, then success", f"{message[1]} {message[2]}", known)
        elif said == "refused":
            self._run.probes["error_of_the_tree"] += 1

    def _violation(self, expected: str, got: str, known: Known, clause: str = "") -> Violation:
        dag: list[Op] = [{"op": "version", "v": v, "parents": list(parents)} for v, parents in VERSIONS]
        call = f" ({self._control})" if self._control.fired else ""
        note = f"{self._where}{call}; options {dict(self._options)}"
        clause = clause or ("BATCH-9" if "kills" in self._where else "DUR-8")
        return Violation(expected, got, Program("calls", (*dag, *known.ops)), clause=clause, note=note)


def _brief(op: Op) -> str:
    """An operation, without what it writes."""
    return " ".join(str(op[name]) for name in ("op", "i", "v", "key") if name in op)


def spread(count: int, most: int) -> list[int]:
    """So many numbers from 1 to ``count``, evenly spread; all of them if there are not more."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + (n * (count - 1)) // max(1, most - 1) for n in range(most)})
