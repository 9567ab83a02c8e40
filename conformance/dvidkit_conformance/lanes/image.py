"""Disks for the lane of power loss: ext4 on a file, mounted by a loop device, and copied as it is at an instant.

What the file holds is what the file system has given to its device: pages that were not synced are not in it, nor are
names whose journal was not written. So a copy is the disk after a loss of power at that instant.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE: Final = 192 << 20
"""Bytes of a disk. Most of it is a hole: copies take a few megabytes."""

_TOOLS: Final = ("mkfs.ext4", "mount", "umount")
_PATHS: Final = "/usr/sbin:/sbin:/usr/bin:/bin"
_PLACE: Final = "loop-of-"
_PIECE: Final = 1 << 20
_ATTEMPTS: Final = 5


class NotAllowed(Exception):
    """No image can be made or mounted here; the text says why."""


class Image:
    """A disk that may be mounted.

    Args:
        file: the image.

    Attributes:
        place: where it is mounted; the directory is made.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.place = file.parent / f"{_PLACE}{os.getpid()}-{file.stem}"
        self._counters = Path()

    def made(self) -> Image:
        """Make an empty file system.

        Raises:
            NotAllowed: the machine lacks a tool for it.
        """
        with open(self.file, "wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-N", "2048", "-J", "size=4", *_EAGER, str(self.file))
        return self

    def mount(self, mode: str = "ordered") -> None:
        """Mount it, with this mode of ext4's journal.

        Raises:
            NotAllowed: the machine does not let us.
        """
        self.place.mkdir(exist_ok=True)
        for attempt in range(_ATTEMPTS):
            try:
                _run("mount", "-t", "ext4", "-o", f"loop,noatime,data={mode}", str(self.file), str(self.place))
                break
            except NotAllowed:
                # Another process may have been given the same free device a moment before.
                if attempt + 1 == _ATTEMPTS:
                    raise
        device = self.place.stat().st_dev
        self._counters = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
        if not self._counters.exists():
            raise NotAllowed("the loop device does not tell when it writes (/sys/dev/block)")

    def unmount(self) -> None:
        """Take it away, whether or not it is mounted; at once, if somebody uses it as soon as they do not any more."""
        with suppress(NotAllowed):
            if os.path.ismount(self.place):
                try:
                    _run("umount", str(self.place))
                except NotAllowed:
                    _run("umount", "--lazy", str(self.place))

    def copy(self, file: Path) -> None:
        """The disk as it is at one instant while this is mounted: nothing was written to it during the copy."""
        while True:
            before = self._written()
            copied(self.file, file)
            if before == self._written() and before[-1] == "0":
                return

    def _written(self) -> tuple[str, ...]:
        """Writes that ended, sectors, requests under way."""
        numbers = self._counters.read_text("ascii").split()
        return numbers[4], numbers[6], numbers[8]


_EAGER: Final = ("-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-O", "^resize_inode")
"""So that the kernel writes nothing to it by itself later on."""


def refusal(file: Path) -> str:
    """Make an empty image and mount it once; why that is not allowed here, or nothing."""
    image = Image(file)
    try:
        image.made().mount()
    except NotAllowed as error:
        return str(error)
    finally:
        image.unmount()
    return ""


def copied(source: Path, target: Path) -> None:
    """Copy a file, leaving out its holes."""
    with open(source, "rb") as read, open(target, "wb") as write:
        end = os.fstat(read.fileno()).st_size
        write.truncate(end)
        at = 0
        while at < end:
            try:
                at = os.lseek(read.fileno(), at, os.SEEK_DATA)
            except OSError:  # only a hole is left
                return
            stop = os.lseek(read.fileno(), at, os.SEEK_HOLE)
            while at < stop:
                piece = os.pread(read.fileno(), min(_PIECE, stop - at), at)
                os.pwrite(write.fileno(), piece, at)
                at += len(piece)


def unmount_stale() -> None:
    """Unmount the images of runs that were killed before they could."""
    for place in mounts():
        found = re.match(rf"{_PLACE}(\d+)-", place.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            unmount(place)


def unmount_below(folder: Path) -> None:
    """Unmount whatever a run has left mounted in its folder."""
    for place in mounts():
        if folder in place.parents:
            unmount(place)


def unmount(place: Path) -> None:
    """Unmount what is there, now or as soon as nobody uses it."""
    with suppress(NotAllowed):
        _run("umount", "--lazy", str(place))


def mounts() -> list[Path]:
    """Where something is mounted, the latest first."""
    with suppress(OSError), open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as lines:
        return [Path(line.split(" ")[1].encode().decode("unicode_escape")) for line in lines][::-1]
    return []


def _run(tool: str, *arguments: str) -> None:
    path = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:{_PATHS}")
    if os.geteuid() != 0:
        raise NotAllowed("only root may mount an image")
    if path is None:
        raise NotAllowed(f"there is no {tool}")
    done = subprocess.run([path, *arguments], check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"status {done.returncode}"
        raise NotAllowed(f"{tool} failed: {said[:200]}")
