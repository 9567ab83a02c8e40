"""Declaration of the ``leveldb`` engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dvidkit import storedir
from dvidkit.engine import ByteStore, Capabilities, Capability, Engine, Limits, Loss, OpenReport, StoreConfig
from dvidkit.errors import MissingExtra


class LevelDBEngine(Engine):
    """LevelDB: a log and sorted tables, every block of which is checked when it is read; one process at a time."""

    name: ClassVar[str] = "leveldb"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "log-structured and compressed, checks every block it reads"
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
            }
        ),
        durable=Loss.POWER,
        buffered=Loss.PROCESS,
        seek_cost=5,
    )
    limits: ClassVar[Limits] = Limits()
    options: ClassVar[Mapping[str, str]] = {
        "cache_size": "bytes of decompressed blocks kept in memory (default 48 MiB)",
        "write_buffer_size": "bytes of new rows kept in memory before they go to a table (default 16 MiB)",
    }
    conformance: ClassVar[str] = "dvidkit_leveldb.conformance:LevelDBCase"

    def open(self, config: StoreConfig) -> ByteStore:
        """See ``Engine.open``."""
        try:
            from dvidkit_leveldb.store import LevelDBStore
        except ImportError as error:
            raise _missing() from error
        return LevelDBStore(config, self.limits)

    def repair(self, path: str) -> OpenReport:
        """See ``Engine.repair``; see ``dvidkit_leveldb.repair`` for how."""
        try:
            from dvidkit_leveldb.repair import repair
        except ImportError as error:
            raise _missing() from error
        return repair(path)

    def destroy(self, config: StoreConfig) -> None:
        """See ``Engine.destroy``."""
        storedir.destroy(config.path, self.name)


def _missing() -> MissingExtra:
    install = "pip install 'dvidkit[leveldb]'"
    return MissingExtra(
        f"engine 'leveldb' needs plyvel, which has wheels for Python 3.11 and 3.12: {install}",
        plugin="leveldb",
        install=install,
    )
