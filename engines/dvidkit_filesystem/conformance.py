"""What the conformance kit is told of ``filesystem``."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from dvidkit_conformance.enginecase import EngineCase
from dvidkit_conformance.powerloss import Disk, Inode, Recorded

from dvidkit.engine import Engine
from dvidkit_filesystem.engine import FilesystemEngine
from dvidkit_filesystem.files import Files


class FilesystemCase(EngineCase):
    """Small settings: journals of 16 KiB are finished, cleaned and dropped all the time."""

    settings: ClassVar[Sequence[Mapping[str, Any]]] = ({"journal_size": 1 << 14},)

    small: ClassVar[Mapping[str, Any]] = {"journal_size": 1 << 12}

    def recorded(self, on_operation: Callable[[Disk, str], object]) -> Recorded:
        """See ``EngineCase.recorded``."""
        return Recorder(on_operation)


class Recorder(Files):
    """Real files, with a model of the disk beside them; ``on_operation`` is called before each change."""

    folder = "data"

    def __init__(self, on_operation: Callable[[Disk, str], object] = lambda _disk, _what: None) -> None:
        self.disk = Disk()
        self.engine: Engine = FilesystemEngine(self)
        self._on_operation = on_operation
        self._open: dict[int, int] = {}

    def load(self, folder: str) -> None:
        """Begin with a directory that is wholly on disk."""
        for name in os.listdir(folder):
            self.disk.inodes.append(Inode(Path(folder, name).read_bytes()))
            self.disk.names[name] = self.disk.synced[name] = len(self.disk.inodes) - 1

    def open(self, path: str, *, write: bool) -> int:
        """See ``Files.open``."""
        descriptor = super().open(path, write=write)
        self._open[descriptor] = self.disk.names[Path(path).name]
        return descriptor

    def create(self, path: str) -> int:
        """See ``Files.create``."""
        self._on_operation(self.disk, "create")
        descriptor = super().create(path)
        name = Path(path).name
        if name in self.disk.names:
            self.disk.inodes[self.disk.names[name]].pending.append(("truncate", 0, b""))
        else:
            self.disk.inodes.append(Inode())
            self.disk.names[name] = len(self.disk.inodes) - 1
            self.disk.renamed.append(("create", name, str(self.disk.names[name])))
        self._open[descriptor] = self.disk.names[name]
        return descriptor

    def write(self, descriptor: int, pieces: Sequence[bytes], offset: int) -> None:
        """See ``Files.write``."""
        self._on_operation(self.disk, "write")
        super().write(descriptor, pieces, offset)
        self.disk.inodes[self._open[descriptor]].pending.append(("write", offset, b"".join(pieces)))

    def truncate(self, descriptor: int, size: int) -> None:
        """See ``Files.truncate``."""
        self._on_operation(self.disk, "truncate")
        super().truncate(descriptor, size)
        self.disk.inodes[self._open[descriptor]].pending.append(("truncate", size, b""))

    def sync(self, descriptor: int) -> None:
        """See ``Files.sync``."""
        self._on_operation(self.disk, "sync")
        inode = self.disk.inodes[self._open[descriptor]]
        inode.synced = Disk.content(inode, random.Random(0), "everything")
        inode.pending.clear()

    def sync_directory(self, path: str) -> None:
        """See ``Files.sync_directory``."""
        self._on_operation(self.disk, "sync directory")
        self.disk.synced = dict(self.disk.names)
        self.disk.renamed.clear()

    def rename(self, source: str, target: str) -> None:
        """See ``Files.rename``."""
        self._on_operation(self.disk, "rename")
        super().rename(source, target)
        self.disk.names[Path(target).name] = self.disk.names.pop(Path(source).name)
        self.disk.renamed.append(("rename", Path(source).name, Path(target).name))

    def unlink(self, path: str) -> None:
        """See ``Files.unlink``."""
        self._on_operation(self.disk, "unlink")
        super().unlink(path)
        del self.disk.names[Path(path).name]
        self.disk.renamed.append(("unlink", Path(path).name, ""))
