"""The damage lane: the files of a small closed store are damaged, one place at a time, and what comes of it is judged.

Outcomes of a trial, by what a person who uses the store meets:

========  =============================================================================================================
refused   opening raises an error of the tree
raised    it opens; some read raises, and what the others give is right and whole
harmless  everything is given as it was written
told      rows are missing without an error of the read, and opening said so
verified  rows are missing without an error of the read; ``verify`` finds it
silent    rows are missing, and nothing says so: a failure
wrong     something is given that was never written: a failure
foreign   an exception that is not of the tree: a failure
crashed   the process dies, or hangs: a failure
========  =============================================================================================================
"""

from __future__ import annotations

import marshal
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from dvidkit.engine import Capability
from dvidkit_conformance.lanes.examining import PAGE, Examination, Trial, contexts, invented, see, short
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.lanes.zygote import Zygote
from dvidkit_conformance.session import Violation

BAD: Final = ("wrong", "silent", "foreign", "crashed")
_TRIALS: Final = (30, 120)
_REPAIRS: Final = (10, 30, 1000)
_BATCH: Final = 200
_SILENCE: Final = 60.0
_CUTS: Final = 256


def damaged(run: Run) -> None:
    """Flips, zeroed pages, cuts and deleted files: nothing is wrong, and nothing is missing unsaid."""
    with _Ground(run) as ground:
        trials = list(ground.every()) if run.profile.scale == 2 else ground.sample(_TRIALS[run.profile.scale])
        outcomes = ground.run(trials)
    run.probes.update(outcomes)
    run.probes["found"] += outcomes["refused"] + outcomes["raised"] + outcomes["told"] + outcomes["verified"]
    run.need("found")


def repaired(run: Run) -> None:
    """The same, with the engine's ``repair`` before opening: what is there is what was written, under its key."""
    with _Ground(run) as ground:
        outcomes = ground.run(ground.sample(_REPAIRS[run.profile.scale]), repair=True)
    run.probes.update(outcomes)
    run.probes["opened"] += sum(outcomes.values()) - outcomes["refused"]
    run.need("opened")


def repair_leaves_alone(run: Run) -> None:
    """``repair`` of a healthy store: the same rows, through every read."""
    with _Ground(run) as ground:
        run.harness.engine.repair(str(ground.path))
        store, _ = run.harness.open_store(ground.path, create=False)
        try:
            got = see(store, ground.keys)
        finally:
            store.close()
        wrong = invented(ground.sight, got) or short(ground.sight, got)
        if wrong or got != ground.sight:
            raise Violation("what was there before repair", wrong or "an error")
    run.cases += 1
    run.probes["rows"] += len(ground.sight["raw"])
    run.need("rows")


