"""Backup of a store, row by row.

LMDB's own copy is one long operation, and as long as it runs py-lmdb can neither roll a write back nor grow the map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from operator import itemgetter
from typing import Final

import lmdb

from dvidkit.backups import backup_directory
from dvidkit.engine import Item, StoreConfig
from dvidkit_lmdb.environment import LAYOUT, open_environment
from dvidkit_lmdb.failures import translate

_CHUNK: Final = 64 << 20

_value_of: Final = itemgetter(1)


def copy_rows(pages: Iterable[list[Item]], path: str) -> None:
    """Make a new store at ``path`` of rows that come in order; it is not marked as a store before it is whole.

    Raises:
        StoreMismatch: there is something at ``path``.
        StoreFull, StoreError: and what was begun has been taken away again.
    """
    with backup_directory(path, "lmdb", LAYOUT) as directory:
        try:
            with closing(open_environment(directory, StoreConfig("lmdb", path, durability="volatile"))[0]) as env:
                for rows in _chunks(pages):
                    _append(env, rows)
                env.sync(True)
        except lmdb.Error as error:
            raise translate(error, path) from error


def _chunks(pages: Iterable[list[Item]]) -> Iterator[list[Item]]:
    rows: list[Item] = []
    size = 0
    for page in pages:
        rows += page
        size += sum(map(len, map(_value_of, page)))
        if size > _CHUNK:
            yield rows
            rows, size = [], 0
    yield rows


def _append(env: lmdb.Environment, rows: list[Item]) -> None:
    while True:
        try:
            with env.begin(write=True) as txn:
                txn.cursor().putmulti(rows, append=True)
            return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])
