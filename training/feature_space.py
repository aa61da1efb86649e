"""Which features a set of windows has, and which modality each of them comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sentry_proto.layout import MODALITIES, MODALITY_INDEX, SECOND_FEATURES

STATISTICS = ("mean", "spread", "trend", "level")
"""What pooling makes of each feature; see `training.pooling`."""


@dataclass(frozen=True)
class FeatureSpace:
    """F named features of M modalities, and the D = 4 F + M columns that pooling makes of them.

    Attributes:
        features: F names.
        modalities: M names.
        modality_of: of each feature, an index into `modalities`.
    """

    features: tuple[str, ...]
    modalities: tuple[str, ...]
    modality_of: tuple[int, ...]

    @cached_property
    def feature_modality(self) -> NDArray[np.int64]:
        """`modality_of` as int64 [F]."""
        return np.array(self.modality_of, np.int64)

    @cached_property
    def pooled_names(self) -> tuple[str, ...]:
        """D names, as `slouch_mean.trend` and `pose.coverage`."""
        return (
            *(f"{feature}.{statistic}" for statistic in STATISTICS for feature in self.features),
            *(f"{modality}.coverage" for modality in self.modalities),
        )

    @cached_property
    def column_modality(self) -> NDArray[np.int64]:
        """The modality of each pooled column, int64 [D]."""
        return np.concatenate([np.tile(self.feature_modality, len(STATISTICS)), np.arange(len(self.modalities))])

    @cached_property
    def is_coverage(self) -> NDArray[np.bool_]:
        """Which pooled columns are coverages, bool [D]."""
        return np.arange(self.n_pooled) >= self.n_pooled - len(self.modalities)

    @property
    def n_pooled(self) -> int:
        """D."""
        return len(STATISTICS) * len(self.features) + len(self.modalities)


SECOND_SPACE = FeatureSpace(
    features=tuple(feature.name for feature in SECOND_FEATURES),
    modalities=tuple(MODALITIES),
    modality_of=tuple(MODALITY_INDEX[feature.modality] for feature in SECOND_FEATURES),
)
"""Sentry's own seconds."""
