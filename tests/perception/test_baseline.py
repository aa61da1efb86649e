from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.baseline import CAPACITY, FLOOR, READY_S, WIDTH, RunningBaseline
from sentry_proto.layout import SECOND_INDEX
from tests.perception.seconds import SECOND_LOW, second

shares = st.lists(st.floats(0, 1), min_size=READY_S, max_size=80)


def learn(values: list[float], coverage: float = 1.0) -> RunningBaseline:
    baseline = RunningBaseline()
    for i, value in enumerate(values):
        baseline.push(second(i, value, coverage))
    return baseline


@given(shares)
@settings(max_examples=30)
def test_centre_and_scale_are_median_and_scaled_deviation(values: list[float]) -> None:
    found = learn(values).baseline()
    centre = np.median(values)
    deviation = 1.4826 * np.median(np.abs(np.array(values) - centre))
    np.testing.assert_allclose((found.centre - SECOND_LOW) / WIDTH, centre, atol=1e-4)
    np.testing.assert_allclose(found.scale / WIDTH, max(deviation, FLOOR), atol=1e-4)
    assert found.seconds == len(values)


def test_nothing_is_claimed_before_it_is_ready() -> None:
    found = learn([0.5] * (READY_S - 1)).baseline()
    assert found.seconds == 0
    assert not found.centre.any()
    assert (found.scale == 1).all()


def test_outliers_move_it_little() -> None:
    values = [0.4 + 0.001 * (i % 20) for i in range(100)]
    spoiled = [1.0 if i % 10 == 0 else value for i, value in enumerate(values)]
    before, after = learn(values).baseline(), learn(spoiled).baseline()
    np.testing.assert_allclose(after.centre / WIDTH, before.centre / WIDTH, atol=0.01)
    np.testing.assert_allclose(after.scale, before.scale, atol=0.001 * WIDTH.max())


def test_uncovered_seconds_teach_nothing() -> None:
    mixed = RunningBaseline()
    for i in range(80):
        mixed.push(second(i, 0.7, coverage=1.0 if i % 2 else 0.0))
    assert mixed.seconds == 40
    np.testing.assert_allclose((mixed.baseline().centre - SECOND_LOW) / WIDTH, 0.7, atol=1e-5)


def test_a_feature_that_was_never_seen_gets_the_width_of_its_range() -> None:
    baseline = RunningBaseline()
    for i in range(60):
        seen = second(i, 0.5)
        seen.coverage[3] = 0  # hands
        baseline.push(seen)
    found = baseline.baseline()
    hands, face = SECOND_INDEX["openness_mean"], SECOND_INDEX["head_yaw_mean"]
    assert (found.centre[hands], found.scale[hands]) == (0, WIDTH[hands])
    assert found.scale[face] == pytest.approx(FLOOR * WIDTH[face])


def test_hours_are_sampled_over_the_whole_past_in_bounded_memory() -> None:
    n = 20 * CAPACITY
    values = list(np.linspace(0, 1, n))
    found = learn(values).baseline()
    np.testing.assert_allclose((found.centre - SECOND_LOW) / WIDTH, 0.5, atol=0.02)
    np.testing.assert_allclose(found.scale / WIDTH, 1.4826 / 4, atol=0.02)
    assert found.seconds == n


@given(shares, shares)
@settings(max_examples=20)
def test_the_future_does_not_change_the_past(past: list[float], future: list[float]) -> None:
    baseline = learn(past)
    before = baseline.baseline()
    centre, scale = before.centre.copy(), before.scale.copy()
    for i, value in enumerate(future):
        baseline.push(second(len(past) + i, value))
    np.testing.assert_array_equal(before.centre, centre)
    np.testing.assert_array_equal(before.scale, scale)
