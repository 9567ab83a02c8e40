"""Running again what a saved report says was run."""

from __future__ import annotations

from typing import Any

from dvidkit_conformance import spec
from dvidkit_conformance.kit import check
from dvidkit_conformance.outcome import Report
from dvidkit_conformance.reports.comparing import Saved
from dvidkit_conformance.whole import Progress


def again(saved: Saved, *, progress: Progress | None = None) -> Report:
    """The report of the same engines, datatypes, clauses, profile and seed, now.

    Clauses that this release does not have are left out; they show as missing when the two are compared.

    Raises:
        UnknownEngine, UnknownDatatype: one of them is not installed.
    """
    engines: list[dict[str, Any]] = list(saved["engines"])
    complete = all(each["complete"] for each in engines)
    ran = {result["id"] for each in engines for result in _results(each)}
    return check(
        [each["engine"] for each in engines],
        datatypes=list(dict.fromkeys(name for each in engines for name in each["datatypes"])),
        profile=saved["profile"],
        clauses=() if complete else [clause for clause in spec.clauses() if clause in ran],
        seed=saved["seed"],
        progress=progress,
    )


def _results(engine: dict[str, Any]) -> list[dict[str, Any]]:
    return [*engine["clauses"], *(result for results in engine["datatypes"].values() for result in results)]
