"""The runner: crashes, hangs, vacuous runs, faults of the reference, replays, reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from dvidkit_conformance import kit, profiles
from dvidkit_conformance.cli import conform
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.jobs import Job
from dvidkit_conformance.lanes import Run
from dvidkit_conformance.ops import Program
from dvidkit_conformance.outcome import ClauseResult, EngineReport
from dvidkit_conformance.planting import faults
from dvidkit_conformance.profiles import PROFILES
from dvidkit_conformance.reports import files as report_files
from dvidkit_conformance.reports import text
from dvidkit_conformance.running import Runner
from dvidkit_conformance.toy import ToyEngine, ToyStore, ToyView

from dvidkit.plugins import Plugins


class _Crashes(ToyView):
    def get(self, key: bytes, /) -> bytes | None:
        if key == b"b" and self.rows:
            os.kill(os.getpid(), 11)
        return super().get(key)


class _Hangs(ToyView):
    def get(self, key: bytes, /) -> bytes | None:
        if key == b"b" and self.rows:
            time.sleep(60)
        return super().get(key)


class _MissesEmpty(ToyView):
    def get(self, key: bytes, /) -> bytes | None:
        return super().get(key) or None


def _broken(view: type[ToyView]) -> ToyEngine:
    store: Any = type("Broken", (ToyStore,), {"view": view})
    return ToyEngine(store)


def test_a_crash_is_a_failure_with_its_program() -> None:
    """The process dies; the clause fails, the journal is the program, and the rest of the run goes on."""
    report = kit.check(_broken(_Crashes), datatypes=[], profile="quick", clauses=["ENG-GET-1", "ENG-GET-2"])
    failed = report.engines[0].result("ENG-GET-1")
    assert failed.status == "fail"
    assert "signal 11" in failed.reason
    assert failed.failures[0].steps[-1].startswith("get key=b'b'")
    assert report.engines[0].result("ENG-GET-2").status == "pass"


def test_a_hang_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sign of life for too long; the rest goes on."""
    quick = {**PROFILES, "quick": profiles.Profile("quick", 0, 1, 1, 1, 0, 0, 1, stall=6.0)}
    monkeypatch.setattr("dvidkit_conformance.isolation.PROFILES", quick)
    report = kit.check(_broken(_Hangs), datatypes=[], profile="quick", clauses=["ENG-GET-1", "ENG-GET-2"])
    assert "hangs" in report.engines[0].result("ENG-GET-1").reason
    assert report.engines[0].result("ENG-GET-2").status == "pass"


def _runner(tmp_path: Path, engine: Any = None) -> Runner:
    plugins = Plugins()
    harness = Harness(engine or ToyEngine(), tmp_path, plugins=plugins)
    return Runner(harness, PROFILES["quick"], 0, reference=Harness(plugins.engine("memory"), tmp_path / "r"))


def test_what_reaches_nothing_is_vacuous(tmp_path: Path) -> None:
    """A lane that did not reach what it must is not passed."""
    result = _runner(tmp_path).one(Job("KV-1:nothing", "KV-1", lambda run: run.need("conflict_read")))
    assert (result.status, result.reason) == ("vacuous", "never reached: conflict_read")


def test_what_the_reference_fails_too_is_an_error_of_the_kit(tmp_path: Path) -> None:
    """An engine is not blamed for what the reference does as well."""

    def nonsense(run: Run) -> None:
        with run.session("store") as session:
            session.require(False, "nonsense", "sense")

    result = _runner(tmp_path).one(Job("KV-1:nonsense", "KV-1", nonsense))
    assert result.status == "error"

    def breaks(run: Run) -> None:
        raise ZeroDivisionError

    assert _runner(tmp_path).one(Job("KV-1:breaks", "KV-1", breaks)).status == "error"


class _LosesTheFourth(ToyView):
    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Any:
        rows = list(super().scan(begin, end, reverse=reverse, keys_only=keys_only))
        return iter(rows[:3] + rows[4:] if keys_only else rows)


def test_a_program_is_made_small_within_the_same_failure(tmp_path: Path) -> None:
    """Keys made so simple that the store refuses them are another program: the kit is not blamed for the engine."""

    def ranges(run: Run) -> None:
        with run.session("store", classed=True) as session:
            pairs = [[b"\x05\x01%06d" % n, b"v"] for n in range(6)]
            session.do({"op": "put_range", "i": 5, "v": None, "pairs": pairs})
            session.do({"op": "keys_in_range", "i": 5, "v": None, "first": b"", "last": b"\xff\xff"})

    beats: list[int] = []
    runner = _runner(tmp_path, _broken(_LosesTheFourth))
    runner._alive = lambda: beats.append(1)
    result = runner.one(Job("LIM-4:ranges", "LIM-4", ranges))
    assert result.status == "fail", result.reason
    assert len(result.failures[0].steps) == 2
    assert "BadKey" not in result.reason
    assert len(beats) > 3


