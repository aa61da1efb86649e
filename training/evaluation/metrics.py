"""Figures of merit for classifiers, from class probabilities; numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ClassificationReport:
    """How well probabilities agree with labels.

    Attributes:
        n: number of samples.
        accuracy: share of samples whose most probable class is the label.
        balanced_accuracy: mean recall of the classes that occur.
        macro_f1: mean F1 of the classes that occur or are predicted.
        ece: expected calibration error, 0..1.
        recall: per class; NaN where the class does not occur.
        confusion: int64 [classes, classes], rows are labels, columns predictions.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    ece: float
    recall: npt.NDArray[np.float64]
    confusion: npt.NDArray[np.int64]


def classification_report(probabilities: Probabilities, labels: Labels) -> ClassificationReport:
    """All figures at once.

    Args:
        probabilities: float [n, classes], rows sum to 1.
        labels: int [n], 0..classes-1.

    Raises:
        ValueError: shapes do not fit, there is no sample, or a label is out of range.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"expected probabilities [n, classes], got {probabilities.shape} for {labels.shape} labels")
    if not len(labels):
        raise ValueError("there is no sample to measure on")
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    recall = per_class_recall(matrix)
    return ClassificationReport(
        n=len(labels),
        accuracy=float(np.trace(matrix) / matrix.sum()),
        balanced_accuracy=float(np.nanmean(recall)),
        macro_f1=macro_f1(matrix),
        ece=expected_calibration_error(probabilities, labels),
        recall=recall,
        confusion=matrix,
    )


def confusion_matrix(labels: Labels, predictions: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Counts, int64 [classes, classes]: rows are labels, columns predictions.

    Raises:
        ValueError: a label or prediction lies outside 0..classes-1.
    """
    both = np.concatenate([labels, predictions])
    if both.size and (both.min() < 0 or both.max() >= classes):
        raise ValueError(f"labels and predictions must lie in 0..{classes - 1}")
    flat = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def per_class_recall(confusion: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Share of each class that was recognised, float64 [classes]; NaN where the class does not occur."""
    return _ratio(np.diag(confusion), confusion.sum(axis=1))


def macro_f1(confusion: npt.NDArray[np.int64]) -> float:
    """Mean over classes of 2 TP / (2 TP + FP + FN); a class neither present nor predicted does not count."""
    f1 = _ratio(2 * np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1))
    return float(np.nanmean(f1))


def expected_calibration_error(probabilities: Probabilities, labels: Labels, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width confidence bins, weighted by their size.

    Naeini et al. 2015; top-label form of Guo et al. 2017. Bins are (low, high], as there.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def _ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    ratio: npt.NDArray[np.float64] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio
