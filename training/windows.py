"""Labelled windows of many people's sessions: what the trainers fit and the validation splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.types import Float32
from training.feature_space import FeatureSpace
from training.pooling import pool

Rows = NDArray[np.int64]
Names = NDArray[np.str_]

CHUNK = 512
"""Windows that are cut out at once; bounds the memory that pooling takes."""


@dataclass(frozen=True)
class WindowSet:
    """N windows of T consecutive seconds, cut from S stored seconds. Overlapping windows share their seconds.

    Attributes:
        space: names the F features and M modalities.
        values: float32 [S, F], raw; may be a memory map. Whatever it is where nothing was seen, coverage says so.
        coverage: float32 [S, M] in 0..1.
        ends: int64 [N]; window i holds the seconds `ends[i] - length` to `ends[i]`, the last one excluded.
        length: T.
        baselines: float32 [N, 2, F], centre and scale of each person as known before the window.
        people: str [N], participants; no split may put one on both sides.
        sessions: str [N].
        blocks: str [N], windows that share a condition of a session and must not be split.
        elapsed: float64 [N], seconds from the start of the person's session to the window's start.
        allowed: task name -> bool [N, C], the classes that the label leaves possible; all of them if there is none.
        scales: name -> float64 [N], ratings on a continuous scale; NaN if there is none.
    """

    space: FeatureSpace
    values: Float32
    coverage: Float32
    ends: Rows
    length: int
    baselines: Float32
    people: Names
    sessions: Names
    blocks: Names
    elapsed: NDArray[np.float64]
    allowed: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    scales: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, seconds = len(self.ends), len(self.values)
        features, modalities = len(self.space.features), len(self.space.modalities)
        per_window = (self.baselines, self.people, self.sessions, self.blocks, self.elapsed)
        labels = (*self.allowed.values(), *self.scales.values())
        if (
            self.values.shape != (seconds, features)
            or self.coverage.shape != (seconds, modalities)
            or self.baselines.shape[1:] != (2, features)
            or any(len(column) != count for column in (*per_window, *labels))
        ):
            raise ValueError(f"{count} windows of {seconds} seconds and {features} features do not fit together")
        if count and not self.length <= self.ends.min() <= self.ends.max() <= seconds:
            raise ValueError("a window reaches beyond the seconds")

    def __len__(self) -> int:
        return len(self.ends)

    def labelled(self, task: str) -> Rows:
        """The windows whose label rules out a class of the task."""
        return np.flatnonzero(~self.allowed[task].all(1))

    def batch(self, rows: Rows) -> tuple[Float32, Float32, Float32]:
        """Values [n, T, F], coverage [n, T, M] and baselines [n, 2, F] of some windows."""
        seconds = self.ends[rows, None] - self.length + np.arange(self.length)
        return self.values[seconds], self.coverage[seconds], self.baselines[rows]

    def pooled(self, rows: Rows | None = None) -> Float32:
        """Statistics pooling of some windows (all if None), float32 [n, D]; all are pooled once, and kept."""
        return self._statistics if rows is None else self._statistics[rows]

    @cached_property
    def _statistics(self) -> Float32:
        result = np.zeros((len(self), self.space.n_pooled), np.float32)
        every = np.arange(len(self))
        for first in range(0, len(self), CHUNK):
            result[first : first + CHUNK] = pool(*self.batch(every[first : first + CHUNK]), self.space)
        return result

    def relabelled(self, task: str, allowed: NDArray[np.bool_]) -> WindowSet:
        """The same windows with other labels of a task, bool [N, C]; they share what was pooled."""
        result = replace(self, allowed={**self.allowed, task: allowed})
        vars(result)["_statistics"] = self._statistics
        return result

    def take(self, rows: Rows) -> WindowSet:
        """Some of the windows; the seconds stay shared."""
        chosen: dict[str, Any] = {
            name: getattr(self, name)[rows] for name in ("ends", "baselines", "people", "sessions", "blocks", "elapsed")
        }
        return replace(
            self,
            **chosen,
            allowed={name: labels[rows] for name, labels in self.allowed.items()},
            scales={name: ratings[rows] for name, ratings in self.scales.items()},
        )

    def only(self, *modalities: str) -> WindowSet:
        """The same windows as if the other modalities had never been seen.

        Raises:
            ValueError: if a modality is not in this feature space.
        """
        if unknown := set(modalities) - set(self.space.modalities):
            raise ValueError(
                f"there is no modality {sorted(unknown)[0]!r}; there are {', '.join(self.space.modalities)}"
            )
        kept = np.isin(self.space.modalities, modalities)
        return replace(self, coverage=np.where(kept, self.coverage, np.float32(0)))
