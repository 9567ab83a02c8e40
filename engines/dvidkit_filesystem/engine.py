"""Declaration of the ``filesystem`` engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from dvidkit import storedir
from dvidkit.engine import ByteStore, Capabilities, Capability, Engine, Limits, Loss, OpenReport, StoreConfig
from dvidkit_filesystem.files import Files


class FilesystemEngine(Engine):
    """Plain files and Python only: no driver to install, nothing mapped into memory, every byte checked.

    ``files`` does all operations on files; tests give one that records them or makes them fail.
    """

    name: ClassVar[str] = "filesystem"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "journals in a directory and an index in memory; pure Python, every byte checked"
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
        seek_cost=8,
    )
    limits: ClassVar[Limits] = Limits(max_key=1 << 16, max_value=1 << 31, max_batch_bytes=1 << 32)
    options: ClassVar[Mapping[str, str]] = {
        "journal_size": "bytes after which a new journal file is begun (default 32 MiB; more in a large store)",
    }
    conformance: ClassVar[str] = "dvidkit_filesystem.conformance:FilesystemCase"

    def __init__(self, files: Files | None = None) -> None:
        self.files = files or Files()

    def open(self, config: StoreConfig) -> ByteStore:
        """See ``Engine.open``."""
        from dvidkit_filesystem.store import FilesystemStore

        return FilesystemStore(config, self.files)

    def repair(self, path: str) -> OpenReport:
        """See ``Engine.repair``. Rows whose values are damaged are gone afterwards, all others are kept."""
        from dvidkit_filesystem.repair import repair

        return repair(path, self.files)

    def destroy(self, config: StoreConfig) -> None:
        """See ``Engine.destroy``."""
        storedir.destroy(config.path, self.name)
