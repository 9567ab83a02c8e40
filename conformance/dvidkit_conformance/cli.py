"""``dvidkit conform``: the kit on the command line."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dvidkit.plugins import Plugins
    from dvidkit_conformance.running import JobResult


class _Command(click.Group):
    """A group whose arguments are engines unless the first is the name of a subcommand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.commands:
            return super().parse_args(ctx, args)
        return super().parse_args(ctx, ["run", *args])

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "ENGINE… | --all [OPTIONS]")

    def get_help(self, ctx: click.Context) -> str:
        return self.commands["run"].get_help(ctx)


@click.group(cls=_Command)
def conform() -> None:
    """Prove engines and datatypes, clause by clause."""


@conform.command()
@click.argument("engines", nargs=-1, metavar="ENGINE…")
@click.option("--all", "everything", is_flag=True, help="every installed engine")
@click.option("--engine", "more", multiple=True, metavar="NAME", help="an engine; the same as naming it")
@click.option("--datatype", "datatypes", multiple=True, metavar="NAME", help="only these datatypes; 'none' for none")
@click.option("--profile", type=click.Choice(["quick", "ci", "nightly"]), default="ci", show_default=True)
@click.option("--clause", "clauses", multiple=True, metavar="ID", help="only these clauses or groups (KV, ENG-SCAN-2)")
@click.option("--seed", type=int, default=0, show_default=True, help="of everything random")
@click.option("--report", "folder", type=click.Path(path_type=Path), help="write text, JSON, JUnit and programs here")
@click.option("--workdir", type=click.Path(exists=True, path_type=Path), help="where stores are made (default: memory)")
@click.option(
    "--deviations",
    "declared",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="declared deviations (default: conformance.toml, if there is one here)",
)
@click.option("--no-isolation", is_flag=True, help="run in this process, to debug")
@click.option("--json", "as_json", is_flag=True, help="print the report as JSON")
def run(
    engines: tuple[str, ...],
    everything: bool,
    more: tuple[str, ...],
    datatypes: tuple[str, ...],
    profile: str,
    clauses: tuple[str, ...],
    seed: int,
    folder: Path | None,
    workdir: Path | None,
    declared: Path | None,
    no_isolation: bool,
    as_json: bool,
) -> None:
    """Prove ENGINEs, or every installed one, and print what holds, what does not, and what was not verified.

    With --all, engines without their driver are left out, and named with what installs it.
    Exits with 1 if anything that must hold does not.
    """
    from dvidkit.errors import DvidkitError
    from dvidkit.plugins import Plugins
    from dvidkit_conformance.kit import check
    from dvidkit_conformance.reports import files, text

    plugins = Plugins()
    without = _without_driver(plugins) if everything else {}
    names = [name for name in plugins.engines if name not in without] if everything else [*engines, *more]
    for failure in plugins.failures:
        click.echo(f"warning: {failure}", err=True)
    if not names:
        raise click.UsageError(f"name an engine or give --all; installed: {', '.join(plugins.engines) or 'none'}")
    try:
        with _unwinding():
            report = check(
                names,
                datatypes=None if not datatypes else [name for name in datatypes if name != "none"],
                profile=profile,
                clauses=clauses,
                seed=seed,
                workdir=workdir,
                isolate=not no_isolation,
                progress=_progress if sys.stderr.isatty() else None,
                deviations=_declared(declared),
            )
    except DvidkitError as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(report.to_json(), indent=1) if as_json else text.render(report))
    for name, install in without.items():
        click.echo(f"{name}: not verified, its driver is not installed: {install}", err=as_json)
    if folder is not None:
        written = files.write(report, folder)
        click.echo(f"written to {folder}: {', '.join(path.name for path in written[:4])}", err=True)
    sys.exit(0 if report.conformant else 1)


