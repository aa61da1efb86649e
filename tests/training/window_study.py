"""Made-up recordings with a known truth, cut into windows of any feature space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import STRESS, Task
from training.feature_space import FeatureSpace
from training.windows import WindowSet

SMALL_SPACE = FeatureSpace(
    features=("brow", "smile", "gaze", "lean", "slouch", "sway", "light"),
    modalities=("face", "pose", "quality"),
    modality_of=(0, 0, 0, 1, 1, 1, 2),
)
MEAN, BURST = "mean", "burst"
"""How a state shows: a shift all the time, or short bursts of `BURST_S` seconds in two features at once, while calm
windows hold the same bursts in one feature or the other, so that mean, spread and trend stay the same."""

BURST_S = 2
STATE_S = 60
BASELINE_S = 60
LENGTH, HOP = 20, 5


def make_windows(
    people: int = 8,
    minutes: int = 8,
    effect: float = 1.5,
    seed: int = 0,
    how: str = MEAN,
    task: Task = STRESS,
    space: FeatureSpace = SMALL_SPACE,
    missing: float = 0.1,
) -> WindowSet:
    """One session of each person, one state a minute, windows of `LENGTH` s every `HOP` s that hold one state only.

    Args:
        people, minutes: how many people and how long each session is.
        effect: size of what the highest state shows, in a person's own standard deviations; 0 for none.
        seed: of everything random.
        how: `MEAN` or `BURST`.
        task: labelled with the state; a scale `<task>_rating` repeats it with noise.
        space: of the features; a shift shows in the first feature of each of the first two modalities, bursts in the
            first two features, which must be of one modality.
        missing: share of the half-minutes in which the camera loses each modality.
    """
    generator = np.random.default_rng(seed)
    seconds, features = minutes * 60, len(space.features)
    parts = [_session(generator, seconds, effect, how, len(task.classes), space, missing) for _ in range(people)]
    values = np.concatenate([part[0] for part in parts]).astype(np.float32)
    coverage = np.concatenate([part[1] for part in parts]).astype(np.float32)
    starts = np.array([s for s in range(BASELINE_S, seconds - LENGTH + 1, HOP) if s % STATE_S <= STATE_S - LENGTH])
    states = np.concatenate([part[2][starts] for part in parts])
    person = np.repeat(np.arange(people), len(starts))
    names = np.array([f"p{seed}-{index:02d}" for index in range(people)])[person]
    elapsed = np.tile(starts, people).astype(np.float64)
    ratings = states + generator.normal(0, 0.3, len(states))
    return WindowSet(
        space=space,
        values=values,
        coverage=coverage,
        ends=(person * seconds + np.tile(starts, people) + LENGTH).astype(np.int64),
        length=LENGTH,
        baselines=np.stack([part[3] for part in parts])[person].astype(np.float32).reshape(-1, 2, features),
        people=names,
        sessions=names,
        blocks=np.char.add(names, (elapsed // STATE_S).astype(int).astype(str)),
        elapsed=elapsed,
        allowed={task.name: np.eye(len(task.classes), dtype=bool)[states]},
        scales={f"{task.name}_rating": ratings},
    )


def _session(
    generator: np.random.Generator,
    seconds: int,
    effect: float,
    how: str,
    classes: int,
    space: FeatureSpace,
    missing: float,
) -> tuple[NDArray[Any], ...]:
    """Values [S, F], coverage [S, M], states [S] and baseline [2, F] of one person."""
    features, modalities = len(space.features), len(space.modalities)
    centre, scale = generator.normal(0, 3, features), generator.uniform(0.5, 2, features)
    minutes = -(-seconds // STATE_S)
    states = generator.permutation(np.arange(minutes) % classes).repeat(STATE_S)[:seconds]
    first, second = (0, space.modality_of.index(1)) if how == MEAN else (0, 1)
    z = generator.normal(0, 1, (seconds, features)) + generator.normal(0, 0.5, (minutes, features)).repeat(STATE_S, 0)
    strength = states / (classes - 1)
    if how == MEAN:
        z[:, [first, second]] += effect * strength[:, None]
    else:
        z += _bursts(generator, strength, effect, first, second, features)
    coverage = generator.uniform(0.5, 1, (seconds, modalities))
    halves = -(-seconds // 30)
    coverage *= (generator.random((halves, modalities)) >= missing).repeat(30, 0)[:seconds]
    values = np.where(coverage[:, space.feature_modality] > 0, centre + scale * z, 0.0)
    return values, coverage, states, np.stack([centre, scale])


def _bursts(
    generator: np.random.Generator, strength: NDArray[Any], effect: float, first: int, second: int, features: int
) -> NDArray[np.float64]:
    """Every ten seconds each of two features bursts once: together with the probability `strength`, else apart."""
    shown = np.zeros((len(strength), features))
    for begin in range(0, len(strength) - 9, 10):
        here = int(generator.integers(0, 3))
        together = generator.random() < strength[begin]
        there = here if together else here + 5
        shown[begin + here : begin + here + BURST_S, first] += effect
        shown[begin + there : begin + there + BURST_S, second] += effect
    return shown
