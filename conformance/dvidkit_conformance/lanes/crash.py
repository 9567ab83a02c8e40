"""The crash lane: writers are killed at random instants, and what is found afterwards is held to what they were told.

A life is: open the store (and so recover it), say what is there, write, close. It is killed while it opens, writes or
closes. The next life opens what is left, so recovery itself is killed, and recovered from, too.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit.engine import Loss
from dvidkit_conformance.enginecase import case_of
from dvidkit_conformance.lanes.calls import killed_at_calls
from dvidkit_conformance.lanes.crashmodel import CrashModel
from dvidkit_conformance.lanes.crashops import operations
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.lanes.writer import Life
from dvidkit_conformance.lanes.zygote import Writer, Zygote, pause
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.session import Violation

_LIVES: Final = 25
"""Lives of one store; then another is begun."""
_OPERATIONS: Final = 40
_SMALL_BATCHES: Final = 90


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a clause asks of the lane.

    Attributes:
        workload: what is written.
        share: of the profile's cycles.
        moments: how often the kill falls into opening, writing, closing.
        ops: see ``Life``.
    """

    workload: str
    share: float = 1.0
    moments: tuple[int, int, int] = (15, 75, 10)
    ops: int = 0


def kills(run: Run) -> None:
    """DUR-4: what was acknowledged is there, or that and what was in flight."""
    _cycles(run, "DUR-4", _Kind(_mixed(run)))


def batches(run: Run) -> None:
    """BATCH-9: large batches are there or not."""
    _cycles(run, "BATCH-9", _Kind("batches", 0.25, (5, 90, 5)))
    killed_at_calls(run)


def deletions(run: Run) -> None:
    """DEL-6: of a deletion that takes several batches a part may be done, and nothing else."""
    _cycles(run, "DEL-6", _Kind("deletions", 0.25, (5, 90, 5), _SMALL_BATCHES))


def recoveries(run: Run) -> None:
    """DUR-6: most kills fall into recovery."""
    _cycles(run, "DUR-6", _Kind(_mixed(run), 0.25, (65, 35, 0)))


def _mixed(run: Run) -> str:
    """Half of what is written is buffered, if the engine declares that this survives the death of the process."""
    survives = run.harness.engine.capabilities.buffered in (Loss.PROCESS, Loss.POWER)
    return "buffered" if survives else "mixed"


