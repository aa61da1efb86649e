"""Hand-made frames and seconds for the tests of fusion, baseline and windows."""

from __future__ import annotations

import numpy as np

from perception.fusion import Second
from sentry_proto.layout import FRAME_INDEX, N_FRAME, N_MODALITIES, N_SECOND, SECOND_FEATURES
from sentry_proto.types import CameraState, Float32

SECOND_LOW = np.array([feature.low for feature in SECOND_FEATURES], np.float32)
SECOND_HIGH = np.array([feature.high for feature in SECOND_FEATURES], np.float32)


def frame(**named: float) -> Float32:
    """A frame vector with some values, NaN elsewhere."""
    values = np.full(N_FRAME, np.nan, np.float32)
    for name, value in named.items():
        values[FRAME_INDEX[name]] = value
    return values


def second(start: int, value: float = 0.5, coverage: float = 1.0) -> Second:
    """A second in which every feature lies at the same share of its range, and every modality was covered alike."""
    values = (SECOND_LOW + value * (SECOND_HIGH - SECOND_LOW)).astype(np.float32)
    seen = np.full(N_MODALITIES, coverage, np.float32)
    state = CameraState.OK if coverage else CameraState.NO_FACE
    return Second(start, values if coverage else np.zeros(N_SECOND, np.float32), seen, state, 30)
