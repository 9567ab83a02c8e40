"""Mutations that the event loop does not wait for: one wake-up of the loop for all that were written together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvidkit.store import Store


class Written:
    """Awaitable: the end of the mutation that one request makes, if it makes one."""

    __slots__ = ("_future", "_left", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._left = 0
        self._future: asyncio.Future[None] | None = None

    def begun(self, store: Store) -> None:
        """See ``Pending``. In the event loop."""
        loop = self._writing.expect_more(store)
        self._left += 1
        if self._future is None:
            self._future = loop.create_future()

    def done(self, error: Exception | None) -> None:
        """See ``Pending``. In the writing thread."""
        self._writing.finish(self, error)

    def settle(self, error: Exception | None) -> None:
        """Let the request go on. In the event loop."""
        self._left -= 1
        if self._future is None or self._future.done():
            return
        if error is not None:
            self._future.set_exception(error)
        elif not self._left:
            self._future.set_result(None)

    def __await__(self) -> Generator[object, None, None]:
        if self._future is not None:
            yield from self._future.__await__()


class Writing:
    """Brings ends of mutations from the writing thread into the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: deque[tuple[Written, Exception | None]] = deque()
        self._called = False
        self._sleeping: list[Store] = []

    def expect(self) -> Written:
        """For one request. In the event loop, before its mutation is begun."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._called, self._sleeping = loop, False, []
        return Written(self)

    def expect_more(self, store: Store) -> asyncio.AbstractEventLoop:
        """Wake the store's writer once the loop, which is returned, has dealt with every request at hand."""
        loop = self._loop
        assert loop is not None
        if store not in self._sleeping:
            self._sleeping.append(store)
            if len(self._sleeping) == 1:
                loop.call_soon(self._wake)
        return loop

    def _wake(self) -> None:
        stores, self._sleeping = self._sleeping, []
        for store in stores:
            store.wake()

    def finish(self, written: Written, error: Exception | None) -> None:
        """A mutation has ended. In the writing thread."""
        self._finished.append((written, error))
        if not self._called and self._loop is not None:
            self._called = True
            with suppress(RuntimeError):  # the loop was closed, and nobody waits
                self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._called = False
        while self._finished:
            written, error = self._finished.popleft()
            written.settle(error)
