"""Bringing LevelDB's logs to the disk in the order in which they were begun.

LevelDB waits, for a durable write, for its present log only. When it begins a new log it leaves the old one to the
system until its rows are in a table. So a loss of power could take what was buffered and leave what was written later.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dvidkit.storedir import os_error


def sync_logs(data: Path, *, present: bool) -> None:
    """Wait until the logs are on the disk, the oldest first. One that went meanwhile has its rows in a table.

    Args:
        data: where LevelDB's files are.
        present: the log that is written to now, too.

    Raises:
        StoreError: one may not be.
    """
    logs = sorted(data.glob("*.log"), key=lambda log: int(log.stem))
    try:
        for log in logs if present else logs[:-1]:
            with suppress(FileNotFoundError):
                _sync(log)
    except OSError as error:
        path = str(data.parent)
        raise os_error(error, f"cannot bring a log of {path} to the disk", "leveldb", path) from error


def _sync(log: Path) -> None:
    fd = os.open(log, os.O_RDONLY)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)
