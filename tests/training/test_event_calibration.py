from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.event_calibration import calibration, stratum_weights
from training.evaluation.rates import JudgedWindows


def test_a_calibrated_head_lies_on_the_diagonal_whatever_sample_was_judged() -> None:
    """Of windows that alert many are judged, of quiet ones few: weighed by their strata, both lie where they are."""
    random = np.random.default_rng(1)
    confidence = random.uniform(0, 1, 40_000)
    event = (random.uniform(0, 1, 40_000) < confidence).astype(float)
    on = (confidence > 0.55) | (random.uniform(0, 1, 40_000) < 0.1)
    judged = random.uniform(0, 1, 40_000) < np.where(on, 0.5, 0.05)
    parts = []
    for side in (True, False):
        some = judged & (on == side)
        weights = stratum_weights(JudgedWindows(event[some]), int((on == side).sum()))
        assert weights.sum() == pytest.approx((on == side).sum())
        parts.append((confidence[some], event[some], weights))
    found = calibration(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    assert len(found.bins) == 10
    assert found.error is not None
    assert found.error < 0.03
    assert sum(one.low <= one.said <= one.high for one in found.bins) >= 8


def test_a_boastful_head_is_told_by_how_much() -> None:
    found = calibration(np.full(200, 0.9), np.repeat([1.0, 0.0], 100), np.ones(200))
    (only,) = found.bins
    assert only.said == pytest.approx(0.9)
    assert (only.was, only.n) == (0.5, 200)
    assert found.error == pytest.approx(0.4)
    assert 0.42 < only.low < 0.44
    assert 0.56 < only.high < 0.58


def test_unequal_weights_count_as_fewer_windows_and_none_as_nothing() -> None:
    event, confidence = np.repeat([1.0, 0.0], 50), np.full(100, 0.5)
    equal = calibration(confidence, event, np.ones(100)).bins[0]
    unequal = calibration(confidence, event, np.tile([1.0, 20.0], 50)).bins[0]
    assert unequal.high - unequal.low > 1.2 * (equal.high - equal.low)
    assert calibration(np.zeros(0), np.zeros(0), np.zeros(0)).error is None
