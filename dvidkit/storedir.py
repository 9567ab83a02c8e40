"""The directory of a store on disk: who owns it, which engine's it is, and whether it was completely made.

Engines that keep files claim their directory here before they touch anything, so that all of them answer alike to a
second opener, another engine's store, a half-made store and a missing one.

==================  ===================================================================================================
file                content
==================  ===================================================================================================
``dvidkit.toml``    the marker: ``format`` (of this file), ``engine``, ``layout`` (of the engine's own files),
                    ``uuid``, ``created``, ``ready`` (false until the engine has made its files)
``dvidkit.lock``    who has the store open: pid, host, time, durability; locked with ``flock``; emptied by ``release``
``data/``           the engine's own files
==================  ===================================================================================================

The lock is ``flock`` on the directory itself and on the lock file: it belongs to the open file, not to the process,
so a second opener in the same process, through a symlink or a bind mount is refused too, deleting the lock file does
not help, and it goes when the process dies.
"""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from dvidkit.deferred import deferred
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, StoreError, StoreFull, StoreLocked, StoreMismatch, StoreMissing

if TYPE_CHECKING:
    import shutil
    import tomllib
else:
    shutil = deferred("shutil")
    tomllib = deferred("tomllib")

MARKER: Final = "dvidkit.toml"
LOCK: Final = "dvidkit.lock"
DATA: Final = "data"
_FORMAT: Final = 1
ANY_LAYOUT: Final = -1
"""For a claim that does not read the engine's files, whole or not."""


class StoreMarker(msgspec.Struct, frozen=True):
    """What the marker of a store directory says; see the table above. Missing or mistyped entries are empty."""

    format: int
    engine: str
    layout: int
    uuid: str
    created: str
    ready: bool


def has_marker(path: str | Path) -> bool:
    """Whether a store is at ``path``, or was begun there."""
    return Path(path, MARKER).exists()


