"""What the file system stands on: the values of keyvalue instances, wherever they are."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from dvidkit_keyvalue.paths import key_of, path_of, range_of

from dvidkit.errors import (
    DvidkitError,
    InvalidInputError,
    NotAllowed,
    NotFoundError,
    ReadOnlyStore,
    StoreFull,
    VersionLocked,
)
from dvidkit_fsspec.place import Place

if TYPE_CHECKING:
    from dvidkit.kernel import Kernel

TYPENAME = "keyvalue"


class Values(Protocol):
    """Values by place. Everything raises ``FileNotFoundError`` for a version or instance that there is not."""

    def get(self, place: Place, begin: int | None = None, end: int | None = None) -> bytes:
        """The value of a key, or the bytes from ``begin`` to before ``end``, both within it.

        Raises:
            FileNotFoundError: there is none.
        """
        ...

    def size(self, place: Place) -> int | None:
        """Bytes of a value, ``None`` if there is none."""
        ...

    def put(self, place: Place, data: bytes) -> None:
        """Set a value.

        Raises:
            PermissionError: the version is committed, or a right is missing.
        """
        ...

    def delete(self, place: Place) -> None:
        """Remove a value; one that is not there is not an error. Raises as ``put``."""
        ...

    def paths(self, place: Place, prefix: str) -> list[str]:
        """The paths of all keys whose paths begin so."""
        ...

    def versions(self, server: str) -> list[str]:
        """The UUID of every repo's root."""
        ...

    def instances(self, place: Place) -> list[str]:
        """The names of a repo's keyvalue instances."""
        ...


class LocalValues:
    """Of a kernel in this process."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def get(self, place: Place, begin: int | None = None, end: int | None = None) -> bytes:
        """See ``Values``."""
        with as_os_errors(place):
            value: bytes | None = self._view(place).get(key_of(place.path))
            if value is None:
                raise FileNotFoundError(errno.ENOENT, "no such key", str(place))
            return value if begin is None else value[begin:end]

    def size(self, place: Place) -> int | None:
        """See ``Values``."""
        with as_os_errors(place):
            value: bytes | None = self._view(place).get(key_of(place.path))
            return None if value is None else len(value)

    def put(self, place: Place, data: bytes) -> None:
        """See ``Values``."""
        with as_os_errors(place):
            self._view(place).put(key_of(place.path), data)

    def delete(self, place: Place) -> None:
        """See ``Values``."""
        with as_os_errors(place):
            self._view(place).delete(key_of(place.path))

    def paths(self, place: Place, prefix: str) -> list[str]:
        """See ``Values``."""
        with as_os_errors(place):
            return [path_of(key) for key in self._view(place).key_range(*(range_of(prefix) or (None, None)))]

    def versions(self, server: str) -> list[str]:
        """See ``Values``."""
        return [repo.uuid for repo in self._kernel.repos]

    def instances(self, place: Place) -> list[str]:
        """See ``Values``."""
        with as_os_errors(place):
            repo = self._kernel.repos.resolve(place.version).repo
            return sorted(name for name, each in repo.instances.items() if each.datatype.typename == TYPENAME)

    def _view(self, place: Place) -> Any:
        version = self._kernel.repos.resolve(place.version)
        instance = version.repo.instance(place.instance)
        if instance.datatype.typename != TYPENAME:
            raise NotADirectoryError(errno.ENOTDIR, f"a {instance.datatype.typename} instance has no files", str(place))
        return instance.at(version)


@contextmanager
def as_os_errors(place: Place) -> Iterator[None]:
    """Raise dvidkit's errors as those that users of file systems know."""
    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, str(error), str(place)) from error
    except (VersionLocked, NotAllowed, ReadOnlyStore) as error:
        raise PermissionError(errno.EACCES, str(error), str(place)) from error
    except StoreFull as error:
        raise OSError(errno.ENOSPC, str(error), str(place)) from error
    except InvalidInputError as error:
        raise OSError(errno.EINVAL, str(error), str(place)) from error
    except DvidkitError as error:
        raise OSError(errno.EIO, str(error), str(place)) from error
