"""Two saved reports beside each other: only what changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit_conformance.outcome import SCHEMA

Saved = Mapping[str, Any]
_ABSENT: Final = "not in the report"


@dataclass(frozen=True, slots=True)
class Change:
    """One clause that came out otherwise.

    Attributes:
        engine, datatype, clause: where; ``datatype`` is empty for clauses of engines and stores.
        before, after: statuses, or that it was not in the report.
        reason: of what is now.
    """

    engine: str
    datatype: str
    clause: str
    before: str
    after: str
    reason: str = ""

    @property
    def worse(self) -> bool:
        """It was passed and is not any more."""
        return self.before == "pass" and self.after != "pass"

    def text(self) -> str:
        """One line."""
        where = " ".join(part for part in (self.engine, self.datatype, self.clause) if part)
        return f"{where}: {self.before} -> {self.after}{f' ({self.reason[:200]})' if self.reason else ''}"


def load(path: Path) -> dict[str, Any]:
    """A ``report.json``.

    Raises:
        ValueError: it is none, or of another schema.
    """
    data = json.loads(path.read_text("utf-8"))
    if not isinstance(data, dict) or "engines" not in data:
        raise ValueError("it is not a conformance report")
    if data.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {data.get('schema')!r}; this release reads {SCHEMA}")
    return data


def changes(before: Saved, after: Saved) -> list[Change]:
    """Every clause whose status differs, in the order of the later report."""
    old, new = dict(_statuses(before)), dict(_statuses(after))
    found = []
    for place in [*new, *(place for place in old if place not in new)]:
        was, now = old.get(place, (_ABSENT, "")), new.get(place, (_ABSENT, ""))
        if was[0] != now[0]:
            found.append(Change(*place, was[0], now[0], now[1]))
    return found


def levels(before: Saved, after: Saved) -> list[str]:
    """A line for each engine that may claim other levels than before."""
    old, new = ({each["engine"]: each["levels"] for each in report["engines"]} for report in (before, after))
    return [
        f"{name}: levels {', '.join(old[name]) or 'none'} -> {', '.join(new[name]) or 'none'}"
        for name in new
        if name in old and old[name] != new[name]
    ]


def circumstances(before: Saved, after: Saved) -> list[str]:
    """A line for each thing that makes the two less comparable."""
    names = ("spec", "spec_sha256", "kit", "profile", "seed", "python", "platform")
    return [f"{name}: {before[name]} -> {after[name]}" for name in names if before.get(name) != after.get(name)]


def _statuses(report: Saved) -> Iterator[tuple[tuple[str, str, str], tuple[str, str]]]:
    for engine in report["engines"]:
        for datatype, results in (("", engine["clauses"]), *engine["datatypes"].items()):
            for result in results:
                yield (engine["engine"], datatype, result["id"]), (result["status"], result["reason"])