def read_marker(path: str | Path) -> StoreMarker:
    """The marker of the store at ``path``, open or not. Nothing is locked or changed.

    Raises:
        StoreMissing: there is no directory with a marker.
        StoreMismatch: the marker cannot be read.
    """
    try:
        entries = _entries(Path(path, MARKER).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreMissing(f"there is no store at {path}", path=str(path), engine="") from None
    except OSError as error:
        raise os_error(error, f"cannot read the marker of {path}", "", str(path)) from error
    except ValueError as error:
        raise StoreMismatch(f"{path} has a marker that cannot be read ({error})", path=str(path), engine="") from error
    return StoreMarker(
        _entry(entries, "format", int),
        _entry(entries, "engine", str),
        _entry(entries, "layout", int),
        _entry(entries, "uuid", str),
        _entry(entries, "created", str),
        _entry(entries, "ready", bool),
    )


def _entries(text: str) -> Mapping[str, object]:
    """The entries of a marker. As we write them, each has a line, and a value that is the same in JSON.

    Raises:
        ValueError: it is not TOML, or has an entry twice.
    """
    lines = [line.partition("=") for line in text.splitlines() if not line.startswith("#")]
    try:
        found = {name.strip(): msgspec.json.decode(value) for name, _, value in lines}
    except msgspec.DecodeError:
        return tomllib.loads(text)
    return found if len(found) == len(lines) else tomllib.loads(text)


_Entry = TypeVar("_Entry", int, str, bool)


def _entry(entries: Mapping[str, object], name: str, kind: type[_Entry]) -> _Entry:
    value = entries.get(name)
    return value if isinstance(value, kind) else kind()


class StoreDirectory:
    """A claimed store directory. Hold it as long as the store is open.

    Attributes:
        path: the real path of the directory.
        data: where the engine keeps its files; exists.
        created: this claim is making the store; call ``made`` when the engine's files are there.
        uuid: identity of the store, for ever.
        unclean: whoever had the store open last did not close it.
        left_unsafe: and they had opened it ``volatile``, so a loss of power may have broken it.
        forked: this is a forked child, to which the store is lost.
        on_fork: called in a forked child, before anything else of the store is used there.
    """

    def __init__(self, config: StoreConfig, engine: str, layout: int) -> None:
        """Claim ``config.path`` for ``engine``, whose files have layout version ``layout``.

        Raises:
            BadConfig: no path given.
            StoreMissing: nothing there and ``create`` is false, or the parent directory does not exist.
            StoreLocked: somebody has it open.
            StoreMismatch: another engine's store, a later layout, or a directory that holds something else.
        """
        if not config.path or "\0" in config.path:
            raise BadConfig(f"engine {engine!r} needs the path of a directory, not {config.path!r}", setting="path")
        self.engine = engine
        self.layout = layout
        self.path = Path(os.path.realpath(config.path))
        self.data = self.path / DATA
        self.created = False
        self.unclean = False
        self.left_unsafe = False
        self.forked = False
        self.on_fork: Callable[[], object] | None = None
        self.uuid = ""
        self._durability = config.durability
        self._signed = False
        self._fds: list[int] = []
        self._make_directory(config)
        try:
            self._lock(exclusive=not config.read_only)
            self._identify(config)
        except BaseException:
            self.release()
            raise
        os.register_at_fork(after_in_child=_Forget(self))

    def made(self) -> None:
        """Record that the engine's files are complete; a crash before this makes the next opener start over."""
        self._write_marker(ready=True)

    def release(self) -> None:
        """Give the directory up, as an orderly close does. Idempotent."""
        if self._signed:
            self._signed = False
            with suppress(OSError):
                os.ftruncate(self._fds[-1], 0)
        self._close_files()

    def forget(self) -> None:
        """In a forked child: close our copies of the lock's files without unlocking them for the parent."""
        self.forked = True
        self._close_files()
        if self.on_fork is not None:
            self.on_fork()

    def _close_files(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    # --- steps of a claim --------------------------------------------------------------------------------------------

    def _make_directory(self, config: StoreConfig) -> None:
        if self.path.is_dir():
            return
        if self.path.exists():
            raise StoreMismatch(f"{self.path} is not a directory", path=str(self.path), engine=self.engine)
        if not config.create or config.read_only:
            raise self._missing("there is no store")
        if not self.path.parent.is_dir():
            raise self._missing("the parent directory does not exist, so no store is made")
        try:
            self.path.mkdir(exist_ok=True)
            sync_directory(self.path.parent)
        except OSError as error:
            raise self._failed("cannot make the directory", error) from error

    def _missing(self, why: str) -> StoreMissing:
        return StoreMissing(f"{why} at {self.path}", path=str(self.path), engine=self.engine)

    def _failed(self, what: str, error: OSError) -> StoreError:
        return os_error(error, f"{what} {self.path}", self.engine, str(self.path))

    def _lock(self, *, exclusive: bool) -> None:
        how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            self._flock(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY), how)
            if exclusive:
                self._flock(os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644), how)
        except BlockingIOError:
            raise self._locked() from None
        except OSError as error:
            raise self._failed("cannot lock", error) from error
        if exclusive:
            self._sign()

    def _flock(self, fd: int, how: int) -> None:
        self._fds.append(fd)
        fcntl.flock(fd, how | fcntl.LOCK_NB)

    def _locked(self) -> StoreLocked:
        owner = "another opener"
        with suppress(OSError, UnicodeDecodeError):
            owner = (self.path / LOCK).read_text("utf-8").strip().replace("\n", ", ") or owner
        return StoreLocked(
            f"the store at {self.path} is open already ({owner})", path=str(self.path), engine=self.engine, owner=owner
        )

    def _sign(self) -> None:
        """Say in the lock file who has the store; a full disk is no reason not to open it."""
        lock = self._fds[-1]
        text = f"pid {os.getpid()}\nhost {os.uname().nodename}\nsince {_now()}\ndurability {self._durability}\n"
        with suppress(OSError):
            before = os.pread(lock, 4096, 0)
            self.unclean = bool(before)
            self.left_unsafe = b"\ndurability volatile\n" in before
            os.ftruncate(lock, 0)
            os.pwrite(lock, text.encode(), 0)
            self._signed = True
            if self._durability == "volatile":
                os.fsync(lock)
                sync_directory(self.path)

    def _identify(self, config: StoreConfig) -> None:
        marker = self.path / MARKER
        if not marker.exists():
            self._refuse_foreign_files()
            if not config.create or config.read_only:
                raise self._missing("there is no store")
            self._create()
            return
        found = read_marker(self.path)
        if found.engine != self.engine:
            raise self._mismatch(f"holds a store of engine {found.engine!r}, not {self.engine!r}")
        if found.format != _FORMAT or self.layout not in (found.layout, ANY_LAYOUT):
            raise self._mismatch(
                f"has format {found.format} and layout {found.layout}; this release reads format "
                f"{_FORMAT} and layout {self.layout}"
            )
        self.uuid = found.uuid
        if self.layout == ANY_LAYOUT:
            return
        if not found.ready:
            if not config.create or config.read_only:
                raise self._missing("there is only a store whose making was interrupted")
            self._create()
        elif not self.data.is_dir():
            raise self._mismatch("is marked as a store but its data directory is gone")

    def _refuse_foreign_files(self) -> None:
        others = sorted(name for name in os.listdir(self.path) if name != LOCK and not name.startswith(f".{MARKER}"))
        if others:
            raise self._mismatch(f"is not a dvidkit store and is not empty (it holds {others[0]!r})")

    def _mismatch(self, what: str) -> StoreMismatch:
        return StoreMismatch(f"{self.path} {what}", path=str(self.path), engine=self.engine)

    def _create(self) -> None:
        try:
            self.created = True
            self.uuid = self.uuid or uuid.uuid4().hex
            self._write_marker(ready=False)
            shutil.rmtree(self.data, ignore_errors=True)
            self.data.mkdir()
            sync_directory(self.path)
        except OSError as error:
            raise self._failed("cannot make a store in", error) from error

    def _write_marker(self, *, ready: bool) -> None:
        text = (
            "# A dvidkit store. The files beside this one are the engine's; none of them is for editing.\n"
            f"format = {_FORMAT}\n"
            f'engine = "{self.engine}"\n'
            f"layout = {self.layout}\n"
            f'uuid = "{self.uuid}"\n'
            f'created = "{_now()}"\n'
            f"ready = {'true' if ready else 'false'}\n"
        )
        try:
            write_file(self.path / MARKER, text.encode())
        except OSError as error:
            raise self._failed("cannot write the marker of", error) from error


