"""Engines that stand before another: they hide what it can do, cut its pages small, or watch and disturb its writes.

The kernel must answer alike whatever an engine declares. ``wrapped`` makes, of one engine, the engines it could be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Final

from dvidkit.engine import Batch, ByteStore, Capabilities, Capability, Engine, Limits, OpenReport, StoreConfig

_METHODS: Final = {
    Capability.GET_MANY: ("get_many",),
    Capability.SEEK: ("seek_last_before", "seek_first_from"),
    Capability.LAST: ("scan_last_before",),
    Capability.PAGES: ("scan_pages",),
    Capability.DELETE_RANGE: ("delete_range",),
    Capability.SIZES: ("approximate_sizes",),
    Capability.COMPACT: ("compact",),
    Capability.BACKUP: ("backup",),
}

Hook = Callable[[Batch], object]


def wrapped(
    engine: Engine,
    *,
    features: Iterable[Capability] | None = None,
    rows: int = 0,
    limits: Limits | None = None,
    before_write: Hook | None = None,
    after_write: Hook | None = None,
    seek_cost: int | None = None,
    shared: bool = False,
) -> Engine:
    """An engine that is ``engine`` but for what is asked.

    Args:
        features: the only optional protocols it declares; calling another is an ``AttributeError``.
        rows: length of every page of ``scan_pages`` and ``scan_last_before``; the engine's own pages if 0.
        limits: what it declares instead of the engine's limits.
        before_write, after_write: called with each batch on its way in and, if it was written, out.
        seek_cost: the hint it declares.
        shared: every ``open`` gives the store of the first one, and ``close`` leaves it open.
    """
    declared = engine.capabilities
    kept = declared.features if features is None else declared.features & frozenset(features)
    cost = declared.seek_cost if seek_cost is None else seek_cost
    opened: list[ByteStore] = []

    def open_store(config: StoreConfig) -> ByteStore:
        if not (shared and opened):
            opened.append(engine.open(config))
        return _Store(opened[-1], kept, rows, before_write, after_write, shared)

    class Wrapped(Engine):
        """See ``wrapped``."""

        name: ClassVar[str] = engine.name
        version: ClassVar[str] = engine.version
        summary: ClassVar[str] = engine.summary
        capabilities: ClassVar[Capabilities] = replace(declared, features=kept, seek_cost=cost)
        limits: ClassVar[Limits] = engine.limits
        options: ClassVar[Mapping[str, str]] = engine.options

        def open(self, config: StoreConfig) -> ByteStore:
            """See ``Engine.open``."""
            return open_store(config)

        def destroy(self, config: StoreConfig) -> None:
            """See ``Engine.destroy``."""
            engine.destroy(config)

    if limits is not None:
        Wrapped.limits = limits
    return Wrapped()


class _Reader:
    """Reads of a store or snapshot, less what is hidden."""

    def __init__(self, inner: Any, features: frozenset[Capability], rows: int) -> None:
        self._inner = inner
        self._features = features
        self._rows = rows
        self.get = inner.get
        self.scan = inner.scan
        for feature in features & _METHODS.keys():
            for name in _METHODS[feature]:
                # A snapshot only reads: what a store does beyond that is not there.
                if hasattr(inner, name):
                    method = getattr(inner, name)
                    setattr(self, name, self._cut(method) if rows and name.startswith("scan_") else method)

    def _cut(self, method: Callable[..., Iterator[list[Any]]]) -> Callable[..., Iterator[list[Any]]]:
        def pages(*args: Any, **options: Any) -> Iterator[list[Any]]:
            each = (row for page in method(*args, **options) for row in page)
            while page := list(islice(each, self._rows)):
                yield page

        return pages

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self._inner.close()


class _Store(_Reader):
    def __init__(
        self,
        inner: ByteStore,
        features: frozenset[Capability],
        rows: int,
        before: Hook | None,
        after: Hook | None,
        shared: bool,
    ) -> None:
        super().__init__(inner, features, rows)
        self._before = before
        self._after = after
        self._shared = shared

    @property
    def report(self) -> OpenReport:
        """See ``ByteStore.report``."""
        report: OpenReport = self._inner.report
        return report

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        if self._before is not None:
            self._before(batch)
        self._inner.write(batch, durable=durable, expect=expect)
        if self._after is not None:
            self._after(batch)

    def snapshot(self) -> _Reader:
        """See ``ByteStore.snapshot``."""
        return _Reader(self._inner.snapshot(), self._features, self._rows)

    def close(self) -> None:
        """See ``ByteStore.close``."""
        if not self._shared:
            super().close()
