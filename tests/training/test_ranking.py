from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.evaluation.ranking import LEAST, Ranking, rank


def drawn(n: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities of windows, in tenths so that some are equal, and whether the event was there."""
    generator = np.random.default_rng(seed)
    event = (generator.random(n) < 0.2).astype(float)
    return np.round(np.clip(0.3 + 0.25 * event + 0.2 * generator.standard_normal(n), 0, 1), 1), event


def spread(found: Ranking) -> tuple[float, float, float]:
    """The area within its interval."""
    assert found.low is not None
    assert found.area is not None
    assert found.high is not None
    return found.low, found.area, found.high


def test_the_area_is_that_of_the_textbook_and_weights_count_as_copies() -> None:
    confidence, event = drawn(300, 1)
    times = np.random.default_rng(2).integers(1, 4, 300)
    found = rank(confidence, event, times.astype(float), np.arange(300))
    copies = roc_auc_score(event.repeat(times), confidence.repeat(times))
    assert found.area == pytest.approx(copies)
    assert found.area == pytest.approx(roc_auc_score(event, confidence, sample_weight=times))
    low, area, high = spread(found)
    assert low < area < high


def test_the_curve_says_what_each_threshold_finds() -> None:
    confidence, event = drawn(300, 3)
    found = rank(confidence, event, np.ones(300), np.arange(300))
    assert (found.curve[0].detected, found.curve[0].false_positive_rate) == (1, 1)
    at = next(point for point in found.curve if point.threshold == 0.5)
    on = confidence >= 0.5
    assert at.detected == pytest.approx(event[on].sum() / event.sum())
    assert at.false_positive_rate == pytest.approx((1 - event[on]).sum() / (1 - event).sum())
    assert at.precision == pytest.approx(event[on].mean())
    rising = [(point.detected, point.false_positive_rate) for point in found.curve[::-1]]
    assert rising == sorted(rising)


def test_windows_of_one_minute_are_no_independent_ones() -> None:
    confidence, event = drawn(300, 4)
    alone = rank(confidence, event, np.ones(300), np.arange(300))
    tenfold = rank(confidence.repeat(10), event.repeat(10), np.ones(3_000), np.arange(300).repeat(10))
    assert tenfold.area == pytest.approx(alone.area)
    assert tenfold.high == pytest.approx(alone.high, abs=0.02), "copies make the interval no narrower"


def test_the_interval_covers_the_truth() -> None:
    confidence, event = drawn(100_000, 5)
    truth = roc_auc_score(event, confidence)
    hits = 0
    for seed in range(100):
        confidence, event = drawn(200, 100 + seed)
        low, _, high = spread(rank(confidence, event, np.ones(200), np.arange(200), seed))
        hits += low <= truth <= high
    assert hits >= 88, "95 expected, 2.2 of them by chance either way"


def test_too_few_of_one_kind_are_said() -> None:
    event = np.r_[np.ones(LEAST - 4), np.zeros(50)]
    found = rank(np.linspace(0, 1, len(event)), event, np.ones(len(event)), np.arange(len(event)))
    assert (found.curve, found.area) == ((), None)
    assert found.words == "4 more judged windows with the event"
