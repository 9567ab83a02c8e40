"""Who may have a store directory: one owner, one engine, and never somebody else's files."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, StoreError, StoreFull, StoreLocked, StoreMismatch, StoreMissing
from dvidkit.storedir import DATA, LOCK, MARKER, StoreDirectory, destroy, os_error, read_marker, write_file


def config(path: Path | str, **settings: Any) -> StoreConfig:
    """A configuration of engine ``toy``."""
    return StoreConfig("toy", str(path), **settings)


def claim(path: Path | str, *, engine: str = "toy", layout: int = 3, **settings: Any) -> StoreDirectory:
    """Claim, and make a new store's only file."""
    directory = StoreDirectory(config(path, **settings), engine, layout)
    if directory.created:
        (directory.data / "rows").write_text("rows")
        directory.made()
    return directory


def elsewhere(path: Path | str) -> str:
    """What a claim in another process comes to."""
    script = """
import sys
from dvidkit.engine import StoreConfig
from dvidkit.storedir import StoreDirectory
try:
    StoreDirectory(StoreConfig("toy", sys.argv[1]), "toy", 3)
    print("claimed")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store"


@pytest.fixture
def made(path: Path) -> Path:
    """A store that was made and released."""
    claim(path).release()
    return path


class TestMaking:
    def test_a_new_store(self, path: Path) -> None:
        """Marker, lock and data directory are there; the marker is complete only when the engine says so."""
        directory = StoreDirectory(config(path), "toy", 3)
        assert directory.created
        assert directory.data == path / DATA
        assert list(directory.data.iterdir()) == []
        assert tomllib.loads((path / MARKER).read_text())["ready"] is False
        directory.made()
        marker = tomllib.loads((path / MARKER).read_text())
        assert {name: marker[name] for name in ("format", "engine", "layout", "uuid", "ready")} == {
            "format": 1,
            "engine": "toy",
            "layout": 3,
            "uuid": directory.uuid,
            "ready": True,
        }
        directory.release()
        assert sorted(entry.name for entry in path.iterdir()) == sorted([DATA, LOCK, MARKER])

    def test_opened_again_it_is_the_same(self, made: Path) -> None:
        """Not created, the same identity, the engine's files as they were."""
        identity = tomllib.loads((made / MARKER).read_text())["uuid"]
        directory = claim(made, create=False)
        assert not directory.created
        assert directory.uuid == identity
        assert (directory.data / "rows").read_text() == "rows"
        directory.release()

    def test_an_empty_directory_will_do(self, path: Path) -> None:
        """A directory without anything in it becomes the store."""
        path.mkdir()
        directory = claim(path)
        assert directory.created
        directory.release()

    def test_half_made_is_made_over(self, path: Path) -> None:
        """After a crash in the making the next opener starts over, without the first one's files, as the same store."""
        first = StoreDirectory(config(path), "toy", 3)
        (first.data / "half").write_text("half")
        first.release()
        second = claim(path)
        assert second.created
        assert second.uuid == first.uuid
        assert [entry.name for entry in second.data.iterdir()] == ["rows"]
        second.release()
        assert not claim(path).created

    def test_half_made_is_not_opened(self, path: Path) -> None:
        """For one who does not want to create, what was never completed is missing."""
        StoreDirectory(config(path), "toy", 3).release()
        with pytest.raises(StoreMissing):
            claim(path, create=False)
        with pytest.raises(StoreMissing):
            claim(path, read_only=True)

    def test_crash_before_the_marker(self, path: Path) -> None:
        """A directory with only a lock file and a half-written marker is an empty one."""
        path.mkdir()
        (path / LOCK).write_text("")
        (path / f".{MARKER}.123").write_text("form")
        directory = claim(path)
        assert directory.created
        directory.release()


