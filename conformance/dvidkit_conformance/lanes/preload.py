"""A library that makes system calls fail: compiled here by the machine's compiler, and what is shared with it.

See ``failing.c`` for what it does. The process is begun with ``environment``; children that it forks have it too.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

CONTROL: Final = "DVIDKIT_FAILING_CONTROL"
FOLDER: Final = "DVIDKIT_FAILING_FOLDER"
SYNCS: Final = frozenset({"fsync", "fdatasync", "msync"})

_NUMBERS: Final = struct.Struct("6q")
_WHAT: Final = slice(48, 80)
_PATH: Final = slice(80, 336)
_WRITES: Final = slice(336, 344)
_SIZE: Final = 4096


class NoPreload(Exception):
    """The library cannot be made here; the text says why."""


class Control:
    """What is shared with the process, by the file that holds it. Either side may open it.

    Attributes:
        file: the file.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        with open(file, "r+b") as shared:
            self._map = mmap.mmap(shared.fileno(), _SIZE)

    @classmethod
    def made(cls, file: Path) -> Control:
        """A new one."""
        file.write_bytes(bytes(_SIZE))
        return cls(file)

    @classmethod
    def ours(cls) -> Control:
        """That of this process, which was begun with the library."""
        return cls(Path(os.environ[CONTROL]))

    def arm(self, at: int, *, shorter: bool = False, deadly: bool = False) -> None:
        """Count from now on; fail this call, or none for 0. If it is deadly, the process is killed instead."""
        self._map[: _WRITES.stop] = bytes(_WRITES.stop)
        self._map[:16] = _NUMBERS.pack(at, 2 if deadly else shorter, 0, 0, 0, 0)[:16]

    @property
    def calls(self) -> int:
        """Calls since then."""
        return self._number(2)

    @property
    def fired(self) -> bool:
        """Whether the call was made, and failed."""
        return bool(self._number(3))

    @property
    def writes(self) -> int:
        """Of the calls, those that wrote."""
        return int.from_bytes(self._map[_WRITES], "little")

    @property
    def syncs(self) -> int:
        """Of the calls, those that waited for the disk."""
        return self._number(5)

    @property
    def thread(self) -> int:
        """Whose call it was."""
        return self._number(4)

    @property
    def what(self) -> str:
        """The name of the call."""
        return self._map[_WHAT].rstrip(b"\0").decode()

    def __str__(self) -> str:
        path = self._map[_PATH].rstrip(b"\0").decode(errors="replace")
        return f"{self.what} of {path.rpartition('/')[2]}"

    def _number(self, place: int) -> int:
        return int(_NUMBERS.unpack_from(self._map)[place])


def library(folder: Path) -> Path:
    """Compile the library into a folder.

    Raises:
        NoPreload: there is no compiler, or it does not compile this.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoPreload("there is no C compiler (cc)")
    made = folder / "failing.so"
    with as_file(files(__package__ or "") / "failing.c") as source:
        command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise NoPreload(f"{compiler} cannot compile failing.c: {' '.join(done.stderr.split())[:200]}")
    return made


def environment(made: Path, control: Control, below: Path) -> Mapping[str, str]:
    """Of the process whose calls on files below a directory fail.

    Args:
        made: the library.
        control: what is shared with it.
        below: the directory.
    """
    before = os.environ.get("LD_PRELOAD", "")
    preload = f"{made}:{before}" if before else str(made)
    return {**os.environ, "LD_PRELOAD": preload, CONTROL: str(control.file), FOLDER: os.path.realpath(below)}
