"""Opening RocksDB, and what every user of the open database has to know."""

from __future__ import annotations

import gc
import json
from typing import Any, Final

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
)

from dvidkit.apart import APART, APART_END
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, CorruptData, DvidkitError, StoreMismatch, shown
from dvidkit.storedir import StoreDirectory
from dvidkit_rocksdb.failures import translate

LAYOUT: Final = 1
LISTS: Final = ("CURRENT", "MANIFEST-*", "*.log")
"""Files that RocksDB does not miss, or whose end it does not; see ``dvidkit.closedrecord``."""

CHECKED: Final = ("*.sst",)
"""Files that RocksDB checks by itself when it reads them."""

_DEFAULTS: Final = {"cache_size": 48 << 20, "write_buffer_size": 64 << 20}
_LEAST: Final = {"cache_size": 1 << 10, "write_buffer_size": 64 << 10}
_BLOCK_SIZE: Final = 16384
_RESTART_INTERVAL: Final = 4
_BLOOM_BITS: Final = 10
_INFO_LOGS: Final = 3
_INFO_LOG_SIZE: Final = 4 << 20
_DEFAULT_FAMILY: Final = "default"
_CONFIG: Final = "rocksdict-config.json"


class Database:
    """The driver's database, in raw mode (its other mode unpickles what it reads).

    Attributes:
        db: rocksdict's object.
        path: of the store, for errors.
        apart: some value is, or was, set apart; set before the first one is written.
        directory: the claim on the store's directory.
    """

    def __init__(self, directory: StoreDirectory, config: StoreConfig, *, forgiving: bool = False) -> None:
        """Open, or make, the database in the claimed directory.

        Args:
            directory: the claim.
            config: of the store.
            forgiving: take a damaged log as far as it is sound, and drop the rest; for a repair.

        Raises:
            CorruptData: a file is missing or fails its checksum.
        """
        self.directory = directory
        self.path = str(directory.path)
        if not directory.created and not (directory.data / "CURRENT").exists():
            raise CorruptData(
                "RocksDB's CURRENT is missing; the store was there before", engine="rocksdb", path=self.path
            )
        options = options_for(config, create=directory.created, forgiving=forgiving)
        access = AccessType.read_only(False) if config.read_only else AccessType.read_write()
        try:
            self.db: Any = Rdict(str(directory.data), options, {_DEFAULT_FAMILY: options}, access)
        except Exception as error:
            raise translate(error, self.path) from None
        try:
            self._check_mode()
            self.apart = self._holds_apart()
        except Exception as error:
            self.close()
            raise self.failure(error) from None

    def failure(self, error: Exception) -> DvidkitError:
        """The error of the tree for a driver's error."""
        return translate(error, self.path)

    def close(self) -> None:
        """Close the driver's database. Whatever it made must be gone, or it stays open and locked."""
        try:
            self.db.close()
        except Exception as error:
            raise self.failure(error) from None
        finally:
            gc.collect(0)

    def _check_mode(self) -> None:
        config = json.loads((self.directory.data / _CONFIG).read_text("utf-8"))
        if config.get("raw_mode") is not True:
            raise StoreMismatch("the store was not made in rocksdict's raw mode", engine="rocksdb", path=self.path)

    def _holds_apart(self) -> bool:
        cursor = self.db.iter()
        cursor.seek(APART)
        key = cursor.key()
        if key is None:
            cursor.status()
        return key is not None and bool(key < APART_END)


def options_for(config: StoreConfig, *, create: bool, forgiving: bool = False) -> Options:
    """RocksDB's options.

    Raises:
        BadConfig: the store's configuration has an option that this engine has not, or a bad value for one.
    """
    chosen = _chosen(config)
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache.new_hyper_clock_cache(chosen["cache_size"], _BLOCK_SIZE))
    tables.set_block_size(_BLOCK_SIZE)
    tables.set_block_restart_interval(_RESTART_INTERVAL)
    tables.set_bloom_filter(_BLOOM_BITS, False)
    options = Options(raw_mode=True)
    options.create_if_missing(create)
    options.set_error_if_exists(create)
    options.set_paranoid_checks(True)
    options.set_block_based_table_factory(tables)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(chosen["write_buffer_size"])
    options.set_keep_log_file_num(_INFO_LOGS)
    options.set_max_log_file_size(_INFO_LOG_SIZE)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    if create:
        options.set_max_file_opening_threads(1)  # There is no file yet; by default 16 threads begin, and end.
    mode = DBRecoveryMode.point_in_time() if forgiving else DBRecoveryMode.tolerate_corrupted_tail_records()
    options.set_wal_recovery_mode(mode)
    return options


def _chosen(config: StoreConfig) -> dict[str, int]:
    for name, value in config.options.items():
        if name not in _DEFAULTS:
            raise BadConfig(f"engine 'rocksdb' has no option {name!r}", setting=name)
        if type(value) is not int or not _LEAST[name] <= value <= 1 << 40:
            raise BadConfig(f"option {name!r} of engine 'rocksdb' cannot be {shown(value)}", setting=name)
    return {**_DEFAULTS, **config.options}
