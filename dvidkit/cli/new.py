"""``dvidkit new-engine`` and ``new-datatype``: write a third party's project that works and is then made one's own.

The projects lie as real files in ``templates``, complete and working under the names ``my-engine`` and ``my-datatype``;
making one is copying it with those names replaced.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal

import click

from dvidkit.errors import AlreadyExistsError, InvalidInputError, NotFoundError, shown
from dvidkit.plugins import Plugins

Kind = Literal["engine", "datatype"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST: Final = 40
_RENAMED: Final = {"gitignore": ".gitignore", "readme.md": "README.md"}
"""Files that would mean something where the templates lie."""
_into = click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=".",
    show_default="the current directory",
    help="Directory that gets the project's directory.",
)


@click.command("new-engine")
@click.argument("name")
@_into
def new_engine(name: str, into: Path) -> None:
    """Write a project for a storage engine.

    It is small, works, and passes the conformance kit; a reader replaces it step by step.
    """
    _made("engine", name, into, f"dvidkit conform {name}")


@click.command("new-datatype")
@click.argument("name")
@_into
def new_datatype(name: str, into: Path) -> None:
    """Write a project for a datatype.

    It is small, works, and passes the conformance kit; a reader replaces it step by step.
    """
    _made("datatype", name, into, f"dvidkit conform memory --datatype {name}")


def _made(kind: Kind, name: str, into: Path, prove: str) -> None:
    check_name(kind, name)
    project = write_project(kind, name, into)
    click.echo(f"made {project}; next:\n  cd {project}\n  pip install --editable '.[test]'\n  {prove}")


def check_name(kind: Kind, name: str) -> None:
    """Refuse a name that cannot be a plugin's, or that is one's already.

    Raises:
        InvalidInputError: not lower case words joined by ``-``.
        AlreadyExistsError: an installed plugin offers it.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise InvalidInputError(
            f"a name is lower case letters and digits, words joined by '-', at most {_LONGEST}; not {shown(name)}"
        )
    plugins = Plugins()
    if name in (plugins.engines if kind == "engine" else plugins.datatypes):
        raise AlreadyExistsError(f"{plugins.owner(name)} offers {kind} {name!r} already", name=name)


def write_project(kind: Kind, name: str, into: Path) -> Path:
    """Write the project ``dvidkit-NAME`` into a directory; its path.

    Raises:
        NotFoundError: the directory does not exist.
        AlreadyExistsError: it holds something of that name already; nothing is overwritten.
    """
    if not into.is_dir():
        raise NotFoundError(f"there is no directory {into}")
    project = into / f"dvidkit-{name}"
    try:
        project.mkdir()
    except FileExistsError:
        raise AlreadyExistsError(f"{project} exists already and is left as it is", path=str(project)) from None
    _copy(files("dvidkit.cli") / "templates" / kind, project, _names(kind, name))
    return project


def _names(kind: Kind, name: str) -> dict[str, str]:
    """What stands in the templates, and what it becomes: as written in text, in modules, in classes."""
    camel = "".join(word.capitalize() for word in name.split("-"))
    suffix = "" if kind == "datatype" or camel.endswith("Engine") else "Engine"
    return {
        f"my-{kind}": name,
        f"my_{kind}": name.replace("-", "_"),
        f"My{kind.capitalize()}": camel + suffix,
    }


def _copy(source: Traversable, target: Path, names: dict[str, str]) -> None:
    for entry in source.iterdir():
        if entry.name == "__pycache__":
            continue
        place = target / _replaced(_RENAMED.get(entry.name, entry.name), names)
        if entry.is_dir():
            place.mkdir()
            _copy(entry, place, names)
        else:
            place.write_text(_replaced(entry.read_text("utf-8"), names), "utf-8")


def _replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text
