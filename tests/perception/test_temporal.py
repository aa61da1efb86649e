from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.temporal import LAG_S, MEMORY_S, Lag, Lids


def speeds(rate: float, velocity: float, seconds: float = 3.0) -> list[float]:
    """Speeds that `Lag` measures of something that moves evenly, seen `rate` times a second."""
    lag: Lag[float] = Lag()
    found = []
    for i in range(int(seconds * rate)):
        past = lag.push(i / rate, velocity * i / rate)
        if past is not None:
            elapsed, position = past
            found.append((velocity * i / rate - position) / elapsed)
    return found


@given(st.floats(2, 60))
def test_speed_of_an_even_movement_is_right_at_any_frame_rate(rate: float) -> None:
    found = speeds(rate, 7.0)
    assert found
    assert found == pytest.approx([7.0] * len(found))


@given(st.lists(st.floats(0, 20), max_size=60))
def test_lag_stays_within_its_bounds_for_any_times(times: list[float]) -> None:
    lag: Lag[float] = Lag()
    for t in times:
        past = lag.push(t, t)
        if past is not None:
            assert LAG_S <= past[0] <= MEMORY_S
            assert past[1] == pytest.approx(t - past[0])


def test_lag_recovers_when_the_clock_is_set_back() -> None:
    lag: Lag[int] = Lag()
    lag.push(1000.0, 1)
    assert lag.push(10.0, 2) is None
    assert lag.push(10.25, 3) == (0.25, 2)


def test_lag_ignores_a_late_frame() -> None:
    lag: Lag[int] = Lag()
    lag.push(1.0, 1)
    assert lag.push(0.9, 2) is None
    assert lag.push(1.25, 3) == (0.25, 1)


def blinks(closures: list[float], rate: float = 30.0) -> int:
    lids = Lids()
    return sum(lids.update(i / rate, closure) for i, closure in enumerate(closures))


@pytest.mark.parametrize(
    ("closures", "expected"),
    [
        ([0.1] * 10, 0),
        ([0.1, 0.9, 0.9, 0.1], 1),
        ([0.1, 0.9, 0.1, 0.9, 0.1], 2),
        ([0.1, 0.45, 0.1], 0),  # never closed
        ([0.1, 0.9, 0.45, 0.9, 0.45, 0.1], 1),  # trembles inside the hysteresis
        ([0.1, 0.9], 0),  # not over yet
        ([0.1] + [0.9] * 30 + [0.1], 0),  # one second: closed, not a blink
    ],
)
def test_blinks(closures: list[float], expected: int) -> None:
    assert blinks(closures) == expected


@given(st.lists(st.floats(0.36, 0.49), min_size=1, max_size=50), st.booleans())
def test_lids_keep_their_state_between_the_thresholds(closures: list[float], closed: bool) -> None:
    lids = Lids()
    lids.update(0.0, 0.9 if closed else 0.1)
    for i, closure in enumerate(closures):
        assert not lids.update(0.1 * (i + 1), closure)
    assert lids.closed is closed


def test_a_lost_face_is_not_a_blink() -> None:
    lids = Lids()
    lids.update(0.0, 0.9)
    lids.clear()
    assert not lids.update(0.1, 0.1)
