"""A journal in a file: after the death of a process it holds the program that was running, to the last operation."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvidkit_conformance.ops import Op, Program, decode, encode


class FileJournal:
    """Each operation is in the file before it is done. The file is not buffered; it is rewritten for each program."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

    def begin(self, kind: str, options: Mapping[str, Any]) -> None:
        """See ``Journal``."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._write({"kind": kind, "options": encode(dict(options))})

    def note(self, op: Op) -> None:
        """See ``Journal``."""
        self._write(encode(op))

    def _write(self, data: Any) -> None:
        os.write(self._fd, f"{json.dumps(data)}\n".encode())


def read(path: Path) -> Program | None:
    """The program that a journal holds; a torn last line is left out."""
    if not path.exists():
        return None
    lines = path.read_text("utf-8", errors="replace").split("\n")[:-1]
    found: list[Any] = []
    for text in lines:
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    if not found:
        return None
    return Program(found[0]["kind"], tuple(decode(op) for op in found[1:]), decode(found[0]["options"]))