def _cycles(run: Run, clause: str, kind: _Kind) -> None:
    count = max(4, round(run.profile.crash_cycles * kind.share))
    rng = random.Random(f"{clause} {run.seed}")
    settings = [{}, *case_of(run.harness.engine).settings]
    with Zygote(run.harness) as zygote:
        done = 0
        while done < count:
            lives = min(_LIVES, count - done)
            store = _Store(run, clause, kind, zygote, rng, settings[done // _LIVES % len(settings)], done)
            try:
                store.cycles(lives)
            finally:
                run.harness.remove(store.path)
            done += lives
    run.need("killed", "acknowledged", "recovered")


class _Store:
    """One store and the lives of its writers."""

    def __init__(
        self,
        run: Run,
        clause: str,
        kind: _Kind,
        zygote: Zygote,
        rng: random.Random,
        options: Mapping[str, Any],
        first: int,
    ) -> None:
        self.path = run.harness.fresh()
        self._run = run
        self._clause = clause
        self._kind = kind
        self._zygote = zygote
        self._rng = rng
        self._options = options
        self._cycle = first
        self._model = CrashModel(in_part=bool(kind.ops))
        self._open_time = 0.02
        self._op_time = 0.001
        self._heard = 0.0
        self._killed = False
        self._killed_in = ""

    def cycles(self, count: int) -> None:
        """So many lives that are killed, and one that is not."""
        for _ in range(count):
            moment = self._rng.choices(("opening", "writing", "closing"), self._kind.moments)[0]
            self._life(moment)
            self._run.cases += 1
            self._run.alive()
        self._life("")
        self._life("", count=0)

    def _life(self, moment: str, count: int = _OPERATIONS) -> None:
        self._cycle += 1
        wanted = self._rng.randrange(1, count) if moment == "writing" else count
        life = Life(
            str(self.path),
            self._options,
            self._kind.workload,
            self._run.seed,
            self._cycle,
            count if moment == "writing" else min(count, 10),
            self._cycle % 4 == 0,
            self._kind.ops,
        )
        self._killed = False
        with self._zygote.start(life) as writer:
            self._listen(writer, life, moment, wanted)
        self._judge_end(writer.ended())

    def _listen(self, writer: Writer, life: Life, moment: str, wanted: int) -> None:
        """Hear the writer to its end, and kill it on the way."""
        ops = operations(life.workload, life.seed, life.cycle)
        self._heard = time.perf_counter()
        try:
            for message in writer.hear(self._run.profile.stall / 2):
                self._judge(message, ops, life)
                if moment and self._now(message, moment, wanted):
                    self._kill(writer, moment)
                    moment = ""
        except TimeoutError as error:
            raise self._violation(self._clause, "an answer", f"{error}: it hangs") from None

    @staticmethod
    def _now(message: tuple[Any, ...], moment: str, wanted: int) -> bool:
        said = message[0]
        if moment == "writing":
            return (said == "open" and wanted == 1) or (said == "done" and message[1] + 2 >= wanted)
        return bool(said == moment)

    def _kill(self, writer: Writer, moment: str) -> None:
        longest = 2 * self._op_time if moment == "writing" else 1.2 * self._open_time
        pause(self._rng.random() * longest)
        writer.kill()
        self._killed, self._killed_in = True, moment
        self._run.probes["killed"] += 1
        self._run.probes[f"killed_{moment}"] += 1

    # --- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, message: tuple[Any, ...], ops: Any, life: Life) -> None:
        model, kind = self._model, message[0]
        now = time.perf_counter()
        took, self._heard = now - self._heard, now
        if kind == "open":
            self._open_time += 0.2 * (took - self._open_time)
            self._recovered(message[1])
            model.pending = next(ops) if life.count else None
        elif kind == "done":
            self._op_time += 0.1 * (took - self._op_time)
            assert model.pending is not None
            model.acknowledged(model.pending)
            self._run.probes["acknowledged"] += 1
            model.pending = next(ops) if message[1] + 1 < life.count else None
        elif kind == "error":
            where, what = message[1], message[2]
            clause = "DUR-6" if where in ("opening", "reading") and self._killed_in == "opening" else "DUR-4"
            raise self._violation(clause, f"{where} succeeds", what)

    def _recovered(self, rows: Any) -> None:
        if isinstance(rows, str):
            raise self._violation("DUR-4", "rows", rows)
        in_flight = self._model.pending is not None
        found = self._model.recovered(rows)
        if found is not None:
            clause, expected, got = found
            raise self._violation("DUR-6" if self._killed_in == "opening" else clause, expected, got)
        self._run.probes["recovered"] += 1
        self._run.probes["recovered_in_flight"] += in_flight

    def _judge_end(self, status: int) -> None:
        if status == -signal.SIGKILL and self._killed:
            self._model.ops.append({"op": "killed", "in": self._killed_in})
        elif status != 0:
            died = f"signal {-status}" if status < 0 else f"status {status}"
            raise self._violation(self._clause, "a process that ends when it is told", f"the process died of {died}")

    def _violation(self, clause: str, expected: str, got: str) -> Violation:
        """With the program, and where the files are kept."""
        ops: list[Op] = [*self._model.ops]
        if self._model.pending is not None:
            ops.append({**self._model.pending, "in flight": True})
        note = f"cycle {self._cycle}, seed {self._run.seed}, options {dict(self._options)}{self._kept()}"
        program = Program("crash", tuple(ops), {"workload": self._kind.workload, "cycle": self._cycle})
        return Violation(expected, got, program, clause=clause, note=note)

    def _kept(self) -> str:
        """In the longest profile the files are kept for whoever looks for the reason."""
        if self._run.profile.scale < 2 or not self.path.exists():
            return ""
        folder = Path(tempfile.mkdtemp(prefix=f"dvidkit-crash-{self._run.harness.engine.name}-"))
        shutil.copytree(self.path, folder / "store")
        return f"; the files are kept in {folder}"
