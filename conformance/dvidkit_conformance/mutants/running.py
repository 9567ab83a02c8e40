"""Running the kit on a sample of mutants: ``python -m dvidkit_conformance.mutants.running --sample 60 --seed 0``.

Each mutant runs in a process of its own, in which its module is loaded from the changed source, until the first clause
fails. The unchanged reference must pass first, or nothing a mutant fails would mean anything. A mutant that takes too
long is killed by that: something loops.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from dvidkit_conformance.mutants.mutation import Mutant, count, mutants

MODULES: Final = (
    "dvidkit.keys",
    "dvidkit.versions",
    "dvidkit.resolve",
    "dvidkit.ranges",
    "dvidkit.segment",
    "dvidkit.history",
    "dvidkit_memory.store",
)
LEFT_OUT: Final = ("CONC", "LIM", "DUR", "REP", "CPY")
"""Groups that are about other things than these modules, or take long."""

NONE: Final = 999_999
"""Number of the mutant that is none."""

_PATIENCE: Final = 240


def source_of(module: str) -> str:
    """The source of a module, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module!r}")
    return Path(spec.origin).read_text("utf-8")


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

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """For the one module, a spec that this loads."""
        if name != self.module:
            return None
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: object) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed tree."""
        exec(compile(self.tree, f"<mutant of {self.module}>", "exec"), module.__dict__)  # noqa: S102 - our own source


def child(module: str, number: int) -> str:
    """Run the kit on the mutant (on none if ``number`` is ``NONE``); the clause that catches it, or nothing."""
    if number != NONE:
        tree = next(tree for mutant, tree in mutants(module, source_of(module)) if mutant.number == number)
        sys.meta_path.insert(0, _Changed(module, tree))  # type: ignore[arg-type]
    try:
        return _first_failure()
    except Exception as error:
        return f"(before any clause: {type(error).__name__})"


def _first_failure() -> str:
    from dvidkit.plugins import Plugins
    from dvidkit_conformance import spec
    from dvidkit_conformance.harness import Harness
    from dvidkit_conformance.jobs import all_jobs
    from dvidkit_conformance.profiles import PROFILES
    from dvidkit_conformance.running import Runner

    plugins = Plugins()
    if plugins.failures:
        return "(the engine does not load)"
    with tempfile.TemporaryDirectory() as folder:
        harness = Harness(plugins.engine("memory"), Path(folder), plugins=plugins)
        runner = Runner(harness, PROFILES["quick"], 0)
        for job in all_jobs():
            clause = spec.clauses()[job.clause]
            wanted = harness.offers(clause.capability) and clause.group not in LEFT_OUT and clause.lane != "faulty"
            if wanted and clause.must and (job.check is None or job.check.scale == 0):
                status = runner.one(job).status
                if status in ("fail", "error"):
                    return job.clause
    return ""


# --- the parent ------------------------------------------------------------------------------------------------------
def examine(module: str, number: int) -> dict[str, Any]:
    """What becomes of one mutant, as JSON."""
    chosen = next((m for m, _ in mutants(module, source_of(module)) if m.number == number), Mutant("", 0, 0, "nothing"))
    command = [sys.executable, "-m", "dvidkit_conformance.mutants.running", "--child", module, str(number)]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        caught = "(it does not end)"
    else:
        caught = json.loads(done.stdout) if done.returncode == 0 else "(the process dies)"
    return {"module": module, "line": chosen.line, "what": chosen.what, "caught": caught}


def report(results: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The results for people, survivors last."""
    results = list(results)
    alive = [each for each in results if not each["caught"]]
    yield f"{len(results)} mutants, {len(results) - len(alive)} caught, {len(alive)} survive"
    for each in sorted(results, key=lambda each: (not each["caught"], each["module"], each["line"])):
        yield f"{each['caught'] or 'SURVIVES':<12} {each['module']}:{each['line']}  {each['what']}"


@click.command()
@click.option("--sample", "size", default=60, show_default=True, help="how many mutants")
@click.option("--seed", default=0, show_default=True, help="of the sample")
@click.option("--module", "modules", multiple=True, help="only of these modules")
@click.option("--jobs", default=2, show_default=True, help="at the same time")
@click.option("--child", "one", nargs=2, type=(str, int), hidden=True)
def main(size: int, seed: int, modules: tuple[str, ...], jobs: int, one: tuple[str, int] | None) -> None:
    """Run the kit on mutants of the kernel and the reference engine, and print which survive."""
    if one is not None:
        click.echo(json.dumps(child(*one)))
        return
    if child_of_reference := examine("dvidkit.keys", NONE)["caught"]:
        raise click.ClickException(f"the reference itself fails {child_of_reference}")
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda each: examine(*each), sample(modules or MODULES, size, seed))
        for line in report(results):
            click.echo(line)


if __name__ == "__main__":
    main()
