"""The benchmarks run, and give the rows they say they do. No time is asserted."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

if TYPE_CHECKING:
    from benchmarks.measuring import Figure


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are beside the tests, not in the wheel; what they measure is what is installed."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])


def run(tmp_path: Path, *arguments: str) -> list[Figure]:
    """The figures of the smallest run."""
    from benchmarks.__main__ import main

    return main(["--tiny", "--directory", str(tmp_path), *arguments])


def figure(**changes: Any) -> Figure:
    """A figure whose value is 0.6."""
    from benchmarks.measuring import Figure

    fields = {"part": "engines", "engine": "lmdb", "checks": False, "name": "get", "value": 0.6, "bar": 0.5}
    return Figure(**{**fields, "ours": 2.0, "base": 1.2, "unit": "us", "against": "the raw driver", **changes})


@pytest.mark.parametrize("engine", ["lmdb", "leveldb", "rocksdb", "memory", "filesystem"])
def test_every_engine_gives_its_rows(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each figure of an engine is there, for checks off or on or both, and nothing is left on the disk."""
    if engine == "leveldb" and find_spec("plyvel") is None:
        pytest.skip("plyvel has no wheel for this Python")
    asked = ("--only", "engines", "--only", "blocks", "--engine", engine)
    checks = (False, True) if engine == "memory" else (True,)
    found = run(tmp_path, *asked, "--checks", "both" if engine == "memory" else "on")
    names = {(each.checks, each.name) for each in found if "held" not in each.name}
    versions = ("1 version a key", "10 versions a key", "100 versions a key")
    reads = ["scan with values", "scan of keys", "get", "exists", "get from an ancestor", "exists in an ancestor"]
    reads += ["get past a writer of other keys", "exists past a writer of other keys"]
    wanted = {f"{what}, {of}" for of in versions for what in reads}
    wanted |= {"key range, 100 versions a key", "get of a 60 KB block with 10 versions", "put of a batch of 50"}
    wanted |= {"write of a 64^3 block", "read of a 64^3 block", "read of an unaligned 96^3 box"}
    assert names == {(on, name) for on in checks for name in wanted}
    assert list(tmp_path.iterdir()) == []
    assert "bars met" in capsys.readouterr().out


def test_figures_are_written_as_json(tmp_path: Path) -> None:
    """``--json`` writes the machine and each figure that was printed."""
    out = tmp_path / "figures.json"
    found = run(tmp_path, "--only", "engines", "--engine", "memory", "--checks", "on", "--json", str(out))
    written = json.loads(out.read_text("utf-8"))
    assert [each["name"] for each in written["figures"]] == [each.name for each in found]
    assert {each["checks"] for each in written["figures"]} == {True}
    assert written["machine"]["cores"] >= 1


def test_the_image_part_gives_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each figure of image volumes is there; without tensorstore, what to install is said instead."""
    found = run(tmp_path, "--only", "images", "--side", "192")
    if find_spec("tensorstore") is None:
        assert found == []
        assert "tensorstore is not installed" in capsys.readouterr().out
        return
    wanted = ["write of 192^3", "read of 96^3, aligned", "read of 96^3, unaligned", "slice xy", "slice xz", "slice yz"]
    assert [each.name for each in found] == 2 * wanted


def test_the_raw_box_is_what_was_written(tmp_path: Path) -> None:
    """The base that an unaligned box is compared with reads the same voxels."""
    from benchmarks import blocks
    from benchmarks.rawdrivers import RawMemory
    from benchmarks.volumes import em_like

    volume, raw = em_like(192), RawMemory(str(tmp_path))
    blocks._write_raw(raw, volume)
    assert np.array_equal(blocks._read_raw(raw), volume[17 : 17 + 96, 23 : 23 + 96, 31 : 31 + 96])


def test_bars() -> None:
    """A ratio is to reach its bar, an amount is not to pass it, and checks leave 0.8 of a bar."""
    from benchmarks.measuring import bar_for

    assert figure().met
    assert not figure(bar=0.61).met
    assert figure(bar=None).met is None
    assert figure(at_most=True, value=0.5).met
    assert not figure(at_most=True, value=0.51).met
    assert bar_for(0.5, checks=True) == 0.4
    assert bar_for(0.5, checks=False) == 0.5
    assert bar_for(None, checks=True) is None


def test_the_table_says_what_is_missed() -> None:
    """A row shows its bar; the summary counts the bars and repeats those that were missed."""
    from benchmarks import table

    missed = figure(name="put", bar=0.7)
    assert table.line(figure()).endswith(">= 0.5 met")
    assert table.line(missed).endswith(">= 0.7 MISSED")
    said = table.summary([figure(), missed, figure(bar=None)])
    assert said.splitlines()[1] == "1 of 2 bars met"
    assert said.splitlines()[2:] == [f"missed: {table.line(missed)}"]


def test_the_best_of_rounds_is_by_contender() -> None:
    """Contenders are called in turn, and each is given the least of its own times."""
    from benchmarks.measuring import best

    calls: list[str] = []
    ticks = iter([0.0, 5.0, 0.0, 1.0, 0.0, 3.0, 0.0, 2.0])
    found = best({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, lambda: next(ticks))
    assert calls == ["a", "b", "a", "b"]
    assert found == {"a": 3.0, "b": 1.0}


def test_the_service_part_gives_its_rows(tmp_path: Path) -> None:
    """Each figure of the service is there, and this process may run where it might before."""
    allowed = os.sched_getaffinity(0)
    boxes = ("GET of an aligned 64^3 box", "GET of an unaligned 128^3 box")
    wanted = ["routed GET", "GET of a key", "POST of a key"]
    bases = ("the Python API", "the API and sending zeros", "a memcpy")
    wanted += [f"{box}, beside {base}" for box in boxes for base in bases]
    wanted += ["event loop late under durable writes, p99", "import and open of a store"]
    assert [each.name for each in run(tmp_path, "--only", "service")] == wanted
    assert os.sched_getaffinity(0) == allowed


def test_load_is_refused_by_what_does_not_succeed() -> None:
    """An answer that is not 200 ends the load: who refuses fast is not fast."""
    from benchmarks import load, service

    with service.served("raw", min(os.sched_getaffinity(0))) as server:
        assert load.load(server.port, [load.get("/")], 1, 0.01) > 0
        with pytest.raises(RuntimeError, match="400"):
            load.load(server.port, [b"nonsense\r\n\r\n"], 1, 0.01)
