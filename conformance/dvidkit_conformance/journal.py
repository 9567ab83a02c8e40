"""A journal in a file: after the death of a process it holds the program that was running, to the last operation.

Records are ``size u32 little-endian | marshal``, as this is written before every operation of every program.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvidkit_conformance.ops import Op, Program


class FileJournal:
    """Each operation is in the file before it is done. The file is not buffered; it is rewritten for each program."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)

    def begin(self, kind: str, options: Mapping[str, Any]) -> None:
        """See ``Journal``."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._write({"kind": kind, "options": dict(options)})

    def note(self, op: Op) -> None:
        """See ``Journal``."""
        self._write(op)

    def _write(self, data: Any) -> None:
        record = marshal.dumps(data)
        os.write(self._fd, len(record).to_bytes(4, "little") + record)


def read(path: Path) -> Program | None:
    """The program that a journal holds; a torn last record is left out."""
    data = path.read_bytes() if path.exists() else b""
    found: list[Any] = []
    place = 0
    while place + 4 <= len(data):
        end = place + 4 + int.from_bytes(data[place : place + 4], "little")
        if end > len(data):
            break
        found.append(marshal.loads(data[place + 4 : end]))  # noqa: S302 - written by our own child
        place = end
    return Program(found[0]["kind"], tuple(found[1:]), found[0]["options"]) if found else None
