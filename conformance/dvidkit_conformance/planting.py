"""Planting faults: a class per fault, declared in a few lines, and the run that must catch it.

::

    class InclusiveEnd(Fault):
        \"\"\"``scan`` includes its end.\"\"\"

        breaks = ("ENG-SCAN-2",)

        class view(ToyView):
            def select(self, begin, end):
                return sorted(key for key in self.rows if begin <= key <= end)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from dvidkit.engine import Capability, Engine, Limits, Loss
from dvidkit_conformance.kit import check
from dvidkit_conformance.outcome import Failure, Report
from dvidkit_conformance.toy import ToyEngine, ToyStore, ToyView


class Fault:
    """One thing that is wrong. The docstring says what.

    Attributes:
        breaks: clauses each of which must fail, the one that names the fault first.
        steps: the most steps that the program of the first may have; 0 if it is shown by more than operations.
        view, store: the toy engine's classes, or what replaces them.
        features, limits, persistent, loss: what the engine declares.
        kernel: a broken ``Store`` over a right engine, instead.
        datatype: a broken datatype on a right engine, instead.
        profile: with which the kit is run.
        isolate: it must be run in a child, as it crashes or hangs.
    """

    breaks: ClassVar[tuple[str, ...]] = ()
    steps: ClassVar[int] = 5
    view: ClassVar[type[ToyView]] = ToyView
    store: ClassVar[type[ToyStore]] = ToyStore
    features: ClassVar[frozenset[Capability] | None] = None
    limits: ClassVar[Limits | None] = None
    persistent: ClassVar[bool] = True
    loss: ClassVar[Loss | None] = None
    kernel: ClassVar[Any] = None
    datatype: ClassVar[Any] = None
    profile: ClassVar[str] = "quick"
    isolate: ClassVar[bool] = False

    @classmethod
    def engine(cls) -> Engine:
        """The broken engine."""
        store: Any = type("PlantedStore", (cls.store,), {"view": cls.view})
        return ToyEngine(store, features=cls.features, persistent=cls.persistent, limits=cls.limits, loss=cls.loss)

    @classmethod
    def caught(cls, *, clauses: Iterable[str] | None = None) -> Report:
        """The kit's report of it, by the clauses it breaks unless others are given."""
        return check(
            cls.engine(),
            datatypes=[] if cls.datatype is None else [cls.datatype],
            profile=cls.profile,
            clauses=tuple(cls.breaks if clauses is None else clauses),
            isolate=cls.isolate,
            store_class=cls.kernel,
        )

    @classmethod
    def first(cls, report: Report) -> Failure:
        """The failure of the clause that names the fault."""
        return next(failure for failure in report.failures if failure.clause == cls.breaks[0])


def faults(folder: Path) -> Iterator[type[Fault]]:
    """Every fault declared in the files of a folder, in order."""
    for path in sorted(folder.glob("*.py")):
        for value in vars(_load(path)).values():
            if isinstance(value, type) and issubclass(value, Fault) and value.breaks and value.__module__ == path.stem:
                yield value


def _load(path: Path) -> ModuleType:
    found = spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module
