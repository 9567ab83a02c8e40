"""Running the command, in this process and in others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dvidkit.cli import main


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker."""
    config.addinivalue_line("markers", "slow: takes a minute or so")


class Command:
    """The ``dvidkit`` command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "store")

    def run(self, *arguments: object, stdin: bytes | None = None, code: int = 0) -> Result:
        """Run in this process; the exit code must be ``code``, and no traceback may be shown."""
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    def text(self, *arguments: object, stdin: bytes | None = None) -> str:
        """Standard output without the last line end."""
        return self.run(*arguments, stdin=stdin).stdout.removesuffix("\n")

    def fails(self, *arguments: object, code: int = 1, stdin: bytes | None = None) -> str:
        """The one line on standard error of a command that must fail."""
        result = self.run(*arguments, stdin=stdin, code=code)
        assert result.stdout == ""
        if code == 1:
            assert result.stderr.startswith("dvidkit: ")
            assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr

    def process(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """Run as a process of its own."""
        command = [sys.executable, "-m", "dvidkit.cli", *(str(argument) for argument in arguments)]
        return subprocess.run(
            command, capture_output=True, check=False, env={**os.environ, "COLUMNS": "120"}, **options
        )

    def repo(self, engine: str = "lmdb", **names: str) -> str:
        """A store with a repo; the UUID of its root."""
        self.run("init", self.store, "--engine", engine)
        return self.text("repos", "new", "test", "a repo", "-s", self.store, *(f"{k}={v}" for k, v in names.items()))


@pytest.fixture
def dvidkit(tmp_path: Path) -> Command:
    """The command, and a place for a store."""
    return Command(tmp_path)
