"""What the validation asks of a model: fit on some windows, then answer for others.

Estimators are pickled into the processes that run the folds, so they are plain dataclasses without open resources.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import Task
from training.windows import Rows, WindowSet


class Predictor(Protocol):
    """A fitted model of one task or scale."""

    def __call__(self, windows: WindowSet, rows: Rows) -> NDArray[np.floating[Any]]:
        """Class probabilities [n, C] of a task, or ratings [n] of a scale."""


class Classifier(Protocol):
    """How to learn a task."""

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        """Fit on the labelled windows among `rows`; must look at no other row."""


class Regressor(Protocol):
    """How to learn a rating scale."""

    def fit(self, windows: WindowSet, scale: str, rows: Rows, seed: int) -> Predictor:
        """Fit on the rated windows among `rows`; must look at no other row."""
