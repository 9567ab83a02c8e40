"""Batches: several changes of one context, written together or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dvidkit.context import Context
from dvidkit.errors import StoreClosed
from dvidkit.keys import as_bytes

if TYPE_CHECKING:
    from dvidkit.store import Store


class Batch:
    """Puts and deletes that ``commit`` applies in order, atomically; of several for one TKey the last holds.

    Nothing is visible before ``commit``, and a batch that is dropped has no effect. As a context manager it commits at
    the end of the block, and not at all if the block raises. Not for use by several threads at once.

    Source: DVID ``storage.Batch``.
    """

    def __init__(self, store: Store, ctx: Context) -> None:
        self._store = store
        self._ctx = ctx
        self._pairs: list[tuple[bytes, bytes | None]] | None = []

    def put(self, tkey: bytes, value: bytes) -> None:
        """Have ``commit`` do what ``Store.put`` does."""
        self._open().append((as_bytes(tkey, "TKey"), as_bytes(value, "value")))

    def delete(self, tkey: bytes) -> None:
        """Have ``commit`` do what ``Store.delete`` does."""
        self._open().append((as_bytes(tkey, "TKey"), None))

    def __len__(self) -> int:
        return len(self._pairs or ())

    def commit(self, *, durable: bool | None = None) -> None:
        """Apply everything; afterwards the batch is used up. If it raises, nothing was applied.

        Raises:
            StoreClosed: it was committed before.
        """
        pairs = self._open()
        self._pairs = None
        self._store.write_pairs(self._ctx, pairs, durable=durable)

    def _open(self) -> list[tuple[bytes, bytes | None]]:
        if self._pairs is None:
            raise StoreClosed("this batch was committed already")
        return self._pairs

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is None:
            self.commit()
