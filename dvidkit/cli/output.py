"""What the commands print: tables, JSON, progress, and errors as one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import IO, Any, Final

import click
import msgspec

from dvidkit.errors import DvidkitError

json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TENTH: Final = 0.1


class Failure(click.ClickException):
    """An expected error: one line on stderr, exit code 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"dvidkit: {self.format_message()}", file=file or sys.stderr, err=file is None)


def as_failure(error: DvidkitError | OSError) -> Failure:
    """The line for an error of the tree, or of the operating system."""
    if isinstance(error, OSError) and not isinstance(error, DvidkitError):
        where = f": {error.filename}" if error.filename is not None else ""
        return Failure(f"{error.strerror or error}{where}")
    return Failure(" ".join(str(error).split()))


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Rows in columns, two spaces apart; the last column is not padded."""
    lines = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def size_text(size: int) -> str:
    """A number of bytes for people."""
    number, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{size} B" if unit == "B" else f"{number:.1f} {unit}"


class Progress:
    """A line on stderr that says how far something is; silent where stderr is no terminal. Use as a context manager.

    Args:
        unit: what is counted.
        shown: whether to show anything; unless given, where stderr is a terminal.
    """

    def __init__(self, unit: str, *, shown: bool | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._unit = unit
        self._shown = sys.stderr.isatty() if shown is None else shown
        self._clock = clock
        self._next = 0.0
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")

    def update(self, what: str, done: int, total: int | None) -> None:
        """Say how far; at most ten times a second."""
        if not self._shown or self._clock() < self._next:
            return
        self._next = self._clock() + _TENTH
        part = f"{min(done / total, 1):4.0%}, {done:,} of {total:,}" if total else f"{done:,}"
        self._write(f"{what}: {part} {self._unit}")

    def _write(self, text: str) -> None:
        if self._shown and (text or self._width):
            click.echo(f"\r{text.ljust(self._width)}" + ("" if text else "\r"), nl=False, err=True)
            self._width = len(text)
