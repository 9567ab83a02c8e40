"""``check``: prove engines and datatypes, from Python, without pytest and without a command line.

::

    from dvidkit_conformance.kit import check

    report = check("lmdb")                      # an installed engine
    report = check(MyEngine(), profile="ci")    # an engine object that is not installed
    assert report.conformant, report.failures
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvidkit import __version__
from dvidkit.datatype import Datatype
from dvidkit.engine import Engine
from dvidkit.errors import InvalidInputError
from dvidkit.plugins import Plugins
from dvidkit_conformance import spec
from dvidkit_conformance.nursery import Nursery
from dvidkit_conformance.ops import Program
from dvidkit_conformance.outcome import Failure, Report
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.workdir import workdir as within

if TYPE_CHECKING:
    from dvidkit_conformance.deviations import Deviation
    from dvidkit_conformance.whole import Progress, Subject


def check(
    engine: Subject | Iterable[Subject],
    *,
    datatypes: Iterable[str | type[Datatype]] | None = None,
    profile: str = "ci",
    clauses: Iterable[str] = (),
    seed: int = 0,
    workdir: str | os.PathLike[str] | None = None,
    isolate: bool = True,
    store_class: Any = None,
    progress: Progress | None = None,
    deviations: Sequence[Deviation] = (),
) -> Report:
    """Prove engines, clause by clause.

    Args:
        engine: names of installed engines or engine objects; one or several.
        datatypes: to prove on each; unless given, every installed one that has a case. An empty list for none.
        profile: ``quick``, ``ci`` or ``nightly``.
        clauses: ids or groups (``KV``, ``ENG-SCAN``); unless given, all.
        seed: of everything random.
        workdir: where stores are made; unless given, memory (``/dev/shm``) where there is one.
        isolate: run in child processes, so that a crash or hang is a failure. Without, everything runs here.
        store_class: another ``Store``; for testing the kit.
        progress: called with the engine's name and each job's result.
        deviations: declared ones; see ``deviations.load``.

    Raises:
        UnknownEngine, UnknownDatatype: not installed.
        MissingExtra: an engine was named whose driver is not installed.
        InvalidInputError: an unknown profile or clause.
    """
    subjects: list[Subject] = [engine] if isinstance(engine, (str, Engine)) else list(engine)
    if profile not in PROFILES:
        raise InvalidInputError(f"no profile {profile!r}; there are {', '.join(PROFILES)}")
    try:
        chosen = spec.matching(tuple(clauses)) if clauses else tuple(spec.clauses())
    except LookupError as error:
        raise InvalidInputError(str(error)) from error
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with within(workdir) as root, _nursery(root, wanted=isolate) as nursery:
        # Imported while the nursery imports the same: both take long.
        from dvidkit_conformance.deviations import apply as declare
        from dvidkit_conformance.whole import Whole

        engines = Whole(Plugins(), root, profile, seed, chosen, datatypes, store_class, progress, nursery).run(subjects)
        for each in engines:
            declare(each, deviations)
    return Report(
        engines, profile, seed, str(root.parent), __version__, platform.platform(), platform.python_version(), started
    )


def replay(program: Program | Mapping[str, Any], engine: Subject, *, isolate: bool = True) -> list[Failure]:
    """Run one program on one engine; what it violates. It runs in a child unless ``isolate`` is false."""
    from dvidkit_conformance.replaying import replayed

    found = program if isinstance(program, Program) else Program.from_json(program)
    return replayed(found, engine, isolate=isolate)


@contextmanager
def _nursery(root: Path, *, wanted: bool) -> Iterator[Nursery | None]:
    """A nursery, where one is wanted; ended at once if the block raises."""
    if not wanted:
        yield None
        return
    with Nursery(str(root / "bytecode")) as nursery:
        try:
            yield nursery
        except BaseException:
            nursery.end()
            raise
