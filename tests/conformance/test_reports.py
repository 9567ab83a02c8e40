"""Reports: the page, the schema, badges, comparing, verifying, declared deviations."""

from __future__ import annotations

import json
from datetime import date
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from click.testing import CliRunner
from dvidkit_conformance import deviations, kit
from dvidkit_conformance.cli import conform
from dvidkit_conformance.outcome import ClauseResult, EngineReport, Failure, Report
from dvidkit_conformance.reports import badges, comparing, html
from dvidkit_conformance.reports import files as report_files
from dvidkit_conformance.toy import ToyEngine, ToyStore, ToyView

_SCHEMA = json.loads((files("dvidkit_conformance") / "reports" / "report.schema.json").read_text("utf-8"))
_VOID = {"meta", "tr", "th", "td", "li"}
"""Elements whose end tag HTML lets one leave out."""


class _MissesEmpty(ToyView):
    def get(self, key: bytes, /) -> bytes | None:
        return super().get(key) or None


def _engine(statuses: dict[str, tuple[str, str]], **fields: Any) -> EngineReport:
    results = [ClauseResult(clause, *status) for clause, status in statuses.items()]
    return EngineReport("mine", "1.0", {"features": []}, results, **fields)


def _report(*engines: EngineReport) -> Report:
    return Report(list(engines), "ci", 7, "/x", "0.1", "Linux", "3.11", "2026-01-01T00:00:00+00:00")


def _failed(tmp_path: Path) -> dict[str, Any]:
    store: Any = type("Broken", (ToyStore,), {"view": _MissesEmpty})
    report = kit.check(ToyEngine(store), datatypes=[], profile="quick", clauses=["ENG-GET"], isolate=False)
    report_files.write(report, tmp_path)
    data: dict[str, Any] = json.loads((tmp_path / "report.json").read_text("utf-8"))
    return data


def test_json_is_of_the_published_schema(tmp_path: Path) -> None:
    """A report with a failure and its program validates; the schema refuses what it does not know."""
    data = _failed(tmp_path)
    validator = jsonschema.Draft202012Validator(_SCHEMA)
    validator.check_schema(_SCHEMA)
    validator.validate(data)
    data["engines"][0]["clauses"][0]["status"] = "splendid"
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(data)


def test_the_published_schema_is_the_one_that_is_used() -> None:
    """``docs/report.schema.json`` is the file in the wheel."""
    published = Path(__file__).parents[2] / "docs" / "report.schema.json"
    assert json.loads(published.read_text("utf-8")) == _SCHEMA


