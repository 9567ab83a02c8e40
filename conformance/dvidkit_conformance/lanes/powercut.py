"""Loss of power for engines whose files are a native driver's own: their disk is an image, and is copied now and then.

A writer works on a mounted image, with durable and buffered writes, and says what was acknowledged. At some instants
it is held and the image is copied: a disk that lost its power just then. Each copy is mounted, opened, examined and
written on. Legal is everything that was acknowledged as durable, and of what was buffered after that a prefix, batches
whole.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from dvidkit_conformance.enginecase import case_of
from dvidkit_conformance.lanes.crashmodel import Rows, apply, brief, with_versions
from dvidkit_conformance.lanes.crashops import VERSIONS, operations
from dvidkit_conformance.lanes.image import Image, copied, refusal, unmount_stale
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.lanes.writer import Life
from dvidkit_conformance.lanes.zygote import Writer, Zygote, pause
from dvidkit_conformance.ops import Op, Program
from dvidkit_conformance.session import Violation

_CUTS: Final = (0, 6, 300)
_PER_LIFE: Final = (0, 3, 6)
_LIVES: Final = 3
"""Lives of one disk; then another is made."""
_MODES: Final = ("ordered", "writeback")
_EMPTY: Final = "empty.img"
_ENDLESS: Final = 1 << 40
_FAR: Final = 25
"""Operations between losses of power, at most."""
_WHILE_OPENING: Final = 0.2
_WRITTEN_BACK: Final = 0.4
_GOES_ON: Final = 3
"""Operations after the power has come back."""


def cuts(run: Run) -> None:
    """DUR-5, where an image may be mounted."""
    count, per_life = _CUTS[run.profile.scale], _PER_LIFE[run.profile.scale]
    if not count:
        run.untested = f"power is taken from a native driver in longer profiles only, not in {run.profile.name!r}"
        return
    unmount_stale()
    folder = run.harness.fresh_folder()
    refused = refusal(folder / _EMPTY)
    if refused:
        run.untested = f"the engine's operations on files cannot be recorded, and {refused}"
        return
    settings = [{}, *case_of(run.harness.engine).settings]
    rng = random.Random(f"power {run.seed}")
    with Zygote(run.harness) as zygote:
        for number in range(-(-count // (per_life * _LIVES))):
            disk = _Disk(run, zygote, rng, folder, number, settings[number % len(settings)])
            for _ in range(min(_LIVES, -(-count // per_life) - number * _LIVES)):
                disk.life(per_life)
    run.harness.remove(folder)
    run.need("cut", "acknowledged", "recovered", "went_on")


@dataclass(frozen=True, slots=True)
class _Cut:
    """A disk without power.

    Attributes:
        file: the image.
        safe: so many operations must be there.
        most: and at most so many can be.
        when: in words.
    """

    file: Path
    safe: int
    most: int
    when: str


class _Past:
    """The operations of a disk's writers, and the states that they lead through.

    Attributes:
        ops: those that were done, and the one in flight.
        sure: so many of them were done, whatever happens.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.sure = 0
        self._model = with_versions()

    def states(self, safe: int, most: int) -> Iterator[tuple[int, Rows]]:
        """What is there after so many operations, for each number from ``safe`` to ``most``."""
        self._advance(safe)
        model = deepcopy(self._model)
        yield safe, brief(model.dump())
        for number in range(safe, min(most, len(self.ops))):
            apply(model, self.ops[number])
            yield number + 1, brief(model.dump())

    def keep(self, count: int) -> None:
        """So many of the operations were done, the others were not."""
        del self.ops[count:]
        self._advance(count)

    def after(self, count: int, more: Iterable[Op]) -> Rows:
        """What is there after so many operations, and these."""
        model = with_versions()
        for op in (*self.ops[:count], *more):
            apply(model, op)
        return brief(model.dump())

    def durable(self, count: int) -> int:
        """Of so many operations that were acknowledged, the number of the last that waited for the disk.

        Upkeep does not, nor does a deletion that finds nothing to delete.
        """
        model, safe = deepcopy(self._model), self.sure
        for number, op in enumerate(self.ops[self.sure : count], self.sure + 1):
            before = model.dump() if op["op"] == "delete_range" else None
            apply(model, op)
            if op.get("durable", True) and op["op"] != "compact" and before != model.dump():
                safe = number
        return safe

    def _advance(self, count: int) -> None:
        for op in self.ops[self.sure : count]:
            apply(self._model, op)
        self.sure = count

    def earlier(self, rows: Rows) -> int | None:
        """After how many operations there was this, the latest if after several."""
        found, model = None, with_versions()
        for number, op in enumerate([*self.ops, None]):
            found = number if brief(model.dump()) == rows else found
            if op is not None:
                apply(model, op)
        return found


