"""``dvidkit copy``, ``verify``, ``backup``, ``compact`` and ``repair``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

import click

from dvidkit.cli.output import Progress, json_option, print_json
from dvidkit.cli.stores import new_store, opened_kernel, opened_store, store_argument
from dvidkit.engine import Capability, StoreConfig
from dvidkit.errors import AlreadyExistsError
from dvidkit.findings import VerifyReport
from dvidkit.instancecopy import copy_instance, copy_versions, flatten_instance
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.rowcopy import CopyProgress, CopyReport
from dvidkit.storedir import has_marker, read_marker
from dvidkit.transfer import copy_store
from dvidkit.verify import verify as verify_store

_PHASES: Final = {"limits": "checking limits", "copy": "copying", "compare": "comparing"}


# --- copy ------------------------------------------------------------------------------------------------------------


@click.command()
@click.argument("source", metavar="SRC", type=click.Path())
@click.argument("target", metavar="DST", type=click.Path())
@click.option("--engine", help="Engine of DST if it is made; the same as of SRC unless given.")
@click.option("--no-integrity", is_flag=True, help="If DST is made, keep no checksums in it.")
@click.option("--instance", help="Copy only this data instance, into a store that may hold others.")
@click.option("--at", "version", metavar="VERSION", help="Version whose repo has the instance; needed with several.")
@click.option("--flatten", is_flag=True, help="Copy only what the version given with --at sees of the instance.")
@click.option("--to", metavar="VERSION", help="With --flatten, the open version in DST that gets the data.")
@click.option("--name", default="", help="Name of the instance in DST; the same unless given.")
def copy(
    source: str,
    target: str,
    *,
    engine: str | None,
    no_integrity: bool,
    instance: str | None,
    version: str | None,
    flatten: bool,
    to: str | None,
    name: str,
) -> None:
    """Copy a store or an instance, between any engines.

    What is copied is compared with its source. A copy that was interrupted goes on where it was when the same command
    is given again.
    """
    if instance is None and (version or flatten or to or name):
        raise click.UsageError("--at, --flatten, --to and --name need --instance")
    if flatten and not version:
        raise click.UsageError("--flatten needs --at")
    with Progress("rows") as progress:

        def tell(step: CopyProgress) -> None:
            progress.update(_PHASES[step.phase], step.rows, step.total)

        def make() -> None:
            if engine is not None or not has_marker(target):
                new_store(target, engine or read_marker(source).engine, integrity=not no_integrity).close()

        if instance is None:
            with opened_store(source) as here:
                make()
                with opened_store(target, write=True) as there:
                    report = copy_store(here, there, on_progress=tell)
        elif os.path.realpath(source) == os.path.realpath(target):
            with opened_kernel(source, write=True) as kernel:
                report = _copy_instance(kernel, kernel, instance, version, to if flatten else "", name, tell)
        else:
            with opened_kernel(source) as kernel:
                make()
                with opened_kernel(target, write=True) as other:
                    report = _copy_instance(kernel, other, instance, version, to if flatten else "", name, tell)
    resumed = f", {report.written:,} of them now" if report.resumed else ""
    click.echo(f"copied and compared {report.rows:,} rows{resumed}")


def _copy_instance(
    here: Kernel,
    there: Kernel,
    name: str,
    version: str | None,
    to: str | None,
    new_name: str,
    tell: Callable[[CopyProgress], object],
) -> CopyReport:
    """``to`` is where to flatten to; ``None`` for the head of master, empty for not flattening."""
    at = here.repos.resolve(version or ":")
    instance = at.repo.instance(name)
    repo = copy_versions(at.repo, there.repos) if not to else there.repos[to]
    if to == "":
        return copy_instance(instance, repo, name=new_name, on_progress=tell)[1]
    target = there.repos.resolve(to) if to else repo.head()
    return flatten_instance(instance, at, target, name=new_name, on_progress=tell)[1]


# --- verify ----------------------------------------------------------------------------------------------------------


@click.command()
@store_argument
@json_option
def verify(path: str, *, as_json: bool) -> None:
    """Check every value, key and record of a store.

    Exit code 1 if anything is wrong. Changed values, lost and extra rows are named by data instance and version.
    Nothing is written.
    """
    with opened_store(path) as store, Progress("rows") as progress:
        report = verify_store(store, on_progress=lambda done, total: progress.update("verifying", done, total))
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report)
    if not report.ok:
        sys.exit(1)


def _print_report(report: VerifyReport) -> None:
    counts = ", ".join(f"{number:,} {what}" for what, number in report.rows.items() if number)
    click.echo(f"looked at {counts or 'nothing'}")
    for finding in report.findings:
        click.echo(f"{finding.damage}: {finding.text}")
    for sentence in report.unchecked:
        click.echo(f"not checked: {sentence}")
    click.echo("all is well" if report.ok else f"{len(report.findings)} findings")


# --- backup, compact, repair -----------------------------------------------------------------------------------------


@click.command()
@store_argument
@click.argument("target", metavar="DST", type=click.Path())
def backup(path: str, target: str) -> None:
    """Write a copy of one instant to DST.

    DST must not exist. By the engine's own means where it has them, else as `dvidkit copy` does.
    """
    if has_marker(target):
        raise AlreadyExistsError(f"there is a store at {target} already", path=target)
    with opened_store(path) as store:
        if Capability.BACKUP in store.engine.capabilities.features:
            store.backup(target)
        else:
            with new_store(target, store.engine.name, integrity=store.record.integrity) as there:
                copy_store(store, there)
    click.echo(f"backed up {path} to {target}")


@click.command()
@store_argument
def compact(path: str) -> None:
    """Give back the room of deleted and overwritten data."""
    with opened_store(path, write=True) as store:
        store.compact()
    click.echo(f"compacted {path}")


@click.command()
@click.argument("engine")
@store_argument
def repair(engine: str, path: str) -> None:
    """Make a damaged store openable.

    What can be kept is kept. Run `dvidkit verify` afterwards.
    """
    found = Plugins().engine(engine)
    report = found.repair(path)
    for note in report.notes:
        click.echo(note)
    found.open(StoreConfig(engine, path, create=False)).close()
    click.echo(f"{path} can be opened; what it holds is checked by: dvidkit verify {path}")
