"""A new RocksDB database made of rows: what a repair writes, and a backup where RocksDB cannot make one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rocksdict import Rdict, WriteBatch

from dvidkit.engine import Item, StoreConfig
from dvidkit_rocksdb.database import options_for
from dvidkit_rocksdb.failures import translate


def write_database(place: Path, config: StoreConfig, pages: Iterable[list[Item]]) -> None:
    """Make a database of RocksDB's own rows at a place where nothing is, and wait until it is on disk."""
    try:
        new: Any = Rdict(str(place), options_for(config, create=True))
        for page in pages:
            changes = WriteBatch(raw_mode=True)
            for key, value in page:
                changes.put(key, value)
            new.write(changes)
        new.close()
    except Exception as error:
        raise translate(error, str(place)) from None
    sync_files(place)


def sync_files(place: Path) -> None:
    """Wait until every file of a database, and its name, is on disk."""
    for file in (*place.iterdir(), place):
        with suppress(OSError):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
