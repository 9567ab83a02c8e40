"""Verbs of ``repos``, ``repo`` and ``node`` that rename, reorder or take away; ``dvidkit.cli.repos`` has the groups.

Source: DVID ``server/rpc.go`` (``handleCommand``), for ``tag`` and ``resolve`` its HTTP API.
"""

from __future__ import annotations

import click

from dvidkit import branching, upkeep
from dvidkit.cli.stores import opened_kernel, split_settings, store_option
from dvidkit.kernel import Kernel

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
    with opened_kernel(path, write=True) as kernel:
        repo = kernel.repos.resolve(version).repo
        if version != repo.uuid:
            raise click.UsageError(f"deleting a repo needs the full UUID of its root, {repo.uuid}")
        _ask(f"Delete repo {repo.alias!r} with {len(repo.nodes)} versions?", yes=yes)
        upkeep.delete_repo(repo, _word(passcode))
        _wait(kernel)


@click.command("delete")
@click.argument("name")
@_passcode
@_yes
@store_option
@click.pass_obj
def repo_delete(version: str, name: str, passcode: str, path: str, *, yes: bool) -> None:
    """Delete a data instance, named or by its data UUID, with its data in all versions."""
    with opened_kernel(path, write=True) as kernel:
        repo = kernel.repos.resolve(version).repo
        instance = repo.instance_of_uuid(name) or repo.instance(name)
        _ask(f"Delete {instance.name!r} of repo {repo.alias!r} in all versions?", yes=yes)
        upkeep.delete_instance(instance, _word(passcode))
        _wait(kernel)


@click.command("rename")
@click.argument("old")
@click.argument("new")
@_passcode
@store_option
@click.pass_obj
def repo_rename(version: str, old: str, new: str, passcode: str, path: str) -> None:
    """Give a data instance another name."""
    with opened_kernel(path, write=True) as kernel:
        upkeep.rename_instance(kernel.repos.resolve(version).repo.instance(old), new, _word(passcode))


@click.command("make-master")
@click.argument("old_master", metavar="NAME")
@store_option
@click.pass_obj
def repo_make_master(version: str, old_master: str, path: str) -> None:
    """Call the branch that begins at VERSION master, and the old master by NAME."""
    with opened_kernel(path, write=True) as kernel:
        branching.make_master(kernel.repos.resolve(version), old_master)


@click.command("hide-branch")
@click.argument("branch")
@store_option
@click.pass_obj
def repo_hide_branch(version: str, branch: str, path: str) -> None:
    """Leave the versions of a branch out of listings and names; their data stays."""
    with opened_kernel(path, write=True) as kernel:
        branching.hide_branch(kernel.repos.resolve(version).repo, branch)


@click.command("tag")
@click.argument("name")
@_note
@store_option
@click.pass_obj
def node_tag(version: str, name: str, note: str, path: str) -> None:
    """Give a committed version a name that works as its UUID."""
    with opened_kernel(path, write=True) as kernel:
        click.echo(branching.tag(kernel.repos.resolve(version), name, note).uuid)


@click.command("resolve")
@click.argument("others", nargs=-1, required=True, metavar="VERSION...")
@click.option("-d", "--data", multiple=True, required=True, help="Instance whose conflicts are decided; repeatable.")
@_note
@store_option
@click.pass_obj
def repo_resolve(version: str, others: tuple[str, ...], data: tuple[str, ...], note: str, path: str) -> None:
    """Merge as `merge`; where versions disagree, the first that has a value decides. Prints the UUID."""
    with opened_kernel(path, write=True) as kernel:
        parents = [kernel.repos.resolve(each) for each in (version, *others)]
        click.echo(branching.resolve(parents[0].repo, data, parents, note).uuid)


def _word(argument: str) -> str:
    """The passcode, which may stand as ``passcode=WORD`` as where it was given."""
    return split_settings([argument])[1].get("passcode", argument)


def _ask(question: str, *, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _wait(kernel: Kernel) -> None:
    """Until the data is removed, so that nothing is left for the next start."""
    kernel.repos.deletions.wait()
