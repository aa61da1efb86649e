"""Made-up minutes of people in blocks with a condition each: one window a minute, one second a window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.feature_space import FeatureSpace
from training.windows import WindowSet

SPACE = FeatureSpace(("brow", "smile", "lean", "slouch"), ("face", "posture"), (0, 0, 1, 1))
CLASSES = ("low", "high")


def make_minutes(
    people: int = 8,
    conditions: Sequence[str] = CLASSES,
    minutes: int = 10,
    effect: float = 1.0,
    person: float = 0.0,
    seed: int = 0,
) -> WindowSet:
    """Windows with a task `state` and a scale `rating`.

    Args:
        people: named p0, p1, ...
        conditions: of each person's blocks in order, `low`, `high` or empty for a block without a label; of every other
            person in reverse order.
        minutes: in a block.
        effect: how much higher the features are under `high`, in standard deviations of a minute.
        person: spread between people of what is their own all day.
        seed: of everything random.
    """
    generator = np.random.default_rng(seed)
    per_person = len(conditions) * minutes
    order = [list(conditions) if number % 2 == 0 else list(conditions)[::-1] for number in range(people)]
    condition = np.array(order).repeat(minutes)
    names = np.repeat([f"p{number}" for number in range(people)], per_person)
    block = np.tile(np.arange(len(conditions)).repeat(minutes), people)
    own = generator.normal(0, person, (people, 4)).repeat(per_person, 0) if person else 0.0
    values = generator.normal(0, 1, (len(names), 4)) + own + effect * (condition == "high")[:, None]
    allowed = np.stack([(condition == name) | (condition == "") for name in CLASSES], 1)
    ratings = np.where(condition == "", np.nan, np.where(condition == "high", 7.0, 3.0))
    return WindowSet(
        space=SPACE,
        values=values.astype(np.float32),
        coverage=np.ones((len(names), 2), np.float32),
        ends=np.arange(1, len(names) + 1, dtype=np.int64),
        length=1,
        baselines=np.tile(np.stack([np.zeros(4), np.ones(4)]).astype(np.float32), (len(names), 1, 1)),
        people=names,
        sessions=names,
        blocks=np.char.add(np.char.add(names, "/"), block.astype(str)),
        elapsed=np.tile(np.arange(0.0, 60.0 * per_person, 60.0), people),
        allowed={"state": allowed},
        scales={"rating": ratings + (generator.normal(0, 1, people * len(conditions)).repeat(minutes))},
    )
