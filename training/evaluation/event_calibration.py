"""Whether an event comes as often as its probability says, from windows that people have judged.

The judged windows are two samples, of those in which the alert was on and of the quiet ones that were drawn at random
(see `training.evaluation.rates`). Each window stands for as many as its sample's total over its share of the sample's
weights, so the shares below describe all windows that were scored.

A bin's interval is Wilson's (1927, J. Am. Stat. Assoc. 22) with Kish's effective number of windows. The error is the
expected calibration error of the event's probability (Naeini et al. 2015, AAAI): the mean distance of the bins from the
diagonal, by weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.rates import JudgedWindows

BINS = 10
Z = 1.96

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bin:
    """The windows whose probability of the event lay in one tenth.

    Attributes:
        said: mean probability.
        was, low, high: the share in which the event was there, and its 95 % interval.
        n: judged windows.
    """

    said: float
    was: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """All bins that hold a judged window, and the expected calibration error; None without any."""

    bins: tuple[Bin, ...]
    error: float | None


def stratum_weights(sample: JudgedWindows, total: int) -> Floats:
    """How many scored windows each judged one stands for: float [n], summing to `total`."""
    drawn = sample.inclusion_probability
    weights = np.ones(len(sample.events)) if drawn is None else 1 / drawn.astype(float)
    return np.asarray(weights * (max(total, len(weights)) / weights.sum())) if len(weights) else weights


def calibration(confidence: Floats, event: Floats, weights: Floats) -> Calibration:
    """Compare what was said with what was there.

    Args:
        confidence: float [n] in 0..1, the event's probability.
        event: float [n], 1 where it was there.
        weights: float [n] above 0.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    found = [_bin(confidence[place == i], event[place == i], weights[place == i]) for i in np.unique(place)]
    heavy = [float(weights[place == i].sum()) for i in np.unique(place)]
    if not found:
        return Calibration((), None)
    apart = [abs(one.said - one.was) for one in found]
    return Calibration(tuple(found), float(np.average(apart, weights=heavy)))


def _bin(confidence: Floats, event: Floats, weights: Floats) -> Bin:
    share = min(1.0, max(0.0, float(np.average(event, weights=weights))))
    n = float(weights.sum() ** 2 / (weights @ weights))
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * (share * (1 - share) / n + Z**2 / (4 * n**2)) ** 0.5
    said = float(np.average(confidence, weights=weights))
    return Bin(said, share, max(0.0, centre - half), min(1.0, centre + half), len(event))
