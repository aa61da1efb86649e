"""Statistics pooling: a window of seconds becomes one vector, whatever of it the camera missed.

Per feature, over the seconds in which its modality was seen:

    mean     of z = (value - centre) / scale under the person's own baseline, clipped to +-Z_CLIP
    spread   standard deviation of z
    trend    least-squares slope of z, in z per window length
    level    mean of the raw value

and per modality the mean coverage. A feature that was never seen is 0 in all four; its coverage column says so, and
`seen_columns` finds it. `training.export.state_heads` builds the same computation as an ONNX graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.layout import MODALITIES, MODALITY_INDEX, N_MODALITIES, N_SECOND, SECOND_FEATURES
from sentry_proto.types import Float32

STATISTICS = ("mean", "spread", "trend", "level")

POOLED_NAMES: tuple[str, ...] = (
    *(f"{feature.name}.{statistic}" for statistic in STATISTICS for feature in SECOND_FEATURES),
    *(f"{modality}.coverage" for modality in MODALITIES),
)
N_POOLED = len(POOLED_NAMES)

FEATURE_MODALITY: NDArray[np.int64] = np.array([MODALITY_INDEX[feature.modality] for feature in SECOND_FEATURES])
COLUMN_MODALITY: NDArray[np.int64] = np.concatenate(
    [np.tile(FEATURE_MODALITY, len(STATISTICS)), np.arange(N_MODALITIES)]
)
IS_COVERAGE: NDArray[np.bool_] = np.arange(N_POOLED) >= N_POOLED - N_MODALITIES

Z_CLIP = 6.0
LARGEST = float(np.finfo(np.float32).max)
"""A z at or above it, or NaN, counts as not seen."""

SHORTEST_TIME_VARIANCE = 1 / 24
"""Half the variance of the time axis of a full window (1/12). Where the seconds seen vary less in time than that, the
slope is shrunk towards 0: two neighbouring seconds must not be extrapolated to a whole window."""


def pool(values: NDArray[Any], coverage: NDArray[Any], baseline: NDArray[Any]) -> Float32:
    """Pool N windows of T seconds.

    Args:
        values: float [N, T, F], raw second features.
        coverage: float [N, T, M] in 0..1; a feature is seen in a second whose coverage of its modality is above 0.
        baseline: float [N, 2, F], centre and scale.

    Returns:
        float32 [N, D], finite, columns named by `POOLED_NAMES`.

    Raises:
        ValueError: if the shapes do not fit.
    """
    count, seconds = values.shape[:2]
    shapes = (values.shape, coverage.shape, baseline.shape)
    if shapes != ((count, seconds, N_SECOND), (count, seconds, N_MODALITIES), (count, 2, N_SECOND)) or not seconds:
        raise ValueError(f"values, coverage and baseline do not fit together: {shapes}")
    values, coverage = values.astype(np.float32), coverage.astype(np.float32)
    with np.errstate(all="ignore"):  # what overflows or is not a number counts as not seen
        z = (values - baseline[:, :1].astype(np.float32)) / baseline[:, 1:].astype(np.float32)
        seen = (coverage[:, :, FEATURE_MODALITY] > 0) & (np.abs(z) < LARGEST)
    z = np.where(seen, np.clip(z, -Z_CLIP, Z_CLIP), np.float32(0))
    time = ((np.arange(seconds, dtype=np.float32) + 0.5) / np.float32(seconds)).reshape(1, seconds, 1)

    mean, level = _mean(z, seen), _mean(np.where(seen, values, np.float32(0)), seen)
    deviation = np.where(seen, z - mean, np.float32(0))
    lag = np.where(seen, time - _mean(np.where(seen, time, np.float32(0)), seen), np.float32(0))
    spread = np.sqrt(_mean(np.square(deviation), seen))
    time_variance = np.maximum(np.square(lag).sum(1, keepdims=True), np.float32(seconds * SHORTEST_TIME_VARIANCE))
    trend = (lag * deviation).sum(1, keepdims=True) / time_variance
    statistics = np.concatenate([mean, spread, trend, level], axis=2)[:, 0]
    shares = np.where(coverage > 0, np.minimum(coverage, 1), np.float32(0)).mean(1)
    return np.concatenate([statistics, shares], axis=1).astype(np.float32)


def seen_columns(pooled: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries of `pooled` [N, D] come from a modality that was seen at all; bool [N, D]."""
    shares = pooled[:, -N_MODALITIES:]
    seen: NDArray[np.bool_] = (shares[:, COLUMN_MODALITY] > 0) | IS_COVERAGE
    return seen


def _mean(masked: NDArray[Any], seen: NDArray[np.bool_]) -> Float32:
    """Mean over time of what was seen; 0 where nothing was. `masked` is 0 wherever `seen` is false."""
    count = np.maximum(seen.sum(1, keepdims=True), 1).astype(np.float32)
    mean: Float32 = masked.sum(1, keepdims=True) / count
    return mean
