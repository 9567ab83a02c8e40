"""The directory in which a run makes its stores: held while the run lives, and removed at its end.

A run that is killed cannot remove its own. The next one does: who lives holds a lock on a file in its directory, and a
directory whose lock nobody holds is left over.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "dvidkit-conform-"
_TMPFS: Final = "/dev/shm"  # noqa: S108 - semantic lanes belong in memory; every run makes a directory of its own
_HELD: Final = "held"
_TRIES: Final = 20
_PAUSE: Final = 0.05


@contextmanager
def workdir(wanted: str | os.PathLike[str] | None) -> Iterator[Path]:
    """A new directory, for the length of a ``with`` block; what dead runs left beside it is removed first.

    Args:
        wanted: where it is made; unless given, in memory (``/dev/shm``) where there is some.
    """
    if wanted is None:
        wanted = _TMPFS if os.access(_TMPFS, os.W_OK) else tempfile.gettempdir()
    sweep(Path(wanted))
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=wanted))
    lock = _hold(path)
    try:
        yield path
    finally:
        remove(path)
        os.close(lock)


def sweep(parent: Path) -> list[Path]:
    """Remove directories of runs that ended without removing theirs; which."""
    return [path for path in sorted(parent.glob(f"{PREFIX}*")) if _left_over(path) and remove(path)]


def remove(path: Path) -> bool:
    """Remove a directory, even while a process that is about to end still makes files in it; whether it is gone."""
    from dvidkit_conformance.lanes.image import unmount_below  # With it come all lanes: not before a run begins.

    for _ in range(_TRIES):
        unmount_below(path)
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return True
        time.sleep(_PAUSE)
    return False


def _hold(path: Path) -> int:
    """Lock first, then give the file its name, so that nobody sees it without its lock."""
    unnamed = path / f"{_HELD}.new"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(path / _HELD)
    return lock


def _left_over(path: Path) -> bool:
    """Whether it is ours and nobody holds it. One without the file is being made, or is not a run's."""
    with suppress(OSError):
        if path.is_symlink() or path.stat().st_uid != os.geteuid():
            return False
        lock = os.open(path / _HELD, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(lock)
        return True
    return False
