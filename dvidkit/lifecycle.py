"""The life of an open store: opened, used, after a failed write reopened, closed; and dead in a forked child.

Every read goes through ``access``. To change what reads do, ``access`` is replaced: a read costs nothing for the
checks it does not make. Snapshots and scans that are open while the store is reopened end with ``StoreClosed``.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from dvidkit.access import Access
from dvidkit.commit import Target
from dvidkit.deferred import deferred
from dvidkit.engine import ByteStore, Engine, Loss, Snapshot, StoreConfig
from dvidkit.errors import (
    ConflictError,
    InvalidInputError,
    ReadOnlyStore,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreForked,
    StorePoisoned,
    UnsupportedError,
)
from dvidkit.segment import Changes

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = deferred("ctypes")

_HARMLESS: Final = (ConflictError, InvalidInputError, UnsupportedError, ReadOnlyStore, StoreBusy, StoreClosed)
"""Refusals after which a store is as good as before."""

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 5.0
_SOME_KEY: Final = b"\x00"
_GRACE: Final = 0.02
"""Seconds for reads that were just being begun to reach the store before it is closed to be reopened."""

_ROOM_TO_REOPEN: Final = 16 << 20


class _Deferring(Access):
    """Reads that are passed on to what ``then`` answers when they are made; ``then`` may wait, or raise."""

    __slots__ = ("then",)

    def __init__(self, then: Callable[[], Access]) -> None:
        self.then = then
        self.seeks = False
        self.last = None
        self.get = lambda *a: then().get(*a)
        self.get_many = lambda *a: then().get_many(*a)
        self.scan = lambda *a, **k: then().scan(*a, **k)
        self.pages = lambda *a, **k: then().pages(*a, **k)
        self.last_before = lambda *a, **k: then().last_before(*a, **k)
        self.first_from = lambda *a, **k: then().first_from(*a, **k)


class Refusing(_Deferring):
    """Reads that all raise the same error."""

    __slots__ = ()

    def __init__(self, make: Callable[[], StoreError]) -> None:
        def refuse() -> NoReturn:
            raise make()

        super().__init__(refuse)


class Watched(Protocol):
    """Something that reads through a snapshot of its own."""

    def forked(self, refusing: Access, /) -> Snapshot | None:
        """In a forked child: read through this from now on, and give the snapshot away."""
        ...


class Lifecycle(Target):
    """One byte store, kept usable: the committer writes through ``apply``, readers read through ``access``.

    Attributes:
        engine, config: what was opened.
        bytes: the engine's store; another object after a reopening.
        changed: called with the new ``access`` whenever it is replaced.
        in_child: this is a forked child, where the engine's objects are not to be touched.
    """

    def __init__(self, engine: Engine, config: StoreConfig) -> None:
        self.engine = engine
        self.config = config
        self.limits = engine.limits
        self.bytes: ByteStore = engine.open(config)
        self.access: Access = Access(self.bytes, engine.capabilities.features)
        self.changed: Callable[[Access], object] = _nothing
        self._failure: Exception | None = None
        self._wait = _FIRST_WAIT
        self._retry_at = 0.0
        self.in_child = False
        self._closed = False
        self._changing = threading.Lock()
        self._watched: weakref.WeakSet[Watched] = weakref.WeakSet()
        os.register_at_fork(before=_ready_to_fork, after_in_child=_InChild(self))

    # --- writing -----------------------------------------------------------------------------------------------------

    def apply(self, changes: Changes, *, durable: bool, expect: Mapping[bytes, bytes | None] | None) -> None:
        """Write one batch; after a failure, no more until the store has been reopened and so checked.

        Raises:
            StorePoisoned: an earlier write failed and the store could not be reopened yet; ``retry_after`` seconds.
        """
        self.refuse_if_read_only()
        if self._failure is not None:
            self._revive()
        try:
            self.bytes.write(changes, durable=durable, expect=expect)
        except _HARMLESS:
            raise
        except StorePoisoned as error:
            # The engine failed in something that was no write of ours, such as upkeep.
            self._suspect(error)
            raise self._poisoned(self._wait) from error
        except Exception as error:
            self._suspect(error)
            raise
        except BaseException as error:
            self._suspect(StoreError(f"the write was interrupted by {error!r}", engine=self.engine.name))
            raise

    def revive(self) -> None:
        """Reopen the store if it is suspect: for changes that depend on what they read.

        Raises:
            StorePoisoned: it could not be reopened yet.
        """
        if self._failure is not None:
            self._revive()

    def upkeep(self, do: Callable[[ByteStore], None]) -> None:
        """Have the engine do something that is no write of ours, on a store that is not suspect.

        Raises:
            StorePoisoned: it is, and could not be reopened yet.
        """
        self.revive()
        try:
            do(self.settled())
        except StorePoisoned as error:
            self._suspect(error)
            raise self._poisoned(self._wait) from error

    def refuse_if_read_only(self) -> None:
        """Raise what a write to a closed or read-only store raises."""
        if self._closed:
            raise self.closed_error()
        if self.config.read_only:
            raise ReadOnlyStore("the store was opened read-only", engine=self.engine.name, path=self.config.path)

    @property
    def suspect(self) -> Exception | None:
        """The failed write after which the store has not been reopened yet."""
        return self._failure

    def _suspect(self, error: Exception) -> None:
        self._failure = error
        self._wait = _FIRST_WAIT
        self._retry_at = time.monotonic() + self._wait
        if self._lost_to_readers():
            with self._changing:
                if not self._closed:
                    self._replace(_Deferring(self._read_again))

    def _lost_to_readers(self) -> bool:
        """Whether the engine answers reads no more until it is opened again, as LMDB after some failures."""
        try:
            self.bytes.get(_SOME_KEY)
        except StorePoisoned:
            return True
        except Exception:
            return False  # whoever reads is told so
        return False

    def _revive(self) -> None:
        """Reopen after a failed write, if it is time and there is room."""
        with self._changing:
            if self._failure is None:
                return
            if self._closed:
                raise self.closed_error()
            now = time.monotonic()
            if now < self._retry_at or not self._has_room():
                raise self._poisoned(max(0.0, self._retry_at - now)) from self._failure
            if self._survives_close():
                self._reopen()
            self._failure = None

    def _read_again(self) -> Access:
        """What reads go through after a reopening that failed: another attempt, if it is time."""
        self._revive()
        return self.access

    def _poisoned(self, retry_after: float) -> StorePoisoned:
        return StorePoisoned(
            f"a write failed ({self._failure}); further writes wait until the store has been reopened",
            engine=self.engine.name,
            path=self.config.path,
            retry_after=retry_after,
        )

    def _survives_close(self) -> bool:
        return self.engine.capabilities.durable is not Loss.NONE

    def _has_room(self) -> bool:
        """Whether the disk has what an engine needs to open: some write while they recover."""
        if not self.config.path or not os.path.isdir(self.config.path):
            return True
        disk = os.statvfs(self.config.path)
        return disk.f_bavail * disk.f_frsize >= _ROOM_TO_REOPEN and (disk.f_favail > 16 or disk.f_files == 0)

    def _reopen(self) -> None:
        ready = threading.Event()

        def wait() -> Access:
            ready.wait()
            return self.access

        self._replace(_Deferring(wait))
        try:
            time.sleep(_GRACE)
            self.bytes.close()
            config = StoreConfig(**{**_fields(self.config), "create": False})
            self.bytes = self.engine.open(config)
        except Exception as error:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            self._retry_at = time.monotonic() + self._wait
            self._replace(_Deferring(self._read_again))
            raise self._poisoned(self._wait) from error
        else:
            self._wait = _FIRST_WAIT
            self._replace(Access(self.bytes, self.engine.capabilities.features))
        finally:
            ready.set()

    def _replace(self, access: Access) -> None:
        self.access = access
        self.changed(access)

    def settled(self) -> ByteStore:
        """The byte store, once nobody is reopening it.

        Raises:
            StoreClosed: it is closed.
            StorePoisoned: it could not be reopened.
        """
        while isinstance(access := self.access, _Deferring):
            access.then()
        return self.bytes

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the byte store; from now on every call raises ``StoreClosed``. Idempotent."""
        with self._changing:
            if self._closed:
                return
            self._closed = True
            self._replace(Refusing(self.closed_error))
            self.bytes.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, or this is a forked child."""
        return self._closed

    def closed_error(self) -> StoreClosed:
        """What every call raises after the end."""
        return StoreClosed("the store is closed", engine=self.engine.name, path=self.config.path)

    def watch(self, reader: Watched) -> None:
        """Tell this reader of a snapshot when it finds itself in a forked child."""
        self._watched.add(reader)

    def forked(self) -> None:
        """In a forked child: never touch the engine's objects again, not even to free them."""
        if self._closed:
            return
        keep_for_ever(self.bytes)
        self.in_child = True
        self._closed = True
        self._changing = threading.Lock()
        self.closed_error = self._forked_error  # type: ignore[method-assign]
        refusing = Refusing(self._forked_error)
        self._replace(refusing)
        for reader in list(self._watched):
            keep_for_ever(reader.forked(refusing))

    def _forked_error(self) -> StoreClosed:
        return StoreForked(
            "the store was opened before this process was forked; open it here, or spawn workers instead",
            engine=self.engine.name,
            path=self.config.path,
        )


class _InChild:
    """What ``os.register_at_fork`` calls; it does not keep the store alive."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = weakref.ref(lifecycle)

    def __call__(self) -> None:
        lifecycle = self._lifecycle()
        if lifecycle is not None:
            lifecycle.forked()


def _ready_to_fork() -> None:
    """Import what ``keep_for_ever`` needs: in the child an import may wait for a lock of a thread that is not there."""
    _ = ctypes.pythonapi


def _fields(config: StoreConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in StoreConfig.__dataclass_fields__}


def keep_for_ever(thing: object) -> None:
    """Keep an object from ever being freed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _nothing(access: Access) -> None:
    pass
