"""How far confidence can be believed: reliability, temperature scaling, and intervals by resampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import Labels, Probabilities, expected_calibration_error

LOG_TEMPERATURE = (-2.0, 2.0)
"""Where the temperature is looked for: 0.14 to 7.4."""

STEPS = 60
"""Of the golden-section search; each shortens the bracket to 0.62 of its length."""

SMALLEST = 1e-12


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, in B bins of equal width.

    Attributes:
        confidence: float64 [B], mean probability of the predicted class; NaN in an empty bin.
        accuracy: float64 [B], share of right predictions; NaN in an empty bin.
        count: int64 [B].
    """

    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    count: npt.NDArray[np.int64]


def reliability(probabilities: Probabilities, labels: Labels, bins: int = 15) -> Reliability:
    """The bins (low, high] behind `expected_calibration_error` (Guo et al. 2017)."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(index, minlength=bins)

    def mean(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        total = np.bincount(index, weights=values, minlength=bins)
        result: npt.NDArray[np.float64] = np.divide(total, count, out=np.full(bins, np.nan), where=count > 0)
        return result

    return Reliability(mean(confidence), mean(right), count.astype(np.int64))


def rescale(probabilities: Probabilities, temperature: float) -> npt.NDArray[np.float64]:
    """The softmax of log-probabilities over a temperature: what dividing the logits would have given, [n, classes]."""
    scaled = np.log(np.maximum(probabilities.astype(np.float64), SMALLEST)) / temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return result


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017), which is convex in its inverse.

    Args:
        probabilities: float [n, classes], of samples that the model was not trained on.
        labels: int [n].
    """

    def loss(log_temperature: float) -> float:
        rescaled = rescale(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(rescaled[np.arange(len(labels)), labels], SMALLEST)).mean())

    golden = (np.sqrt(5) - 1) / 2
    low, high = LOG_TEMPERATURE
    for _ in range(STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def crossfitted_calibration_error(probabilities: Probabilities, labels: Labels, seed: int = 0) -> float:
    """Expected calibration error when each half of the samples is rescaled by the temperature of the other half."""
    order = np.random.default_rng(seed).permutation(len(labels))
    mended = np.zeros(probabilities.shape)
    halves = np.array_split(order, 2)
    for mine, other in zip(halves, halves[::-1], strict=True):
        mended[mine] = rescale(probabilities[mine], fit_temperature(probabilities[other], labels[other]))
    return expected_calibration_error(mended, labels)


def bootstrap_interval(
    figure: Callable[[Probabilities, Labels], float],
    probabilities: Probabilities,
    labels: Labels,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a figure over independent samples (Efron 1979).

    For faces of different people; windows of one person are not independent, and need people resampled instead.
    """
    generator = np.random.default_rng(seed)
    drawn = (generator.integers(len(labels), size=len(labels)) for _ in range(resamples))
    values = [figure(probabilities[rows], labels[rows]) for rows in drawn]
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def recall_intervals(
    confusion: npt.NDArray[np.int64], level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Percentile intervals of each class's recall over independent samples, float64 [classes, 2]; NaN without samples.

    To draw n samples with replacement is to draw the n entries of their confusion matrix, int64 [classes, classes].
    """
    total, classes = int(confusion.sum()), len(confusion)
    drawn = np.random.default_rng(seed).multinomial(total, confusion.ravel() / total, size=resamples)
    drawn = drawn.reshape(resamples, classes, classes)
    right, present = np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(axis=2)
    recalls = np.divide(right, present, out=np.full(right.shape, np.nan), where=present > 0)
    intervals = np.full((classes, 2), np.nan)
    known = np.isfinite(recalls).any(axis=0)
    intervals[known] = np.nanquantile(recalls[:, known], [(1 - level) / 2, (1 + level) / 2], axis=0).T
    return intervals
