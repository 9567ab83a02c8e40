"""Work that must not stop the event loop: a bounded pool of threads, and a bound on memory held by requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dvidkit.http.service import Limits
from dvidkit.http.status import HTTPError
from dvidkit.http.wire import UNCOUNTED

Result = TypeVar("Result")


class Pool:
    """Threads for heavy endpoints.

    Attributes:
        active: calls running or waiting.
        throttled: of those, calls that asked to be throttled.
        max_throttled: throttled calls allowed at once (DVID's ``throttle`` setting).
    """

    def __init__(self, limits: Limits) -> None:
        self._workers = limits.workers
        self._executor: ThreadPoolExecutor | None = None
        self._patience = limits.idle_seconds
        self._most = limits.workers + limits.waiting
        self._memory = limits.memory
        self._held = 0
        self._freed = asyncio.Condition()
        self.active = 0
        self.throttled = 0
        self.max_throttled = 1

    async def run(self, function: Callable[..., Result], *args: object) -> Result:
        """Call the function in a thread.

        Raises:
            HTTPError: too many calls are waiting (503).
        """
        if self.active >= self._most:
            raise HTTPError(503, f"the server has {self.active} requests to work on; try again")
        return await self.finish(function, *args)

    async def finish(self, function: Callable[..., Result], *args: object) -> Result:
        """``run`` for what was begun and must go on: it is not turned away."""
        self.active += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads(), function, *args)
        finally:
            self.active -= 1

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix="dvidkit-http")
        return self._executor

    def throttle(self) -> None:
        """Begin a throttled call.

        Raises:
            HTTPError: as many as are allowed are running (503).
        """
        if self.throttled >= self.max_throttled:
            raise HTTPError(
                503, f"Server already running {self.throttled} throttled operations (max = {self.max_throttled})"
            )
        self.throttled += 1

    def unthrottle(self) -> None:
        """End a throttled call."""
        self.throttled -= 1

    async def hold(self, size: int) -> None:
        """Wait until this many bytes more may be held by requests; a single larger request is let in alone.

        Raises:
            HTTPError: others did not let go in time (503).
        """
        try:
            async with asyncio.timeout(self._patience), self._freed:
                await self._freed.wait_for(lambda: self._held == 0 or self._held + size <= self._memory)
                self._held += size
        except TimeoutError:
            raise HTTPError(503, "the memory for requests is taken; try again") from None

    async def free(self, size: int) -> None:
        """Give held bytes back."""
        async with self._freed:
            self._held -= size
            self._freed.notify_all()

    def close(self) -> None:
        """Wait for running calls and end the threads; a later call begins new ones."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=False)


class Claim:
    """The memory that the body of one request takes, claimed as it comes: who announces much holds nothing by it.

    Attributes:
        held: bytes claimed.
    """

    __slots__ = ("_limit", "_pool", "held")

    def __init__(self, pool: Pool, limit: int) -> None:
        self._pool = pool
        self._limit = limit
        self.held = 0

    async def grow(self, size: int) -> None:
        """Claim what a body of this many bytes needs, ever larger pieces ahead.

        Raises:
            HTTPError: others did not let go in time (503).
        """
        if size > max(self.held, UNCOUNTED):
            wanted = min(max(2 * size, 16 * UNCOUNTED), max(self._limit, size))
            await self._pool.hold(wanted - self.held)
            self.held = wanted

    async def release(self) -> None:
        """Give everything back."""
        if self.held:
            await self._pool.free(self.held)
            self.held = 0
