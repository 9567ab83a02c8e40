"""Sizes, tables, errors and progress."""

from __future__ import annotations

import pytest

from dvidkit.cli.output import Progress, as_failure, size_text, table
from dvidkit.errors import BadConfig


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (1 << 60, "1024.0 PiB")],
)
def test_sizes(size: int, text: str) -> None:
    """In units of 1024."""
    assert size_text(size) == text


def test_tables() -> None:
    """Columns are as wide as their widest cell; lines do not end in space."""
    assert table([("a", "b"), ("long", "")], "  ") == "  a     b\n  long"


def test_errors_are_one_line() -> None:
    """Whatever the message holds; the system's errors name their file."""
    assert as_failure(BadConfig("two\n  lines", setting="x")).message == "two lines"
    missing = FileNotFoundError(2, "No such file or directory", "x.png")
    assert as_failure(missing).message == "No such file or directory: x.png"
    assert as_failure(OSError("odd")).message == "odd"


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """At most ten times a second, on one line that is cleared at the end; nothing where stderr is no terminal."""
    times = iter([1.0, 1.0, 1.05, 2.0, 2.0])
    with Progress("rows", shown=True, clock=lambda: next(times)) as progress:
        progress.update("copying", 1, 2)
        progress.update("copying", 2, 2)
        progress.update("copying", 5000, None)
    first = "copying:  50%, 1 of 2 rows"
    second = "copying: 5,000 rows".ljust(len(first))
    assert capsys.readouterr().err == f"\r{first}\r{second}\r{' ' * 19}\r"
    with Progress("rows") as progress:
        progress.update("copying", 1, 2)
    assert capsys.readouterr().err == ""
