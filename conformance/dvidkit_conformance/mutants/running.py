"""Running the kit on a sample of mutants: ``python -m dvidkit_conformance.mutants.running --sample 60 --seed 0``.

Each mutant runs in a process of its own, in which its module is loaded from the changed source, until the first clause
fails. The unchanged modules must pass first, or nothing a mutant fails would mean anything. A mutant that takes too
much time is killed by that: something loops.

What kills is profile quick: of an engine, all of its clauses on that engine; of a datatype, the datatype's clauses on
the reference engine; of the kernel, both on the reference engine.

Each result is printed, and written to the file of ``--results``, as it comes. With the same file again, mutants that
are in it are not run again.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from dvidkit_conformance.mutants.mutation import count, mutant

MODULES: Final = (
    "dvidkit.keys",
    "dvidkit.versions",
    "dvidkit.resolve",
    "dvidkit.ranges",
    "dvidkit.segment",
    "dvidkit.history",
    "dvidkit_memory.store",
    "dvidkit_lmdb.store",
    "dvidkit_lmdb.views",
    "dvidkit_filesystem.journal",
    "dvidkit_filesystem.segment",
    "dvidkit_keyvalue.datatype",
    "dvidkit_keyvalue.slices",
    "dvidkit_keyvalue.formats",
)
REFERENCE: Final = "memory"
DATATYPE: Final = "keyvalue"
ENGINE_OF: Final = {"dvidkit.cursorstore": "leveldb"}
"""Modules of the kernel that the reference engine does not use, and an engine that does."""
LEFT_OUT: Final = ("CONC", "CPY")
"""Groups that are about other things than these modules, or take long."""

LEFT_OUT_OF_KERNEL: Final = (*LEFT_OUT, "LIM", "DUR")

NONE: Final = 999_999
"""Number of the mutant that is none."""

SURVIVES: Final = ""
ENDLESS: Final = "(it does not end)"
_NOT_LOADED: Final = "(it was not loaded)"
DIES: Final = "(the process dies)"
_PROCESSOR: Final = 120
"""Seconds of the processor's time after which a mutant counts as endless: several times what it takes untouched."""

_PATIENCE: Final = 900
_MEMORY: Final = 4 << 30

Result = dict[str, Any]
"""``module``, ``number``, ``line``, ``what``: the change; ``caught``: by what, or empty."""


def source_of(module: str) -> str:
    """The source of a module. Nothing is imported: what a package imports could not be changed afterwards.

    Raises:
        ValueError: there is no such module.
    """
    package, *names = module.split(".")
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = Path(place, *names).with_suffix(".py")
        if file.exists():
            return file.read_text("utf-8")
    raise ValueError(f"there is no module {module!r}")


def sample(modules: Iterable[str], size: int, seed: int) -> list[tuple[str, int]]:
    """(module, number) of mutants drawn from all of them alike."""
    every = [(module, number) for module in modules for number in range(count(source_of(module)))]
    return random.Random(seed).sample(every, min(size, len(every)))


# --- the child -------------------------------------------------------------------------------------------------------
class _Changed:
    """Loads one module from a changed tree."""

    def __init__(self, module: str, tree: Any) -> None:
        self.module = module
        self.tree = tree
        self.loaded = False

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """For the one module, a spec that this loads."""
        if name != self.module:
            return None
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed tree."""
        self.loaded = True
        exec(compile(self.tree, f"<mutant of {self.module}>", "exec"), module.__dict__)  # noqa: S102 - our own source


def child(module: str, number: int) -> str:
    """Run the kit on the mutant (on none if ``number`` is ``NONE``); the clause that catches it, or nothing."""
    changed = None
    if number != NONE:
        changed = _Changed(module, mutant(module, source_of(module), number)[1])
        sys.meta_path.insert(0, changed)
    try:
        found = next(_failures(module), SURVIVES)
    except Exception as error:
        found = f"(before any clause: {type(error).__name__})"
    return found if changed is None or changed.loaded else _NOT_LOADED


def _failures(module: str) -> Iterator[str]:
    """The clauses that fail, as they do."""
    from dvidkit.plugins import Plugins
    from dvidkit_conformance.datatypelane import datatype_jobs
    from dvidkit_conformance.harness import Harness
    from dvidkit_conformance.jobs import all_jobs
    from dvidkit_conformance.profiles import PROFILES
    from dvidkit_conformance.running import Runner

    plugins = Plugins()
    if plugins.failures:
        yield "(the plugin does not load)"
    engine, datatypes = subjects_of(module, plugins.engines)
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(plugins.engine(engine), Path(folder), plugins=plugins)
        runner = Runner(harness, PROFILES["quick"], 0)
        left_out = LEFT_OUT_OF_KERNEL if engine == REFERENCE else LEFT_OUT
        own = [job for job in all_jobs() if _wanted(harness, job, left_out)]
        for job in [*([] if _is_datatype(module, datatypes) else own), *datatype_jobs(harness, datatypes, ())]:
            if runner.one(job).status in ("fail", "error"):
                yield job.clause


def subjects_of(module: str, engines: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The engine and the datatypes that are proven to find what is wrong with a module."""
    package = module.partition(".")[0].removeprefix("dvidkit_")
    if package in engines:
        return package, ()
    if module in ENGINE_OF:
        return ENGINE_OF[module], ()
    return REFERENCE, (DATATYPE if package == "dvidkit" else package,)


