"""A few threads for work on large values: decoding, encoding and copying, which give up the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, TypeVar

_MOST: Final = 8

Item = TypeVar("Item")


class Workers:
    """Threads that help whoever calls ``share``. They are started when first needed. Thread-safe.

    Args:
        threads: how many; unless given, so many that a caller and they keep every processor at work, at most 7.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = min(_MOST, _processors()) - 1 if threads is None else threads
        self._pool = ThreadPoolExecutor(max(1, self.threads), thread_name_prefix="dvidkit-worker")

    def share(self, work: Callable[[Sequence[Item]], object], items: Sequence[Item]) -> None:
        """Call ``work`` with parts of the items, some in other threads, one in this; return when all are done.

        An item is in exactly one part. Work must not call ``share`` itself. After ``close`` all is done in this thread.

        Raises:
            Exception: what the first failing part raised, after every part has ended.
        """
        parts = [items[start :: self.threads + 1] for start in range(min(len(items), self.threads + 1))]
        own, others = parts[:1], []
        for part in parts[1:]:
            try:
                others.append(self._pool.submit(work, part))
            except RuntimeError:
                own.append(part)
        try:
            for part in own:
                work(part)
        finally:
            wait(others)
        for future in others:
            future.result()

    def close(self) -> None:
        """Let the threads end. Idempotent."""
        self._pool.shutdown()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
