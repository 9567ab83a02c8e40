"""Figures as a table for people, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import Figure


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def heading() -> str:
    """The machine, and the heads of the columns."""
    found = machine()
    about = "{date}: {cpu}, {cores} cores, Python {python}, {system}, load {load}".format(**found)
    columns = f"{'engine':<11}{'checks':<7}{'figure':<58}{'ours':>11}{'base':>11}{'value':>9}  bar"
    return f"{about}\n\n{columns}\n{'-' * 118}"


def line(figure: Figure) -> str:
    """One row of the table."""
    checks = {None: "", True: "on", False: "off"}[figure.checks]
    bar = ""
    if figure.bar is not None:
        bar = f"{'<=' if figure.at_most else '>='} {figure.bar:.3g} {'met' if figure.met else 'MISSED'}"
    ours, base = _amount(figure.ours, figure.unit), "" if figure.at_most else _amount(figure.base, figure.unit)
    value = f"{figure.value:.2f}" if not figure.at_most else ""
    return f"{figure.engine:<11}{checks:<7}{figure.name:<58}{ours:>11}{base:>11}{value:>9}  {bar}".rstrip()


def _amount(amount: float, unit: str) -> str:
    return f"{amount:.{3 if amount < 1 else 1 if amount < 1000 else 0}f} {unit}"


def summary(figures: Sequence[Figure]) -> str:
    """How many bars are met, and which are not."""
    judged = [figure for figure in figures if figure.met is not None]
    missed = [figure for figure in judged if not figure.met]
    said = f"\n{len(judged) - len(missed)} of {len(judged)} bars met"
    return said + "".join(f"\nmissed: {line(figure)}" for figure in missed)


def write_json(figures: Sequence[Figure], path: str) -> None:
    """The machine and all figures, as one JSON document."""
    document = {"machine": machine(), "figures": [figure.as_json() for figure in figures]}
    Path(path).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
