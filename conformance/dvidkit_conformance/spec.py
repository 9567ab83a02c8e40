"""The specification as data: every clause of ``spec/*.toml``, in the order in which they are judged."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

VERSION: Final = "2026.1"
BELOW: Final[Mapping[str, tuple[str, ...]]] = {
    "core": (),
    "versioned": ("core",),
    "durable": ("core", "versioned"),
    "concurrent": ("core", "versioned"),
    "full": ("core", "versioned", "durable", "concurrent"),
}
"""The levels, and those that must be claimed with each."""
LEVELS: Final = tuple(BELOW)
LAYERS: Final = ("engine", "store", "datatype")
LANES: Final = (
    "directed",
    "reopen",
    "programs",
    "exhaustive",
    "machines",
    "datatype",
    "crash",
    "power",
    "thread",
    "damage",
    "resource",
    "faulty",
    "golden",
)
"""How a clause is tested. A lane that is not in this release has only clauses that are ``untested``."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence that a store, engine or datatype must keep.

    Attributes:
        id: what tests, reports and deviations call it.
        group: its heading; ``group_title`` for people.
        title, text: a few words, and the whole.
        level: a claim of this level needs it.
        must: false for a SHOULD, whose breach is a deviation and no failure.
        since: version of the specification that brought it.
        layer: whose clause it is; engines are judged before stores, stores before datatypes.
        lane: how it is tested.
        capability: it binds only those who declare this; ``persistent``: all that survive ``close``.
        untested: why it has no test, or empty.
    """

    id: str
    group: str
    group_title: str
    title: str
    text: str
    level: str
    must: bool
    since: str
    layer: Literal["engine", "store", "datatype"]
    lane: str
    capability: str = ""
    untested: str = ""


@cache
def clauses() -> Mapping[str, Clause]:
    """Every clause by id, in order."""
    found: dict[str, Clause] = {}
    for name, text in _texts():
        table = tomllib.loads(text)
        for entry in table["clause"]:
            clause = _clause(table, entry)
            if clause.id in found:
                raise ValueError(f"{name}: clause {clause.id} is there twice")
            found[clause.id] = clause
    return found


@cache
def digest() -> str:
    """SHA-256 over the specification's files, so that a report says which text it was judged by."""
    total = hashlib.sha256()
    for name, text in _texts():
        total.update(f"{name}\0{text}\0".encode())
    return total.hexdigest()


def matching(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Ids of the clauses that any of the patterns names: an id, or the start of ids (``ENG``, ``ENG-SCAN``).

    Raises:
        LookupError: a pattern names none.
    """
    known = clauses()
    chosen: dict[str, None] = {}
    for pattern in patterns:
        wanted = pattern.upper()
        named = [name for name in known if name == wanted or name.startswith(f"{wanted}-")]
        if not named:
            raise LookupError(f"no clause is called {pattern!r}; groups: {', '.join(groups())}")
        chosen.update(dict.fromkeys(named))
    return tuple(name for name in known if name in chosen)


def groups() -> tuple[str, ...]:
    """Names of the groups, in order."""
    return tuple(dict.fromkeys(clause.group for clause in clauses().values()))


def _texts() -> list[tuple[str, str]]:
    folder = files("dvidkit_conformance") / "spec"
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return [(entry.name, entry.read_text("utf-8")) for entry in sorted(found, key=lambda entry: entry.name)]


def _clause(table: Mapping[str, Any], entry: Mapping[str, Any]) -> Clause:
    def field(name: str, default: Any = "") -> Any:
        return entry.get(name, table.get(name, default))

    clause = Clause(
        id=entry["id"],
        group=_group(entry["id"]),
        group_title=table["title"],
        title=entry["title"],
        text=entry["text"],
        level=field("level"),
        must=field("must", True),
        since=field("since"),
        layer=field("layer"),
        lane=field("lane", "directed"),
        capability=field("capability"),
        untested=field("untested"),
    )
    if clause.level not in LEVELS or clause.layer not in LAYERS or clause.lane not in LANES:
        raise ValueError(f"clause {clause.id}: unknown level, layer or lane")
    return clause


def _group(clause: str) -> str:
    """``ENG-SCAN`` of ``ENG-SCAN-3``."""
    return clause.rpartition("-")[0]
