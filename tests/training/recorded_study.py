"""Made-up sessions on the disk in which a state shows, for the trainers' command lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perception.fusion import Second
from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.tasks import STRESS
from sentry_proto.types import CameraState
from tests.training.session_trees import BEGIN, LOW, SPAN, label, write_session

TELLING = 12
"""Features in which the state shows."""


def write_study(
    root: Path,
    people: int = 6,
    minutes: int = 6,
    effect: float = 2.0,
    seed: int = 0,
    focus: bool = False,
    broken: bool = False,
) -> None:
    """One session of each person with one label of stress a minute.

    Args:
        root: of the tree.
        people, minutes: how many.
        focus: whether each minute has a label of focus too, which falls as stress rises.
        broken: whether no feature is a number.
        effect: how far the highest state moves the telling features, in a person's own standard deviations.
        seed: of everything random.
    """
    generator = np.random.default_rng(seed)
    telling = np.random.default_rng(1).choice(N_SECOND, TELLING, replace=False)
    for person in range(people):
        centre, scale = generator.uniform(0.35, 0.65, N_SECOND), generator.uniform(0.02, 0.06, N_SECOND)
        states = generator.permutation(np.arange(minutes) % len(STRESS.classes))
        z = generator.normal(0, 1, (minutes * 60, N_SECOND)) + generator.normal(0, 0.5, (minutes, N_SECOND)).repeat(
            60, 0
        )
        z[:, telling] += effect * states.repeat(60)[:, None] / (len(STRESS.classes) - 1)
        rows = LOW + SPAN * np.clip(centre + scale * z, 0, 1)
        rows = np.full_like(rows, np.nan) if broken else rows
        coverage = np.ones((minutes * 60, N_MODALITIES), np.float32)
        seconds = [
            Second(BEGIN + i, row.astype(np.float32), seen, CameraState.OK, 30)
            for i, (row, seen) in enumerate(zip(rows, coverage, strict=True))
        ]
        labels = [label(60 * i, 60 * i + 60, STRESS.classes[state]) for i, state in enumerate(states)]
        if focus:
            labels += [label(60 * i, 60 * i + 60, str(5 - 2 * int(state)), "focus") for i, state in enumerate(states)]
        write_session(root, f"P{person:02d}", f"s{person}", seconds, labels)
