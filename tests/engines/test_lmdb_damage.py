"""LMDB's file damaged in ways that LMDB itself takes for sound; found by the damage lane (REP-4)."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dvidkit.engine import StoreConfig
from dvidkit.errors import CorruptData, StoreError
from dvidkit.plugins import Plugins

pytest.importorskip("lmdb")

_PAGE = 4096
_WRITE = 144
"""Where the number of its transaction stands in a meta page."""


def _open(path: Path, **fields: Any) -> Any:
    return Plugins().engine("lmdb").open(StoreConfig("lmdb", str(path), **fields))


def _made(path: Path) -> Path:
    """A store of two batches; its file."""
    store = _open(path)
    store.write([(b"k%03d" % n, b"old") for n in range(200)], durable=True)
    store.write([(b"k%03d" % n, b"new") for n in range(100)], durable=True)
    store.close()
    return path / "data" / "data.mdb"


def _newest(data: bytes) -> int:
    """Where the meta page begins that LMDB goes by."""
    numbers = {at: struct.unpack_from("=Q", data, at + _WRITE)[0] for at in (0, _PAGE)}
    return max(numbers, key=numbers.__getitem__)


def test_gone_back(tmp_path: Path) -> None:
    """If the last meta page is not taken for the last any more, the rows of before are not given as those of now.

    Its own number is less, or that of the other is greater.
    """
    file = _made(tmp_path / "s")
    whole = file.read_bytes()
    newest = _newest(whole)
    for page, number in ((newest, 0), (_PAGE - newest, 1 << 20)):
        data = bytearray(whole)
        struct.pack_into("=Q", data, page + _WRITE, number)
        file.write_bytes(data)
        with pytest.raises(CorruptData):
            _open(tmp_path / "s", create=False)


def test_nodes_gone(tmp_path: Path) -> None:
    """A page that has forgotten its last node is sound in itself; by the number of entries it is found out."""
    file = _made(tmp_path / "s")
    data = bytearray(file.read_bytes())
    leaf = next(at for at in range(2 * _PAGE, len(data), _PAGE) if struct.unpack_from("=H", data, at + 10)[0] == 2)
    for at in range(2 * _PAGE, len(data), _PAGE):
        if struct.unpack_from("=H", data, at + 10)[0] == 2 and b"new" in data[at : at + _PAGE]:
            leaf = at
    (lower,) = struct.unpack_from("=H", data, leaf + 12)
    struct.pack_into("=H", data, leaf + 12, lower - 2)
    file.write_bytes(data)
    with pytest.raises(CorruptData, match="entries"):
        _open(tmp_path / "s", create=False)


def test_last_page_far_away(tmp_path: Path) -> None:
    """A last page that no process could address, or that would fill a disk: an error of the tree, or no harm."""
    file = _made(tmp_path / "s")
    whole = file.read_bytes()
    for place in range(_newest(whole) + 136, _newest(whole) + 144):
        for bits in (1, 0xFF):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
            try:
                store = _open(tmp_path / "s", create=False)
            except StoreError:
                continue
            assert store.get(b"k000") == b"new"
            store.close()


def _branched(path: Path) -> tuple[Path, range]:
    """A store whose tree has a branch page; its file, and where in it that page has its nodes."""
    store = _open(path)
    store.write([(b"k%05d" % n, b"v" * 50) for n in range(400)], durable=True)
    store.close()
    data = (path / "data" / "data.mdb").read_bytes()
    (branch,) = [at for at in range(2 * _PAGE, len(data), _PAGE) if struct.unpack_from("=H", data, at + 10)[0] == 1]
    (upper,) = struct.unpack_from("=H", data, branch + 14)
    return path / "data" / "data.mdb", range(branch + upper, branch + _PAGE)


def test_borders_moved(tmp_path: Path) -> None:
    """A damaged key of a branch page, by which LMDB seeks on the wrong leaf, is found when the file is opened."""
    file, nodes = _branched(tmp_path / "s")
    whole = file.read_bytes()
    keys = [at for at in nodes if whole[at : at + 2] == b"k0"]
    assert len(keys) > 3
    for place in [key + n for key in keys[1:] for n in range(6)]:
        for bits in (1, 0xFF):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
            with pytest.raises(CorruptData):
                _open(tmp_path / "s", create=False)


def test_seeking_in_circles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file too large to be looked through, a scan that seeks ends, with an error if seeks go back."""
    monkeypatch.setattr("dvidkit_lmdb.environment._SMALL", 0)
    file, nodes = _branched(tmp_path / "s")
    whole = file.read_bytes()
    raised = 0
    for place in [at + n for at in nodes if whole[at : at + 2] == b"k0" for n in range(6)]:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        store = _open(tmp_path / "s", create=False)
        try:
            list(store.scan_last_before(b"k", b"l", b"5"))
        except CorruptData:
            raised += 1
        finally:
            store.close()
    assert raised


def test_a_crash_is_no_damage(tmp_path: Path) -> None:
    """A store that was closed, written again and killed opens: at once, after being closed unchanged, and for ever."""
    _made(tmp_path / "s")
    record = tmp_path / "s" / "data" / "closed"
    assert record.exists()
    code = (
        "import os, signal, sys\n"
        "from dvidkit.engine import StoreConfig\n"
        "from dvidkit_lmdb.engine import LmdbEngine\n"
        "store = LmdbEngine().open(StoreConfig('lmdb', sys.argv[1], create=False))\n"
        "for n in range(20):\n"
        "    store.write([(b'x', b'%d' % n)], durable=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert not record.exists()
        for _ in range(3):
            store = _open(tmp_path / "s", create=False)
            assert store.get(b"x") == b"19"
            store.close()
            assert record.exists()


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    """It says nothing, and neither does one that is gone."""
    _made(tmp_path / "s")
    record = tmp_path / "s" / "data" / "closed"
    for content in (b"", b"7 00000000\n", b"nonsense"):
        record.write_bytes(content)
        _open(tmp_path / "s").close()
    record.unlink()
    store = _open(tmp_path / "s")
    assert store.get(b"k000") == b"new"
    store.close()


def test_a_record_that_cannot_be_taken_away(tmp_path: Path) -> None:
    """Then nothing is written: the next opening would take it for damage."""
    _made(tmp_path / "s")
    record = tmp_path / "s" / "data" / "closed"
    store = _open(tmp_path / "s")
    before = record.read_bytes()
    record.unlink()
    record.mkdir()
    with pytest.raises(StoreError):
        store.write([(b"x", b"1")], durable=True)
    assert store.get(b"x") is None
    record.rmdir()
    record.write_bytes(before)
    store.write([(b"x", b"1")], durable=True)
    assert not record.exists()
    store.close()


def test_opened_and_closed_is_left_alone(tmp_path: Path) -> None:
    """A store that was only read is, to the byte, what it was."""
    _made(tmp_path / "s")
    folder = tmp_path / "s" / "data"
    before = {file.name: file.read_bytes() for file in folder.iterdir() if "lock" not in file.name}
    store = _open(tmp_path / "s")
    assert store.get(b"k000") == b"new"
    store.close()
    assert {file.name: file.read_bytes() for file in folder.iterdir() if "lock" not in file.name} == before
