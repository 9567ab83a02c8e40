"""The report for a person: a line per group of clauses, failures, what was not verified, the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from dvidkit_conformance import spec
from dvidkit_conformance.outcome import ClauseResult, EngineReport, Failure, Report, counts

_SHOWN_FAILURES = 6
_SHOWN_STEPS = 12


def render(report: Report) -> str:
    """The whole report."""
    parts = [line for engine in report.engines for line in (*_engine(engine, report), "")]
    return "\n".join([*parts, *_matrix(report)])


def _engine(engine: EngineReport, report: Report) -> Iterator[str]:
    yield (
        f"engine {engine.engine} {engine.version} · spec {spec.VERSION} · kit {report.kit} "
        f"(spec sha256 {spec.digest()[:12]}) · profile {report.profile} · seed {report.seed}"
    )
    for group, results in groupby(engine.clauses, key=lambda result: _heading(result.id)):
        yield f"  {group:<12} {_line(list(results))}"
    for name, typed in engine.datatypes.items():
        yield f"  {'DT ' + name:<12} {_line(typed)}"
    yield from _failures(engine.failures)
    yield from _not_verified(engine)
    yield _verdict(engine)


def _heading(clause: str) -> str:
    return spec.clauses()[clause].group


def _line(results: list[ClauseResult]) -> str:
    text = ", ".join(f"{n} {status if status == 'pass' else status.upper()}" for status, n in _counted(results))
    bad = [result for result in results if result.status in ("error", "fail", "deviation", "vacuous")]
    return f"{text}{''.join(f' · {result.id} {spec.clauses()[result.id].title}' for result in bad)}"


def _counted(results: Iterable[ClauseResult]) -> list[tuple[str, int]]:
    return list(reversed(counts(results).items()))


def _failures(failures: list[Failure]) -> Iterator[str]:
    for failure in failures[:_SHOWN_FAILURES]:
        clause = spec.clauses()[failure.clause]
        yield ""
        yield f"  {failure.status.upper() if clause.must else 'DEVIATION'} {failure.clause}: {clause.title}"
        yield f"    the clause:  {clause.text}"
        yield f"    expected:    {failure.expected}"
        yield f"    got:         {failure.got}"
        if failure.note:
            yield f"    where:       {failure.note}"
        yield from _steps(failure)
        yield f"    again:       {failure.replay}"
    if len(failures) > _SHOWN_FAILURES:
        more = list(dict.fromkeys(failure.clause for failure in failures[_SHOWN_FAILURES:]))
        yield f"\n  and {len(failures) - _SHOWN_FAILURES} more: {', '.join(more)}"


def _steps(failure: Failure) -> Iterator[str]:
    if not failure.steps:
        return
    steps = failure.steps
    left = len(steps) - _SHOWN_STEPS
    if left > 0:
        yield f"    program:     … {left} steps before these"
    for n, step in enumerate(steps[-_SHOWN_STEPS:]):
        yield f"    {'program:' if n == 0 and left <= 0 else '':<12} {step}"


def _not_verified(engine: EngineReport) -> Iterator[str]:
    rest = [r for r in engine.everything if r.status in ("skip", "untested", "vacuous", "error")]
    if not rest:
        return
    yield ""
    yield "  not verified:"
    reasons: dict[str, list[str]] = {}
    for result in rest:
        reasons.setdefault(f"{result.status}, {result.reason}"[:160], []).append(result.id)
    for reason, ids in sorted(reasons.items()):
        yield f"    {reason}: {', '.join(dict.fromkeys(ids))}"


def _verdict(engine: EngineReport) -> str:
    if engine.conformant and engine.levels:
        verdict = f"CONFORMANT: {', '.join(engine.levels)}"
    elif engine.conformant:
        verdict = "nothing that ran was broken; no level is claimed, as this was not a whole run"
        if engine.complete:
            verdict = "nothing that ran was broken, but no level is complete"
    else:
        verdict = f"NOT CONFORMANT: {', '.join(engine.failing) or 'a clause was vacuous'}"
    return f"  {verdict} ({engine.seconds:.1f} s, {engine.cpu:.1f} s of processor time)"


def _matrix(report: Report) -> Iterator[str]:
    if len(report.engines) < 2:
        return
    names = list(dict.fromkeys(name for engine in report.engines for name in engine.datatypes))
    columns = ["core", "versioned", *names]
    yield "engine       " + " ".join(f"{column:>12}" for column in columns)
    for engine in report.engines:
        cells = [_cell(r for r in engine.clauses if spec.clauses()[r.id].level == level) for level in columns[:2]]
        cells += [_cell(engine.datatypes.get(name, ())) for name in names]
        yield f"{engine.engine:<12} " + " ".join(f"{cell:>12}" for cell in cells)


def _cell(results: Iterable[ClauseResult]) -> str:
    found = counts(results)
    for status in ("error", "fail", "vacuous", "deviation"):
        if found.get(status):
            return f"{found[status]} {status}"
    return f"{found.get('pass', 0)} pass" if found.get("pass") else "not run"
