"""Counters of a service, in the text format that Prometheus reads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from dvidkit.http.routes import METHODS
from dvidkit.kernel import Kernel

_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class Metrics:
    """What a service has answered.

    Attributes:
        started: when, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.started = time.time()
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._below: dict[str, list[int]] = {}

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """One answer."""
        if method not in METHODS:
            method = "other"
        self._answers[method, path, status] += 1
        self._seconds[path] += seconds  # type: ignore[assignment]
        below = self._below.get(path)
        if below is None:
            below = self._below[path] = [0] * (len(_BUCKETS) + 1)
        place = 0
        for bound in _BUCKETS:
            if seconds <= bound:
                break
            place += 1
        below[place] += 1

    @property
    def requests(self) -> int:
        """Answers so far."""
        return sum(self._answers.values())

    def text(self, kernel: Kernel, active: int) -> str:
        """Everything, in Prometheus' text format."""
        return "\n".join([*self._requests(), *self._durations(), *self._stores(kernel), *_process(self, active)]) + "\n"

    def _requests(self) -> Iterator[str]:
        yield "# HELP dvidkit_requests_total Requests answered, by endpoint and status."
        yield "# TYPE dvidkit_requests_total counter"
        for (method, path, status), number in sorted(self._answers.items()):
            yield f'dvidkit_requests_total{{method="{method}",endpoint="{path}",status="{status}"}} {number}'

    def _durations(self) -> Iterator[str]:
        yield "# HELP dvidkit_request_seconds Time to answer, by endpoint."
        yield "# TYPE dvidkit_request_seconds histogram"
        for path, counts in sorted(self._below.items()):
            total = 0
            for bound, number in zip((*_BUCKETS, "+Inf"), counts, strict=True):
                total += number
                yield f'dvidkit_request_seconds_bucket{{endpoint="{path}",le="{bound}"}} {total}'
            yield f'dvidkit_request_seconds_sum{{endpoint="{path}"}} {self._seconds[path]:.6f}'
            yield f'dvidkit_request_seconds_count{{endpoint="{path}"}} {total}'

    @staticmethod
    def _stores(kernel: Kernel) -> Iterator[str]:
        names = ("gets", "puts", "key_bytes_read", "key_bytes_written", "value_bytes_read", "value_bytes_written")
        for name in names:
            yield f"# TYPE dvidkit_store_{name}_total counter"
            for alias, store in sorted(kernel.stores.items()):
                number = getattr(store.monitor.total, name)
                yield f'dvidkit_store_{name}_total{{store="{alias}",engine="{store.engine.name}"}} {number}'
        yield "# HELP dvidkit_store_suspect A write failed and the store has not been reopened yet."
        yield "# TYPE dvidkit_store_suspect gauge"
        for alias, store in sorted(kernel.stores.items()):
            yield f'dvidkit_store_suspect{{store="{alias}"}} {int(store.suspect is not None)}'


def _process(metrics: Metrics, active: int) -> Iterator[str]:
    yield "# TYPE dvidkit_heavy_requests gauge"
    yield f"dvidkit_heavy_requests {active}"
    yield "# TYPE dvidkit_start_time_seconds gauge"
    yield f"dvidkit_start_time_seconds {metrics.started:.3f}"