class _Disk:
    """A disk, the lives of the writers on it, and the power that goes."""

    def __init__(
        self, run: Run, zygote: Zygote, rng: random.Random, folder: Path, number: int, options: Mapping[str, Any]
    ) -> None:
        self._run = run
        self._zygote = zygote
        self._rng = rng
        self._folder = folder
        self._cycle = number * _LIVES
        self._options = options
        self._mode = _MODES[number % len(_MODES)]
        self._past = _Past()
        self._found = _Cut(folder / _EMPTY, 0, 0, "before anything was written")
        """The disk as the next life finds it."""
        self._cuts: list[_Cut] = []
        self._done = 0
        self._times = {"opening": 0.02, "writing": 0.001}
        self._since = 0.0

    def life(self, count: int) -> None:
        """A writer lives on what the last loss of power has left. The power goes so many times; each is judged."""
        self._cycle += 1
        self._cuts = []
        image = Image(self._folder / "disk.img")
        copied(self._found.file, image.file)
        image.mount(self._mode)
        try:
            writer = self._zygote.start(self._told(image, "power", _ENDLESS))
            try:
                self._write(writer, image, count)
            finally:
                writer.kill()
                writer.ended()
        finally:
            image.unmount()
        for cut in self._cuts:
            self._judge(cut)
        for old in (self._found, *self._cuts[:-1]):
            if old.file.name != _EMPTY:
                old.file.unlink()
        self._found = self._cuts[-1]

    def _told(self, image: Image, workload: str, count: int) -> Life:
        """What a child is to do on a disk."""
        path = str(image.place / "store")
        return Life(path, self._options, workload, self._run.seed, self._cycle, count, workload != "power", 0)

    # --- writing -----------------------------------------------------------------------------------------------------

    def _write(self, writer: Writer, image: Image, count: int) -> None:
        """Hear the writer, and take the power away so many times."""
        ops = operations("power", self._run.seed, self._cycle)
        self._done = self._found.most
        left = 0 if self._rng.random() < _WHILE_OPENING else self._rng.randrange(1, _FAR)
        self._since = time.perf_counter()
        for message in self._hear(writer):
            self._note(message, ops)
            if left == 0:
                self._cut(writer, image, ops)
                if len(self._cuts) == count:
                    return
                left = self._rng.randrange(1, _FAR)
            left -= message[0] == "done"
        raise self._violation("a writer that lives until it is killed", "it ended by itself", self._found)

    def _hear(self, writer: Writer) -> Iterator[tuple[Any, ...]]:
        try:
            for message in writer.hear(self._run.profile.stall / 2):
                yield message
                self._run.alive()
        except TimeoutError as error:
            raise self._violation("an answer", f"{error}: it hangs", self._found) from None

    def _note(self, message: tuple[Any, ...], ops: Iterator[Op]) -> None:
        """What the writer has said: from now on this is legal."""
        said, past = message[0], self._past
        now = time.perf_counter()
        took, self._since = now - self._since, now
        if said == "open":
            self._times["opening"] += 0.2 * (took - self._times["opening"])
            self._done = self._legal(message[1], self._found)
            past.keep(self._done)
            # What was cut while this was opened is the same disk, and so must be found the same.
            self._cuts = [replace(cut, safe=self._done, most=self._done) for cut in self._cuts]
            past.ops.append(next(ops))
        elif said == "done":
            self._times["writing"] += 0.1 * (took - self._times["writing"])
            self._done += 1
            self._run.probes["acknowledged"] += 1
            past.ops.append(next(ops))
        elif said == "error":
            raise self._violation(f"{message[1]} succeeds", message[2], self._found)

    def _cut(self, writer: Writer, image: Image, ops: Iterator[Op]) -> None:
        """Hold the writer in the middle of something and copy the disk. What it said before must be on it."""
        moment = "writing" if self._past.ops[self._done :] else "opening"
        pause(self._rng.random() * 1.5 * self._times[moment])
        writer.hold()
        for message in writer.heard():
            self._note(message, ops)
        safe = self._past.durable(self._done) if self._past.ops[self._done :] else self._found.safe
        file = self._folder / f"cut{len(self._cuts)}-{self._cycle}.img"
        self._write_back(image.place)
        image.copy(file)
        for message in writer.heard():
            self._note(message, ops)
        safe = max(safe, self._past.sure)
        self._cuts.append(_Cut(file, safe, min(self._done + 1, len(self._past.ops)), f"while it was {moment}"))
        writer.go_on()
        self._run.cases += 1
        self._run.probes["cut"] += 1
        self._run.probes[f"cut_{moment}"] += 1

    def _write_back(self, place: Path) -> None:
        """The kernel may bring any file to the disk at any time, and leave others for later."""
        if self._rng.random() < _WRITTEN_BACK:
            return
        for file in sorted(place.rglob("*")):
            if file.is_file() and self._rng.random() < _WRITTEN_BACK:
                with suppress(OSError):
                    fd = os.open(file, os.O_RDONLY)
                    try:
                        os.fdatasync(fd)
                    finally:
                        os.close(fd)

    # --- judging -----------------------------------------------------------------------------------------------------

    def _legal(self, rows: Any, cut: _Cut) -> int:
        """How many operations are there; of several numbers that say the same, the least.

        Raises:
            Violation: what is there is no state that may be.
        """
        for number, state in self._past.states(cut.safe, cut.most):
            if state == rows:
                return number
        wanted = f"the state after {cut.safe} operations, all that are durable, or after up to {cut.most}"
        earlier = self._past.earlier(rows)
        got = f"the state after operation {earlier}" if earlier is not None else "rows that were never there together"
        raise self._violation(wanted, got, cut)

    def _judge(self, cut: _Cut) -> None:
        """Open it, examine it, write on, and find all that again."""
        image = Image(self._folder / "judged.img")
        copied(cut.file, image.file)
        image.mount(self._mode)
        try:
            number = self._opened(image, cut, _GOES_ON)
            self._run.probes["recovered"] += 1
            self._run.probes["lost_legally"] += number < cut.most - 1
            after = self._past.after(number, islice(operations("mixed", self._run.seed, self._cycle), _GOES_ON))
            self._opened(image, cut, 0, after)
            self._run.probes["went_on"] += 1
        finally:
            image.unmount()

    def _opened(self, image: Image, cut: _Cut, count: int, wanted: Rows | None = None) -> int:
        """A child opens the disk and does so many operations; how many of ours it found.

        Raises:
            Violation: it cannot, it dies, or it finds what may not be there.
        """
        number = 0
        writer = self._zygote.start(self._told(image, "mixed", count))
        with writer:
            for message in self._hear(writer):
                if message[0] == "error":
                    raise self._violation(f"{message[1]} succeeds", message[2], cut)
                if message[0] == "open" and wanted is None:
                    number = self._legal(message[1], cut)
                elif message[0] == "open" and message[1] != wanted:
                    raise self._violation("what was written since the power came back", "something else", cut)
        status = writer.ended()
        if status:
            raise self._violation("a store that opens, reads and writes", f"the process died ({status})", cut)
        return number

    def _violation(self, expected: str, got: str, cut: _Cut) -> Violation:
        """With the program, the operation in flight marked."""
        ops = [{**op, "may be lost": True} if n >= cut.safe else op for n, op in enumerate(self._past.ops)]
        note = f"power lost {cut.when}, ext4 data={self._mode}, options {dict(self._options)}, seed {self._run.seed}"
        dag: list[Op] = [{"op": "version", "v": v, "parents": list(parents)} for v, parents in VERSIONS]
        return Violation(expected, got, Program("power", (*dag, *ops)), clause="DUR-5", note=note)