class TestMissing:
    @pytest.mark.parametrize("settings", [{"create": False}, {"read_only": True}])
    def test_nothing_is_made(self, tmp_path: Path, settings: dict[str, Any]) -> None:
        """No store and no wish to create one: ``StoreMissing``, and no trace."""
        with pytest.raises(StoreMissing):
            claim(tmp_path / "store", **settings)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("settings", [{"create": False}, {"read_only": True}])
    def test_an_empty_directory_stays_empty(self, path: Path, settings: dict[str, Any]) -> None:
        """The same where the directory is there but empty: what the claim itself put there does not make it a store."""
        path.mkdir()
        with pytest.raises(StoreMissing):
            claim(path, **settings)
        assert not (path / MARKER).exists()
        assert not (path / DATA).exists()

    def test_missing_parent(self, tmp_path: Path) -> None:
        """A path whose parent is missing is taken for a mistake; no directories are made."""
        with pytest.raises(StoreMissing, match="parent"):
            claim(tmp_path / "no" / "such" / "store")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("path", ["", "with\0nul"])
    def test_no_path(self, path: str) -> None:
        """A path there cannot be is a mistake in the configuration."""
        with pytest.raises(BadConfig):
            claim(path)


class TestForeign:
    def test_a_file(self, path: Path) -> None:
        """A path that is a file is refused."""
        path.write_text("precious")
        with pytest.raises(StoreMismatch):
            claim(path)
        assert path.read_text() == "precious"

    def test_somebody_elses_directory(self, path: Path) -> None:
        """A directory that holds anything else is never taken for a new store, nor touched."""
        path.mkdir()
        (path / "thesis.tex").write_text("precious")
        with pytest.raises(StoreMismatch, match=r"thesis\.tex"):
            claim(path)
        assert sorted(entry.name for entry in path.iterdir()) in (["thesis.tex"], [LOCK, "thesis.tex"])

    def test_another_engine(self, made: Path) -> None:
        """Another engine's store is refused by name."""
        before = (made / MARKER).read_bytes()
        with pytest.raises(StoreMismatch, match="'toy', not 'other'"):
            claim(made, engine="other")
        assert (made / MARKER).read_bytes() == before

    @pytest.mark.parametrize("layout", [2, 4])
    def test_another_layout(self, made: Path, layout: int) -> None:
        """A layout of another release is refused with both numbers."""
        with pytest.raises(StoreMismatch, match=f"layout 3; .* layout {layout}"):
            claim(made, layout=layout)

    @pytest.mark.parametrize("text", [b"", b"format = ", b"\xff\xfe", b"format = 2\nengine = 'toy'\nlayout = 3\n"])
    def test_unreadable_marker(self, made: Path, text: bytes) -> None:
        """A marker that cannot be read, or is of a later format, never means a new store."""
        (made / MARKER).write_bytes(text)
        with pytest.raises(StoreMismatch):
            claim(made)
        assert (made / DATA / "rows").exists()
        assert (made / MARKER).read_bytes() == text

    @pytest.mark.parametrize("doubled", ["engine", "uuid", "ready"])
    def test_an_entry_that_is_there_twice(self, made: Path, doubled: str) -> None:
        """Neither of the two is taken."""
        text = (made / MARKER).read_text("utf-8")
        (line,) = (line for line in text.splitlines() if line.startswith(doubled))
        (made / MARKER).write_text(f"{text}{line}\n", "utf-8")
        with pytest.raises(StoreMismatch, match="cannot be read"):
            read_marker(made)

    def test_marker_written_otherwise(self, made: Path) -> None:
        """A marker is TOML: spaces, quotes and comments do not matter."""
        plain = read_marker(made)
        text = (
            (made / MARKER).read_text("utf-8").replace('"', "'").replace(" = ", "  =\t").replace("\n", " # as it was\n")
        )
        assert "'" in text
        (made / MARKER).write_text(text, "utf-8")
        assert read_marker(made) == plain

    def test_lost_data_directory(self, made: Path) -> None:
        """A marker without its data is an error, not an empty store."""
        shutil.rmtree(made / DATA)
        with pytest.raises(StoreError):
            claim(made)
        assert not (made / DATA).exists()

    def test_lost_marker(self, made: Path) -> None:
        """Data without its marker is somebody else's directory."""
        (made / MARKER).unlink()
        with pytest.raises(StoreMismatch):
            claim(made)
        assert (made / DATA / "rows").exists()


