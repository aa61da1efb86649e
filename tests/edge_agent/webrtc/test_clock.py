"""Capture times from arrivals: spacing is kept, waiting shows as age, clocks may drift and jump."""

from __future__ import annotations

import numpy as np
import pytest

from edge_agent.webrtc.clock import SPAN_S, CaptureClock

T0 = 1_750_000_000.0


def ages(delays: list[float], fps: float = 30.0, drift: float = 0.0) -> list[float]:
    """Seconds of age that each frame is believed to have on arrival, given its true delay."""
    clock = CaptureClock()
    stamps = [index / fps for index in range(len(delays))]
    arrivals = [T0 + s * (1 + drift) + d for s, d in zip(stamps, delays, strict=True)]
    return [arrival - clock.time(stamp, arrival) for stamp, arrival in zip(stamps, arrivals, strict=True)]


def test_a_path_of_constant_delay_shows_no_age() -> None:
    assert ages([0.2] * 100) == pytest.approx([0] * 100, abs=1e-6)


def test_a_frame_that_waited_is_that_much_older() -> None:
    delays = [0.05] * 30 + [0.05 + 0.01 * i for i in range(50)]
    assert ages(delays)[30:] == pytest.approx([0.01 * i for i in range(50)], abs=1e-6)


def test_spacing_is_that_of_the_capture_under_jitter() -> None:
    random = np.random.default_rng(1)
    clock, times = CaptureClock(), []
    for index in range(600):
        arrival = T0 + index / 30 + 0.04 + random.exponential(0.02)
        times.append(clock.time(index / 30, arrival))
    steady = np.diff(times[300:])
    assert np.abs(steady - 1 / 30).max() < 0.002


@pytest.mark.parametrize("drift", [1e-4, -1e-4])
def test_drifting_clocks_stay_together(drift: float) -> None:
    assert max(np.abs(ages([0.05] * 30 * 600, drift=drift))) <= 1e-4 * SPAN_S + 1e-6


def test_a_clock_that_is_set_back_is_followed_at_once() -> None:
    clock = CaptureClock()
    clock.time(0.0, T0)
    assert clock.time(1.0, T0 - 3600) == T0 - 3600
    assert clock.time(2.0, T0 - 3599) == pytest.approx(T0 - 3599)
