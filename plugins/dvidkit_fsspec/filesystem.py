"""The file system ``dvid://``.

``dvid://host:port/version/instance/path`` is a key of a keyvalue instance as one version sees it; the ``/`` of a path
stands as ``%2F`` in the key. Folders are what paths have in common: an empty one cannot be. A file is written whole, in
one atomic change, when it is closed; at a committed version that is a ``PermissionError``.
"""

from __future__ import annotations

import errno
from datetime import datetime
from typing import Any, NoReturn

from dvidkit_keyvalue.paths import children
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from dvidkit_fsspec.httpvalues import HttpValues
from dvidkit_fsspec.place import Place
from dvidkit_fsspec.values import LocalValues, Values

_BLOCK: Any = 1 << 22
_PROTOCOL = "dvid://"


class DvidFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Keys as files. Thread-safe.

    Args:
        kernel: a ``dvidkit.kernel.Kernel`` of this process; paths then are ``version/instance/path``.
        secure: speak HTTPS.
        token: sent as ``Authorization: Bearer``.
        user, app: who asks, as DVID's ``u`` and ``app``.
        timeout: seconds to wait for an answer.
    """

    protocol = "dvid"
    root_marker = ""
    cachable = False

    def __init__(
        self,
        kernel: Any = None,
        *,
        secure: bool = False,
        token: str = "",
        user: str = "",
        app: str = "",
        timeout: float = 60.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        query = {name: value for name, value in (("u", user), ("app", app)) if value}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._local = kernel is not None
        self.values: Values = (
            LocalValues(kernel)
            if kernel is not None
            else HttpValues("https" if secure else "http", headers, query, timeout)
        )

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        return str(path).removeprefix(_PROTOCOL).strip("/")

    def unstrip_protocol(self, name: str) -> str:
        """The path with its protocol."""
        return _PROTOCOL + str(self._strip_protocol(name))

    def place(self, path: str) -> Place:
        """The parts of a path."""
        return Place.of(self._strip_protocol(path), local=self._local)

    # --- looking -----------------------------------------------------------------------------------------------------

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What is directly in a folder, sorted; of a file the file itself. Over HTTP the size of each file is asked.

        Raises:
            FileNotFoundError: there is nothing.
        """
        place = self.place(path)
        found = self._inside(place) if place.inside else self._above(place)
        if not detail:
            return sorted(name for name, _ in found)
        return [
            self._file(name) if is_file else {"name": name, "size": 0, "type": "directory"}
            for name, is_file in sorted(found)
        ]

    def _above(self, place: Place) -> list[tuple[str, bool]]:
        """The repos of a server, or the instances of a version."""
        names = self.values.instances(place) if place.version else self.values.versions(place.server)
        return [("/".join(part for part in (str(place), name) if part), False) for name in names]

    def _inside(self, place: Place) -> list[tuple[str, bool]]:
        below = self.values.paths(place, f"{place.path}/" if place.path else "")
        found = [(f"{place}/{name}", is_file) for name, is_file in children(below, place.path).items() if name]
        if found or not place.path:
            return found
        if self.values.size(place) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(place))
        return [(str(place), True)]

    def _file(self, path: str) -> dict[str, Any]:
        return {"name": path, "size": self.values.size(self.place(path)), "type": "file"}

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Name, size and type. A key that is a file and a folder is a file.

        Raises:
            FileNotFoundError: there is nothing.
        """
        place = self.place(path)
        if place.path:
            size = self.values.size(place)
            if size is not None:
                return {"name": str(place), "size": size, "type": "file"}
            there: Any = self.values.paths(place, f"{place.path}/")
        elif place.inside:
            there = [self.values.paths(place, "\U0010ffff")]
        else:
            there = [self._above(place)]
        if not there:
            raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(place))
        return {"name": str(place), "size": 0, "type": "directory"}

    def created(self, path: str) -> datetime:
        """Not known."""
        self._unknown_time()

    def modified(self, path: str) -> datetime:
        """Not known."""
        self._unknown_time()

    def _unknown_time(self) -> NoReturn:
        raise NotImplementedError("a key has no time; its version and the mutation log have")

    # --- changing ----------------------------------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        """Nothing: a folder is there with its first file.

        Raises:
            FileExistsError: there is something of this name.
            PermissionError: it would be a repo or an instance, which are not made this way.
        """
        self._in_instance(path, root=True)
        if self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists", path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """As ``mkdir``."""
        if exist_ok:
            self._in_instance(path, root=True)
        else:
            self.mkdir(path)

    def rmdir(self, path: str) -> None:
        """Nothing: an empty folder is not there.

        Raises:
            FileNotFoundError: there is nothing of this name.
            OSError: it is not empty.
        """
        if self.ls(path, detail=False):
            raise OSError(errno.ENOTEMPTY, "the folder is not empty", path)

    def rm_file(self, path: str) -> None:
        """Delete a file.

        Raises:
            FileNotFoundError: there is none.
        """
        place = self._in_instance(path)
        if self.values.size(place) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        self.values.delete(place)

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete files, with ``recursive`` also what is in folders. Not one change: interrupted, a part is left."""
        for each in self.expand_path(path, recursive=recursive, maxdepth=maxdepth):
            if not self.isdir(each):
                self.rm_file(each)
            elif not recursive:
                raise IsADirectoryError(errno.EISDIR, "a folder; give recursive=True", each)

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Copy a file; of a folder nothing, as it comes with its files."""
        if not self.isdir(path1):
            self.values.put(self._in_instance(path2), self.values.get(self._in_instance(path1)))

    # --- files -------------------------------------------------------------------------------------------------------

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The bytes of a file, or those from ``start`` to before ``end``; negative numbers count from its end."""
        place = self._in_instance(path)
        if start is None and end is None:
            return self.values.get(place)
        size = self.values.size(place)
        if size is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        first, last, _ = slice(start, end).indices(size)
        return self.values.get(place, first, last) if first < last else b""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        """Write a file whole.

        Raises:
            FileExistsError: with the mode ``create``, there is one.
        """
        place = self._in_instance(path)
        if mode == "create" and self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists", path)
        self.values.put(place, bytes(value))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Any = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **options: Any,
    ) -> Any:
        if mode == "xb" and self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists", path)
        place = self._in_instance(path)
        if mode == "rb" and self.info(path)["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder", path)
        before = b""
        if mode == "ab" and self.values.size(place) is not None:
            before = self.values.get(place)
        kind, size = "rb" if mode == "rb" else "wb", block_size or _BLOCK
        file = DvidFile(self, path, kind, size, autocommit, cache_options=cache_options, **options)
        if before:
            file.write(before)
        return file

    def _in_instance(self, path: str, *, root: bool = False) -> Place:
        """The place of a file.

        Raises:
            PermissionError: it is none that could be a file.
        """
        place = self.place(path)
        if not place.inside or not (place.path or root):
            raise PermissionError(errno.EACCES, "files are within a keyvalue instance", path)
        return place


class DvidFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is read in parts, or collected and written whole when it is closed."""

    _written = b""

    def _fetch_range(self, start: int, end: int) -> bytes:
        values: Values = self.fs.values
        return values.get(self.fs.place(self.path), start, min(end, self.size))

    def _initiate_upload(self) -> None:
        pass

    def _upload_chunk(self, final: bool = False) -> Any:
        """Keep what was written until all is, unless the file is in a transaction."""
        if final:
            self._written = self.buffer.getvalue()
            if self.autocommit:
                self.commit()
        return final

    def commit(self) -> None:
        """Write the value."""
        self.fs.values.put(self.fs.place(self.path), self._written)

    def discard(self) -> None:
        """Forget what was written."""
        self._written = b""