class TestOneOwner:
    @pytest.fixture
    def owner(self, path: Path) -> Iterator[StoreDirectory]:
        """Somebody who has the store."""
        directory = claim(path)
        yield directory
        directory.release()

    def test_second_in_this_process(self, owner: StoreDirectory, tmp_path: Path) -> None:
        """By the same path, another spelling, a symlink: locked, and the error says by whom."""
        (tmp_path / "link").symlink_to(owner.path)
        for path in (owner.path, f"{tmp_path}/./store/", tmp_path / "link"):
            with pytest.raises(StoreLocked) as caught:
                claim(path)
            assert f"pid {os.getpid()}" in caught.value.owner

    def test_in_another_process(self, owner: StoreDirectory) -> None:
        """Locked there too, until it is released here."""
        assert elsewhere(owner.path).startswith("StoreLocked")
        owner.release()
        assert elsewhere(owner.path) == "claimed\n"

    def test_lock_file_deleted(self, owner: StoreDirectory) -> None:
        """Deleting the lock file does not let anybody in."""
        (owner.path / LOCK).unlink()
        with pytest.raises(StoreLocked):
            claim(owner.path)
        assert elsewhere(owner.path).startswith("StoreLocked")

    def test_lock_file_read_or_copied(self, owner: StoreDirectory, tmp_path: Path) -> None:
        """Opening and closing the lock file in this process, as a copy of the tree does, does not free the store."""
        shutil.copytree(owner.path, tmp_path / "copy")
        (owner.path / LOCK).read_bytes()
        assert elsewhere(owner.path).startswith("StoreLocked")
        claim(tmp_path / "copy").release()

    def test_bind_mount(self, owner: StoreDirectory, tmp_path: Path) -> None:
        """By another mount of the same directory: locked."""
        (tmp_path / "mount").mkdir()
        if subprocess.run(["mount", "--bind", owner.path, tmp_path / "mount"], capture_output=True).returncode:
            pytest.skip("cannot bind-mount here: needs root")
        try:
            with pytest.raises(StoreLocked):
                claim(tmp_path / "mount")
        finally:
            subprocess.run(["umount", tmp_path / "mount"], check=True)

    def test_readers_share(self, made: Path) -> None:
        """Any number of read-only owners, and then no writer; a writer, and then no reader."""
        readers = [claim(made, read_only=True), claim(made, read_only=True)]
        with pytest.raises(StoreLocked):
            claim(made)
        for reader in readers:
            reader.release()
        writer = claim(made)
        with pytest.raises(StoreLocked):
            claim(made, read_only=True)
        writer.release()

    def test_release_is_idempotent(self, owner: StoreDirectory) -> None:
        """And a failed claim releases by itself."""
        owner.release()
        owner.release()
        with pytest.raises(StoreMismatch):
            claim(owner.path, engine="other")
        claim(owner.path).release()

    def test_child_of_a_fork(self, owner: StoreDirectory) -> None:
        """In a child the claim is over, without being over for the parent, and it may outlive the parent's."""
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(write, b"forked" if owner.forked else b"owner")
            os.read(read, 0)
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 10) == b"forked"
        os.close(read)
        os.close(write)
        assert not owner.forked
        assert elsewhere(owner.path).startswith("StoreLocked")

    def test_killed_owner(self, path: Path) -> None:
        """A lock goes with its process; the next owner knows that the end was not orderly."""
        script = """
import os, sys
from dvidkit.engine import StoreConfig
from dvidkit.storedir import StoreDirectory
directory = StoreDirectory(StoreConfig("toy", sys.argv[1], durability=sys.argv[2]), "toy", 3)
directory.made()
if len(sys.argv) > 3:
    directory.release()
os._exit(9)
"""
        for end, durability, unclean in (
            ([], "durable", True),
            ([], "volatile", True),
            (["released"], "volatile", False),
        ):
            done = subprocess.run([sys.executable, "-c", script, str(path), durability, *end])
            assert done.returncode == 9
            directory = claim(path)
            assert directory.unclean is unclean
            assert directory.left_unsafe is (unclean and durability == "volatile")
            directory.release()
            after = claim(path)
            assert not after.unclean
            after.release()

    def test_descriptors_are_not_inherited(self, owner: StoreDirectory) -> None:
        """A program started meanwhile does not hold the lock."""
        listing = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False)
        assert listing.returncode == 0
        assert str(owner.path) not in listing.stdout


