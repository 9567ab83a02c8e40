"""Declaration of the ``memory`` engine."""

from __future__ import annotations

from typing import ClassVar

from dvidkit.engine import ByteStore, Capabilities, Capability, Engine, Limits, Loss, StoreConfig
from dvidkit.errors import BadConfig, ReadOnlyStore


class MemoryEngine(Engine):
    """A sorted map in memory: the reference the other engines are measured by, and a store for tests and scratch."""

    name: ClassVar[str] = "memory"
    version: ClassVar[str] = "0.1.0"
    summary: ClassVar[str] = "sorted map in memory; nothing survives close"
    capabilities: ClassVar[Capabilities] = Capabilities(
        features=frozenset(
            {
                Capability.GET_MANY,
                Capability.SEEK,
                Capability.LAST,
                Capability.PAGES,
                Capability.DELETE_RANGE,
                Capability.SIZES,
            }
        ),
        durable=Loss.NONE,
        buffered=Loss.NONE,
        seek_cost=8,
    )
    limits: ClassVar[Limits] = Limits(max_key=1 << 20, max_value=1 << 31, max_batch_bytes=1 << 33)

    def open(self, config: StoreConfig) -> ByteStore:
        """A new, empty store; ``path`` is ignored."""
        from dvidkit_memory.store import MemoryStore

        if config.options:
            raise BadConfig(f"engine 'memory' has no option {next(iter(config.options))!r}", setting="options")
        if config.read_only:
            raise ReadOnlyStore("a store in memory is empty when opened, so it cannot be read-only", engine=self.name)
        return MemoryStore()

    def destroy(self, config: StoreConfig) -> None:
        """Nothing to do: a closed store has left nothing."""
