from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.evaluation.calibration import (
    bootstrap_interval,
    crossfitted_calibration_error,
    fit_temperature,
    recall_intervals,
    reliability,
    rescale,
)
from training.evaluation.metrics import Labels, classification_report, expected_calibration_error

Array = NDArray[np.floating[Any]]


def _calibrated(n: int, seed: int = 0) -> tuple[Array, Labels]:
    """Probabilities of four classes, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (n, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(4, p=row) for row in probabilities])
    return probabilities, labels


def test_reliability_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    bins = reliability(probabilities, np.array([0, 1, 1]), bins=4)
    assert bins.count.tolist() == [0, 0, 1, 2]
    assert bins.confidence[2:].tolist() == pytest.approx([0.6, 0.85])
    assert bins.accuracy[2:].tolist() == [1.0, 0.5]
    assert np.isnan(bins.accuracy[:2]).all()


def test_reliability_adds_up_to_the_calibration_error() -> None:
    probabilities, labels = _calibrated(500)
    bins = reliability(probabilities, labels)
    gaps = np.nan_to_num(np.abs(bins.confidence - bins.accuracy)) * bins.count
    assert gaps.sum() / 500 == pytest.approx(expected_calibration_error(probabilities, labels))


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(true: float) -> None:
    probabilities, labels = _calibrated(4000)
    spoiled = rescale(probabilities, 1 / true)
    assert fit_temperature(spoiled, labels) == pytest.approx(true, rel=0.1)
    mended = rescale(spoiled, fit_temperature(spoiled, labels))
    assert expected_calibration_error(mended, labels) < 0.03


def test_halves_mend_each_other() -> None:
    probabilities, labels = _calibrated(4000)
    spoiled = rescale(probabilities, 0.4)
    assert crossfitted_calibration_error(spoiled, labels) < 0.3 * expected_calibration_error(spoiled, labels)


def test_rescaling_keeps_the_order_and_sums_to_one() -> None:
    probabilities, _ = _calibrated(50)
    warm = rescale(probabilities, 3.0)
    assert warm.sum(1) == pytest.approx(np.ones(50))
    assert (warm.argsort(1) == probabilities.argsort(1)).all()
    assert rescale(np.array([[1.0, 0.0]]), 2.0)[0, 0] > 0.99


def test_intervals_hold_the_truth_and_shrink() -> None:
    def accuracy(probabilities: Array, labels: Labels) -> float:
        return float((probabilities.argmax(1) == labels).mean())

    truth = accuracy(*_calibrated(20_000, seed=9))
    small, large = (bootstrap_interval(accuracy, *_calibrated(n)) for n in (200, 2000))
    assert small[0] < truth < small[1]
    assert large[1] - large[0] < 0.5 * (small[1] - small[0])


def test_recall_intervals_are_those_of_resampled_faces() -> None:
    probabilities, labels = _calibrated(300)
    found = recall_intervals(classification_report(probabilities, labels).confusion, resamples=4000)

    def recall(place: int) -> Callable[[Array, Labels], float]:
        return lambda p, y: float(classification_report(p, y).recall[place])

    for place in range(4):
        assert found[place] == pytest.approx(bootstrap_interval(recall(place), probabilities, labels), abs=0.03)


def test_a_class_without_samples_has_no_recall_interval() -> None:
    found = recall_intervals(np.array([[3, 1], [0, 0]]))
    assert 0 <= found[0, 0] < 0.75 <= found[0, 1] <= 1
    assert np.isnan(found[1]).all()
