"""Writing a report to a directory."""

from __future__ import annotations

import json
from pathlib import Path

from dvidkit_conformance.outcome import Report
from dvidkit_conformance.reports import badges, html, junit, text


def write(report: Report, folder: Path) -> list[Path]:
    """``report.txt``, ``.json`` and ``.html``, ``junit.xml``, a badge for each engine, each failing program as JSON.

    Badges are called ``badge-<engine>.svg``, programs ``<clause>-<engine>-<n>.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        _file(folder / "report.txt", text.render(report)),
        _file(folder / "report.json", json.dumps(report.to_json(), indent=1) + "\n"),
        _file(folder / "report.html", html.render(report)),
        _file(folder / "junit.xml", junit.render(report)),
    ]
    for engine in report.engines:
        written.append(_file(folder / f"badge-{engine.engine}.svg", badges.render(engine)))
        for n, failure in enumerate(engine.failures):
            if failure.program is not None:
                name = f"{failure.clause}-{engine.engine}-{n}.json"
                saved = {**failure.program, "clause": failure.clause, "engine": engine.engine}
                written.append(_file(folder / name, json.dumps(saved, indent=1) + "\n"))
    return written


def _file(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path
