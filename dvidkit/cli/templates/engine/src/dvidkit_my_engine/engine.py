"""Declaration of the my-engine engine: its name, what it can do, how a store is opened."""

from __future__ import annotations

from typing import ClassVar

from dvidkit import ByteStore, Capabilities, Engine, Limits, Loss, StoreConfig
from dvidkit.storedir import destroy


class MyEngine(Engine):
    """Rows in memory, batches in a log file."""

    name: ClassVar[str] = "my-engine"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "rows in memory, batches in a log file"

    # What a write survives, and nothing that is not true: the kit kills processes and cuts power to find out.
    # ``features`` names optional protocols of dvidkit/engine.py (SEEK, PAGES, LAST make reads much faster; SIZES,
    # COMPACT, BACKUP and REPAIR are for those who look after stores). Add one when you have written it.
    capabilities: ClassVar[Capabilities] = Capabilities(durable=Loss.POWER, buffered=Loss.PROCESS)

    # The kernel refuses anything larger before it gets here.
    limits: ClassVar[Limits] = Limits(max_key=65_536, max_value=1 << 30, max_batch_bytes=1 << 31)

    def open(self, config: StoreConfig) -> ByteStore:
        """Open or make the store.

        An engine with a driver imports it here and turns ``ImportError`` into ``MissingExtra``, whose ``install`` says
        how to install it.
        """
        from dvidkit_my_engine.store import MyEngineStore

        return MyEngineStore(config)

    def destroy(self, config: StoreConfig) -> None:
        """Delete a closed store with all its files."""
        destroy(config.path, self.name)
