"""Workers: every item once, errors after everything has ended, and work in the calling thread if there is no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from dvidkit.workers import Workers


@pytest.mark.parametrize("threads", [0, 1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 100])
def test_every_item_is_worked_on_once(threads: int, count: int) -> None:
    """In so many parts as there are threads and a caller, or fewer if there are fewer items; none is empty."""
    parts: list[list[int]] = []
    workers = Workers(threads)
    workers.share(lambda part: parts.append(list(part)), range(count))
    workers.close()
    assert sorted(item for part in parts for item in part) == list(range(count))
    assert len(parts) == min(count, threads + 1)
    assert all(parts)


def test_a_part_is_done_by_the_caller() -> None:
    """The calling thread works too, so that one call keeps all of them busy."""
    seen: set[int] = set()
    workers = Workers(2)
    barrier = threading.Barrier(3, timeout=30)

    def work(part: Sequence[int]) -> None:
        barrier.wait()
        seen.add(threading.get_ident())

    workers.share(work, range(3))
    workers.close()
    assert threading.get_ident() in seen
    assert len(seen) == 3


@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_comes_when_all_have_ended(bad: int) -> None:
    """What is lent to the parts may be taken back when the call returns, so it does not return early."""
    ended: list[int] = []

    def work(part: Sequence[int]) -> None:
        if bad in part:
            raise ZeroDivisionError
        time.sleep(0.1)
        ended.append(part[0])

    workers = Workers(1)
    with pytest.raises(ZeroDivisionError):
        workers.share(work, range(2))
    assert ended == [1 - bad]
    workers.close()


def test_after_close_the_caller_does_everything() -> None:
    """A kernel that is being closed does not fail those who still read; closing twice is fine."""
    workers = Workers(3)
    workers.close()
    workers.close()
    seen: list[int] = []
    workers.share(seen.extend, range(10))
    assert sorted(seen) == list(range(10))


def test_from_many_threads_at_once() -> None:
    """Callers do not wait for each other for ever, however many they are."""
    workers = Workers(1)
    totals: list[int] = []

    def call() -> None:
        found: list[int] = []
        workers.share(found.extend, range(50))
        totals.append(sum(found))

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert totals == [sum(range(50))] * 20
    workers.close()
