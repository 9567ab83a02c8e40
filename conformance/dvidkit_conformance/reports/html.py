"""The report as one page of HTML that stands by itself: no script, no font, no image from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from dvidkit_conformance import spec
from dvidkit_conformance.outcome import ClauseResult, EngineReport, Failure, Report, counts, worst

_MARKS: Final = {
    "pass": "✓",
    "skip": "·",
    "untested": "?",
    "vacuous": "∅",
    "deviation": "≠",
    "fail": "✗",
    "error": "!",
}
_MEANINGS: Final = {
    "pass": "every clause that ran holds",
    "skip": "the engine does not declare what the clause is about",
    "untested": "not run: no claim is made",
    "vacuous": "it ran, but did not reach what it must: not passed",
    "deviation": "a SHOULD is broken, or a declared deviation",
    "fail": "broken",
    "error": "the kit, the kernel or the reference is at fault",
}
_SLOWEST: Final = 8
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --line: #ccc; --pass: #1a7f37; --fail: #c62828;
  --doubt: #8a6100; --quiet: #666; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181b; --line: #3a3f45; --pass: #4cc38a;
  --fail: #ff7b72; --doubt: #e3b341; --quiet: #9aa0a6; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2em auto;
  max-width: 72em; padding: 0 1em; }
table { border-collapse: collapse; } th, td { border: 1px solid var(--line); padding: .25em .6em; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; } th { font-weight: 600; }
.pass { color: var(--pass); } .fail, .error { color: var(--fail); font-weight: 600; }
.vacuous, .untested, .deviation { color: var(--doubt); } .skip, .quiet { color: var(--quiet); }
pre { border: 1px solid var(--line); padding: .6em; overflow-x: auto; } .wide { overflow-x: auto; }
h2 { margin-top: 1.6em; } ul { padding-left: 1.2em; }
"""


def render(report: Report) -> str:
    """The whole page."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>dvidkit conformance</title><style>{_STYLE}</style></head><body>",
        "<h1>dvidkit conformance</h1>",
        *_head(report),
        *_claims(report),
        *_matrix(report),
        *_failures(report),
        *_not_verified(report),
        *_timings(report),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _head(report: Report) -> Iterator[str]:
    yield (
        f"<p class=quiet>spec {spec.VERSION} (sha256 {spec.digest()[:12]}) · kit {escape(report.kit)} · profile "
        f"{escape(report.profile)} · seed {report.seed} · Python {escape(report.python)} · {escape(report.platform)} · "
        f"{escape(report.started)}</p>"
    )


def _claims(report: Report) -> Iterator[str]:
    yield "<h2>What is claimed</h2><table><tr><th>engine<th>verdict<th>levels claimed<th>time</tr>"
    for engine in report.engines:
        status, verdict = ("pass", "nothing that ran is broken") if engine.conformant else ("fail", "NOT CONFORMANT")
        levels = ", ".join(engine.levels) or ("none" if engine.complete else "none: this was not a whole run")
        yield (
            f"<tr><td>{escape(engine.engine)} {escape(engine.version)}<td class={status}>{verdict}<td>{levels}"
            f"<td class=n>{engine.seconds:.1f} s</tr>"
        )
    yield "</table>"


def _matrix(report: Report) -> Iterator[str]:
    yield "<h2>Engines and groups of clauses</h2><div class=wide><table><tr><th>group"
    yield "".join(f"<th>{escape(engine.engine)}" for engine in report.engines) + "</tr>"
    for group, title in _groups(report):
        yield f'<tr><th title="{escape(title)}">{escape(group)} <span class=quiet>{escape(title)}</span>'
        yield "".join(_cell(list(_of_group(engine, group))) for engine in report.engines) + "</tr>"
    yield "</table></div><p class=quiet>"
    yield " · ".join(f"<span class={status}>{_MARKS[status]}</span> {text}" for status, text in _MEANINGS.items())
    yield "</p>"


def _groups(report: Report) -> list[tuple[str, str]]:
    """Groups of clauses, then datatypes, with what they are about."""
    found: dict[str, str] = {}
    for engine in report.engines:
        found.update({spec.clauses()[r.id].group: spec.clauses()[r.id].group_title for r in engine.clauses})
    for engine in report.engines:
        found.update({f"DT {name}": "datatype" for name in engine.datatypes})
    return list(found.items())


def _of_group(engine: EngineReport, group: str) -> Iterable[ClauseResult]:
    if group.startswith("DT "):
        return engine.datatypes.get(group[3:], [])
    return [result for result in engine.clauses if spec.clauses()[result.id].group == group]


def _cell(results: list[ClauseResult]) -> str:
    """The worst that happened among what ran, and how many of what."""
    if not results:
        return "<td class=skip>"
    ran = [result.status for result in results if result.status != "skip"]
    status = worst(ran) if ran else "skip"
    told = ", ".join(f"{n} {name}" for name, n in reversed(counts(results).items()))
    names = ", ".join(result.id for result in results if result.status == status and status != "pass")
    return f'<td class={status} title="{escape(names)}">{_MARKS[status]} {told}'


def _failures(report: Report) -> Iterator[str]:
    if not report.failures:
        return
    yield "<h2>What is broken</h2>"
    for engine in report.engines:
        for failure in engine.failures:
            yield from _failure(engine.engine, failure)


def _failure(engine: str, failure: Failure) -> Iterator[str]:
    clause = spec.clauses()[failure.clause]
    yield f"<h3 class=fail>{escape(engine)}: {clause.id} {escape(clause.title)}</h3><p>{escape(clause.text)}</p>"
    lines = [f"expected: {failure.expected}", f"got:      {failure.got}"]
    lines += [f"where:    {failure.note}"] if failure.note else []
    lines += ["", "program:", *failure.steps] if failure.steps else []
    lines += ["", f"again:    {failure.replay}"] if failure.replay else []
    yield f"<pre>{escape(chr(10).join(lines))}</pre>"


def _not_verified(report: Report) -> Iterator[str]:
    yield "<h2>What was not verified</h2>"
    for engine in report.engines:
        reasons: dict[str, list[str]] = {}
        for result in engine.everything:
            if result.status in ("untested", "vacuous", "skip", "error"):
                reasons.setdefault(f"{result.status}: {result.reason}", []).append(result.id)
        if not reasons:
            yield f"<p>{escape(engine.engine)}: everything was.</p>"
            continue
        yield f"<h3>{escape(engine.engine)}</h3><ul>"
        for reason, ids in sorted(reasons.items()):
            yield f"<li><span class=quiet>{escape(reason)}:</span> {', '.join(dict.fromkeys(ids))}"
        yield "</ul>"


def _timings(report: Report) -> Iterator[str]:
    yield "<h2>Where the time went</h2><table><tr><th>engine<th>clauses that took longest</tr>"
    for engine in report.engines:
        slowest = sorted(engine.everything, key=lambda result: -result.seconds)[:_SLOWEST]
        told = ", ".join(f"{result.id} {result.seconds:.1f} s" for result in slowest if result.seconds >= 0.05)
        yield f"<tr><td>{escape(engine.engine)}<td>{told or 'none took a twentieth of a second'}</tr>"
    yield "</table>"
