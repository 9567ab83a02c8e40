"""Opening LevelDB, and what every user of the open database has to know."""

from __future__ import annotations

import os
from typing import Any, Final

import plyvel

from dvidkit.apart import APART, APART_END
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, StoreError, shown
from dvidkit.storedir import StoreDirectory
from dvidkit_leveldb.failures import translate

LAYOUT: Final = 1
LISTS: Final = ("CURRENT", "MANIFEST-*", "*.log")
"""Files that LevelDB does not miss, or whose end it does not; see ``dvidkit.closedrecord``."""

CHECKED: Final = ("*.ldb", "*.sst")
"""Files that LevelDB checks by itself when it reads them."""

_DEFAULTS: Final = {"cache_size": 48 << 20, "write_buffer_size": 16 << 20}
_LEAST: Final = {"cache_size": 0, "write_buffer_size": 64 << 10}
_TABLE_SIZE: Final = 16 << 20
_BLOCK_SIZE: Final = 4096
_BLOOM_BITS: Final = 10


class Database:
    """The driver's database, opened with every check LevelDB has.

    Attributes:
        db: plyvel's object.
        path: of the store, for errors.
        apart: some value is, or was, set apart; set before the first one is written.
        directory: the claim on the store's directory.
    """

    def __init__(self, directory: StoreDirectory, config: StoreConfig) -> None:
        """Open, or make, the database in the claimed directory.

        Raises:
            CorruptData: a file is missing or fails its checksum.
        """
        options = _options(config)
        self.directory = directory
        self.path = str(directory.path)
        try:
            self.db: Any = plyvel.DB(
                os.fsencode(directory.data),
                create_if_missing=directory.created,
                error_if_exists=directory.created,
                paranoid_checks=True,
                lru_cache_size=options["cache_size"],
                write_buffer_size=options["write_buffer_size"],
                max_file_size=_TABLE_SIZE,
                block_size=_BLOCK_SIZE,
                block_restart_interval=1,
                bloom_filter_bits=_BLOOM_BITS,
            )
        except plyvel.Error as error:
            raise translate(error, self.path, opening=True) from error
        try:
            self.apart = self._holds_apart()
        except plyvel.Error as error:
            self.db.close()
            raise translate(error, self.path, opening=True) from error

    def failure(self, error: plyvel.Error) -> StoreError:
        """The error of the tree for a driver's error."""
        return translate(error, self.path)

    def _holds_apart(self) -> bool:
        raw = self.db.raw_iterator(verify_checksums=True)
        try:
            raw.seek(APART)
            return bool(raw.valid() and raw.key() < APART_END)
        finally:
            raw.close()


def _options(config: StoreConfig) -> dict[str, int]:
    for name, value in config.options.items():
        if name not in _DEFAULTS:
            raise BadConfig(f"engine 'leveldb' has no option {name!r}", setting=name)
        if type(value) is not int or not _LEAST[name] <= value <= 1 << 40:
            raise BadConfig(f"option {name!r} of engine 'leveldb' cannot be {shown(value)}", setting=name)
    return {**_DEFAULTS, **config.options}
