"""Declaration of the ``lmdb`` engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dvidkit import storedir
from dvidkit.engine import ByteStore, Capabilities, Capability, Engine, Limits, Loss, StoreConfig
from dvidkit.errors import MissingExtra


class LmdbEngine(Engine):
    """LMDB: one file, read through a memory map; one writer and any number of readers that never wait for it."""

    name: ClassVar[str] = "lmdb"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "memory-mapped B+tree, crash-safe without a log; the embedded default"
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset(
            {
                Capability.GET_MANY,
                Capability.LEND,
                Capability.BORROW,
                Capability.SEEK,
                Capability.LAST,
                Capability.PAGES,
                Capability.DELETE_RANGE,
                Capability.BACKUP,
                Capability.READ_ONLY,
            }
        ),
        durable=Loss.POWER,
        buffered=Loss.PROCESS,
        seek_cost=3,
    )
    limits: ClassVar[Limits] = Limits(max_key=511, max_value=(1 << 32) - 2, max_batch_bytes=1 << 33)
    options: ClassVar[Mapping[str, str]] = {
        "map_size": "first size of the memory map in bytes; it grows by itself (default 1 TiB of address space)",
        "readahead": "let the kernel read ahead; false is better for random reads of stores larger than memory",
        "verify": "look through the whole file before it is used, also if it is large: for a store that may be damaged",
    }
    conformance: ClassVar[str] = "dvidkit_lmdb.conformance:LmdbCase"

    def open(self, config: StoreConfig) -> ByteStore:
        """See ``Engine.open``."""
        try:
            from dvidkit_lmdb.store import LmdbStore
        except ImportError as error:
            raise MissingExtra(
                "engine 'lmdb' needs py-lmdb: pip install 'dvidkit[lmdb]'",
                plugin="lmdb",
                install="pip install 'dvidkit[lmdb]'",
            ) from error
        return LmdbStore(config)

    def destroy(self, config: StoreConfig) -> None:
        """See ``Engine.destroy``."""
        storedir.destroy(config.path, self.name)