class _EndsQuietly(ToyView):
    def walk(self, keys: list[bytes], *, keys_only: bool) -> Any:
        self.check()
        for given, key in enumerate(keys):
            if self.store.closed and given > 3:
                return
            self.check()
            yield key if keys_only else (key, self.rows[key])


def test_a_program_that_the_reference_fails_too_is_not_the_proof(tmp_path: Path) -> None:
    """Made small, an iterator has ended before ``close``, and no engine raises then: the long program is shown."""

    def steps(run: Run) -> None:
        with run.session("bytes") as session:
            session.write(*((b"%02d" % n, b"v") for n in range(9)))
            session.iterate("i")
            session.step("i", 5)
            session.do({"op": "close"})
            session.step("i", 5)

    result = _runner(tmp_path, _broken(_EndsQuietly)).one(Job("ENG-CLOSE-3:steps", "ENG-CLOSE-3", steps))
    assert result.status == "fail", result.reason


def test_skipped_and_vacuous_are_not_passed() -> None:
    """Levels need every MUST clause passed, or skipped because it was not declared."""
    capabilities: dict[str, Any] = {}
    core = [ClauseResult("KV-1", "pass"), ClauseResult("ORD-11", "skip", "not declared: reverse")]
    assert EngineReport("x", "1", capabilities, core).levels == ["core"]
    for status, reason in (
        ("vacuous", ""),
        ("untested", "lane crash"),
        ("skip", "no time"),
        ("fail", ""),
        ("error", ""),
    ):
        report = EngineReport("x", "1", capabilities, [*core, ClauseResult("KV-2", status, reason)])
        assert report.levels == []
    assert EngineReport("x", "1", capabilities, core, complete=False).levels == []


def test_levels_stand_on_those_below() -> None:
    """``full`` needs ``durable`` and ``concurrent``, these need ``versioned``, and that ``core``."""
    levels = {"core": "KV-1", "versioned": "VER-1", "durable": "DUR-4", "concurrent": "CONC-1", "full": "LIM-3"}

    def claimed(*failing: str) -> list[str]:
        results = [ClauseResult(clause, "fail" if level in failing else "pass") for level, clause in levels.items()]
        return EngineReport("x", "1", {}, results).levels

    assert claimed() == list(levels)
    assert claimed("durable") == ["core", "versioned", "concurrent"]
    assert claimed("concurrent") == ["core", "versioned", "durable"]
    assert claimed("versioned") == ["core"]
    assert claimed("core") == []


def test_programs_are_json_and_replay(tmp_path: Path) -> None:
    """A failing program is written, read, and fails again by itself; a right engine passes it."""
    report = kit.check(_broken(_MissesEmpty), datatypes=[], profile="quick", clauses=["ENG-GET-3"], isolate=False)
    written = report_files.write(report, tmp_path)
    programs = [path for path in written if path.name.startswith("ENG-GET-3")]
    data = json.loads(programs[0].read_text())
    program = Program.from_json(data)
    assert Program.from_json(json.loads(json.dumps(program.to_json()))) == program
    assert len(program.ops) <= 3
    assert kit.replay(program, _broken(_MissesEmpty))
    assert not kit.replay(program, ToyEngine())
    answer = CliRunner().invoke(conform, ["replay", str(programs[0]), "--engine", "memory"])
    assert answer.exit_code == 0, answer.output


def test_a_replay_that_crashes_is_an_answer() -> None:
    """The caller lives, and is told how the child ended and at which operation."""
    program = Program("bytes", ({"op": "write", "batch": [[b"b", b"1"]]}, {"op": "get", "key": b"b"}))
    failures = kit.replay(program, _broken(_Crashes))
    assert "signal 11" in failures[0].got
    assert failures[0].steps[-1] == "get key=b'b'"


def test_programs_of_datatypes_replay() -> None:
    """A datatype's program goes through JSON and runs on any engine, named or given."""
    put = {"op": "do", "name": "data", "v": 0, "do": {"op": "put", "key": "a", "value": [3, 1]}}
    ops = (put, {"op": "observe", "name": "data", "v": 0}, {"op": "same"}, {"op": "copied", "engine": "memory"})
    program = Program("datatype", ops, {"typename": "keyvalue", "settings": {}})
    again = Program.from_json(json.loads(program.dumps()))
    assert kit.replay(again, "memory") == []
    assert kit.replay(again, ToyEngine()) == []


