"""LevelDB's logs reach the disk in order: what was buffered before what is durable, an old log before a new one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dvidkit.engine import StoreConfig
from dvidkit.errors import StoreError, StoreFull, StorePoisoned

pytest.importorskip("plyvel")

from dvidkit_leveldb.engine import LevelDBEngine
from dvidkit_leveldb.syncing import sync_logs

_SMALL = 64 << 10


class _Disk:
    """Which files were waited for, by name."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.fails = 0

    def fdatasync(self, fd: int) -> None:
        if self.fails:
            raise OSError(self.fails, os.strerror(self.fails))
        self.synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> _Disk:
    """In place of ``fdatasync`` as far as the engine calls it; LevelDB's own calls go past it."""
    found = _Disk()
    monkeypatch.setattr(os, "fdatasync", found.fdatasync)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """An empty store that begins a new log after little."""
    store = LevelDBEngine().open(StoreConfig("leveldb", str(tmp_path / "s"), options={"write_buffer_size": _SMALL}))
    yield store
    store.close()


def _logs(store: Any) -> list[str]:
    return sorted(log.name for log in store.directory.data.glob("*.log"))


def test_a_durable_write_waits_for_what_was_buffered(store: Any, disk: _Disk) -> None:
    """The first durable write after buffered ones waits for every log; the next leaves its log to LevelDB."""
    store.write([(b"a", b"1")], durable=False)
    assert disk.synced == []
    store.write([(b"b", b"2")], durable=True)
    assert disk.synced == _logs(store)
    store.write([(b"c", b"3")], durable=True)
    assert disk.synced == _logs(store)


def test_an_old_log_is_waited_for(store: Any, disk: _Disk) -> None:
    """When buffered writes have gone over to a new log, the old one is waited for, as long as it is there."""
    first = _logs(store)
    for number in range(40):
        store.write([(b"%d" % number, bytes(9000))], durable=False)
    store.write([(b"last", b"")], durable=True)
    assert _logs(store)[-1] > first[-1]
    assert disk.synced[-1] == _logs(store)[-1]


def test_logs_in_order(tmp_path: Path, disk: _Disk) -> None:
    """By number, not by name; without the present one if that is not asked for; a log that is not there is none."""
    for name in ("000009.log", "1000010.log", "LOG", "000011.ldb"):
        (tmp_path / name).touch()
    (tmp_path / "000012.log").symlink_to("gone")
    sync_logs(tmp_path, present=True)
    assert disk.synced == ["000009.log", "1000010.log"]
    disk.synced.clear()
    sync_logs(tmp_path, present=False)
    assert disk.synced == ["000009.log"]


@pytest.mark.parametrize(("code", "kind"), [(errno.EIO, StoreError), (errno.ENOSPC, StoreFull)])
def test_a_log_that_cannot_be_synced(store: Any, disk: _Disk, code: int, kind: type[StoreError]) -> None:
    """The write fails, and none is taken after it: what is on the disk is not known any more."""
    store.write([(b"a", b"1")], durable=False)
    disk.fails = code
    with pytest.raises(kind):
        store.write([(b"b", b"2")], durable=True)
    disk.fails = 0
    with pytest.raises(StorePoisoned):
        store.write([(b"c", b"3")], durable=True)
    assert store.get(b"a") == b"1"
