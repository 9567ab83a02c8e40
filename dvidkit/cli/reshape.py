"""Verbs of ``repos``, ``repo`` and ``node`` that rename, reorder or take away; ``dvidkit.cli.repos`` has the groups.

Source: DVID ``server/rpc.go`` (``handleCommand``), for ``tag`` and ``resolve`` its HTTP API.
"""

from __future__ import annotations

import click

from dvidkit.cli.stores import split_settings, store_option
from dvidkit.cli.verbs import verbs

_note = click.option("-m", "--note", default="", help="Note of the version.")
_passcode = click.argument("passcode", default="", metavar="[PASSCODE]")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command("delete")
@click.argument("version", metavar="UUID")
@_passcode
@_yes
@store_option
def repos_delete(version: str, passcode: str, path: str, *, yes: bool) -> None:
    """Delete a repo with everything in it. UUID is that of its root, in full."""
    with verbs(path) as store:
        repo = store.summary(version)
        if version != repo.uuid:
            raise click.UsageError(f"deleting a repo needs the full UUID of its root, {repo.uuid}")
        _ask(f"Delete repo {repo.alias!r} with {repo.versions} versions?", yes=yes)
        store.delete_repo(version, _word(passcode))


@click.command("delete")
@click.argument("name")
@_passcode
@_yes
@store_option
@click.pass_obj
def repo_delete(version: str, name: str, passcode: str, path: str, *, yes: bool) -> None:
    """Delete a data instance, named or by its data UUID, with its data in all versions."""
    with verbs(path) as store:
        repo = store.summary(version)
        called = repo.instance_called(name)
        _ask(f"Delete {called!r} of repo {repo.alias!r} in all versions?", yes=yes)
        store.delete_instance(version, called, _word(passcode))


@click.command("rename")
@click.argument("old")
@click.argument("new")
@_passcode
@store_option
@click.pass_obj
def repo_rename(version: str, old: str, new: str, passcode: str, path: str) -> None:
    """Give a data instance another name."""
    with verbs(path) as store:
        store.rename_instance(version, old, new, _word(passcode))


@click.command("make-master")
@click.argument("old_master", metavar="NAME")
@store_option
@click.pass_obj
def repo_make_master(version: str, old_master: str, path: str) -> None:
    """Call the branch that begins at VERSION master, and the old master by NAME."""
    with verbs(path) as store:
        store.make_master(version, old_master)


@click.command("hide-branch")
@click.argument("branch")
@store_option
@click.pass_obj
def repo_hide_branch(version: str, branch: str, path: str) -> None:
    """Leave the versions of a branch out of listings and names; their data stays."""
    with verbs(path) as store:
        store.hide_branch(version, branch)


@click.command("tag")
@click.argument("name")
@_note
@store_option
@click.pass_obj
def node_tag(version: str, name: str, note: str, path: str) -> None:
    """Give a committed version a name that works as its UUID."""
    with verbs(path) as store:
        click.echo(store.tag(version, name, note))


@click.command("resolve")
@click.argument("others", nargs=-1, required=True, metavar="VERSION...")
@click.option("-d", "--data", multiple=True, required=True, help="Instance whose conflicts are decided; repeatable.")
@_note
@store_option
@click.pass_obj
def repo_resolve(version: str, others: tuple[str, ...], data: tuple[str, ...], note: str, path: str) -> None:
    """Merge as `merge`; where versions disagree, the first that has a value decides. Prints the UUID."""
    with verbs(path) as store:
        click.echo(store.resolve((version, *others), data, note))


def _word(argument: str) -> str:
    """The passcode, which may stand as ``passcode=WORD`` as where it was given."""
    return split_settings([argument])[1].get("passcode", argument)


def _ask(question: str, *, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)
