"""Weighted metrics: what scikit-learn and scipy say, with people repeated as their weights ask."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from training.evaluation import weighted
from training.evaluation.metrics import expected_calibration_error

PEOPLE = 6
WEIGHTS = np.array([[1, 1, 1, 1, 1, 1], [0, 2, 1, 0, 3, 0], [4, 0, 0, 1, 0, 1]], np.float64)


def windows(classes: int = 3, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Whose they are, their labels and probabilities, with ties."""
    generator = np.random.default_rng(seed)
    index = np.sort(generator.integers(PEOPLE, size=150))
    labels = generator.integers(classes, size=150)
    scores = generator.integers(1, 6, (150, classes)) + np.eye(classes)[labels]
    return index, labels, scores / scores.sum(1, keepdims=True)


def repeated(index: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """The rows, each as often as its person counts."""
    return np.repeat(np.arange(len(index)), weights[index].astype(int))


def test_area_under_the_roc_curve_is_that_of_the_resampled_people() -> None:
    index, labels, probabilities = windows()
    pairs = weighted.concordant_pairs(probabilities[:, 1], labels == 1, index, PEOPLE)
    for found, weights in zip(pairs.pooled(WEIGHTS), WEIGHTS, strict=True):
        rows = repeated(index, weights)
        assert found == pytest.approx(roc_auc_score(labels[rows] == 1, probabilities[rows, 1]))
    for person, found in enumerate(pairs.within()):
        own = index == person
        assert found == pytest.approx(roc_auc_score(labels[own] == 1, probabilities[own, 1]))


def test_someone_with_one_class_has_no_area() -> None:
    pairs = weighted.concordant_pairs(np.array([0.1, 0.2, 0.3]), np.array([True, True, False]), np.array([0, 0, 1]), 2)
    assert np.isnan(pairs.within()).all()
    assert pairs.pooled(np.ones((1, 2))).tolist() == [0.0]


def test_recall_and_f1() -> None:
    index, labels, probabilities = windows()
    answers = probabilities.argmax(1)
    for weights in WEIGHTS:
        rows = repeated(index, weights)
        confusion = confusion_matrix(labels[rows], answers[rows], labels=range(3))[None].astype(np.float64)
        assert weighted.mean_recall(confusion)[0] == pytest.approx(balanced_accuracy_score(labels[rows], answers[rows]))
        expected = f1_score(labels[rows], answers[rows], average="macro")
        assert weighted.f1_score(confusion)[0] == pytest.approx(expected)


def test_calibration_error_is_the_one_of_all_other_figures() -> None:
    index, labels, probabilities = windows()
    found = weighted.calibration_error(probabilities, labels, index, WEIGHTS, 15)
    for value, weights in zip(found, WEIGHTS, strict=True):
        rows = repeated(index, weights)
        assert value == pytest.approx(expected_calibration_error(probabilities[rows], labels[rows]))


def test_correlations() -> None:
    generator = np.random.default_rng(3)
    x = generator.integers(0, 8, 40).astype(np.float64)
    y = x + generator.integers(0, 8, 40)
    weights = generator.integers(0, 4, (5, 40)).astype(np.float64)
    pearson = weighted.correlation(x, y, weights)
    spearman = weighted.correlation(weighted.ranks(x, weights), weighted.ranks(y, weights), weights)
    for number, counts in enumerate(weights.astype(int)):
        rows = np.repeat(np.arange(40), counts)
        assert pearson[number] == pytest.approx(pearsonr(x[rows], y[rows]).statistic)
        assert spearman[number] == pytest.approx(spearmanr(x[rows], y[rows]).statistic)


def test_a_constant_correlates_with_nothing() -> None:
    x, y, once = np.full(5, 3.3), np.arange(5.0), np.ones((1, 5))
    assert np.isnan(weighted.correlation(x, y, once)).all()
    assert weighted.concordance(x, y, once).tolist() == [pytest.approx(0.0, abs=1e-12)]


def test_concordance_by_hand() -> None:
    """Means 2 and 3, both variances 2/3, covariance 2/3: 2 (2/3) / (4/3 + 1) = 4/7."""
    found = weighted.concordance(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]), np.ones((1, 3)))
    assert found[0] == pytest.approx(4 / 7)
