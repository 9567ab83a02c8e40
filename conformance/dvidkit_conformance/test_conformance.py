"""One item for each clause and engine, for ``pytest --pyargs dvidkit_conformance --dvidkit-engine=NAME``."""

from __future__ import annotations

from typing import Any

import pytest

from dvidkit.plugins import Plugins
from dvidkit_conformance import spec
from dvidkit_conformance.kit import check
from dvidkit_conformance.outcome import ClauseResult, Failure, Report

_REPORTS: pytest.StashKey[dict[str, Report]] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Items: engine by engine, clauses of engines and stores, then of each datatype."""
    config, plugins = metafunc.config, Plugins()
    asked = [name for given in _option(config, "engine") for name in given.split(",")]
    engines = list(plugins.engines) if not asked or "all" in asked else asked
    chosen = spec.matching(tuple(_option(config, "clause"))) or tuple(spec.clauses())
    wanted = _option(config, "datatype")
    datatypes = [
        name for name, kind in plugins.datatypes.items() if kind.conformance and (not wanted or name in wanted)
    ]
    items = []
    for engine in engines:
        for clause in chosen:
            marks = [pytest.mark.clause(clause), pytest.mark.lane(spec.clauses()[clause].lane)]
            if spec.clauses()[clause].layer != "datatype":
                items.append(pytest.param(engine, "", clause, marks=marks, id=f"{clause}-{engine}"))
            elif spec.clauses()[clause].group == "DT":
                items += [
                    pytest.param(engine, name, clause, marks=marks, id=f"{clause}-{name}-{engine}")
                    for name in datatypes
                ]
    metafunc.parametrize(("engine", "datatype", "clause"), items)


def test_clause(request: pytest.FixtureRequest, engine: str, datatype: str, clause: str) -> None:
    """The clause holds for the engine; what was not verified is skipped, never passed."""
    result = _result(_report(request, engine), engine, datatype, clause)
    if result.status in ("fail", "error", "vacuous"):
        pytest.fail(f"{result.status} {clause}: {spec.clauses()[clause].text}\n{_told(result)}", pytrace=False)
    if result.status != "pass":
        pytest.skip(f"{result.status}: {result.reason}")


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"--dvidkit-{name}")


def _report(request: pytest.FixtureRequest, engine: str) -> Report:
    """The engine's report, made once in a session of what the collected items ask for."""
    session = request.session
    reports = session.stash.setdefault(_REPORTS, {})
    if engine not in reports:
        config = request.config
        params: list[Any] = [getattr(item, "callspec", None) for item in session.items if "clause" in item.keywords]
        asked = {p.params["clause"] for p in params if p is not None and p.params.get("engine") == engine}
        typed = _option(config, "datatype")
        reports[engine] = check(
            engine,
            datatypes=[name for name in typed if name != "none"] if typed else None,
            profile=_option(config, "profile"),
            clauses=() if asked >= set(spec.clauses()) else [name for name in spec.clauses() if name in asked],
            seed=_option(config, "seed"),
        )
    return reports[engine]


def _result(report: Report, engine: str, datatype: str, clause: str) -> ClauseResult:
    found = report.engine(engine)
    results = found.datatypes.get(datatype, []) if datatype else found.clauses
    return next(result for result in results if result.id == clause)


def _told(result: ClauseResult) -> str:
    return "\n".join(map(_failure, result.failures)) or result.reason


def _failure(failure: Failure) -> str:
    lines = [f"expected: {failure.expected}", f"got:      {failure.got}"]
    lines += [f"where:    {failure.note}"] if failure.note else []
    return "\n".join([*lines, "program:", *(f"  {step}" for step in failure.steps), f"again:    {failure.replay}"])
