"""Backup of a store, row by row, into a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final

from dvidkit.backups import backup_directory
from dvidkit.engine import Item
from dvidkit.storedir import os_error
from dvidkit_filesystem.files import Files
from dvidkit_filesystem.journal import BATCH, LAYOUT
from dvidkit_filesystem.journals import Journals

_CHUNK: Final = 16 << 20

_value_of: Final = itemgetter(1)


def copy_rows(pages: Iterable[list[Item]], path: str) -> None:
    """Make a new store at ``path`` of these rows; it is not marked as a store before it is whole.

    Raises:
        StoreMismatch: there is something at ``path``.
        StoreFull, StoreError: and what was begun has been taken away again.
    """
    with backup_directory(path, "filesystem", LAYOUT) as directory:
        journals = Journals(Files(), str(directory.data), bytes.fromhex(directory.uuid))
        try:
            journals.begin()
            for rows in _chunks(pages):
                journals.append(dict(rows), kind=BATCH, durable=False)
            journals.sync()
            journals.close()
        except OSError as error:
            raise os_error(error, f"cannot make a backup at {path}", "filesystem", path) from error
        finally:
            journals.abandon()


def _chunks(pages: Iterable[list[Item]]) -> Iterator[list[Item]]:
    rows: list[Item] = []
    size = 0
    for page in pages:
        rows += page
        size += sum(map(len, map(_value_of, page)))
        if size > _CHUNK:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
