"""How well a head's probability tells windows with the event from those without: ROC and precision-recall curves.

One window at a time, before the alert rule (so many seconds in a row, release): what the head knows, not what the
alerts do. Windows count for as many scored ones as they stand for. The interval of the area resamples clusters of
windows that resemble each other (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 10
"""Windows with the event, and as many without, from which curves are drawn."""

GRID = np.round(np.arange(0.0, 1.01, 0.01), 2)
DRAWS = 200

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Operating:
    """What calling the event from this probability on would find; `precision` is None where nothing is called."""

    threshold: float
    detected: float
    false_positive_rate: float
    precision: float | None


@dataclass(frozen=True)
class Ranking:
    """Curves of one head.

    Attributes:
        curve: by rising threshold, without those that change nothing.
        area: under the ROC curve: how often a window with the event gets the higher probability; None without curves.
        low, high: 95 % interval of the area.
        n, events: judged windows, and those of them with the event.
        words: what is still lacking, or empty.
    """

    curve: tuple[Operating, ...]
    area: float | None
    low: float | None
    high: float | None
    n: int
    events: int
    words: str


def rank(confidence: Floats, event: Floats, weights: Floats, clusters: NDArray[np.int64], seed: int = 0) -> Ranking:
    """Compare windows with one another.

    Args:
        confidence: float [n] in 0..1, the event's probability.
        event: float [n], 1 where it was there.
        weights: float [n] above 0, how many scored windows each stands for.
        clusters: int [n], equal for windows that resemble each other.
        seed: of the bootstrap.
    """
    n, events = len(event), int(event.sum())
    for there, words in ((events, "with"), (n - events, "without")):
        if there < LEAST:
            return Ranking((), None, None, None, n, events, f"{LEAST - there} more judged windows {words} the event")
    order = np.argsort(-confidence, kind="stable")
    confidence, there_is, weights = confidence[order], event[order] > 0, weights[order]
    _, cluster = np.unique(clusters[order], return_inverse=True)
    number = int(cluster.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), DRAWS)
    areas = _areas(confidence, there_is, weights * drawn[:, cluster])
    low, high = np.nanpercentile(areas, [2.5, 97.5])
    area = _areas(confidence, there_is, weights[None])[0]
    return Ranking(_curve(confidence, there_is, weights), float(area), float(low), float(high), n, events, "")


def _areas(confidence: Floats, event: NDArray[np.bool_], weights: Floats) -> Floats:
    """Area under the ROC curve for each row of weights, [draws, n]; equal probabilities count half."""
    starts = np.flatnonzero(np.r_[True, np.diff(confidence) != 0])
    found = np.add.reduceat(weights * event, starts, axis=1)
    false = np.add.reduceat(weights * ~event, starts, axis=1)
    above = np.cumsum(found, axis=1) - found
    with np.errstate(invalid="ignore"):
        return np.asarray((false * (above + found / 2)).sum(1) / (found.sum(1) * false.sum(1)))


def _curve(confidence: Floats, event: NDArray[np.bool_], weights: Floats) -> tuple[Operating, ...]:
    there, absent = weights[event].sum(), weights[~event].sum()
    points: list[Operating] = []
    for threshold in GRID:
        on = confidence >= threshold
        hits, false = float(weights[on & event].sum()), float(weights[on & ~event].sum())
        share = hits / (hits + false) if hits + false else None
        point = Operating(float(threshold), float(hits / there), float(false / absent), share)
        before = (points[-1].detected, points[-1].false_positive_rate) if points else None
        if before == (point.detected, point.false_positive_rate):
            points.pop()  # the highest of those that find the same stays
        points.append(point)
    return tuple(points)
