"""The stream of windows and labels, watched with River: how the heads do, what has changed, and an online challenger.

Prequential (test, then train: Gama, Sebastiao and Rodrigues 2013, Machine Learning 90(3)), per task, label by label:

    head         what the head that was live had said of the window, against the label; also per person
    challenger   softmax regression, one step of gradient descent per label, on the windows' mean features in units of
                 the person's own spread; it is asked before it is told

Where a label leaves several classes possible, the challenger learns the one of them that it holds most probable.

ADWIN (Bifet and Gavalda 2007) on `FEATURES` and on each head's entropy in audit windows, and on the probability that a
head gave to what the label of an audit window ruled out. Only audit windows: which of the others come depends on the
heads, and would change with every version. A feature drifts either way, entropy and error only upwards. All values lie
in 0..1, as ADWIN's bound asks.

All of it is a fold over windows and labels in the order of their storage, so it can be rebuilt at any time.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from river import drift, linear_model, metrics, optim, preprocessing

from sentry_proto.layout import SECOND_FEATURES
from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from training.feature_space import SECOND_SPACE
from training.pooling import seen_columns

FEATURES = (
    "face.coverage", "brightness_mean.level", "sharpness_mean.level",
    "head_pitch_mean.mean", "eye_aspect_ratio_mean.mean", "movement_energy_mean.mean",
)  # fmt: skip
"""How well the face is seen, in what light and how sharply; posture, eyes and restlessness against the person's own."""

DELTA = 0.002
"""Of each family of detectors; shared evenly among its members (Bonferroni)."""

CLOCK, GRACE = 4, 30
"""A detector looks every so many values, and not before it has seen so many."""

Z_RANGE = 3.0
"""Features in units of the person's spread are cut here."""

LEARNING_RATE = 0.01
RECENT = 200
LEAST_TO_LEAD = 50
LEAD_Z = 1.645
"""One-sided 5 %: the challenger leads if it was right more often than the head on the last `RECENT` labels."""

KEPT_DRIFTS = 50

_MEANS = np.array([number for number, name in enumerate(SECOND_SPACE.pooled_names) if name.endswith(".mean")])
_NAMES = [SECOND_SPACE.pooled_names[number] for number in _MEANS]
_RANGES = {feature.name: (feature.low, feature.high) for feature in SECOND_FEATURES}


@dataclass(frozen=True)
class Drift:
    """Something that was one way and is another.

    Attributes:
        time: Unix seconds at which the window or label came that showed it.
        signal: `feature`, `uncertainty` or `error`, with the feature's name.
        task: whose head it concerns; None for all.
        before, after: mean of the signal since the last drift, and of its newest values; in 0..1.
    """

    time: float
    signal: str
    task: str | None
    before: float
    after: float


class _Detector:
    def __init__(self, members: int, rising_only: bool) -> None:
        self._delta = DELTA / members
        self._rising_only = rising_only
        self._start()

    def _start(self) -> None:
        self._adwin = drift.ADWIN(delta=self._delta, clock=CLOCK, grace_period=GRACE)
        self._newest: deque[float] = deque(maxlen=GRACE)

    def update(self, value: float) -> tuple[float, float] | None:
        """The means before and after a change that this value shows; None if it shows none."""
        value = min(max(value, 0.0), 1.0)
        before = self._adwin.estimation
        self._adwin.update(value)
        self._newest.append(value)
        if not self._adwin.drift_detected:
            return None
        after = sum(self._newest) / len(self._newest)
        self._start()  # what is left of the old state would show the same change again
        return (before, after) if after > before or not self._rising_only else None


