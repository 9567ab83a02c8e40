"""What a loss of power may leave of files: a model of a disk, and what an engine must offer to be tested by it.

An engine that does all its operations on files in one place can put a recorder there, which tells a ``Disk`` of each.
A crash may then leave any part of what was not synced: pages of writes, lengths (a tail of zeros), names; in any order.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, Protocol

from dvidkit.engine import Engine

PAGE: Final = 64
"""Bytes of a page of the model: small, so that a record lies on several."""

MOODS: Final = ("nothing", "everything", "some", "some", "some")
"""How much of what was not synced is there after a crash."""


class Recorded(Protocol):
    """An engine that is recorded.

    Attributes:
        engine: does its work on real files, and tells the disk of every operation.
        disk: the model.
        folder: where the engine's files are, below the path of a store.
    """

    engine: Engine
    disk: Disk
    folder: str

    def load(self, folder: str) -> None:
        """Begin with a directory that is wholly on disk."""
        ...


@dataclass
class Inode:
    """A file.

    Attributes:
        synced: what is on disk for certain.
        pending: what was done to it since, in order: ``write`` or ``truncate``, where, what.
    """

    synced: bytes = b""
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)


@dataclass
class Disk:
    """Files and names.

    Attributes:
        inodes: every file that ever was.
        names: of files, as the process sees them.
        synced: the same, as they are on disk for certain.
        renamed: changes of names since the directory was synced: ``create`` or ``unlink`` or ``rename``, name, target.
    """

    inodes: list[Inode] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    synced: dict[str, int] = field(default_factory=dict)
    renamed: list[tuple[str, str, str]] = field(default_factory=list)

    def after_crash(self, chance: random.Random, mood: str) -> dict[str, bytes]:
        """Names and contents that a crash may leave: ``nothing``, ``everything`` or ``some`` of the unsynced."""
        names = dict(self.synced)
        for kind, name, target in self.renamed:
            if not _happens(chance, mood):
                continue
            if kind == "create":
                names[name] = int(target)
            elif kind == "unlink":
                names.pop(name, None)
            elif name in names:
                names[target] = names.pop(name)
        return {name: self.content(self.inodes[number], chance, mood) for name, number in names.items()}

    @staticmethod
    def content(inode: Inode, chance: random.Random, mood: str) -> bytes:
        """What a crash may leave of a file."""
        data = bytearray(inode.synced)
        for kind, at, piece in inode.pending:
            if kind == "truncate":
                if _happens(chance, mood):
                    data = data[:at].ljust(at, b"\0")
                continue
            for start in range(0, len(piece), PAGE):
                part = piece[start : start + PAGE]
                happens = _happens(chance, mood)
                if happens or (mood == "some" and chance.random() < 0.5):
                    data = data.ljust(at + start + len(part), b"\0")
                if happens:
                    data[at + start : at + start + len(part)] = part
        return bytes(data)


def _happens(chance: random.Random, mood: str) -> bool:
    return mood == "everything" or (mood == "some" and chance.random() < 0.6)
