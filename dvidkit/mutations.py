"""Mutations: one change, one atomic batch.

A mutation holds its version open (it cannot be committed meanwhile), collects puts and deletes, and writes them all at
the end of its ``with`` block. If the block raises, nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dvidkit.errors import InvalidInputError
from dvidkit.keys import as_bytes

if TYPE_CHECKING:
    from dvidkit.datatype import Datatype


class Mutation:
    """A change of one data instance at one version. Use as a context manager, in one thread.

    Attributes:
        view: the instance at its version.
        action: what is done, in the words of the datatype's log.
        user, app: who asks, as DVID's ``u`` and ``app``.
    """

    def __init__(self, view: Datatype, action: str, *, user: str = "", app: str = "") -> None:
        self.view = view
        self.action = action
        self.user = user
        self.app = app
        self._pairs: list[tuple[bytes, bytes | None]] = []
        self._stack = ExitStack()
        self._locked = False
        self._durable: bool | None = None

    def put(self, tkey: bytes, value: bytes) -> None:
        """Set the value when the mutation is written."""
        self._pairs.append((as_bytes(tkey, "TKey"), as_bytes(value, "value")))

    def delete(self, tkey: bytes) -> None:
        """Delete the key when the mutation is written."""
        self._pairs.append((as_bytes(tkey, "TKey"), None))

    def lock(self, tkeys: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        """Keep other mutations of these TKeys out until this one has ended, and read their values.

        For changes that depend on what is there. May be called once in a mutation, so that two of them can never wait
        for each other.

        Raises:
            InvalidInputError: called a second time.
            VersionConflict: a TKey is in conflict.
        """
        if self._locked:
            raise InvalidInputError("a mutation locks once; give all TKeys in one call")
        self._locked = True
        self._stack.enter_context(self.view.instance.locks.hold(tkeys))
        return dict(zip(tkeys, self.view.store.get_many(self.view.ctx, tkeys), strict=True))

    def __enter__(self) -> Mutation:
        if self.view.instance.versioned:
            self._stack.enter_context(self.view.instance.repo.writing(self.view.node))
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        with self._stack:
            if kind is None and self._pairs:
                self.view.store.write_pairs(self.view.ctx, self._pairs, durable=self._durable)
