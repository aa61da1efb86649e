"""Figures of merit against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from training.evaluation.metrics import (
    classification_report,
    confusion_matrix,
    expected_calibration_error,
    macro_f1,
    per_class_recall,
)

LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.6, 0.3, 0.1],
        [0.2, 0.7, 0.1],  # wrong: 1 for 0
        [0.1, 0.9, 0.0],
        [0.5, 0.2, 0.3],  # wrong: 0 for 1
        [0.1, 0.1, 0.8],
    ]
)


def test_report_of_three_classes() -> None:
    report = classification_report(PROBABILITIES, LABELS)
    assert report.n == 6
    assert report.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert report.accuracy == pytest.approx(4 / 6)
    assert report.recall == pytest.approx([2 / 3, 1 / 2, 1.0])
    assert report.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert report.macro_f1 == pytest.approx((4 / 6 + 2 / 4 + 1) / 3)


def test_calibration_error_with_two_bins() -> None:
    # (0, 0.5]: confidence 0.5, wrong. (0.5, 1]: confidences .8 .6 .7 .9 .8 = 3.8 against four hits of five.
    expected = (abs(0 - 0.5) + abs(4 - 3.8)) / 6
    assert expected_calibration_error(PROBABILITIES, LABELS, bins=2) == pytest.approx(expected)


def test_certain_and_right_is_perfectly_calibrated() -> None:
    assert expected_calibration_error(np.eye(3), np.arange(3)) == 0.0


def test_absent_class_counts_nowhere() -> None:
    matrix = confusion_matrix(np.array([0, 0]), np.array([0, 0]), classes=3)
    assert per_class_recall(matrix)[0] == 1.0
    assert all(math.isnan(value) for value in per_class_recall(matrix)[1:])
    assert macro_f1(matrix) == 1.0


@pytest.mark.parametrize(
    ("probabilities", "labels", "reason"),
    [
        (np.ones((2, 3)), np.array([0]), "expected probabilities"),
        (np.ones(3), np.array([0, 1, 2]), "expected probabilities"),
        (np.ones((0, 3)), np.array([], dtype=np.int64), "no sample"),
        (np.ones((1, 3)), np.array([3]), r"must lie in 0\.\.2"),
        (np.ones((1, 3)), np.array([-1]), r"must lie in 0\.\.2"),
    ],
)
def test_misfit_is_refused(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        classification_report(probabilities, labels)
