"""What a validation found: figures with intervals over people, as the command prints and the report draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.calibration import Reliability

DECIDING = {"task": ("auroc_per_person", "auroc", "balanced_accuracy"), "scale": ("ccc", "spearman_per_person")}
"""By which metric ingredients are compared, and one is chosen that may touch the holdout: the first that there is."""


@dataclass(frozen=True)
class Figure:
    """One metric.

    Attributes:
        value: the estimate; NaN if it cannot be told.
        low, high: its 95 % interval over people; NaN with fewer than two of them.
        n: how many people it rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, null for what cannot be told."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: round(x, 6) if math.isfinite(x) else None for name, x in numbers.items()} | {"n": self.n}

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}, n = {self.n})"


@dataclass(frozen=True)
class Ingredient:
    """What went into a model.

    Attributes:
        model: how it learns, as `logistic regression`, or the name of a control.
        features: `face`, `posture` or `both`; `none` for controls that look at no feature.
        baseline: `raw`, `causal`, or `reference` where k minutes of each person's untested blocks are the baseline.
        shots: k, labelled or reference minutes of the new person; 0 without calibration.
        control: whether it is there to show what a score is worth, and no candidate.
    """

    model: str
    features: str = "both"
    baseline: str = "causal"
    shots: int = 0
    control: bool = False

    def __str__(self) -> str:
        if self.control:
            return self.model
        shots = f", {self.shots} minutes of the person" if self.shots else ""
        return f"{self.model}, {self.features}, {self.baseline}{shots}"


@dataclass(frozen=True)
class Result:
    """What one ingredient reached on one task or scale.

    Attributes:
        task: name of the task or scale.
        kind: `task` or `scale`.
        protocol: how people were split, for a reader.
        seeds: how often all was repeated.
        people, windows: how many were tested.
        metrics: name -> figure; see `training.evaluation.people_metrics`.
        per_person: metric name -> person -> value, for the metrics that exist within one person.
        classes: of a task.
        confusion: float64 [C, C], mean windows over the repetitions, rows are labels; None for a scale.
        reliability: how far confidence could be believed, over all repetitions; None for a scale.
    """

    task: str
    kind: str
    ingredient: Ingredient
    protocol: str
    seeds: int
    people: int
    windows: int
    metrics: Mapping[str, Figure]
    per_person: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    confusion: NDArray[np.float64] | None = None
    reliability: Reliability | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "task": self.task,
            "kind": self.kind,
            **asdict(self.ingredient),
            "protocol": self.protocol,
            "seeds": self.seeds,
            "people": self.people,
            "windows": self.windows,
            "metrics": {name: figure.to_json() for name, figure in self.metrics.items()},
            "per_person": {
                name: {person: round(value, 6) for person, value in values.items()}
                for name, values in self.per_person.items()
            },
            "classes": list(self.classes),
            "confusion": None if self.confusion is None else np.round(self.confusion, 2).tolist(),
            "reliability": None if self.reliability is None else _curve(self.reliability),
        }


def deciding_metric(*results: Result) -> str:
    """The metric by which results of one task or scale are compared: the first that can be told of any of them."""
    names = DECIDING[results[0].kind]
    known = (name for name in names if any(math.isfinite(result.metrics[name].value) for result in results))
    return next(known, names[0])


def _curve(reliability: Reliability) -> dict[str, list[float | None]]:
    """By bin; null in an empty one."""
    columns = {"confidence": reliability.confidence, "accuracy": reliability.accuracy, "count": reliability.count}
    return {
        name: [round(x, 6) if math.isfinite(x) else None for x in values.tolist()] for name, values in columns.items()
    }
