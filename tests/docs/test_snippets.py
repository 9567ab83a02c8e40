"""What the documentation shows is what happens: every Python and console block of README.md and docs/*.md is run.

The blocks of one page are run in order, in one empty directory. A Python block whose first line is ``# name.py`` is
written to that file, so that later blocks can import it. What follows ``# ->`` is what the block prints, in order; in a
console block it is the lines below a ``$`` command, with ``...`` for whatever is between.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVED: Final = {"boss.md", "views.md"}
"""Pages that show a server: ``tests/clients`` runs them against one."""
_BLOCK: Final = re.compile(r"^```(python|console)\n(.*?)^```$", re.M | re.S)
_FILE: Final = re.compile(r"# ([a-z_]+\.py)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page."""

    kind: str
    text: str
    where: str


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that can be run."""
    text = page.read_text("utf-8")
    return [
        Block(match[1], match[2], f"{page.name}:{text.count(chr(10), 0, match.start()) + 2}")
        for match in _BLOCK.finditer(text)
    ]


def likeness(expected: str) -> re.Pattern[str]:
    """A pattern for text in which ``...`` stands for anything."""
    return re.compile(".*?".join(map(re.escape, expected.split("..."))), re.S)


def run_python(block: Block, namespace: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Run it, and compare what it prints with what it says it prints."""
    if name := _FILE.match(block.text):
        Path(name[1]).write_text(block.text, "utf-8")
        return
    capsys.readouterr()
    exec(compile("\n" * (int(block.where.rpartition(":")[2]) - 1) + block.text, block.where, "exec"), namespace)
    said = re.findall(r"# -> (.*)$", block.text, re.M)
    printed = capsys.readouterr().out
    assert likeness("\n".join(said)).fullmatch(printed.strip()), f"{block.where} printed {printed!r}"


def run_console(block: Block) -> None:
    """Run its commands, and compare what they answer with what stands below them."""
    for step in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, expected = step.partition("\n")
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
        answer = (done.stdout + done.stderr).strip()
        assert done.returncode == 0, f"{block.where}: {command} failed: {answer}"
        if expected.strip():
            wanted = "\n".join(line.rstrip() for line in expected.strip().splitlines())
            found = "\n".join(line.rstrip() for line in answer.splitlines())
            assert likeness(wanted).fullmatch(found), f"{block.where}: {command} answered\n{answer}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory in which a page is tried; the command is found, and so are modules the page writes."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in SERVED], ids=lambda page: page.name)
def test_what_a_page_shows(page: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The blocks of the page run, in order, and print what they say."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.kind == "python":
            run_python(block, namespace, capsys)
        else:
            run_console(block)


def test_pages_say_what_language_a_block_is() -> None:
    """A block without a language, or with one that nobody runs by mistake (``py``, ``pycon``), would not be tried."""
    known = {"python", "console", "text", "toml", "json", "sh", "mermaid", "http"}
    for page in PAGES:
        opened = re.findall(r"^```(.*)$", page.read_text("utf-8"), re.M)[::2]
        assert set(opened) <= known, page.name


def test_links_lead_somewhere() -> None:
    """A link to a file of the project names one that there is."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_a_wrong_claim_is_found(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The runner itself: what differs from the page fails."""
    with pytest.raises(AssertionError):
        run_python(Block("python", "print(1)  # -> 2\n", "x:1"), {}, capsys)
    with pytest.raises(AssertionError):
        run_console(Block("console", "$ echo one\ntwo\n", "x:1"))
    with pytest.raises(AssertionError):
        run_console(Block("console", "$ false\n", "x:1"))
    run_console(Block("console", "$ echo one two three\none...three\n", "x:1"))
