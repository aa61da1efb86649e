"""Metrics under R sets of weights at once: of people when they are resampled, or of blocks within people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import Task

Floats = NDArray[np.float64]
Weights = NDArray[np.float64]
"""[R, P], how often each of P people (or blocks) counts."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of a window with the event and one without.

    Attributes:
        concordant: float64 [P, P], pairs of person p's events and person q's others in which the event scores higher;
            ties count half.
        events, others: int64 [P].
    """

    concordant: Floats
    events: NDArray[np.int64]
    others: NDArray[np.int64]

    def pooled(self, weights: Weights) -> Floats:
        """Area under the ROC curve over all pairs, within and between people, [R] (Mann and Whitney 1947)."""
        concordant = ((weights @ self.concordant) * weights).sum(1)
        return ratio(concordant, (weights @ self.events) * (weights @ self.others))

    def within(self) -> Floats:
        """The area within each person, [P]; NaN where all windows are of one kind."""
        return ratio(np.diag(self.concordant), self.events * self.others)


def concordant_pairs(scores: Floats, event: NDArray[np.bool_], index: NDArray[np.int64], people: int) -> Pairs:
    """Count the pairs of n scored windows by person.

    Args:
        scores: float [n].
        event: bool [n].
        index: int [n], whose window it is, 0..people-1.
        people: P.
    """
    concordant = np.zeros((people, people))
    positive, owner = scores[event], index[event]
    for other in np.unique(index[~event]):
        negative = np.sort(scores[~event & (index == other)])
        below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
        concordant[:, other] = np.bincount(owner, below / 2, people)
    counts = [np.bincount(index[rows], minlength=people) for rows in (event, ~event)]
    return Pairs(concordant, *counts)


def class_scores(task: Task, probabilities: Floats) -> Mapping[int, Floats]:
    """Which classes are ranked against the rest, and by what: one of two classes (the event's), else each."""
    if len(task.classes) > 2:
        return dict(enumerate(probabilities.T))
    event = task.classes.index(task.alert.classes[0]) if task.alert else 1
    return {event: probabilities[:, event]}


def mean_recall(confusion: Floats) -> Floats:
    """Balanced accuracy of [R, C, C] counts, rows are labels: mean over the classes that occur, [R]."""
    return mean_of_known(np.moveaxis(ratio(_diagonal(confusion), confusion.sum(2)), 1, 0))


def f1_score(confusion: Floats) -> Floats:
    """Macro F1 of [R, C, C] counts over the classes that occur or are predicted, [R]."""
    f1 = ratio(2 * _diagonal(confusion), confusion.sum(1) + confusion.sum(2))
    return mean_of_known(np.moveaxis(f1, 1, 0))


def calibration_error(
    probabilities: Floats, labels: NDArray[np.int64], index: NDArray[np.int64], weights: Weights, bins: int
) -> Floats:
    """`training.evaluation.metrics.expected_calibration_error` under each set of weights, [R]."""
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    bin_ = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    people = weights.shape[1]
    gaps = np.bincount(index * bins + bin_, right - confidence, people * bins).reshape(people, bins)
    return ratio(np.abs(weights @ gaps).sum(1), weights @ np.bincount(index, minlength=people))


def correlation(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Pearson's, [R]; x and y are [n] or, if they depend on the weights, [R, n]. NaN where one is constant."""
    _, _, x_variance, y_variance, covariance = _moments(x, y, weights)
    constant = (x_variance <= _tiny(x)) | (y_variance <= _tiny(y))
    return np.where(constant, np.nan, ratio(covariance, np.sqrt(x_variance * y_variance)))


def concordance(x: Floats, y: Floats, weights: Weights) -> Floats:
    """Lin's concordance correlation coefficient with population variances, [R]."""
    x_mean, y_mean, x_variance, y_variance, covariance = _moments(x, y, weights)
    return ratio(2 * covariance, x_variance + y_variance + (x_mean - y_mean) ** 2)


def ranks(values: Floats, weights: Weights) -> Floats:
    """Mid-ranks of n values, each repeated by its weight, [R, n]."""
    distinct, inverse = np.unique(values, return_inverse=True)
    member = (inverse[:, None] == np.arange(len(distinct))).astype(np.float64)
    mass = weights @ member
    middle: Floats = (np.cumsum(mass, 1) - mass / 2)[:, inverse]
    return middle


def ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    """`part / whole`, NaN where `whole` is not above 0."""
    result: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return result


def mean_of_known(values: Floats) -> Floats:
    """Mean over the first axis of what is not NaN; NaN where nothing is known."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(0), known.sum(0))


def _diagonal(matrices: Floats) -> Floats:
    return np.diagonal(matrices, axis1=1, axis2=2)


def _tiny(values: Floats) -> float:
    """Rounding error of the variance of a constant."""
    return 1e-12 * float(np.max(np.square(values), initial=0.0))


def _moments(x: Floats, y: Floats, weights: Weights) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    total = weights.sum(1)
    x_mean, y_mean = (ratio((weights * values).sum(1), total) for values in (x, y))
    x_off, y_off = x - x_mean[:, None], y - y_mean[:, None]
    products = (x_off**2, y_off**2, x_off * y_off)
    x_variance, y_variance, covariance = (ratio((weights * product).sum(1), total) for product in products)
    return x_mean, y_mean, x_variance, y_variance, covariance