@contextmanager
def _unwinding() -> Iterator[None]:
    """Signals that end a process end the block as an exception does, so that children end and stores are removed."""

    def end(sign: int, frame: object) -> None:
        sys.exit(128 + sign)

    main = threading.current_thread() is threading.main_thread()
    before = {sign: signal.signal(sign, end) for sign in (signal.SIGTERM, signal.SIGHUP)} if main else {}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _without_driver(plugins: Plugins) -> dict[str, str]:
    from dvidkit.drivers import missing_driver

    found = {name: missing_driver(engine) for name, engine in plugins.engines.items()}
    return {name: error.install for name, error in found.items() if error is not None}


@conform.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--engine", "engines", multiple=True, metavar="NAME", help="unless given, the one named in the file")
def replay(file: Path, engines: tuple[str, ...]) -> None:
    """Run the program in FILE (as written by --report) and compare every answer with the model.

    Exits with 1 if an answer differs.
    """
    from dvidkit.errors import DvidkitError
    from dvidkit_conformance import kit
    from dvidkit_conformance.ops import Program

    try:
        data: dict[str, Any] = json.loads(file.read_text("utf-8"))
        program = Program.from_json(data)
    except (ValueError, KeyError, TypeError) as error:
        raise click.ClickException(f"{file} holds no program: {error}") from error
    failed = False
    for name in engines or ((data["engine"],) if "engine" in data else ("memory",)):
        try:
            failures = kit.replay(program, name)
        except DvidkitError as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"engine {name}: {'every answer is right' if not failures else 'an answer differs'}")
        for failure in failures:
            failed = True
            for step in failure.steps:
                click.echo(f"  {step}")
            click.echo(f"  expected: {failure.expected}\n  got:      {failure.got}")
    sys.exit(1 if failed else 0)


@conform.command()
@click.argument("clauses", nargs=-1, metavar="CLAUSE…")
def spec(clauses: tuple[str, ...]) -> None:
    """Print the specification, or the clauses and groups named."""
    from dvidkit_conformance import spec as specification

    try:
        chosen = specification.matching(clauses) if clauses else tuple(specification.clauses())
    except LookupError as error:
        raise click.ClickException(str(error)) from error
    for name in chosen:
        clause = specification.clauses()[name]
        marks = [clause.level, clause.layer, "MUST" if clause.must else "SHOULD"]
        marks += [f"if {clause.capability}"] if clause.capability else []
        marks += [f"untested: {clause.untested}"] if clause.untested else []
        click.echo(f"{clause.id}  {clause.title}  [{', '.join(marks)}]\n    {clause.text}")


@conform.command()
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Print what changed between two reports (report.json as written by --report), and nothing else.

    Exits with 1 if a clause was passed in BEFORE and is not in AFTER.
    """
    sys.exit(_compared(_saved(before), _saved(after)))


@conform.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(report: Path) -> None:
    """Run again what REPORT (report.json) says was run, with its seed and profile, and print what comes out otherwise.

    Exits with 1 if a clause that it says was passed is not.
    """
    from dvidkit.errors import DvidkitError
    from dvidkit_conformance.reports.again import again

    saved = _saved(report)
    try:
        new = again(saved, progress=_progress if sys.stderr.isatty() else None)
    except DvidkitError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(_compared(saved, new.to_json()))


def _saved(path: Path) -> dict[str, Any]:
    from dvidkit_conformance.reports import comparing

    try:
        return comparing.load(path)
    except ValueError as error:
        raise click.ClickException(f"{path}: {error}") from error


def _compared(before: dict[str, Any], after: dict[str, Any]) -> int:
    from dvidkit_conformance.reports import comparing

    for line in (*comparing.circumstances(before, after), *comparing.levels(before, after)):
        click.echo(line)
    found = comparing.changes(before, after)
    for change in found:
        click.echo(change.text())
    if not found:
        click.echo("every clause came out alike")
    return int(any(change.worse for change in found))


def _declared(path: Path | None) -> list[Any]:
    from dvidkit_conformance import deviations

    found = path or next((here for here in [Path("conformance.toml")] if here.exists()), None)
    try:
        return [] if found is None else list(deviations.load(found))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _progress(engine: str, result: JobResult) -> None:
    mark = "." if result.status == "pass" else f"\n{engine}: {result.status.upper()} {result.job}\n"
    click.echo(mark, nl=False, err=True)


if __name__ == "__main__":
    conform()
