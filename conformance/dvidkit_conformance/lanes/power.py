"""The power lane: before every operation on files the power goes, and what may be left is opened.

All that was written durably must be there, of the rest a prefix of the writes, no batch in part; and the store goes on.
An engine takes part by its case (``EngineCase.recorded``). Native drivers cannot: their disk is cut (``powercut``).
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dvidkit.engine import StoreConfig
from dvidkit.errors import DvidkitError
from dvidkit_conformance.enginecase import EngineCase, case_of
from dvidkit_conformance.lanes.powercut import cuts
from dvidkit_conformance.lanes.run import Run
from dvidkit_conformance.ops import Program
from dvidkit_conformance.powerloss import MOODS, Disk
from dvidkit_conformance.session import Violation

_PROGRAMS: Final = (1, 1, 6)
_WRITES: Final = (15, 30, 60)
_STRIDE: Final = (12, 6, 1)
"""Of the operations of a program, every so many are crashed at."""
_END: Final = b"\xff" * 8

Rows = dict[bytes, bytes]
Batch = list[tuple[bytes, bytes | None]]


def power(run: Run) -> None:
    """DUR-5."""
    case = case_of(run.harness.engine)
    if case.recorded(lambda _disk, _what: None) is None:
        cuts(run)
        return
    for n in range(_PROGRAMS[run.profile.scale]):
        _Cut(run, case, run.seed * 1000 + n).run()
    run.need("nothing", "everything", "some", "sync", "write", "rename")


class _Cut:
    """One program, and the crashes on its way."""

    def __init__(self, run: Run, case: EngineCase, seed: int) -> None:
        self._run = run
        self._case = case
        self._seed = seed
        self._chance = random.Random(f"power {seed}")
        self._states: list[Rows] = [{}]
        self._acknowledged = 0
        self._safe = 0
        self._operations = 0
        self._ops: list[dict[str, Any]] = []
        self._folder = run.harness.fresh_folder()

    def run(self) -> None:
        """Write with the engine that is recorded; crash before every operation, and at the end."""
        base, work = self._folder / "base", self._folder / "work"
        self._open(self._run.harness.engine, base).close()
        shutil.copytree(base, self._folder / "crashed")
        shutil.copytree(base, work)
        recorded = self._case.recorded(self._before)
        assert recorded is not None
        self._data = recorded.folder
        recorded.load(str(work / self._data))
        store = self._open(recorded.engine, work)
        for batch, durable in _batches(self._chance, _WRITES[self._run.profile.scale]):
            self._write(store, batch, durable=durable)
        store.close()
        self._safe = self._acknowledged
        self._crash(recorded.disk, "the end")
        self._run.harness.remove(self._folder)

    def _open(self, engine: Any, path: Path) -> Any:
        return engine.open(StoreConfig(engine.name, str(path), options=self._case.small))

    def _write(self, store: Any, batch: Batch, *, durable: bool) -> None:
        state = dict(self._states[-1])
        for key, value in batch:
            state.pop(key, None)
            if value is not None:
                state[key] = value
        self._states.append(state)
        self._ops.append({"op": "write", "batch": [list(pair) for pair in batch], "durable": durable})
        store.write(batch, durable=durable)
        self._acknowledged += 1
        if durable:
            self._safe = self._acknowledged

    def _before(self, disk: Disk, what: str) -> None:
        self._run.probes[what] += 1
        self._operations += 1
        if not self._operations % _STRIDE[self._run.profile.scale]:
            self._crash(disk, what)

    def _crash(self, disk: Disk, what: str) -> None:
        for mood in MOODS:
            self._run.cases += 1
            self._run.alive()
            self._run.probes[mood] += 1
            self._judge(disk.after_crash(self._chance, mood), f"before {what}, {mood} of the unsynced is there")

    def _judge(self, content: dict[str, bytes], when: str) -> None:
        path = self._folder / "crashed"
        data = path / self._data
        for name in set(os.listdir(data)) - content.keys():
            (data / name).unlink()
        for name, piece in content.items():
            (data / name).write_bytes(piece)
        try:
            store = self._open(self._run.harness.engine, path)
        except DvidkitError as error:
            raise self._violation("a store that opens", f"raises {type(error).__name__}: {error}", when) from error
        try:
            found = dict(store.scan(b"\x00", _END))
            legal = self._states[self._safe : self._acknowledged + 2]
            if found not in legal:
                raise self._violation(f"one of {len(legal)} states", self._named(found), when)
            store.write([(b"after", b"crash")], durable=True)
        finally:
            store.close()

    def _named(self, found: Rows) -> str:
        if found in self._states:
            return f"the state after write {self._states.index(found)}; {self._safe} were durable"
        return f"{len(found)} rows that were never there together"

    def _violation(self, expected: str, got: str, when: str) -> Violation:
        note = f"{when}, after {self._acknowledged} acknowledged writes, program {self._seed}"
        return Violation(expected, got, Program("power", tuple(self._ops)), clause="DUR-5", note=note)


def _batches(chance: random.Random, count: int) -> Iterator[tuple[Batch, bool]]:
    """Batches that overwrite, delete, and fill files of some kilobytes."""
    for _ in range(count):
        keys = [b"%02d" % chance.randrange(25) for _ in range(chance.choice([1, 1, 2, 8]))]
        sizes = [chance.choice([None, 0, 20, chance.randrange(900)]) for _ in keys]
        values = [None if size is None else chance.randbytes(size) for size in sizes]
        yield list(zip(keys, values, strict=True)), chance.random() < 0.4
