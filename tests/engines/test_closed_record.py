"""Files lost or cut while a store was closed, which LevelDB and RocksDB do not miss (REP-4)."""

from __future__ import annotations

import errno
import random
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from dvidkit import closedrecord
from dvidkit.errors import CorruptData, StoreError

pytestmark = pytest.mark.only("leveldb", "rocksdb")

END: Final = b"\xff" * 8
_LISTS: Final = ("CURRENT", "MANIFEST-*", "*.log")


def rows(store: Any) -> list[Any]:
    """All rows."""
    return list(store.scan(b"\x00", END))


def numbered(first: int, count: int) -> list[tuple[bytes, bytes]]:
    """Rows that cannot be compressed."""
    chance = random.Random(first)
    return [(b"%06d" % n, chance.randbytes(100)) for n in range(first, first + count)]


def closed(stores: Any) -> Path:
    """A closed store of two tables and, where the driver keeps one, a log; the directory of its files."""
    store = stores.of(numbered(0, 50))
    store.compact(b"\x00", END)
    for first in (50, 100):
        store.write(numbered(first, 50), durable=True)
        if first == 50:
            store = stores.reopened(store)
    store.close()
    return Path(stores.path, "data")


def test_whole(stores: Any) -> None:
    """Opened and closed, changed or not, once or often, a sound store is a sound store, and its record is made anew."""
    data = closed(stores)
    expected = [row for first in (0, 50, 100) for row in numbered(first, 50)]
    for n in range(4):
        assert (data / closedrecord.RECORD).exists()
        store = stores.open(create=False)
        assert not (data / closedrecord.RECORD).exists()
        assert rows(store) == expected
        if n % 2:
            store.write(numbered(150 + 50 * n, 50), durable=False)
            expected += numbered(150 + 50 * n, 50)
        store.close()


def test_a_file_that_cannot_be_read(stores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that fails while the record is compared is an error of the tree, and no reason to forget the record."""
    data = closed(stores)

    def fails(file: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(file))

    monkeypatch.setattr(closedrecord, "_crc_of", fails)
    with pytest.raises(StoreError) as caught:
        stores.open(create=False)
    assert not isinstance(caught.value, CorruptData)
    monkeypatch.undo()
    assert (data / closedrecord.RECORD).exists()
    assert rows(stores.open(create=False))


@pytest.mark.parametrize("pattern", [*_LISTS, "*.sst", "*.ldb"])
def test_deleted(stores: Any, pattern: str) -> None:
    """Without any one of its files the store is not opened, again and again, and nothing else is changed."""
    data = closed(stores)
    for file in data.glob(pattern):
        whole = file.read_bytes()
        file.unlink()
        before = sorted(path.name for path in data.iterdir())
        for _ in range(2):
            with pytest.raises(CorruptData, match="lost since the store was closed"):
                stores.open(create=False)
        assert sorted(path.name for path in data.iterdir()) == before
        file.write_bytes(whole)
    assert len(rows(stores.open(create=False))) == 150


def test_cut_anywhere(stores: Any) -> None:
    """A list of tables or a log that was cut, also where a record ends, is missed."""
    data = closed(stores)
    for file in [each for pattern in _LISTS for each in data.glob(pattern)]:
        whole = file.read_bytes()
        for length in {*range(min(len(whole), 900)), *range(0, len(whole), 97)}:
            file.write_bytes(whole[:length])
            with pytest.raises(CorruptData):
                stores.open(create=False)
        file.write_bytes(whole)
    assert len(rows(stores.open(create=False))) == 150


def test_killed(stores: Any) -> None:
    """A store that was closed, then opened and killed, written or not, opens with what was acknowledged."""
    data = closed(stores)
    for n in range(3):
        script = f"""
        store = opened(create=False)
        for n in range({n}):
            store.write([(b"x%06d" % n, b"{n}")], durable=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
        assert "exit -9" in stores.in_child(script)
        assert not (data / closedrecord.RECORD).exists()
        store = stores.open(create=False)
        assert len(rows(store)) == 150 + n
        store.close()


def test_not_made(stores: Any) -> None:
    """A volatile store, and one whose write failed, have no record: what is on the disk is not known."""
    data = closed(stores)
    stores.open(create=False, durability="volatile").close()
    assert not (data / closedrecord.RECORD).exists()
    store = stores.open(create=False)
    store._failed = StoreError("the disk failed", engine=stores.engine.name, path=stores.path)
    store.close()
    assert not (data / closedrecord.RECORD).exists()
    assert len(rows(stores.open(create=False))) == 150


def test_damaged_record(stores: Any) -> None:
    """A record that is damaged itself counts as none."""
    data = closed(stores)
    record = data / closedrecord.RECORD
    whole = record.read_bytes()
    for place in range(0, len(whole), 7):
        for broken in (whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]):
            record.write_bytes(broken)
            store = stores.open(create=False)
            assert len(rows(store)) == 150
            store.close()


def test_copies(stores: Any, tmp_path: Path) -> None:
    """A copy of a closed store opens, and so does a backup of an open one."""
    closed(stores)
    shutil.copytree(stores.path, tmp_path / "copied")
    store = stores.open("copied", create=False)
    store.backup(str(tmp_path / "backed up"))
    for name in ("store", "backed up"):
        assert len(rows(stores.open(name, create=False))) == 150


@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*"])
def test_repaired_list(stores: Any, pattern: str) -> None:
    """If the list of tables was cut, a repair finds all tables again, says so, and the store opens."""
    data = closed(stores)
    (file,) = data.glob(pattern)
    file.write_bytes(file.read_bytes()[:-1])
    notes = stores.engine.repair(stores.path).notes
    assert notes[0].startswith(file.name)
    assert len(rows(stores.open(create=False))) == 150


def test_repaired_log(stores: Any) -> None:
    """If a log was lost, a repair says so, and the store opens with the rest."""
    data = closed(stores)
    (log,) = data.glob("*.log")
    log.unlink()
    assert any("was lost" in note for note in stores.engine.repair(stores.path).notes)
    store = stores.open(create=False)
    assert rows(store)[:100] == [*numbered(0, 50), *numbered(50, 50)]
    store.close()
    assert stores.engine.repair(stores.path).notes == ()


@pytest.mark.only("rocksdb")
def test_read_only(stores: Any) -> None:
    """Opened for reading only, the record is compared and left alone."""
    data = closed(stores)
    before = (data / closedrecord.RECORD).read_bytes()
    store = stores.open(create=False, read_only=True)
    assert len(rows(store)) == 150
    store.close()
    assert (data / closedrecord.RECORD).read_bytes() == before
    (manifest,) = data.glob("MANIFEST-*")
    manifest.write_bytes(manifest.read_bytes()[:-9])
    with pytest.raises(CorruptData):
        stores.open(create=False, read_only=True)
