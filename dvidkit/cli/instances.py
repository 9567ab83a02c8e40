"""Data instances at a version, of a store that is opened for it or of a server that has it open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dvidkit.cli.remote import Refused, Server, segment
from dvidkit.cli.stores import is_url, opened_kernel, usable

if TYPE_CHECKING:
    import numpy as np

    Triple = tuple[int, int, int]


@contextmanager
def opened_instance(store: str, version: str, name: str, *methods: str, write: bool = False) -> Iterator[Any]:
    """The instance of the store at a path, which is open meanwhile, or of the server at a URL.

    It has the methods that are named, which must be of ``ServedInstance``'s.

    Raises:
        UnsupportedError: its datatype lacks one.
    """
    if is_url(store):
        yield ServedInstance(Server(store), version, name)
        return
    with opened_kernel(store, write=write) as kernel:
        yield usable(kernel.repos.resolve(version)[name], *methods)


class ServedInstance:
    """A data instance at a version, behind DVID's API: what the commands use of keyvalue and of image instances.

    Raises:
        Refused: by the server, also for an endpoint that the datatype does not have.
        Failure: no answer.
    """

    def __init__(self, server: Server, version: str, name: str) -> None:
        self._server = server
        self._path = f"node/{segment(version)}/{segment(name)}"

    # --- keyvalue ----------------------------------------------------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        """The value, or ``None`` if there is none."""
        try:
            return self._server.send("GET", self._key(key))[0]
        except Refused as refused:
            if refused.status == 404 and "Key " in str(refused):
                return None  # and not a URL that the server does not have
            raise

    def put(self, key: str, value: bytes) -> None:
        """Set a value."""
        self._server.send("POST", self._key(key), value)

    def delete(self, key: str) -> None:
        """Delete a key, or nothing if there is none."""
        self._server.send("DELETE", self._key(key))

    def keys(self) -> list[str]:
        """All keys, in the order of their bytes."""
        return [str(key) for key in self._server.json("GET", f"{self._path}/keys")]

    def _key(self, key: str) -> str:
        return f"{self._path}/key/{segment(key)}"

    # --- images ------------------------------------------------------------------------------------------------------

    def extended(self) -> Mapping[str, Any]:
        """What the datatype says of itself, extents as of this version."""
        extended: Mapping[str, Any] = self._server.json("GET", f"{self._path}/info")["Extended"]
        return extended

    def read(self, offset_zyx: Triple, shape_zyx: Triple) -> np.ndarray[Any, Any]:
        """A box, as ``ImageBlk.read``."""
        import numpy as np

        body, _ = self._server.send("GET", self._raw(offset_zyx, shape_zyx))
        channels = (len(self._values),) if len(self._values) > 1 else ()
        return np.frombuffer(body, _little(self._values[0]["DataType"])).reshape((*shape_zyx, *channels))

    def write(self, offset_zyx: Triple, voxels: np.ndarray[Any, Any]) -> None:
        """A box, as ``ImageBlk.write``."""
        planes, rows, columns = voxels.shape[:3]
        body = voxels.astype(_little(voxels.dtype), copy=False).tobytes()
        self._server.send("POST", self._raw(offset_zyx, (planes, rows, columns)) + "?unaligned=true", body)

    @cached_property
    def _values(self) -> list[dict[str, Any]]:
        """What a voxel consists of; that never changes."""
        return list(self.extended()["Values"])

    def _raw(self, offset_zyx: Triple, shape_zyx: Triple) -> str:
        size, offset = ("_".join(map(str, triple[::-1])) for triple in (shape_zyx, offset_zyx))
        return f"{self._path}/raw/0_1_2/{size}/{offset}"


def _little(dtype: Any) -> np.dtype[Any]:
    import numpy as np

    little: np.dtype[Any] = np.dtype(dtype).newbyteorder("<")
    return little