@dataclass
class _Watched:
    """One task."""

    task: Task
    uncertainty: _Detector
    error: _Detector
    head: metrics.BalancedAccuracy = field(default_factory=metrics.BalancedAccuracy)
    rival: metrics.BalancedAccuracy = field(default_factory=metrics.BalancedAccuracy)
    people: defaultdict[str, metrics.BalancedAccuracy] = field(
        default_factory=lambda: defaultdict(metrics.BalancedAccuracy)
    )
    model: Any = field(
        default_factory=lambda: (
            preprocessing.StandardScaler() | linear_model.SoftmaxRegression(optim.SGD(LEARNING_RATE))
        )
    )
    leads: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT))
    labels: int = 0

    def learn(self, person: str, allowed: frozenset[str], pooled: Float32, said: Sequence[float] | None) -> None:
        """Test both, then train the challenger."""
        self.labels += 1
        x = dict(zip(_NAMES, pooled[_MEANS].tolist(), strict=True))
        held = self.model.predict_proba_one(x)
        guess = max(self.task.classes, key=lambda name: held.get(name, 0.0))
        if said is not None:
            told = self.task.classes[int(np.argmax(said))]
            for metric, answer in ((self.head, told), (self.rival, guess), (self.people[person], told)):
                metric.update(answer if answer in allowed else _first(self.task, allowed), answer)
            self.leads.append((guess in allowed) - (told in allowed))
        self.model.learn_one(x, max(_ordered(self.task, allowed), key=lambda name: held.get(name, 0.0)))

    def describe(self) -> dict[str, Any]:
        """Balanced accuracies are null while no head has said anything of a labelled window."""
        count = int(self.head.cm.total_weight)
        return {
            "labels": self.labels,
            "compared": count,
            "head": self.head.get() if count else None,
            "challenger": self.rival.get() if count else None,
            "challenger_leads": self.challenger_leads(),
            "people": {
                name: {"compared": int(metric.cm.total_weight), "head": metric.get()}
                for name, metric in sorted(self.people.items())
            },
        }

    def challenger_leads(self) -> bool:
        """Whether the challenger was right more often than the head of late."""
        gains = np.array(self.leads, np.float64)
        if len(gains) < LEAST_TO_LEAD:
            return False
        return bool(gains.mean() > LEAD_Z * gains.std() / math.sqrt(len(gains)))


class StreamWatch:
    """Takes windows and labels in the order of their storage.

    Attributes:
        drifts: the newest ones, oldest first.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._features = {name: _Detector(len(FEATURES), rising_only=False) for name in FEATURES}
        self._tasks = {
            task.name: _Watched(task, _Detector(len(tasks), rising_only=True), _Detector(len(tasks), rising_only=True))
            for task in tasks
        }
        self.drifts: deque[Drift] = deque(maxlen=KEPT_DRIFTS)

    def window(self, time: float, pooled: Float32, predictions: Sequence[Mapping[str, Any]]) -> None:
        """An audit window has come.

        Args:
            time: Unix seconds of its arrival.
            pooled: float32 [D].
            predictions: `task`, `probabilities` and `entropy` of the heads that spoke.
        """
        for name, value in feature_values(pooled).items():
            self._note(time, f"feature {name}", None, self._features[name].update(value))
        for entry in predictions:
            watched = self._tasks.get(entry["task"])
            if watched is not None:
                most = math.log(len(watched.task.classes))
                self._note(time, "uncertainty", entry["task"], watched.uncertainty.update(entry["entropy"] / most))

    def label(
        self,
        time: float,
        task: str,
        person: str,
        value: str,
        pooled: Float32,
        said: Sequence[float] | None,
        audit: bool,
    ) -> None:
        """A label has come.

        Args:
            time: Unix seconds of its arrival.
            task: of the label; an unknown one is passed over.
            person: whose window it is.
            value: what the label says.
            pooled: float32 [D], the window.
            said: the head's probabilities when the window was scored; None if no head spoke.
            audit: whether the window is of the audit stratum.
        """
        watched = self._tasks.get(task)
        if watched is None:
            return
        allowed = watched.task.allowed(value)
        if said is not None and len(said) != len(watched.task.classes):
            said = None  # of an older set of classes
        watched.learn(person, allowed, pooled, said)
        if said is not None and audit:
            ruled_out = sum(p for name, p in zip(watched.task.classes, said, strict=True) if name not in allowed)
            self._note(time, "error", task, watched.error.update(ruled_out))

    def describe(self) -> dict[str, Any]:
        """Plain JSON values: per task the prequential figures, and the newest drifts."""
        return {
            "tasks": {name: watched.describe() for name, watched in self._tasks.items() if watched.labels},
            "drifts": [asdict(found) for found in self.drifts],
        }

    def _note(self, time: float, signal: str, task: str | None, change: tuple[float, float] | None) -> None:
        if change is not None:
            self.drifts.append(Drift(time, signal, task, *change))


def feature_values(pooled: Float32) -> dict[str, float]:
    """`FEATURES` of a window that were seen, each in 0..1."""
    seen = seen_columns(pooled[None], SECOND_SPACE)[0]
    found = {}
    for name in FEATURES:
        column = SECOND_SPACE.pooled_names.index(name)
        if seen[column]:
            found[name] = _scaled(name, float(pooled[column]))
    return found


def _scaled(name: str, value: float) -> float:
    feature, _, statistic = name.rpartition(".")
    if statistic == "coverage":
        return value
    low, high = _RANGES[feature] if statistic == "level" else (-Z_RANGE, Z_RANGE)
    return (value - low) / (high - low)


def _ordered(task: Task, allowed: frozenset[str]) -> list[str]:
    return [name for name in task.classes if name in allowed]


def _first(task: Task, allowed: frozenset[str]) -> str:
    return _ordered(task, allowed)[0]
