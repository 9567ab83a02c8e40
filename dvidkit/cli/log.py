"""``dvidkit log``: the versions of a store, drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from dvidkit.cli.graph import Node, draw
from dvidkit.cli.output import json_option, print_json
from dvidkit.cli.stores import opened_kernel, store_argument
from dvidkit.keys import VersionID
from dvidkit.repo import Repo, Version

_SHORTEST: Final = 8


@click.command()
@store_argument
@click.argument("repo", required=False)
@click.option("-v", "--verbose", is_flag=True, help="Show the lines of each version's log, and UUIDs in full.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with signs that every terminal has.")
@json_option
def log(path: str, repo: str | None, *, verbose: bool, ascii_only: bool, as_json: bool) -> None:
    """Draw versions, newest first.

    Of REPO, or of every repo. A full dot is a committed version, an open dot takes writes. REPO is any VERSION of it.
    """
    with opened_kernel(path) as kernel:
        repos = [kernel.repos[repo]] if repo else list(kernel.repos)
        if as_json:
            print_json(
                [{"repo": each.uuid, "versions": [_json(version) for version in newest(each)]} for each in repos]
            )
            return
        lines = list(_draw_all(repos, verbose=verbose, ascii_only=ascii_only or not _can_draw()))
    click.echo("\n".join(lines), nl=bool(lines))


def _can_draw() -> bool:
    encoding = (sys.stdout.encoding or "").lower()
    return encoding.startswith("utf")


def newest(repo: Repo) -> list[Version]:
    """Versions, children before parents, the youngest first."""
    return list(reversed(repo.versions))


def _draw_all(repos: Sequence[Repo], *, verbose: bool, ascii_only: bool) -> Iterator[str]:
    for number, repo in enumerate(repos):
        if len(repos) > 1:
            yield from [""] * bool(number)
            yield f"repo {repo.uuid} {repo.alias}".rstrip()
        yield from draw_repo(repo, verbose=verbose, ascii_only=ascii_only)


def draw_repo(repo: Repo, *, verbose: bool = False, ascii_only: bool = False) -> Iterator[str]:
    """The lines of a repo's drawing."""
    heads: dict[VersionID, list[str]] = {}
    for name, version in repo.branches().items():
        heads.setdefault(version.id, []).append(name)
    length = 32 if verbose else short_length([version.uuid for version in repo.versions])
    versions = newest(repo)
    return draw(
        [_node(version, heads.get(version.id, ()), length, verbose) for version in versions], ascii_only=ascii_only
    )


def short_length(uuids: Sequence[str]) -> int:
    """Digits, at least eight, that tell the versions apart."""
    length = _SHORTEST
    while len({uuid[:length] for uuid in uuids}) < len(uuids):
        length += 1
    return length


def _node(version: Version, heads: Sequence[str], length: int, verbose: bool) -> Node[VersionID]:
    record = version.record
    tagged = version.branch == f"tag-{version.uuid}"
    words = [version.uuid if tagged else version.uuid[:length]]
    words += [f"({', '.join(heads)})"] if heads else []
    words += [] if version.locked else ["open"]
    words += ["hidden"] if record.hidden else []
    words += [record.created[:16].replace("T", " "), record.note]
    parents = tuple(parent.id for parent in version.parents)
    sign = "●" if version.locked else "○"
    return Node(version.id, parents, sign, "  ".join(word for word in words if word), record.log if verbose else ())


def _json(version: Version) -> dict[str, Any]:
    record = version.record
    return {
        "uuid": version.uuid,
        "id": version.id,
        "parents": [parent.uuid for parent in version.parents],
        "branch": version.branch,
        "committed": version.locked,
        "hidden": record.hidden,
        "note": record.note,
        "log": record.log,
        "created": record.created,
        "updated": record.updated,
    }