class _Forget:
    """What ``os.register_at_fork`` calls; it does not keep the claim alive."""

    def __init__(self, directory: StoreDirectory) -> None:
        self._directory = weakref.ref(directory)

    def __call__(self) -> None:
        directory = self._directory()
        if directory is not None:
            directory.forget()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def sync_directory(path: Path) -> None:
    """Wait until what was made, renamed or deleted in a directory is on disk.

    Raises:
        OSError: it may not be.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(path: Path, data: bytes) -> None:
    """Replace the file atomically and durably: a temporary file, ``fsync``, rename, ``fsync`` of the directory."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_directory(path.parent)


def os_error(error: OSError, what: str, engine: str, path: str) -> StoreError:
    """The error of the tree for an operating system's error: ``StoreFull`` where the disk or quota is full."""
    kind = StoreFull if error.errno in _FULL else StoreError
    return kind(f"{what}: {error.strerror or error}", engine=engine, path=path)


_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def destroy(path: str, engine: str) -> None:
    """Delete the closed store of ``engine`` at ``path`` with all its files; nothing there is not an error.

    The marker goes last, so that what was interrupted can be called again.

    Raises:
        StoreLocked: it is open.
        StoreMismatch: the directory is not a store of this engine.
    """
    if not os.path.isdir(path):
        return
    config = StoreConfig(engine, path, create=False)
    try:
        claim = StoreDirectory(config, engine, layout=ANY_LAYOUT)
    except StoreMissing:
        return
    try:
        if claim.data.exists():
            shutil.rmtree(claim.data)
        (claim.path / MARKER).unlink()
        shutil.rmtree(claim.path)
    except OSError as error:
        raise os_error(error, f"cannot delete {claim.path}", engine, path) from error
    finally:
        claim.release()


def close_on_exec(path: Path) -> None:
    """Keep files that a driver opened below ``path`` out of programs this process starts."""
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError, ValueError):
                if os.readlink(f"/proc/self/fd/{name}").startswith(f"{path}/"):
                    os.set_inheritable(int(name), False)
