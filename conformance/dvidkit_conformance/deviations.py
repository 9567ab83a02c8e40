"""Deviations that a plugin declares in its ``conformance.toml``: known, with a reason, and strict.

::

    [[deviation]]
    clause = "OPN-2"
    kind = "upstream"                # notimpl, upstream, never or disputed
    reason = "the driver takes no lock"
    engine = "mine"                  # only this engine; all, unless given
    until = 2027-01-31               # from then on it is a failure again
    track = "https://…"              # where it is followed

A declared deviation that happens is a ``deviation`` and no failure, but no level that needs the clause is claimed. One
that does not happen, or is past its date, is a failure: the file must say what is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from dvidkit_conformance import spec
from dvidkit_conformance.outcome import ClauseResult, EngineReport

KINDS: Final = ("notimpl", "upstream", "never", "disputed")
_FIELDS: Final = {"clause": str, "kind": str, "reason": str, "engine": str, "until": date, "track": str, "since": str}


@dataclass(frozen=True, slots=True)
class Deviation:
    """One entry of the file; see above."""

    clause: str
    kind: str
    reason: str
    engine: str = ""
    until: date | None = None
    track: str = ""
    since: str = field(default="", compare=False)


def load(path: Path) -> list[Deviation]:
    """The entries of a file.

    Raises:
        ValueError: it cannot be read, or says something that is not understood: an unknown clause, kind or field, an
            entry without a reason.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    unknown = set(table) - {"spec", "levels", "deviation"}
    if unknown:
        raise ValueError(f"{path} has an unknown field {sorted(unknown)[0]!r}")
    entries = table.get("deviation", [])
    if not isinstance(entries, list):
        raise ValueError(f"{path}: deviations are written as [[deviation]]")
    return [_entry(path, entry) for entry in entries]


def _entry(path: Path, entry: dict[str, Any]) -> Deviation:
    where = f"{path}: deviation of {entry.get('clause', 'no clause')!r}"
    for name, value in entry.items():
        if name not in _FIELDS:
            raise ValueError(f"{where} has an unknown field {name!r}; there are {', '.join(_FIELDS)}")
        if not isinstance(value, _FIELDS[name]):
            raise ValueError(f"{where}: {name} must be a {_FIELDS[name].__name__}, not {value!r}")
    if entry.get("clause") not in spec.clauses():
        raise ValueError(f"{where}: there is no such clause")
    if entry.get("kind") not in KINDS:
        raise ValueError(f"{where}: kind must be one of {', '.join(KINDS)}, not {entry.get('kind')!r}")
    if not entry.get("reason", "").strip():
        raise ValueError(f"{where} gives no reason")
    return Deviation(**entry)


def apply(report: EngineReport, deviations: Sequence[Deviation], today: date | None = None) -> None:
    """Have an engine's report say which failures were declared, and which declarations are not true."""
    today = today or datetime.now(UTC).date()
    for each in deviations:
        if each.engine in ("", report.engine):
            for result in report.everything:
                if result.id == each.clause:
                    _apply(result, each, today)


def _apply(result: ClauseResult, declared: Deviation, today: date) -> None:
    if declared.until is not None and today >= declared.until:
        result.status = "fail"
        result.reason = f"the declared deviation ended on {declared.until}: {result.reason or 'it does not happen'}"
    elif result.status == "fail":
        result.status = "deviation"
        result.reason = f"declared ({declared.kind}): {declared.reason}; {result.reason}"
    elif result.status in ("pass", "skip"):
        result.reason = f"a declared deviation does not happen ({result.status}): take it out of conformance.toml"
        result.status = "fail"
