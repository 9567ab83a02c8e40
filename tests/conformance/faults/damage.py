"""Faults that only damaged files show."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

from dvidkit_conformance.planting import Fault
from dvidkit_conformance.toy import ToyEngine, ToyStore, encoded

from dvidkit.engine import Capability, Engine, OpenReport
from dvidkit.errors import CorruptData


class StartsOver(Fault):
    """A file that cannot be read is taken for an empty store, as LevelDB does when its CURRENT is gone."""

    breaks = ("REP-4",)
    steps = 0

    class store(ToyStore):
        def load(self, path: Path) -> None:
            try:
                super().load(path)
            except CorruptData:
                self.rows = {}


class NoChecksum(Fault):
    """The file is read without looking whether it is what was written."""

    breaks = ("REP-4",)
    steps = 0

    class store(ToyStore):
        def load(self, path: Path) -> None:
            if self.claim is not None and not self.claim.created:
                self.rows = pickle.loads(path.read_bytes()[4:])


class _Repairing(ToyEngine):
    """An engine whose repair brings back the file of the first life."""

    features = ToyEngine.features | {Capability.REPAIR}

    def repair(self, path: str) -> OpenReport:
        file = Path(path, "data", ToyStore.file)
        old = file.with_suffix(".old")
        if old.exists():
            shutil.copyfile(old, file)
        return OpenReport()


class _KeepsOld(ToyStore):
    def save(self) -> None:
        assert self.claim is not None
        file = self.claim.data / self.file
        if file.exists() and file.stat().st_size > 1000 and not file.with_suffix(".old").exists():
            shutil.copyfile(file, file.with_suffix(".old"))
        super().save()


class RepairBringsBack(Fault):
    """Repair takes the rows of an earlier time: values that were overwritten are back."""

    breaks = ("REP-2", "REP-1")
    steps = 0

    @classmethod
    def engine(cls) -> Engine:
        return _Repairing(_KeepsOld)


class _Dropping(_Repairing):
    def repair(self, path: str) -> OpenReport:
        file = Path(path, "data", ToyStore.file)
        rows = pickle.loads(file.read_bytes()[4:])
        rows.popitem()
        file.write_bytes(encoded(rows))
        return OpenReport()


class RepairLosesARow(Fault):
    """Repair of a healthy store drops a row."""

    breaks = ("REP-1",)
    steps = 0

    @classmethod
    def engine(cls) -> Engine:
        return _Dropping()
