"""An engine reduced to its five methods, with every call noted and, if asked, failing on the way.

With it the kit sees what the kernel asks of an engine (keys only, undeclared protocols) and what it does with errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dvidkit.engine import Capabilities, Engine, StoreConfig
from dvidkit.errors import StoreError


class FiveMethods(Engine):
    """The engine without its optional protocols.

    Attributes:
        scans: ``keys_only`` of every scan begun.
        fail_after: rows after which a scan raises ``StoreError``; ``None`` for never.
    """

    def __init__(self, engine: Engine) -> None:
        self.inner = engine
        self.name = engine.name  # type: ignore[misc]
        self.version = engine.version  # type: ignore[misc]
        self.limits = engine.limits  # type: ignore[misc]
        declared = engine.capabilities
        self.capabilities = Capabilities(frozenset(), declared.durable, declared.buffered)  # type: ignore[misc]
        self.scans: list[bool] = []
        self.fail_after: int | None = None

    def open(self, config: StoreConfig) -> Any:
        """See ``Engine.open``."""
        return _Store(self, self.inner.open(config))


class _View:
    def __init__(self, engine: FiveMethods, inner: Any) -> None:
        self._engine = engine
        self._inner = inner

    def get(self, key: bytes, /) -> bytes | None:
        if self._engine.fail_after is not None:
            raise StoreError("planted: the engine cannot read", engine=self._engine.name, path="")
        return self._inner.get(key)  # type: ignore[no-any-return]

    def scan(self, begin: bytes, end: bytes, /, *, reverse: bool = False, keys_only: bool = False) -> Iterator[Any]:
        self._engine.scans.append(keys_only)
        return self._rows(self._inner.scan(begin, end, reverse=reverse, keys_only=keys_only))

    def _rows(self, rows: Iterator[Any]) -> Iterator[Any]:
        for n, row in enumerate(rows):
            if self._engine.fail_after is not None and n >= self._engine.fail_after:
                raise StoreError("planted: the engine cannot read on", engine=self._engine.name, path="")
            yield row
        if self._engine.fail_after is not None:
            raise StoreError("planted: the engine cannot read on", engine=self._engine.name, path="")

    def close(self) -> None:
        self._inner.close()


class _Store(_View):
    @property
    def report(self) -> Any:
        return self._inner.report

    def write(self, batch: Any, /, *, durable: bool, expect: Any = None) -> None:
        self._inner.write(batch, durable=durable, expect=expect)

    def snapshot(self) -> Any:
        return _View(self._engine, self._inner.snapshot())
