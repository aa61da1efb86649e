"""A simulated study whose truth is known: what a pipeline should find in it, and what it should not.

Seconds of a feature space, in units of each person's own spread: value = centre + scale * z, where z has noise of every
second, a mood of every window, a drift over the session and, in the affected features, `effect` under the second class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from training.feature_space import SECOND_SPACE, FeatureSpace
from training.windows import WindowSet

TASK = Task("state", "binary", ("low", "high"))
ORDERS = ("counterbalanced", "confounded")
PRIOR_WINDOWS = 2.0
"""Windows' worth of the middle of all people that each baseline begins with."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedStudy:
    """What is put in.

    Attributes:
        people, blocks, windows: people, blocks of each, windows of each block.
        length: seconds of a window; windows do not overlap.
        effect: of the second class, in standard deviations of a second; 0 for none.
        affected: how many features, the first ones, have the effect.
        mood: standard deviation of what a whole window has in common.
        person: spread of the people's centres.
        drift: by how much each feature moves over the session, as a standard deviation over people and features.
        missing: probability that a modality is not seen in a window; a tenth of it that nothing is.
        order: `counterbalanced`, where every other person begins with the other class, or `confounded`, where the first
            half of the blocks has the first class for all.
        space: of the features.
    """

    people: int = 16
    blocks: int = 4
    windows: int = 6
    length: int = 10
    effect: float = 0.0
    affected: int = 1
    mood: float = 0.5
    person: float = 2.0
    drift: float = 0.3
    missing: float = 0.1
    order: str = "counterbalanced"
    space: FeatureSpace = SECOND_SPACE

    def best_auroc(self) -> float:
        """The AUROC of the ideal observer who sees all and knows each person's centre and drift.

        Two normal distributions whose means lie d standard deviations apart: Phi(d / sqrt(2)) (Green and Swets 1966).
        """
        deviation = math.sqrt(self.mood**2 + 1 / self.length)
        distance = self.effect * math.sqrt(self.affected) / deviation
        return (1 + math.erf(distance / 2)) / 2

    def draw(self, seed: int) -> WindowSet:
        """Windows with the labels of `TASK`; the same seed gives the same study.

        Raises:
            InputError: the order is unknown, or the features or blocks are too few.
        """
        if self.order not in ORDERS:
            raise InputError(f"there is no order {self.order!r}; there are {', '.join(ORDERS)}")
        if self.affected > len(self.space.features) or self.blocks < 2 or self.blocks % 2:
            raise InputError("a simulated study needs an even number of blocks, and the features that it affects")
        generator = np.random.default_rng(seed)
        labels = np.stack([self._labels(number) for number in range(self.people)])
        coverage = self._coverage(generator)
        values = self._values(generator, labels)
        return self._windows(labels, values, coverage)

    def _labels(self, person: int) -> NDArray[np.int64]:
        """Class of each window of a person, int64 [windows of a person]."""
        block = np.arange(self.blocks)
        counterbalanced = self.order == "counterbalanced"
        classes = (block + person) % 2 if counterbalanced else (block >= self.blocks // 2).astype(np.int64)
        return classes.repeat(self.windows)

    def _values(self, generator: np.random.Generator, labels: NDArray[np.int64]) -> Floats:
        """Raw seconds, float64 [people, windows of a person, length, F]."""
        people, count = labels.shape
        features = len(self.space.features)
        z = generator.normal(size=(people, count, self.length, features))
        z += generator.normal(0, self.mood, (people, count, 1, features))
        z += generator.normal(0, self.drift, (people, 1, 1, features)) * np.linspace(0, 1, count)[:, None, None]
        z[..., : self.affected] += self.effect * labels[:, :, None, None]
        centre = generator.normal(0, self.person, (people, 1, 1, features))
        return centre + generator.uniform(0.5, 2, (people, 1, 1, features)) * z

    def _coverage(self, generator: np.random.Generator) -> Floats:
        """Coverage, float64 [people, windows of a person, length, M]."""
        shape = (self.people, self.blocks * self.windows, 1)
        modalities = len(self.space.modalities)
        seen = generator.random((*shape, modalities)) >= self.missing
        seen &= generator.random((*shape, 1)) >= self.missing / 10
        return seen * generator.uniform(0.5, 1, (*shape[:2], self.length, modalities))

    def _windows(self, labels: NDArray[np.int64], values: Floats, coverage: Floats) -> WindowSet:
        people, count = labels.shape
        names = np.array([f"p{number:03d}" for number in range(people)]).repeat(count)
        block = np.tile(np.arange(self.blocks).repeat(self.windows), people)
        baselines = _causal_baselines(values, coverage[..., self.space.feature_modality] > 0)
        return WindowSet(
            space=self.space,
            values=values.reshape(-1, values.shape[-1]).astype(np.float32),
            coverage=coverage.reshape(-1, coverage.shape[-1]).astype(np.float32),
            ends=np.arange(1, people * count + 1, dtype=np.int64) * self.length,
            length=self.length,
            baselines=baselines.reshape(-1, *baselines.shape[2:]).astype(np.float32),
            people=names,
            sessions=names,
            blocks=np.char.add(np.char.add(names, "/"), block.astype(str)),
            elapsed=np.tile(np.arange(count) * float(self.length), people),
            allowed={TASK.name: np.eye(2, dtype=np.bool_)[labels.ravel()]},
        )


def _causal_baselines(values: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Mean and spread of each person's earlier seconds, float64 [people, windows, 2, F]."""
    middle, width = values[seen].mean(), values[seen].std()
    prior = PRIOR_WINDOWS * values.shape[2]
    known = np.where(seen, values, 0.0)
    count, total, squares = (
        np.cumsum(part.sum(2), axis=1) - part.sum(2) for part in (seen.astype(np.float64), known, known**2)
    )
    weight = count + prior
    centre = (total + prior * middle) / weight
    variance = (squares + prior * (width**2 + middle**2)) / weight - centre**2
    return np.stack([centre, np.sqrt(np.maximum(variance, 1e-6))], axis=2)
