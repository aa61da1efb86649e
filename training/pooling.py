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

from sentry_proto.types import Float32
from training.feature_space import SECOND_SPACE, FeatureSpace

Z_CLIP = 6.0
LARGEST = float(np.finfo(np.float32).max)
"""A z at or above it, or NaN, counts as not seen."""

SHORTEST_TIME_VARIANCE = 1 / 24
"""Half the variance of the time axis of a full window (1/12). Where the seconds seen vary less in time than that, the
slope is shrunk towards 0: two neighbouring seconds must not be extrapolated to a whole window."""


def pool(
    values: NDArray[Any], coverage: NDArray[Any], baseline: NDArray[Any], space: FeatureSpace = SECOND_SPACE
) -> Float32:
    """Pool N windows of T seconds.

    Args:
        values: float [N, T, F], raw second features.
        coverage: float [N, T, M] in 0..1; a feature is seen in a second whose coverage of its modality is above 0.
        baseline: float [N, 2, F], centre and scale.
        space: names the F features and M modalities.

    Returns:
        float32 [N, D], finite, columns named by `FeatureSpace.pooled_names`.

    Raises:
        ValueError: if the shapes do not fit.
    """
    count, seconds = values.shape[:2]
    features, modalities = len(space.features), len(space.modalities)
    shapes = (values.shape, coverage.shape, baseline.shape)
    if shapes != ((count, seconds, features), (count, seconds, modalities), (count, 2, features)) or not seconds:
        raise ValueError(f"values, coverage and baseline do not fit together: {shapes}")
    values, coverage = values.astype(np.float32), coverage.astype(np.float32)
    with np.errstate(all="ignore"):  # what overflows or is not a number counts as not seen
        z = (values - baseline[:, :1].astype(np.float32)) / baseline[:, 1:].astype(np.float32)
        seen = (coverage[:, :, space.feature_modality] > 0) & (np.abs(z) < LARGEST)
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


def seen_columns(pooled: NDArray[Any], space: FeatureSpace = SECOND_SPACE) -> NDArray[np.bool_]:
    """Which entries of `pooled` [N, D] come from a modality that was seen at all; bool [N, D]."""
    shares = pooled[:, -len(space.modalities) :]
    seen: NDArray[np.bool_] = (shares[:, space.column_modality] > 0) | space.is_coverage
    return seen


def _mean(masked: NDArray[Any], seen: NDArray[np.bool_]) -> Float32:
    """Mean over time of what was seen; 0 where nothing was. `masked` is 0 wherever `seen` is false."""
    count = np.maximum(seen.sum(1, keepdims=True), 1).astype(np.float32)
    mean: Float32 = masked.sum(1, keepdims=True) / count
    return mean
