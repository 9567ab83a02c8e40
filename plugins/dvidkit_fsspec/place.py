"""Where a file is: server, version, instance, path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Place:
    """The parts of a path. Each is empty if the path ends before it.

    Attributes:
        server: ``host:port``; empty of a kernel in process.
        version: as a service takes it in a URL: UUID, prefix, ``uuid:branch``, ``:master~1``.
        instance: name of the keyvalue instance.
        path: of the file or folder within it.
    """

    server: str = ""
    version: str = ""
    instance: str = ""
    path: str = ""

    @classmethod
    def of(cls, path: str, *, local: bool) -> Self:
        """The place of a path without its protocol; a local one has no server."""
        parts = path.strip("/").split("/", 2 if local else 3)
        return cls(*(["", *parts] if local else parts))

    @property
    def inside(self) -> bool:
        """Whether it is an instance or within one."""
        return bool(self.instance)

    def __str__(self) -> str:
        return "/".join(part for part in (self.server, self.version, self.instance, self.path) if part)
