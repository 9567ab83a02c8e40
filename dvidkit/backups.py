"""The directory of a backup: there whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dvidkit.deferred import deferred
from dvidkit.engine import StoreConfig
from dvidkit.errors import StoreMismatch
from dvidkit.storedir import StoreDirectory

if TYPE_CHECKING:
    import shutil
else:
    shutil = deferred("shutil")


@contextmanager
def backup_directory(path: str, engine: str, layout: int) -> Iterator[StoreDirectory]:
    """A claimed directory for a new store, marked as one when the block ends, and taken away again if it raises.

    Raises:
        StoreMismatch: there is something at ``path``.
        StoreMissing, StoreFull, StoreError: see ``StoreDirectory``.
    """
    if os.path.lexists(path):
        raise StoreMismatch(f"{path} exists already, so no backup is made there", engine=engine, path=path)
    directory = StoreDirectory(StoreConfig(engine, path), engine, layout)
    try:
        yield directory
        directory.made()
    except BaseException:
        shutil.rmtree(directory.path, ignore_errors=True)
        raise
    finally:
        directory.release()
