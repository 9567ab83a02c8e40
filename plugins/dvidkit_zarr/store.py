"""zarr arrays in a keyvalue instance: versioned like everything else, and open to whoever reads keys.

A zarr key is the key of a value, its ``/`` standing as ``%2F``. At an open version arrays are read and written; a
committed one is read-only for ever, and another version is another store over the same data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Self

from dvidkit_keyvalue.datatype import KeyValues
from dvidkit_keyvalue.paths import children, key_of, path_of, range_of
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from dvidkit.errors import InvalidInputError

if TYPE_CHECKING:
    from dvidkit.repo import Version


class DvidStore(Store):
    """A store for ``zarr``, over a keyvalue instance of a kernel in this process. Not to be pickled: a kernel is not.

    Args:
        version: whose data.
        instance: name of a keyvalue instance of its repo.
        read_only: refuse writes; always so where the version is committed and the instance versioned.

    Raises:
        UnknownInstance: there is none of this name.
        InvalidInputError: it is not one of keyvalue.
    """

    def __init__(self, version: Version, instance: str, *, read_only: bool = False) -> None:
        found = version.repo.instance(instance)
        view = found.at(version)
        if not isinstance(view, KeyValues):
            raise InvalidInputError(f"{found!r} is not of keyvalue")
        fixed = found.versioned and version.locked and not version.repo.repos.kernel.full_write
        super().__init__(read_only=read_only or fixed)
        self._version = version
        self._instance = instance
        self._view: KeyValues = view

    def with_read_only(self, read_only: bool = False) -> Self:
        """The same data; what is committed stays read-only."""
        return type(self)(self._version, self._instance, read_only=read_only)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DvidStore)
            and self._view.instance is other._view.instance
            and self._version == other._version
            and self.read_only == other.read_only
        )

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"dvid:///{self._version.uuid}/{self._instance}"

    def __repr__(self) -> str:
        return f"DvidStore('{self}')"

    def __reduce__(self) -> str:
        raise TypeError("a DvidStore belongs to a kernel of this process and cannot be pickled")

    @property
    def supports_writes(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_deletes(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_listing(self) -> bool:
        """Yes."""
        return True

    # --- reading -----------------------------------------------------------------------------------------------------

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """See ``zarr.abc.store.Store``."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """``get`` without an event loop, as newer releases of zarr call it."""
        self._is_open = True
        value = self._view.get(key_of(key))
        if value is None:
            return None
        begin, end = _bounds(byte_range, len(value))
        return (prototype or default_buffer_prototype()).buffer.from_bytes(value[begin:end])

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """See ``zarr.abc.store.Store``."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """See ``zarr.abc.store.Store``."""
        self._is_open = True
        return await asyncio.to_thread(self._view.exists, key_of(key))

    async def list(self) -> AsyncIterator[str]:
        """Every key, in the order of the stored keys."""
        for path in await self._paths(""):
            yield path

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """The keys that begin so."""
        for path in await self._paths(prefix):
            yield path

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """The names directly below a prefix."""
        folder = prefix.rstrip("/")
        for name in children(await self._paths(f"{folder}/" if folder else ""), folder):
            yield name

    async def _paths(self, prefix: str) -> Sequence[str]:
        self._is_open = True
        keys = await asyncio.to_thread(self._view.key_range, *(range_of(prefix) or (None, None)))
        return [path_of(key) for key in keys]

    # --- writing -----------------------------------------------------------------------------------------------------

    async def set(self, key: str, value: Buffer) -> None:
        """See ``zarr.abc.store.Store``. Durable when it returns."""
        await asyncio.to_thread(self.set_sync, key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """``set`` without an event loop."""
        self._writable()
        if not isinstance(value, Buffer):
            raise TypeError(f"set takes a Buffer, not {type(value).__name__}")
        self._view.put(key_of(key), value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """See ``zarr.abc.store.Store``. Of two that come at once both may write."""
        self._writable()
        if not await self.exists(key):
            await self.set(key, value)

    async def delete(self, key: str) -> None:
        """See ``zarr.abc.store.Store``."""
        await asyncio.to_thread(self.delete_sync, key)

    def delete_sync(self, key: str) -> None:
        """``delete`` without an event loop."""
        self._writable()
        self._view.delete(key_of(key))

    def _writable(self) -> None:
        self._check_writable()
        self._is_open = True


def _bounds(request: ByteRequest | None, size: int) -> tuple[int, int]:
    """First byte, and the one behind the last."""
    if isinstance(request, RangeByteRequest):
        return request.start, request.end
    if isinstance(request, OffsetByteRequest):
        return request.offset, size
    if isinstance(request, SuffixByteRequest):
        return max(0, size - request.suffix), size
    if request is not None:
        raise TypeError(f"Unexpected byte_range, got {request!r}; there are ranges, offsets and suffixes")
    return 0, size
