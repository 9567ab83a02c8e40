"""A few threads for work on large values: decoding, encoding and copying, which give up the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from dvidkit.deferred import deferred

if TYPE_CHECKING:
    from concurrent import futures
else:
    futures = deferred("concurrent.futures")

_MOST: Final = 8

Item = TypeVar("Item")


class Workers:
    """Threads that help whoever calls ``share``. They are started when first needed. Thread-safe.

    Args:
        threads: how many; unless given, so many that a caller and they keep every processor at work, at most 7.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = min(_MOST, _processors()) - 1 if threads is None else threads
        self._pool: futures.ThreadPoolExecutor | None = None
        self._changing = threading.Lock()
        self._closed = False

    def share(self, work: Callable[[Sequence[Item]], object], items: Sequence[Item]) -> None:
        """Call ``work`` with parts of the items, some in other threads, one in this; return when all are done.

        An item is in exactly one part. Work must not call ``share`` itself. After ``close`` all is done in this thread.

        Raises:
            Exception: what the first failing part raised, after every part has ended.
        """
        parts = [items[start :: self.threads + 1] for start in range(min(len(items), self.threads + 1))]
        own, others = parts[:1], list[futures.Future[object]]()
        for part in parts[1:]:
            try:
                others.append(self._started().submit(work, part))
            except RuntimeError:
                own.append(part)
        try:
            for part in own:
                work(part)
        finally:
            futures.wait(others)
        for future in others:
            future.result()

    def _started(self) -> futures.ThreadPoolExecutor:
        with self._changing:
            if self._closed:
                raise RuntimeError("no thread is begun after the end")
            if self._pool is None:
                self._pool = futures.ThreadPoolExecutor(max(1, self.threads), thread_name_prefix="dvidkit-worker")
            return self._pool

    def close(self) -> None:
        """Let the threads end. Idempotent."""
        with self._changing:
            self._closed, pool = True, self._pool
        if pool is not None:
            pool.shutdown()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
