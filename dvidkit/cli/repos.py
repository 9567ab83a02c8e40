"""``dvidkit init``, ``repos``, ``repo`` and ``node``: stores, repos, instances and versions.

The verbs are those of DVID's command (``repos new``, ``repo UUID new TYPE NAME k=v…``, ``repo UUID branch`` …).

Source: DVID ``server/rpc.go`` (``handleCommand``).
"""

from __future__ import annotations

from dataclasses import asdict

import click

from dvidkit.cli import reshape
from dvidkit.cli.output import json_option, print_json, table
from dvidkit.cli.stores import new_store, split_settings, store_argument, store_option
from dvidkit.cli.verbs import verbs
from dvidkit.kernel import DEFAULT_ENGINE

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
    with verbs(path) as store:
        click.echo(store.create_repo(alias, "".join(words), settings.get("uuid", ""), settings.get("passcode", "")))


@repos.command("list")
@store_option
@json_option
def repos_list(path: str, *, as_json: bool) -> None:
    """List repos: root, alias, versions, data instances."""
    with verbs(path, write=False) as store:
        found = store.summaries()
    if as_json:
        print_json([{**asdict(each), "instances": list(each.instances)} for each in found])
    elif found:
        click.echo(table([[each.uuid, each.alias, f"{each.versions} versions"] for each in found]))


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
    with verbs(path) as store:
        click.echo(store.create_instance(version, typename, name, settings))


@repo.command("branch")
@click.argument("name")
@click.argument("uuid", default="")
@_note
@store_option
@click.pass_obj
def repo_branch(version: str, name: str, uuid: str, note: str, path: str) -> None:
    """Make an open version on a new branch below a committed one, and print its UUID."""
    with verbs(path) as store:
        click.echo(store.make_branch(version, name, note, uuid))


@repo.command("newversion")
@click.argument("uuid", default="")
@_note
@store_option
@click.pass_obj
def repo_newversion(version: str, uuid: str, note: str, path: str) -> None:
    """Make an open version below a committed one, on its branch, and print its UUID."""
    with verbs(path) as store:
        click.echo(store.new_version(version, note, uuid))


@repo.command("merge")
@click.argument("others", nargs=-1, required=True, metavar="VERSION...")
@_note
@store_option
@click.pass_obj
def repo_merge(version: str, others: tuple[str, ...], note: str, path: str) -> None:
    """Make an open version below this and the other committed versions, and print its UUID."""
    with verbs(path) as store:
        click.echo(store.merge((version, *others), note))


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
    with verbs(path) as store:
        click.echo(store.commit(version, note, lines))


@node.command("note")
@click.argument("text")
@store_option
@click.pass_obj
def node_note(version: str, text: str, path: str) -> None:
    """Replace the note of an open version."""
    with verbs(path) as store:
        store.set_note(version, text)


@node.command("log")
@click.argument("lines", nargs=-1, required=True, metavar="LINE...")
@store_option
@click.pass_obj
def node_log(version: str, lines: tuple[str, ...], path: str) -> None:
    """Append lines to the log of an open version."""
    with verbs(path) as store:
        store.add_log(version, lines)


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
