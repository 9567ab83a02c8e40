"""Counters of a service, in the text format that Prometheus reads."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from operator import itemgetter

from dvidkit.http.routes import METHODS
from dvidkit.kernel import Kernel

_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class _Row:
    """Answers of one kind: how many took up to each bound, and longer, and seconds of all together."""

    __slots__ = ("below", "seconds")

    def __init__(self) -> None:
        self.below = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0


class Metrics:
    """What a service has answered.

    Attributes:
        started: when, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.started = time.time()
        self._rows: dict[tuple[str, str, int], _Row] = {}

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """One answer."""
        row = self._rows.get((method, path, status)) or self._row(method, path, status)
        row.below[bisect_left(_BUCKETS, seconds)] += 1
        row.seconds += seconds

    def _row(self, method: str, path: str, status: int) -> _Row:
        if method not in METHODS:
            method = "other"
        return self._rows.setdefault((method, path, status), _Row())

    @property
    def requests(self) -> int:
        """Answers so far."""
        return sum(sum(row.below) for row in self._rows.values())

    def text(self, kernel: Kernel, active: int) -> str:
        """Everything, in Prometheus' text format."""
        return "\n".join([*self._requests(), *self._durations(), *self._stores(kernel), *_process(self, active)]) + "\n"

    def _requests(self) -> Iterator[str]:
        yield "# HELP dvidkit_requests_total Requests answered, by endpoint and status."
        yield "# TYPE dvidkit_requests_total counter"
        for (method, path, status), row in sorted(self._rows.items(), key=itemgetter(0)):
            yield f'dvidkit_requests_total{{method="{method}",endpoint="{path}",status="{status}"}} {sum(row.below)}'

    def _durations(self) -> Iterator[str]:
        yield "# HELP dvidkit_request_seconds Time to answer, by endpoint."
        yield "# TYPE dvidkit_request_seconds histogram"
        for path in sorted({path for _, path, _ in self._rows}):
            rows = [row for (_, each, _), row in self._rows.items() if each == path]
            total = 0
            for place, bound in enumerate((*_BUCKETS, "+Inf")):
                total += sum(row.below[place] for row in rows)
                yield f'dvidkit_request_seconds_bucket{{endpoint="{path}",le="{bound}"}} {total}'
            yield f'dvidkit_request_seconds_sum{{endpoint="{path}"}} {sum(row.seconds for row in rows):.6f}'
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
