from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.temporal import CLOCK_GRAIN_S, LAG_S, MEMORY_S, Blinks, Hysteresis, Lag


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
            assert LAG_S - CLOCK_GRAIN_S <= past[0] <= MEMORY_S + CLOCK_GRAIN_S
            assert past[1] == pytest.approx(t - past[0])


@pytest.mark.parametrize("rate", [5, 10, 15, 25, 30, 50])
def test_lag_reaches_equally_far_back_whenever_a_video_began(rate: int) -> None:
    reached = set()
    for begin in (0.0, 0.1, 1_795_000_000.0, 1_795_000_000.1, 1_795_000_003.7):
        lag: Lag[int] = Lag()
        pasts = [lag.push(begin + i / rate, i) for i in range(3 * rate)]
        reached.add(tuple(past and past[1] for past in pasts))
    assert len(reached) == 1


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
    detector = Blinks()
    return sum(detector.update(i / rate, closure) for i, closure in enumerate(closures))


@pytest.mark.parametrize(
    ("closures", "expected"),
    [
        ([0.1] * 10, 0),
        ([0.1, 0.9, 0.9, 0.1], 1),
        ([0.1, 0.9, 0.1, 0.9, 0.1], 2),
        ([0.1, 0.25, 0.1], 0),  # hardly moved
        ([0.1, 0.9, 0.6, 0.9, 0.6, 0.1], 1),  # trembles, but does not reopen
        ([0.1, 0.9], 0),  # not over yet
        ([0.1] + [0.9] * 30 + [0.1], 0),  # one second: closed, not a blink
        ([0.45] * 10 + [0.7, 0.7] + [0.45] * 10, 1),  # lids that hang low
        ([0.1] * 10 + [0.45] * 60 + [0.8, 0.8] + [0.45] * 10, 1),  # a blink while looking down
        ([0.04, 0.1, 0.15, 0.18, 0.45, 0.58, 0.52, 0.43, 0.31, 0.23, 0.2, 0.18], 1),  # a real one
        ([0.9] * 30 + [0.1] * 30 + [0.5, 0.1], 1),  # the first frame shows closed eyes
    ],
)
def test_blinks(closures: list[float], expected: int) -> None:
    assert blinks(closures) == expected


@given(st.floats(10, 60))
def test_blinks_are_counted_alike_at_any_frame_rate_that_shows_them(rate: float) -> None:
    def closure(t: float) -> float:  # 0.3 s down and up, every 2 s
        phase = t % 2
        return 0.1 + 0.6 * max(0.0, 1 - abs(phase - 1) / 0.15)

    assert blinks([closure(i / rate) for i in range(int(10 * rate))], rate) == 5


def test_slowly_sinking_lids_are_no_blink() -> None:
    assert blinks([0.1 + 0.3 * i / 300 for i in range(300)] + [0.1] * 30) == 0


def test_a_lost_face_is_not_a_blink() -> None:
    detector = Blinks()
    detector.update(0.0, 0.1)
    detector.update(0.1, 0.9)
    detector.clear()
    assert not detector.update(0.2, 0.1)


@given(st.lists(st.floats(0.36, 0.49), min_size=1, max_size=50), st.booleans())
def test_hysteresis_keeps_its_state_between_the_thresholds(values: list[float], on: bool) -> None:
    indicator = Hysteresis(0.5, 0.35)
    indicator.update(0.9 if on else 0.1)
    assert [indicator.update(value) for value in values] == [on] * len(values)
    assert indicator.update(0.51)
    assert not indicator.update(0.34)
