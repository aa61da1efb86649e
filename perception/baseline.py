"""A person's own normal: robust centre and scale of each feature, from the past only."""

from __future__ import annotations

import numpy as np

from perception.fusion import Second
from sentry_proto.layout import MODALITIES, MODALITY_INDEX, N_SECOND, SECOND_FEATURES
from sentry_proto.types import Baseline, Float32

READY_S = 30
"""Seconds that a feature must have been seen for before it has a baseline."""

CAPACITY = 512
"""Seconds kept; see `RunningBaseline`."""

MIN_COVERAGE = 0.5
"""A second teaches the features of a modality that was seen for at least this share of it."""

FLOOR = 0.01
"""Least scale, in widths of the feature's range: a feature that never moved must not blow up the first time it does."""

WIDTH = np.array([feature.high - feature.low for feature in SECOND_FEATURES], np.float32)
MODALITY = np.array([MODALITY_INDEX[feature.modality] for feature in SECOND_FEATURES])
OF_PERSON = np.array([name != "quality" for name in MODALITIES])


def no_baseline() -> Baseline:
    """Nothing is known yet: centre 0, scale 1."""
    return Baseline(np.zeros(N_SECOND, np.float32), np.ones(N_SECOND, np.float32), 0)


class RunningBaseline:
    """Median and 1.4826 * median absolute deviation of the seconds so far.

    The seconds are sampled systematically over the whole past, so that memory and time stay bounded and an hour of
    stress does not become the normal: every k-th second is kept, and whenever `CAPACITY` are kept, every other one is
    dropped and k doubles. No chance is involved: the same seconds give the same baseline.

    The scale is never below `FLOOR` of the feature's range. A feature that was seen for less than `READY_S` has centre
    0 and the width of its range as scale.
    """

    def __init__(self) -> None:
        self._kept = np.full((CAPACITY, N_SECOND), np.nan, np.float32)
        self._size = 0
        self._stride = 1
        self._offered = 0
        self.seconds = 0

    def push(self, second: Second) -> None:
        """Learn from a second; one in which the person was not seen teaches nothing."""
        covered = second.coverage >= MIN_COVERAGE
        if not (covered & OF_PERSON).any():
            return
        self.seconds += 1
        if self._offered % self._stride == 0:
            self._keep(np.where(covered[MODALITY], second.values, np.nan))
        self._offered += 1

    def _keep(self, row: Float32) -> None:
        if self._size == CAPACITY:
            self._size = CAPACITY // 2
            self._kept[: self._size] = self._kept[::2].copy()
            self._stride *= 2
        self._kept[self._size] = row
        self._size += 1

    def baseline(self) -> Baseline:
        """What has been learned so far; `seconds` is 0 until there are `READY_S` of them."""
        if self.seconds < READY_S:
            return no_baseline()
        kept = self._kept[: self._size]
        seen = np.isfinite(kept)
        counts = seen.sum(axis=0)
        centre = _median(kept, counts)
        scale = 1.4826 * _median(np.abs(kept - centre), counts)
        learned = counts * self._stride >= READY_S
        return Baseline(
            centre=np.where(learned, centre, 0.0).astype(np.float32),
            scale=np.where(learned, np.maximum(scale, FLOOR * WIDTH), WIDTH).astype(np.float32),
            seconds=self.seconds,
        )


def _median(rows: Float32, counts: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> Float32:
    """Median of each column's finite values; NaN sorts last. 0 for a column without any."""
    ordered = np.sort(rows, axis=0)
    column = np.arange(rows.shape[1])
    low, high = ordered[np.maximum(counts - 1, 0) // 2, column], ordered[np.maximum(counts, 1) // 2, column]
    median: Float32 = np.where(counts > 0, (low + high) / 2, 0.0).astype(np.float32)
    return median
