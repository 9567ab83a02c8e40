"""A place that gets full: a small file system in memory where one may be mounted, else a limit to the size of files."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Final

_BALLAST: Final = 88 << 20
_WHOLE: Final = 128 << 20
_FILE_LIMIT: Final = 8 << 20


class Room:
    """A directory with little room. Use as a context manager.

    With a mount the disk is full (``ENOSPC``), and ``free`` takes ballast away. Where nothing may be mounted, no file
    may grow beyond some megabytes (``EFBIG``), which most drivers treat alike, and ``free`` lifts that limit; ``how``
    says which of the two it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.how = ""
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def __enter__(self) -> Room:
        if mounted(self.folder, _WHOLE):
            self.how = "mount"
            with open(self.folder / "ballast", "wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, _BALLAST)
        else:
            self.how = "file size"
            resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_LIMIT, self._limits[1]))
        return self

    def free(self) -> None:
        """Make room."""
        if self.how == "mount":
            (self.folder / "ballast").unlink(missing_ok=True)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def __exit__(self, *error: object) -> None:
        self.free()
        if self.how == "mount":
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)  # noqa: S603, S607


def mounted(folder: Path, size: int) -> bool:
    """Mount a file system of this size over the directory; whether that was allowed."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
