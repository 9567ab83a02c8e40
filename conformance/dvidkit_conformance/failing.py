"""An engine whose n-th call fails: before it has done anything, or after it has done all.

For the kernel, which must answer a failing engine with an error and a legal state, and for datatypes, which must not
notice more than that::

    faults = Faults()
    store = Store(failing(engine, faults), config)
    faults.arm(3)               # the third call from now on raises
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from dvidkit.engine import Batch, ByteStore, Capabilities, Engine, Limits, OpenReport, StoreConfig
from dvidkit.errors import StoreError, StoreFull

_READS: Final = ("get", "get_many", "lend", "seek_last_before", "seek_first_from")
_ITERATORS: Final = ("scan", "scan_pages", "scan_last_before")
_WRITES: Final = ("delete_range", "approximate_sizes", "compact", "backup")


def _failed() -> Exception:
    return StoreError("planted: the engine failed", engine="failing")


def _full() -> Exception:
    return StoreFull("planted: the disk is full", engine="failing")


def _driver() -> Exception:
    return OSError(5, "planted: an exception of the driver's own")


ERRORS: Final[Mapping[str, Callable[[], Exception]]] = {"failed": _failed, "full": _full, "driver": _driver}
"""What is raised, by name: an error of the tree, a full disk, and an exception that a driver let through."""


@dataclass(slots=True)
class Faults:
    """When calls fail.

    Attributes:
        at: the call that fails, counted from ``arm`` on; 0 for none.
        after: it fails when it has had its effect.
        lasting: all calls after it fail too, until ``disarm``.
        error: makes what is raised.
        calls: made since ``arm``, by name.
        fired: calls that failed since ``arm``, by name.
    """

    at: int = 0
    after: bool = False
    lasting: bool = False
    error: Callable[[], Exception] = _failed
    calls: list[str] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)

    def arm(self, at: int, error: str = "failed", *, after: bool = False, lasting: bool = False) -> None:
        """Fail the ``at``-th call from now on."""
        self.at, self.after, self.lasting, self.error = at, after, lasting, ERRORS[error]
        self.calls, self.fired = [], []

    def disarm(self) -> None:
        """Fail no more."""
        self.at = 0

    def call(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Make the call, or fail."""
        fails = self._counts(name)
        if fails and not self.after:
            raise self.error()
        answer = function(*args, **options)
        if fails:
            raise self.error()
        return answer

    def _counts(self, name: str) -> bool:
        if not self.at:
            return False
        self.calls.append(name)
        fails = len(self.calls) == self.at or (self.lasting and len(self.calls) > self.at)
        if fails:
            self.fired.append(name)
        return fails


def failing(engine: Engine, faults: Faults) -> Engine:
    """The engine, whose calls go through ``faults``: reads, every step of an iterator, writes, opening and closing."""

    class Failing(Engine):
        """See ``failing``."""

        name: ClassVar[str] = engine.name
        version: ClassVar[str] = engine.version
        summary: ClassVar[str] = engine.summary
        capabilities: ClassVar[Capabilities] = engine.capabilities
        limits: ClassVar[Limits] = engine.limits
        options: ClassVar[Mapping[str, str]] = engine.options

        def open(self, config: StoreConfig) -> ByteStore:
            """See ``Engine.open``."""
            # A store that is opened and then not handed out would stay open: it fails before.
            if faults._counts("open"):
                raise faults.error()
            return _Store(engine.open(config), faults)  # type: ignore[return-value]

    return Failing()


class _Reader:
    """Reads through the faults; a method that the engine does not have is not there."""

    def __init__(self, inner: Any, faults: Faults) -> None:
        self.inner = inner
        self._faults = faults
        for name in (*_READS, *_ITERATORS, *_WRITES):
            method = getattr(inner, name, None)
            if method is not None:
                setattr(self, name, self._stepping(name, method) if name in _ITERATORS else self._passing(name, method))

    def _passing(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            return self._faults.call(name, method, *args, **options)

        return call

    def _stepping(self, name: str, method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def steps(rows: Iterator[Any]) -> Iterator[Any]:
            end = object()
            while (row := self._faults.call(f"step of {name}", next, rows, end)) is not end:
                yield row

        def call(*args: Any, **options: Any) -> Iterator[Any]:
            return steps(self._faults.call(name, method, *args, **options))

        return call

    def close(self) -> None:
        """See ``Snapshot.close``."""
        self.inner.close()


class _Store(_Reader):
    @property
    def report(self) -> OpenReport:
        """See ``ByteStore.report``."""
        report: OpenReport = self.inner.report
        return report

    def write(self, batch: Batch, /, *, durable: bool, expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """See ``ByteStore.write``."""
        self._faults.call("write", self.inner.write, batch, durable=durable, expect=expect)

    def snapshot(self) -> _Reader:
        """See ``ByteStore.snapshot``."""
        return _Reader(self._faults.call("snapshot", self.inner.snapshot), self._faults)

    def close(self) -> None:
        """See ``ByteStore.close``; it closes in any case, as a driver does that reports an error on closing."""
        self.inner.close()
        self._faults.call("close", lambda: None)
