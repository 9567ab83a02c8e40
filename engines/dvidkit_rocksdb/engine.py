"""Declaration of the ``rocksdb`` engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dvidkit import storedir
from dvidkit.engine import ByteStore, Capabilities, Capability, Engine, Limits, Loss, OpenReport, StoreConfig
from dvidkit.errors import MissingExtra, StoreForked
from dvidkit_rocksdb.forking import call_in_children, skip_shutdown
from dvidkit_rocksdb.heap import give_back_large_pieces


class RocksDBEngine(Engine):
    """RocksDB: a log and sorted tables, compressed and checked; for large stores and for writing much.

    In a forked child, where RocksDB cannot be used (see ``dvidkit_rocksdb.forking``), ``open`` raises ``StoreForked``;
    ``forked``, the one thing here that is the process's own, says so.
    """

    forked: ClassVar[bool] = False

    name: ClassVar[str] = "rocksdb"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "log-structured, compressed and checked; for large stores and for writing much"
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset(
            {
                Capability.GET_MANY,
                Capability.SEEK,
                Capability.LAST,
                Capability.PAGES,
                Capability.DELETE_RANGE,
                Capability.SIZES,
                Capability.COMPACT,
                Capability.BACKUP,
                Capability.REPAIR,
                Capability.CHECKSUMS,
                Capability.READ_ONLY,
            }
        ),
        durable=Loss.POWER,
        buffered=Loss.PROCESS,
        seek_cost=5,
    )
    limits: ClassVar[Limits] = Limits()
    options: ClassVar[Mapping[str, str]] = {
        "cache_size": "bytes of decompressed blocks kept in memory (default 48 MiB)",
        "write_buffer_size": "bytes of new rows kept in memory before they go to a table (default 64 MiB)",
    }
    conformance: ClassVar[str] = "dvidkit_rocksdb.conformance:RocksDBCase"

    def open(self, config: StoreConfig) -> ByteStore:
        """See ``Engine.open``."""
        try:
            from dvidkit_rocksdb.store import RocksDBStore
        except ImportError as error:
            raise _missing() from error
        self._refuse_in_child(config.path)
        call_in_children(_in_child)
        give_back_large_pieces()
        return RocksDBStore(config, self.limits)

    def repair(self, path: str) -> OpenReport:
        """See ``Engine.repair``; see ``dvidkit_rocksdb.repair`` for how."""
        try:
            from dvidkit_rocksdb.repair import repair
        except ImportError as error:
            raise _missing() from error
        self._refuse_in_child(path)
        call_in_children(_in_child)
        return repair(path)

    def _refuse_in_child(self, path: str) -> None:
        if self.forked:
            raise StoreForked(
                "this process was forked from one that had used RocksDB, which cannot be used here; spawn it instead",
                engine=self.name,
                path=path,
            )

    def destroy(self, config: StoreConfig) -> None:
        """See ``Engine.destroy``."""
        storedir.destroy(config.path, self.name)


def _in_child() -> None:
    if not RocksDBEngine.forked:
        RocksDBEngine.forked = True
        skip_shutdown()


def _missing() -> MissingExtra:
    install = "pip install 'dvidkit[rocksdb]'"
    return MissingExtra(f"engine 'rocksdb' needs rocksdict: {install}", plugin="rocksdb", install=install)
