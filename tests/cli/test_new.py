"""``new-engine`` and ``new-datatype``: what they write, and that it works in the hands of somebody else."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from dvidkit.cli.new import check_name, write_project
from dvidkit.errors import AlreadyExistsError, InvalidInputError, NotFoundError

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("my-engine", "my_engine", "MyEngine", "my-datatype", "my_datatype", "MyDatatype")


def written(folder: Path) -> set[str]:
    """Files of a project."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_engine_project(dvidkit: Any) -> None:
    """Every file is there, under the new name, and nothing of the old one is left."""
    text = dvidkit.text("new-engine", "toy-log", "--into", dvidkit.folder)
    project = dvidkit.folder / "dvidkit-toy-log"
    assert text.startswith(f"made {project}; next:\n  cd {project}\n")
    assert "dvidkit conform toy-log" in text
    package = "src/dvidkit_toy_log"
    assert written(project) == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "tests/test_conformance.py",
        *(f"{package}/{name}.py" for name in ("__init__", "plugin", "engine", "store", "log")),
    }
    for file in project.rglob("*.*"):
        if file.is_file():
            assert not [word for word in WORDS if word in file.read_text()], file
    assert "class ToyLogEngine(Engine)" in (project / package / "engine.py").read_text()
    settings = tomllib.loads((project / "pyproject.toml").read_text())
    assert settings["project"]["entry-points"]["dvidkit"] == {"toy-log": "dvidkit_toy_log.plugin"}


def test_a_datatype_project(dvidkit: Any) -> None:
    """Likewise."""
    dvidkit.run("new-datatype", "tally", "--into", dvidkit.folder)
    project = dvidkit.folder / "dvidkit-tally"
    package = "src/dvidkit_tally"
    assert written(project) == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "tests/test_conformance.py",
        "tests/test_tally.py",
        *(f"{package}/{name}.py" for name in ("__init__", "plugin", "datatype", "conformance")),
    }
    assert "class Tally(Datatype)" in (project / package / "datatype.py").read_text()
    for file in project.rglob("*.py"):
        compile(file.read_text(), file, "exec")


@pytest.mark.parametrize(
    "name", ["", "Big", "1st", "under_score", "two--hyphens", "-a", "a-", "a b", "a/b", "../up", "ü", "x" * 41]
)
def test_names_that_cannot_be(name: str) -> None:
    """Refused before anything is written."""
    with pytest.raises(InvalidInputError):
        check_name("engine", name)


def test_nothing_is_overwritten(dvidkit: Any) -> None:
    """A project that is there stays as it is; so does a file of its name; names of installed plugins are taken."""
    dvidkit.run("new-engine", "toy", "--into", dvidkit.folder)
    readme = dvidkit.folder / "dvidkit-toy" / "README.md"
    readme.write_text("mine")
    assert "exists already and is left as it is" in dvidkit.fails("new-engine", "toy", "--into", dvidkit.folder)
    assert "exists already and is left as it is" in dvidkit.fails("new-datatype", "toy", "--into", dvidkit.folder)
    assert readme.read_text() == "mine"
    (dvidkit.folder / "dvidkit-file").touch()
    with pytest.raises(AlreadyExistsError):
        write_project("engine", "file", dvidkit.folder)
    with pytest.raises(NotFoundError):
        write_project("engine", "toy", dvidkit.folder / "nowhere")
    with pytest.raises(AlreadyExistsError, match="dvidkit offers engine 'lmdb' already"):
        check_name("engine", "lmdb")
    assert "not 'Toy'" in dvidkit.fails("new-engine", "Toy", "--into", dvidkit.folder)


# --- in the hands of somebody else -----------------------------------------------------------------------------------


def run(*command: object, cwd: Path) -> str:
    """Run a program that must succeed; its output. Nothing of this environment is found by it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
    return done.stdout


@pytest.mark.slow
def test_generated_projects_work(tmp_path: Path) -> None:
    """From our wheel in a clean environment: both are written, installed, pass their tests and the conformance kit."""
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", ROOT, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python, command = tmp_path / "venv" / "bin" / "python", tmp_path / "venv" / "bin" / "dvidkit"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, f"{wheel}[conformance]", cwd=tmp_path)
    run(command, "new-engine", "toy", cwd=tmp_path)
    run(command, "new-datatype", "tally", cwd=tmp_path)
    run(*pip, "./dvidkit-toy[test]", "./dvidkit-tally[test]", cwd=tmp_path)

    assert "toy  rows in memory, batches in a log file" in run(command, "engines", cwd=tmp_path)
    assert "tally  counts by name" in run(command, "datatypes", cwd=tmp_path)
    for project in ("dvidkit-toy", "dvidkit-tally"):
        assert " passed" in run(python, "-m", "pytest", "-q", cwd=tmp_path / project)
    report = run(command, "conform", "toy", "--datatype", "tally", "--profile", "quick", cwd=tmp_path)
    assert "CONFORMANT" in report
    assert "DT tally" in report


def test_the_projects_ask_for_this_distribution() -> None:
    """What the templates depend on is what this project is called."""
    assert distribution("dvidkit").metadata["Name"] == "dvidkit"
