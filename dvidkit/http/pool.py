"""Work that must not stop the event loop: a bounded pool of threads, and a bound on memory held by requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from dvidkit.http.service import Limits
from dvidkit.http.status import HTTPError

Result = TypeVar("Result")


class Pool:
    """Threads for heavy endpoints.

    Attributes:
        active: calls running or waiting.
        throttled: of those, calls that asked to be throttled.
        max_throttled: throttled calls allowed at once (DVID's ``throttle`` setting).
    """

    def __init__(self, limits: Limits) -> None:
        self._executor = ThreadPoolExecutor(limits.workers, thread_name_prefix="dvidkit-http")
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
        self.active += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)
        finally:
            self.active -= 1

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
        """Wait until this many bytes more may be held by requests; a single larger request is let in alone."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._held == 0 or self._held + size <= self._memory)
            self._held += size

    async def free(self, size: int) -> None:
        """Give held bytes back."""
        async with self._freed:
            self._held -= size
            self._freed.notify_all()

    def close(self) -> None:
        """Wait for running calls and end the threads."""
        self._executor.shutdown(wait=True, cancel_futures=False)