class _Ground:
    """A small closed store, what it holds, and the children that examine damaged copies of it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rng = random.Random(f"damage {run.seed}")
        self.path = run.harness.fresh()
        self.scratch = run.harness.fresh_folder()
        self.keys = _written(run, self.path)
        store, _ = run.harness.open_store(self.path, create=False)
        store.put(contexts()["v3"], b"logged", b"in no table yet, if the engine has any")
        self.sight = see(store, self.keys)
        store.close()
        self._saved = self.scratch / "sight"
        self._saved.write_bytes(marshal.dumps(self.sight))

    def __enter__(self) -> _Ground:
        return self

    def __exit__(self, *error: object) -> None:
        self._run.harness.remove(self.path)
        self._run.harness.remove(self.scratch)

    # --- trials ------------------------------------------------------------------------------------------------------

    def _files(self) -> dict[str, int]:
        files = {str(file.relative_to(self.path)): file for file in sorted(self.path.rglob("*")) if file.is_file()}
        return {name: file.stat().st_size for name, file in files.items() if "lock" not in name.lower()}

    def every(self) -> Iterator[Trial]:
        """Each byte flipped, each page zeroed, each file cut at up to 256 lengths, and each deleted.

        Logs for people come last.
        """
        for name, size in sorted(self._files().items(), key=lambda file: "/LOG" in file[0]):
            yield ("delete", name, 0)
            for place in range(0, size, PAGE):
                yield ("zero", name, place)
            for place in range(0, size, max(1, size // _CUTS)):
                yield ("cut", name, place)
            for place in range(size):
                yield ("flip", name, place)

    def sample(self, count: int) -> list[Trial]:
        """Every file deleted, emptied and cut once, and flips and zeroed pages where something is stored."""
        files = self._files()
        found: list[Trial] = [(kind, name, 0) for name in files for kind in ("delete", "cut")]
        found += [("cut", name, self._rng.randrange(size)) for name, size in files.items() if size]
        filled = {name: self._filled(name) for name in files}
        names = [name for name, places in filled.items() if places]
        weights = [len(filled[name]) ** 0.5 for name in names]
        while len(found) < count:
            name = self._rng.choices(names, weights)[0]
            place = self._rng.choice(filled[name])
            found.append(("zero", name, place // PAGE * PAGE) if self._rng.random() < 0.1 else ("flip", name, place))
        return found

    def _filled(self, name: str) -> list[int]:
        """Places with a byte that is not zero: files may be mostly holes."""
        return [place for place, byte in enumerate((self.path / name).read_bytes()) if byte]

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, trials: Sequence[Trial], *, repair: bool = False) -> Counter[str]:
        """How many trials came to which outcome.

        Raises:
            Violation: one came to a bad one.
        """
        outcomes: Counter[str] = Counter()
        bad: list[str] = []
        task = Examination(
            self._run.harness.engine.name,
            str(self.path),
            str(self.scratch),
            tuple(self.keys),
            str(self._saved),
            (),
            repair,
        )
        with Zygote(self._run.harness) as zygote:
            for start in range(0, len(trials), _BATCH):
                for trial, outcome, text in self._batch(zygote, task, trials[start : start + _BATCH]):
                    outcomes[outcome] += 1
                    self._run.cases += 1
                    if outcome in BAD and not (repair and outcome == "silent"):
                        bad.append(f"{_told(trial)}: {outcome}: {text}")
        if bad:
            told = f"{len(bad)} of {len(trials)} trials not; outcomes {dict(outcomes)}; {'; '.join(bad[:3])}"
            raise Violation("what was written, an error, or a loss that verify finds", told)
        return outcomes

    def _batch(self, zygote: Zygote, task: Examination, trials: Sequence[Trial]) -> Iterator[tuple[Trial, str, str]]:
        left = list(trials)
        while left:
            writer = zygote.start(replace(task, trials=tuple(left)))
            at, done, hung = 0, 0, ""
            try:
                for message in writer.hear(_SILENCE):
                    at = message[1]
                    self._run.alive()
                    if message[0] == "outcome":
                        done = at + 1
                        yield left[at], message[2], message[3]
            except TimeoutError as error:
                writer.kill()
                hung = str(error)
            status = writer.ended()
            if done < len(left):
                yield left[at], "crashed", hung or f"the process ended with {status}"
                done = at + 1
            left = left[done:]


def _told(trial: Trial) -> str:
    kind, name, place = trial
    return f"{kind} {name}" if kind == "delete" else f"{kind} {name} at {place}"


def _written(run: Run, path: Path) -> list[bytes]:
    """Values of many sizes in three versions, deletions, overwritten rows, metadata; in two lives of the store."""
    rng = random.Random(f"rows {run.seed}")
    keys = [b"k%02d" % n for n in range(12)]
    places = contexts()
    for life in range(2):
        store, _ = run.harness.open_store(path, create=life == 0)
        for name in list(places)[life:]:
            pairs = [(key, rng.randbytes(rng.choice((0, 1, 30, 200)))) for key in rng.sample(keys, 7)]
            store.put_range(places[name], pairs)
            if name != "metadata":
                store.delete(places[name], rng.choice(keys))
        store.put(places["v1"], b"large", rng.randbytes(3000))
        store.close()
    if Capability.COMPACT in run.harness.engine.capabilities.features:
        store, _ = run.harness.open_store(path, create=False)
        store.compact()
        store.put(places["v3"], b"last", b"after compaction")
        store.close()
    return [*keys, b"large", b"last", b"logged", b"none"]