def _is_datatype(module: str, datatypes: Sequence[str]) -> bool:
    return module.partition(".")[0].removeprefix("dvidkit_") in datatypes


def _wanted(harness: Any, job: Any, left_out: Sequence[str]) -> bool:
    from dvidkit_conformance import spec

    clause = spec.clauses()[job.clause]
    if clause.group in left_out or clause.lane == "faulty" or not clause.must:
        return False
    return harness.offers(clause.capability) and (job.check is None or job.check.scale == 0)


def _limit() -> None:
    """An endless loop ends this process by SIGXCPU; one that fills memory, by MemoryError."""
    resource.setrlimit(resource.RLIMIT_CPU, (_PROCESSOR, _PROCESSOR))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


# --- the parent ------------------------------------------------------------------------------------------------------
def examine(module: str, number: int) -> Result:
    """What becomes of one mutant, as JSON."""
    chosen, _ = mutant(module, source_of(module), number)
    return {
        "module": module,
        "number": number,
        "line": chosen.line,
        "what": chosen.what,
        "caught": _run(module, number),
    }


def _run(module: str, number: int) -> str:
    command = [sys.executable, "-m", "dvidkit_conformance.mutants.running", "--child", module, str(number)]
    process = subprocess.Popen(  # noqa: S603
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        return ENDLESS
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == -signal.SIGXCPU:
        return ENDLESS
    said = json.loads(said) if process.returncode == 0 else DIES
    if said == _NOT_LOADED:
        raise RuntimeError(f"{module} was not loaded from the changed source, so nothing was shown")
    return said


def known(results: Path | None) -> list[Result]:
    """What a file of results holds."""
    if results is None or not results.exists():
        return []
    return [json.loads(line) for line in results.read_text("utf-8").splitlines()]


def run(
    wanted: Sequence[tuple[str, int]], results: Path | None, jobs: int, told: Callable[[Result], object]
) -> list[Result]:
    """Run the mutants that are not known yet; all results. ``told`` gets each new one as it comes, from any thread."""
    found = {(each["module"], each["number"]): each for each in known(results)}

    def one(place: tuple[str, int]) -> Result:
        result = examine(*place)
        if results is not None:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
        told(result)
        return result

    with ThreadPoolExecutor(jobs) as pool:
        fresh = pool.map(one, [place for place in wanted if place not in found])
        found.update({(each["module"], each["number"]): each for each in fresh})
    return [found[place] for place in wanted]


def line_of(result: Result) -> str:
    """A result for people."""
    return f"{result['caught'] or 'SURVIVES':<20} {result['module']}:{result['line']}  {result['what']}"


def report(results: Iterable[Result]) -> Iterator[str]:
    """How many there are of each kind, and the survivors."""
    results = list(results)
    alive = [each for each in results if not each["caught"]]
    endless = sum(each["caught"] == ENDLESS for each in results)
    yield f"{len(results)} mutants, {len(results) - len(alive)} caught ({endless} do not end), {len(alive)} survive"
    for each in sorted(alive, key=lambda each: (each["module"], each["line"])):
        yield line_of(each)


@click.command()
@click.option("--sample", "size", default=60, show_default=True, help="how many mutants")
@click.option("--seed", default=0, show_default=True, help="of the sample")
@click.option("--module", "modules", multiple=True, help="only of these modules")
@click.option("--jobs", default=2, show_default=True, help="at the same time")
@click.option("--results", type=click.Path(path_type=Path), help="written as they come; what is there is not run again")
@click.option("--child", "one", nargs=2, type=(str, int), hidden=True)
def main(
    size: int, seed: int, modules: tuple[str, ...], jobs: int, results: Path | None, one: tuple[str, int] | None
) -> None:
    """Run the kit on mutants of the kernel, engines and a datatype, and print which survive."""
    if one is not None:
        _limit()
        click.echo(json.dumps(child(*one)))
        return
    for module in ("dvidkit.keys", "dvidkit_lmdb.store", "dvidkit_filesystem.journal", "dvidkit_keyvalue.datatype"):
        if failed := _run(module, NONE):
            raise click.ClickException(f"the unchanged {module} itself fails {failed}")
    found = run(sample(modules or MODULES, size, seed), results, jobs, lambda each: click.echo(line_of(each)))
    for line in report(found):
        click.echo(line)


if __name__ == "__main__":
    main()
