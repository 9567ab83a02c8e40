"""Counters and their rates."""

from __future__ import annotations

from dvidkit.monitor import Monitor


def test_rates_are_of_the_time_since_they_were_asked_for() -> None:
    """Each counter's growth since the call before, per second; what did not grow is 0."""
    monitor = Monitor(lambda: 7)
    monitor.counters.puts = 3
    first = monitor.per_second()
    assert first["gets"] > first["puts"] > 0
    assert set(monitor.per_second().values()) == {0.0}
    assert monitor.total.gets == 7
