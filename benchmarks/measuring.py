"""Clocks, rounds and figures."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

Clock = Callable[[], float]

_ON: Final = 0.8
"""What remains of a bar where integrity checks are on."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the result.

    Attributes:
        part: of the benchmarks.
        engine: name, empty where it is always the default.
        checks: whether integrity checks were on; ``None`` where that makes no difference.
        name: what was measured.
        value: a ratio, or for ``at_most`` a number of ``unit``.
        bar: what ``value`` is to reach, ``None`` where nothing is asked.
        at_most: the bar is an upper one.
        ours, base: the two measurements behind a ratio, in ``unit``.
        unit: of ``ours`` and ``base``.
        against: what the base is.
    """

    part: str
    engine: str
    checks: bool | None
    name: str
    value: float
    bar: float | None
    ours: float
    base: float
    unit: str
    against: str
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; ``None`` without one."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar

    def as_json(self) -> dict[str, Any]:
        """All fields, and ``met``."""
        return {**asdict(self), "met": self.met}


def bar_for(bar: float | None, *, checks: bool) -> float | None:
    """A bar that is given for integrity checks off, as it is with them on: 0.8 of it."""
    return bar if bar is None or not checks else _ON * bar


def by_time(
    part: str,
    name: str,
    ours: float,
    base: float,
    *,
    engine: str = "",
    checks: bool | None = None,
    bar: float | None = None,
    unit: str = "us",
    against: str = "the raw driver",
) -> Figure:
    """A figure of two times in seconds: how much of the base's speed is reached."""
    scale = {"us": 1e6, "ns": 1e9, "ms": 1e3}[unit]
    return Figure(part, engine, checks, name, base / ours, bar, ours * scale, base * scale, unit, against)


def best(
    contenders: Mapping[str, Callable[[], object]], rounds: int, clock: Clock = time.process_time
) -> dict[str, float]:
    """Seconds of the fastest of several rounds for each, all contenders in turn within a round."""
    found = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        gc.collect()
        for name, function in contenders.items():
            found[name] = min(found[name], timed(function, clock))
    return found


def medians(
    contenders: Mapping[str, Callable[[int], object]], rounds: int, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Median seconds of each over the rounds, in each of which all are given the number of the round."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for each in range(rounds):
        for name, function in contenders.items():
            begun = clock()
            function(each)
            found[name].append(clock() - begun)
    return {name: median(times) for name, times in found.items()}


def timed(function: Callable[[], object], clock: Clock = time.process_time) -> float:
    """Seconds of one call; what it returns is freed afterwards."""
    begun = clock()
    result = function()
    spent = clock() - begun
    del result
    return spent


def process_seconds(pid: int) -> float:
    """CPU seconds that another process has used, all its threads together."""
    return time.clock_gettime((~pid << 3) | 2)


def cores() -> tuple[int, int]:
    """A processor for a server and one for whoever loads it; the same one where there is no second."""
    found = sorted(os.sched_getaffinity(0))
    return found[0], found[-1]
