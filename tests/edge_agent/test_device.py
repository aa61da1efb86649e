from __future__ import annotations

import numpy as np
import pytest

from edge_agent.sources.device import StreamClock, driver_time


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [(99.9, 999.9), (100.0, 1000.0), (0.0, 1000.0), (97.0, 1000.0), (100.5, 1000.0), (float("nan"), 1000.0)],
)
def test_a_drivers_stamp_counts_if_it_is_of_this_clock(stamp: float, expected: float) -> None:
    assert driver_time(1000.0, 100.0, stamp) == pytest.approx(expected)


def test_the_jitter_of_a_network_is_taken_out() -> None:
    clock, random = StreamClock(), np.random.default_rng(0)
    delays = 0.1 + random.exponential(0.05, 600)
    times = np.array([clock.time(1e9 + i / 30 + delay, i / 30) for i, delay in enumerate(delays)])
    intervals = np.diff(times)[60:]
    assert intervals.std() < 0.2 * np.diff(np.arange(600) / 30 + delays)[60:].std()
    assert (times <= 1e9 + np.arange(600) / 30 + delays + 1e-6).all(), "no picture is captured after it came"


def test_a_stream_that_begins_anew_or_tells_no_time_is_taken_as_it_comes() -> None:
    clock = StreamClock()
    clock.time(1e9, 500.0)
    assert clock.time(1e9 + 1, 0.0) == pytest.approx(1e9 + 1)
    assert clock.time(1e9 + 2, float("nan")) == 1e9 + 2