class TestReadOnly:
    def test_leaves_everything_as_it_is(self, made: Path) -> None:
        """Not a byte, name or time of modification changes."""

        def state() -> list[tuple[str, int, bytes]]:
            files = sorted(made.rglob("*"))
            return [(str(f), f.stat().st_mtime_ns, f.read_bytes() if f.is_file() else b"") for f in files]

        before = state()
        claim(made, read_only=True).release()
        assert state() == before

    def test_on_a_read_only_medium(self, made: Path, tmp_path: Path) -> None:
        """A reader opens there; a writer gets an error of ours."""
        (tmp_path / "medium").mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path / "medium"]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("cannot mount here: needs root")
        try:
            shutil.copytree(made, tmp_path / "medium" / "store")
            subprocess.run(["mount", "-o", "remount,ro", tmp_path / "medium"], check=True)
            claim(tmp_path / "medium" / "store", read_only=True).release()
            with pytest.raises(StoreError):
                claim(tmp_path / "medium" / "store")
            with pytest.raises(StoreError):
                claim(tmp_path / "medium" / "new")
        finally:
            subprocess.run(["umount", tmp_path / "medium"], check=True)


class TestFullDisk:
    def test_is_store_full(self, tmp_path: Path, made: Path) -> None:
        """Making a store on a full disk is ``StoreFull``; opening one that is there works."""
        (tmp_path / "disk").mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64k,nr_inodes=64", "tmpfs", tmp_path / "disk"]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("cannot mount here: needs root")
        try:
            shutil.copytree(made, tmp_path / "disk" / "store")
            fill(tmp_path / "disk" / "ballast")
            claim(tmp_path / "disk" / "store").release()
            with pytest.raises(StoreFull):
                claim(tmp_path / "disk" / "new")
            (tmp_path / "disk" / "ballast").unlink()
            claim(tmp_path / "disk" / "new").release()
        finally:
            subprocess.run(["umount", tmp_path / "disk"], check=True)

    def test_which_errors_are_full(self) -> None:
        """No room, no quota, too large: full. Anything else: an error of the store."""
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            assert isinstance(os_error(OSError(code, "text"), "cannot", "toy", "/path"), StoreFull)
        other = os_error(OSError(errno.EIO, "text"), "cannot", "toy", "/path")
        assert type(other) is StoreError
        assert str(other) == "cannot: text"


class TestDestroy:
    def test_takes_everything(self, made: Path) -> None:
        """A closed store goes with all its files; nothing there is no error, also when half made."""
        destroy(str(made), "toy")
        assert not made.exists()
        destroy(str(made), "toy")
        StoreDirectory(config(made), "toy", 3).release()
        destroy(str(made), "toy")
        assert not made.exists()

    def test_can_be_called_again(self, made: Path) -> None:
        """After it was interrupted with some, or all, of the data gone."""
        (made / DATA / "rows").unlink()
        destroy(str(made), "toy")
        claim(made).release()
        shutil.rmtree(made / DATA)
        destroy(str(made), "toy")
        assert not made.exists()

    def test_refuses_what_is_not_its_own(self, made: Path, tmp_path: Path) -> None:
        """An open store, another engine's, and a directory that is none at all."""
        owner = claim(made)
        with pytest.raises(StoreLocked):
            destroy(str(made), "toy")
        owner.release()
        with pytest.raises(StoreMismatch):
            destroy(str(made), "other")
        with pytest.raises(StoreMismatch):
            destroy(str(tmp_path), "toy")
        assert (made / DATA / "rows").read_text() == "rows"

    def test_of_any_layout(self, path: Path) -> None:
        """A store of a later release can be deleted without being read."""
        claim(path, layout=99).release()
        destroy(str(path), "toy")
        assert not path.exists()


def test_write_file_replaces_whole(tmp_path: Path) -> None:
    """The new content, no temporary file left; if the disk is full, the old content."""
    write_file(tmp_path / "file", b"one")
    write_file(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"two"
    assert len(list(tmp_path.iterdir())) == 1


def fill(path: Path) -> None:
    """Write until there is no room."""
    with open(path, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
