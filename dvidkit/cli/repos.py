"""``dvidkit init``, ``repos``, ``repo`` and ``node``: stores, repos, instances and versions.

The verbs are those of DVID's command (``repos new``, ``repo UUID new TYPE NAME k=v…``, ``repo UUID branch`` …).

Source: DVID ``server/rpc.go`` (``handleCommand``).
"""

from __future__ import annotations

from typing import Any

import click

from dvidkit.cli import reshape
from dvidkit.cli.output import json_option, print_json, table
from dvidkit.cli.stores import new_store, opened_kernel, split_settings, store_argument, store_option
from dvidkit.kernel import DEFAULT_ENGINE
from dvidkit.repo import Repo, Version

_note = click.option("-m", "--note", default="", help="Note of the version.")


@click.command()
@store_argument
@click.option("--engine", default=DEFAULT_ENGINE, show_default=True, help="Name of an installed engine.")
@click.option("--no-integrity", is_flag=True, help="Keep no checksums: bytes as DVID would write them.")
def init(path: str, engine: str, *, no_integrity: bool) -> None:
    """Make an empty store; one that is there is left as it is."""
    with new_store(path, engine, integrity=not no_integrity) as store:
        what = "made" if store.report.created else "there already:"
        click.echo(f"{what} a store of engine {engine} at {path}")


# --- repos -----------------------------------------------------------------------------------------------------------


@click.group()
def repos() -> None:
    """Make and list repos."""


@repos.command("new")
@click.argument("alias")
@click.argument("arguments", nargs=-1, metavar="[DESCRIPTION] [uuid=UUID] [passcode=WORD]")
@store_option
def repos_new(alias: str, arguments: tuple[str, ...], path: str) -> None:
    """Make a repo with an open root version, and print its UUID."""
    words, settings = split_settings(arguments)
    unknown = set(settings) - {"uuid", "passcode"}
    if unknown or len(words) > 1:
        raise click.UsageError(f"repos new takes an alias, a description, uuid= and passcode=, not {arguments[-1]!r}")
    with opened_kernel(path, write=True) as kernel:
        made = kernel.repos.create(
            alias, "".join(words), root=settings.get("uuid"), passcode=settings.get("passcode", "")
        )
        click.echo(made.uuid)


@repos.command("list")
@store_option
@json_option
def repos_list(path: str, *, as_json: bool) -> None:
    """List repos: root, alias, versions, data instances."""
    with opened_kernel(path) as kernel:
        found = [_summary(repo) for repo in kernel.repos]
    if as_json:
        print_json(found)
    elif found:
        click.echo(table([[each["uuid"], each["alias"], f"{each['versions']} versions"] for each in found]))


def _summary(repo: Repo) -> dict[str, Any]:
    return {
        "uuid": repo.uuid,
        "alias": repo.alias,
        "description": repo.record.description,
        "versions": len(repo.nodes),
        "branches": {name: version.uuid for name, version in repo.branches().items()},
        "instances": sorted(repo.instances),
    }


# --- repo VERSION … --------------------------------------------------------------------------------------------------


@click.group()
@click.argument("version", metavar="VERSION")
@click.pass_context
def repo(ctx: click.Context, version: str) -> None:
    """Make data instances and versions in the repo of VERSION."""
    ctx.obj = version


@repo.command("new")
@click.argument("typename", metavar="TYPE")
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[SETTING=VALUE]...")
@store_option
@click.pass_obj
def repo_new(version: str, typename: str, name: str, arguments: tuple[str, ...], path: str) -> None:
    """Make a data instance at an open version. Settings: see `dvidkit datatypes`."""
    words, settings = split_settings(arguments)
    if words:
        raise click.UsageError(f"a setting is NAME=VALUE, not {words[0]!r}")
    with opened_kernel(path, write=True) as kernel:
        at = kernel.repos.resolve(version)
        made = at.repo.create_instance(typename, name, at, **settings)
        click.echo(made.uuid)


@repo.command("branch")
@click.argument("name")
@click.argument("uuid", required=False)
@_note
@store_option
@click.pass_obj
def repo_branch(version: str, name: str, uuid: str | None, note: str, path: str) -> None:
    """Make an open version on a new branch below a committed one, and print its UUID."""
    with opened_kernel(path, write=True) as kernel:
        click.echo(kernel.repos.resolve(version).make_branch(name, note, uuid).uuid)


@repo.command("newversion")
@click.argument("uuid", required=False)
@_note
@store_option
@click.pass_obj
def repo_newversion(version: str, uuid: str | None, note: str, path: str) -> None:
    """Make an open version below a committed one, on its branch, and print its UUID."""
    with opened_kernel(path, write=True) as kernel:
        click.echo(kernel.repos.resolve(version).new_version(note, uuid).uuid)


@repo.command("merge")
@click.argument("others", nargs=-1, required=True, metavar="VERSION...")
@_note
@store_option
@click.pass_obj
def repo_merge(version: str, others: tuple[str, ...], note: str, path: str) -> None:
    """Make an open version below this and the other committed versions, and print its UUID."""
    with opened_kernel(path, write=True) as kernel:
        parents: list[Version] = [kernel.repos.resolve(each) for each in (version, *others)]
        click.echo(parents[0].repo.merge(parents, note).uuid)


# --- node VERSION … --------------------------------------------------------------------------------------------------


@click.group()
@click.argument("version", metavar="VERSION")
@click.pass_context
def node(ctx: click.Context, version: str) -> None:
    """Commit and annotate a version."""
    ctx.obj = version


@node.command("commit")
@_note
@click.option("-l", "--log", "lines", multiple=True, metavar="LINE", help="Line of the version's log; repeatable.")
@store_option
@click.pass_obj
def node_commit(version: str, note: str, lines: tuple[str, ...], path: str) -> None:
    """Lock a version for ever: it takes no more writes and can have children."""
    with opened_kernel(path, write=True) as kernel:
        at = kernel.repos.resolve(version)
        at.commit(note, lines)
        click.echo(at.uuid)


@node.command("note")
@click.argument("text")
@store_option
@click.pass_obj
def node_note(version: str, text: str, path: str) -> None:
    """Replace the note of an open version."""
    with opened_kernel(path, write=True) as kernel:
        at = kernel.repos.resolve(version)
        at.repo.set_note(at, text)


@node.command("log")
@click.argument("lines", nargs=-1, required=True, metavar="LINE...")
@store_option
@click.pass_obj
def node_log(version: str, lines: tuple[str, ...], path: str) -> None:
    """Append lines to the log of an open version."""
    with opened_kernel(path, write=True) as kernel:
        at = kernel.repos.resolve(version)
        at.repo.add_log(at, lines)


node.add_command(repo_branch)
node.add_command(repo_newversion)
node.add_command(repo_merge)
node.add_command(reshape.node_tag)
repos.add_command(reshape.repos_delete)
repo.add_command(reshape.repo_delete)
repo.add_command(reshape.repo_rename)
repo.add_command(reshape.repo_resolve)
repo.add_command(reshape.repo_make_master)
repo.add_command(reshape.repo_hide_branch)