class _Page(HTMLParser):
    """Checks nesting, and collects text and everything a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag in ("script", "link", "iframe", "object", "img"):
            self.fetched.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_stands_by_itself(tmp_path: Path) -> None:
    """It is well formed, fetches nothing, and says what is broken, with the program, and what was not verified."""
    _failed(tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    page = _Page()
    page.feed(text)
    said = " ".join(page.texts)
    assert page.open == []
    assert page.fetched == []
    assert "url(" not in text
    for part in ("NOT CONFORMANT", "ENG-GET-3", "expected:", "program:", "again:", "What was not verified"):
        assert part in said
    assert "prefers-color-scheme: dark" in text


def test_the_page_does_not_run_what_it_shows() -> None:
    """What engines say is text."""
    bad = "<script>alert(1)</script>"
    result = ClauseResult("KV-1", "fail", bad, failures=[Failure("KV-1", "x", bad, bad, bad, steps=[bad])])
    engine = EngineReport(bad, bad, {}, [result, ClauseResult("KV-2", "untested", bad)])
    assert "<script" not in html.render(_report(engine))
    assert "<script" not in badges.render(engine)


@pytest.mark.parametrize(
    ("status", "complete", "says"),
    [
        (("pass", ""), True, "core"),
        (("pass", ""), False, "no level claimed"),
        (("untested", "x"), True, "no level claimed"),
        (("vacuous", "x"), True, "not conformant"),
        (("fail", "x"), True, "not conformant"),
        (("skip", "not declared: reverse"), True, "core"),
        (("skip", "no time"), True, "no level claimed"),
    ],
)
def test_badges_say_levels(status: tuple[str, str], complete: bool, says: str) -> None:
    """A level, or that none may be claimed; skipped without a reason, vacuous and untested are not passed."""
    engine = _engine({"KV-1": ("pass", ""), "KV-2": status}, complete=complete)
    badge = badges.render(engine)
    ElementTree.fromstring(badge)
    assert says in badge
    assert "%" not in badge


def test_comparing_shows_changes_only(tmp_path: Path) -> None:
    """Statuses and levels that differ; a clause that was passed and is not is worse, one that is new is not."""
    before = _report(_engine({"KV-1": ("pass", ""), "KV-2": ("pass", ""), "KV-3": ("untested", "x")})).to_json()
    after = _report(_engine({"KV-1": ("fail", "broken"), "KV-2": ("pass", ""), "KV-4": ("pass", "")})).to_json()
    found = comparing.changes(before, after)
    assert [(change.clause, change.worse) for change in found] == [("KV-1", True), ("KV-4", False), ("KV-3", False)]
    for name, data in (("a", before), ("b", after)):
        (tmp_path / name).write_text(json.dumps(data))
    answer = CliRunner().invoke(conform, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert answer.exit_code == 1
    assert "mine KV-1: pass -> fail (broken)" in answer.output
    assert "KV-2" not in answer.output
    same = CliRunner().invoke(conform, ["compare", str(tmp_path / "a"), str(tmp_path / "a")])
    assert (same.exit_code, same.output) == (0, "every clause came out alike\n")


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    """Other JSON, no JSON, another schema."""
    for content in ("[]", "no", '{"engines": [], "schema": 99}'):
        (tmp_path / "x").write_text(content)
        answer = CliRunner().invoke(conform, ["compare", str(tmp_path / "x"), str(tmp_path / "x")])
        assert answer.exit_code == 1
        assert "Error" in answer.output


def test_a_report_is_verified_by_its_seed(tmp_path: Path) -> None:
    """What it claims comes out again; a report that claims more than is true is found out."""
    report = kit.check("memory", datatypes=[], profile="quick", clauses=["KV-1", "KV-12"], seed=3, isolate=False)
    report_files.write(report, tmp_path)
    path = tmp_path / "report.json"
    answer = CliRunner().invoke(conform, ["verify", str(path)])
    assert (answer.exit_code, answer.output) == (0, "every clause came out alike\n")
    data = json.loads(path.read_text("utf-8"))
    data["engines"][0]["clauses"][1]["status"] = "pass"
    path.write_text(json.dumps(data))
    answer = CliRunner().invoke(conform, ["verify", str(path)])
    assert answer.exit_code == 1
    assert "memory KV-12: pass -> " in answer.output


# --- deviations ------------------------------------------------------------------------------------------------------
def _toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "conformance.toml"
    path.write_text(text)
    return path


_ENTRY = '[[deviation]]\nclause = "KV-2"\nkind = "upstream"\nreason = "the driver"\n'


def test_declared_deviations(tmp_path: Path) -> None:
    """What fails as declared is a deviation: nothing blocks, and the level is not claimed."""
    declared = deviations.load(_toml(tmp_path, _ENTRY))
    engine = _engine({"KV-1": ("pass", ""), "KV-2": ("fail", "wrong")})
    deviations.apply(engine, declared)
    assert engine.result("KV-2").status == "deviation"
    assert "the driver" in engine.result("KV-2").reason
    assert engine.conformant
    assert engine.levels == []


@pytest.mark.parametrize("status", [("pass", ""), ("skip", "not declared: x")])
def test_a_deviation_that_does_not_happen_is_a_failure(tmp_path: Path, status: tuple[str, str]) -> None:
    """So the file cannot grow old."""
    engine = _engine({"KV-2": status})
    deviations.apply(engine, deviations.load(_toml(tmp_path, _ENTRY)))
    assert engine.result("KV-2").status == "fail"
    assert not engine.conformant


def test_deviations_end(tmp_path: Path) -> None:
    """From its date on it is a failure; and it is of one engine only, if it names one."""
    declared = deviations.load(_toml(tmp_path, _ENTRY + "until = 2027-01-01\n"))
    for day, status in ((date(2026, 12, 31), "deviation"), (date(2027, 1, 1), "fail")):
        engine = _engine({"KV-2": ("fail", "wrong")})
        deviations.apply(engine, declared, day)
        assert engine.result("KV-2").status == status
    other = _engine({"KV-2": ("fail", "wrong")})
    deviations.apply(other, deviations.load(_toml(tmp_path, _ENTRY + 'engine = "another"\n')))
    assert other.result("KV-2").status == "fail"


@pytest.mark.parametrize(
    "text",
    [
        _ENTRY.replace("KV-2", "KV-99"),
        _ENTRY.replace("upstream", "whatever"),
        _ENTRY.replace('"the driver"', '" "'),
        _ENTRY.replace('reason = "the driver"\n', ""),
        _ENTRY + 'unknown = "x"\n',
        _ENTRY + "until = 2027\n",
        "[deviation]\n",
        "surprise = 1\n",
        "not toml",
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    """Unknown clauses, kinds and fields, a missing reason, wrong types."""
    path = _toml(tmp_path, text)
    with pytest.raises(ValueError, match=r"conformance\.toml"):
        deviations.load(path)
    answer = CliRunner().invoke(conform, ["memory", "--clause", "KV-1", "--deviations", str(path)])
    assert answer.exit_code == 1
    assert "Error" in answer.output


def test_deviations_on_the_command_line(tmp_path: Path) -> None:
    """A declaration that is not true fails the run."""
    path = _toml(tmp_path, _ENTRY)
    command = ["memory", "--clause", "KV-2", "--profile", "quick", "--datatype", "none", "--no-isolation"]
    answer = CliRunner().invoke(conform, [*command, "--deviations", str(path)])
    assert answer.exit_code == 1
    assert "a declared deviation does not happen" in answer.output or "KV-2" in answer.output
    assert CliRunner().invoke(conform, command).exit_code == 0
