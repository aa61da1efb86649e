"""Made-up studies with a known truth: people who differ, states that show a little, cameras that miss things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.layout import N_MODALITIES, N_SECOND, SECOND_FEATURES
from sentry_proto.types import Float32
from training.feature_space import SECOND_SPACE
from training.pooling import pool

LOW = np.array([feature.low for feature in SECOND_FEATURES])
SPAN = np.array([feature.high for feature in SECOND_FEATURES]) - LOW
TELLING = 15
"""Features in which a state shows."""

HOP_S = 5.0
EPISODE = 5
"""Windows in a row that share a state."""


@dataclass(frozen=True)
class Study:
    """N windows of several people.

    Attributes:
        values, coverage, baseline: float32 [N, T, F], [N, T, M], [N, 2, F].
        states: int [N], the true class.
        participants: of each window.
        starts: Unix seconds.
        classes: how many states there are.
    """

    values: Float32
    coverage: Float32
    baseline: Float32
    states: NDArray[np.int64]
    participants: list[str]
    starts: list[float]
    classes: int

    @property
    def pooled(self) -> Float32:
        return pool(self.values, self.coverage, self.baseline)

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Exact labels, bool [N, C]."""
        return np.asarray(np.eye(self.classes, dtype=bool)[self.states])


def make_study(
    people: int = 8,
    windows: int = 40,
    classes: int = 3,
    effect: float = 1.0,
    seed: int = 0,
    seconds: int = 30,
    prefix: str = "p",
) -> Study:
    """Draw `windows` windows of each of `people` people; all studies share how a state shows.

    Args:
        people, windows: how many, and how many of each.
        classes: states, of rising strength.
        effect: how strongly the highest state shows, in units of a person's own scale; 0 for not at all.
        seed: of the people and their windows.
        seconds: per window.
        prefix: of the participants' names.
    """
    generator = np.random.default_rng(seed)
    direction = _direction()
    parts = [_person(generator, windows, classes, effect * direction, seconds) for _ in range(people)]
    values, coverage, baseline, states = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Study(
        values=values.astype(np.float32),
        coverage=coverage.astype(np.float32),
        baseline=baseline.astype(np.float32),
        states=states.astype(np.int64),
        participants=[f"{prefix}{seed}-{person}" for person in range(people) for _ in range(windows)],
        starts=[1_700_000_000 + HOP_S * window for _ in range(people) for window in range(windows)],
        classes=classes,
    )


def _direction() -> NDArray[np.float64]:
    """How far a state moves each feature; the same in every study."""
    generator = np.random.default_rng(12345)
    direction = np.zeros(N_SECOND)
    direction[generator.choice(N_SECOND, TELLING, replace=False)] = generator.choice([-1.0, 1.0], TELLING)
    return direction


def _person(
    generator: np.random.Generator, windows: int, classes: int, shown: NDArray[np.float64], seconds: int
) -> tuple[NDArray[Any], ...]:
    """One person's windows: own centre, own scale, own way of showing a state, and a camera that misses modalities."""
    centre = LOW + SPAN * generator.uniform(0.35, 0.65, N_SECOND)
    scale = SPAN * generator.uniform(0.02, 0.08, N_SECOND)
    episodes = generator.integers(0, classes, -(-windows // EPISODE))
    states = np.repeat(episodes, EPISODE)[:windows]
    mood = generator.normal(0, 0.7, (windows, 1, N_SECOND))
    noise = generator.normal(0, 0.7, (windows, seconds, N_SECOND))
    response = shown * generator.uniform(0.4, 1.6, N_SECOND)
    z = mood + noise + (states / (classes - 1))[:, None, None] * response
    coverage = generator.uniform(0.5, 1, (windows, seconds, N_MODALITIES))
    coverage *= generator.random((windows, 1, N_MODALITIES)) > 0.1
    coverage *= generator.random((windows, seconds, N_MODALITIES)) > 0.05
    values = np.clip(centre + scale * z, LOW, LOW + SPAN) * (coverage[:, :, SECOND_SPACE.feature_modality] > 0)
    learned = np.stack([centre + 0.3 * scale * generator.normal(size=N_SECOND), scale])
    return values, coverage, np.repeat(learned[None], windows, 0), states