def test_programs_of_repos_replay() -> None:
    """A repo's program goes through JSON; refused operations and references are part of it."""
    ops: list[dict[str, Any]] = [
        {"op": "child", "v": 0, "to": 1},
        {"op": "commit", "v": 0, "note": "first"},
        {"op": "child", "v": 0, "to": 1},
        {"op": "branch", "v": 0, "to": 2, "name": "side"},
        {"op": "merge", "parents": [1, 2], "to": 3},
        {"op": "resolve", "text": ":side~1"},
        {"op": "reopen"},
        {"op": "told"},
    ]
    program = Program("kernel", tuple(ops))
    assert Program.from_json(json.loads(program.dumps())) == program
    for engine in ("memory", ToyEngine()):
        assert kit.replay(program, engine) == []


def test_a_failure_of_a_repo_is_a_program(tmp_path: Path) -> None:
    """The report of an engine that forgets a repo's records has a few steps, and a file that fails again."""
    planted = faults(Path(__file__).parent / "faults")
    broken = next(fault for fault in planted if fault.__name__ == "FirstValuesReturn").engine()
    report = kit.check(broken, datatypes=[], profile="quick", clauses=["DAG-4"], isolate=False)
    failure = report.failures[0]
    assert failure.steps == ["commit v0 note='the first'", "reopen", "told"]
    written = [path for path in report_files.write(report, tmp_path) if path.name.startswith("DAG-4")]
    program = Program.from_json(json.loads(written[0].read_text()))
    assert [found.clause for found in kit.replay(program, broken)] == ["DAG-4"]
    assert kit.replay(program, ToyEngine()) == []


def test_reports_agree(tmp_path: Path) -> None:
    """Text, JSON and JUnit tell of the same failure; the JSON has what the schema requires."""
    report = kit.check(_broken(_MissesEmpty), datatypes=[], profile="quick", clauses=["ENG-GET"], isolate=False)
    report_files.write(report, tmp_path)
    said = text.render(report)
    assert "NOT CONFORMANT: ENG-GET-3" in said
    assert "an empty value is a value" in said
    data = json.loads((tmp_path / "report.json").read_text())
    schema = json.loads((files("dvidkit_conformance") / "reports" / "report.schema.json").read_text())
    assert set(schema["required"]) <= set(data) <= set(schema["properties"])
    engine = schema["$defs"]["engine"]
    assert set(engine["required"]) <= set(data["engines"][0]) <= set(engine["properties"])
    for clause in data["engines"][0]["clauses"]:
        assert set(clause) == set(schema["$defs"]["clause"]["properties"])
        for failure in clause["failures"]:
            assert set(failure) == set(schema["$defs"]["failure"]["properties"])
    assert data["conformant"] is False
    junit = ElementTree.parse(tmp_path / "junit.xml")
    assert [case.get("name") for case in junit.iter("testcase") if case.find("failure") is not None] == [
        "ENG-GET-3 an empty value is a value"
    ]


def test_command_line(tmp_path: Path) -> None:
    """An engine by name, a selection of clauses, a report; unknown names are told."""
    run = CliRunner().invoke(
        conform, ["memory", "--profile", "quick", "--clause", "KV", "--report", str(tmp_path / "r")]
    )
    assert run.exit_code == 0, run.output
    assert "KV           11 pass" in run.output
    assert (tmp_path / "r" / "junit.xml").exists()
    assert "no engine 'nope'" in CliRunner().invoke(conform, ["nope"]).output
    assert "no clause is called 'NOPE'" in CliRunner().invoke(conform, ["memory", "--clause", "NOPE"]).output
    assert "VER-3  never beside" in CliRunner().invoke(conform, ["spec", "VER-3"]).output


def test_pytest_plugin(tmp_path: Path) -> None:
    """From an empty directory, with items named by clause and engine; loading the plugin loads no kernel."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--pyargs", "dvidkit_conformance"]
    options = ["--dvidkit-engine=memory", "--dvidkit-clause=KV", "--dvidkit-profile=quick"]
    run = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "test_clause[KV-5-memory] PASSED" in run.stdout
    assert "test_clause[KV-12-memory] SKIPPED" in run.stdout
    code = "import sys, dvidkit_conformance.pytest_plugin; sys.exit('dvidkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_same_seed_same_run() -> None:
    """Everything random comes from the seed."""
    runs = [
        kit.check("memory", datatypes=[], profile="quick", clauses=["MERGE-9", "ENG-ALL"], seed=5, isolate=False)
        for _ in range(2)
    ]
    probes = [{result.id: result.probes for result in run.engines[0].clauses} for run in runs]
    assert probes[0] == probes[1]
