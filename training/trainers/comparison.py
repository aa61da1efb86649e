"""What one set of people says about ways to train, each judged on people it has not learned from.

Two ways are compared for every task: the linear heads on statistics pooling, and learned fusion layers trained jointly
for all tasks. Learned layers replace statistics pooling for a task only where the 95 % interval over people of their
improvement (class-balanced Brier score, paired by window) lies above 0. Both are judged on whole windows, and with the
body or the face hidden; statistics pooling also without the people's own baselines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from training.evaluation.gate import LEAST_PEOPLE, cluster_ids, figures, improvement
from training.trainers.fusion_fitting import FusionHead, FusionRecipe, fit_fusion, fused_vectors
from training.trainers.fusion_network import FusionNetwork
from training.trainers.state_heads import TaskHead, fit_head
from training.windows import Names, Rows, WindowSet

FACE, POSTURE = ("face", "emotion"), ("pose", "hands")
"""The modalities that are lost with the face, and with the body."""

BOTH, FACE_ONLY, POSTURE_ONLY = "both", "face only", "posture only"
FOLDS = 5
LEVEL = 0.95
MEMBERS = 4
"""Of the ensembles that are compared; the final one may be larger."""

HIDE_EVERY = 3
"""Statistics pooling also learns from every so many-th window with the body hidden, and with the face hidden: a linear
head that has always seen both is sure of the middle class of an ordinal task as soon as one of them is lost."""

Heads = Mapping[str, TaskHead | FusionHead]
Answers = dict[str, NDArray[np.floating[Any]]]
Fit = Callable[[Rows], Heads]


@dataclass(frozen=True)
class View:
    """Windows, or what is left of them, with their statistics once computed."""

    windows: WindowSet

    @cached_property
    def pooled(self) -> Float32:
        """Statistics pooling of all windows, float32 [N, D]."""
        return self.windows.pooled()

    @cached_property
    def halves(self) -> tuple[View, ...]:
        """With the body hidden and with the face hidden, where the features have both; else none."""
        have = set(self.windows.space.modalities)
        if not (have & set(FACE) and have & set(POSTURE)):
            return ()
        return tuple(View(self.windows.only(*have - set(lost))) for lost in (POSTURE, FACE))

    def answers(self, heads: Heads, rows: Rows) -> Answers:
        """Class probabilities [n, C] of each task for some windows."""
        vectors: dict[FusionNetwork, Float32] = {}
        result: Answers = {}
        for name, head in heads.items():
            if isinstance(head, TaskHead):
                result[name] = head.predict(self.pooled[rows]).mean
                continue
            if head.network not in vectors:
                vectors[head.network] = fused_vectors(head.network, self.windows, rows)
            result[name] = head.predict(vectors[head.network]).mean
        return result


def views(windows: WindowSet) -> dict[str, View]:
    """The windows whole, and where the features have both, with the body hidden and with the face hidden."""
    whole = View(windows)
    return {BOTH: whole} | dict(zip((FACE_ONLY, POSTURE_ONLY), whole.halves, strict=False))


def without_baselines(windows: WindowSet, rows: Rows) -> tuple[WindowSet, Float32]:
    """The windows as if nothing were known of each person, and the centre and scale [2, F] that stand in.

    These are the mean and standard deviation over the people of `rows`: between them, and within them.
    """
    centres, scales = windows.baselines[rows, 0].astype(np.float64), windows.baselines[rows, 1].astype(np.float64)
    spread = np.sqrt(np.square(scales).mean(0) + centres.var(0))
    population = np.stack([centres.mean(0), spread]).astype(np.float32)
    everyone = np.broadcast_to(population, windows.baselines.shape)
    return replace(windows, baselines=everyone), population


def fit_statistics(view: View, tasks: Sequence[Task], rows: Rows, seed: int, members: int = MEMBERS) -> Heads:
    """One linear head on statistics pooling for each task that some of `rows` are labelled for."""
    heads = {}
    for task in tasks:
        chosen = labelled(view.windows, task, rows)
        if not len(chosen):
            continue
        seen = [(view, chosen), *((half, chosen[first::HIDE_EVERY]) for first, half in enumerate(view.halves))]
        every = np.concatenate([some for _, some in seen])
        heads[task.name] = fit_head(
            task,
            np.concatenate([shown.pooled[some] for shown, some in seen]),
            view.windows.allowed[task.name][every],
            np.full(len(every), len(chosen) / len(every)),  # no label counts more than once in all
            view.windows.people[every].tolist(),
            members=members,
            seed=seed,
            space=view.windows.space,
            ordered=True,
        )
    return heads


def fit_learned(view: View, tasks: Sequence[Task], rows: Rows, seed: int, recipe: FusionRecipe | None = None) -> Heads:
    """Learned fusion layers with one head for each task that some of `rows` are labelled for, trained jointly."""
    known = [task for task in tasks if len(labelled(view.windows, task, rows))]
    return fit_fusion(view.windows, rows, known, seed, recipe=recipe).heads


def labelled(windows: WindowSet, task: Task, rows: Rows) -> Rows:
    """Those of `rows` whose label rules out a class."""
    return rows[~windows.allowed[task.name][rows].all(1)]


def people_folds(people: Names, seed: int, folds: int = FOLDS) -> list[NDArray[np.bool_]]:
    """For each fold, which windows are of its people; every person is in one fold, and no fold is empty."""
    names = np.random.default_rng(seed).permutation(np.unique(people))
    parts = np.array_split(names, min(folds, len(names)))
    return [np.isin(people, part) for part in parts]


def cross_validate(fit: Fit, shown: Mapping[str, View], rows: Rows, seed: int) -> dict[str, Answers]:
    """What models that have not met a person say about that person's windows.

    Args:
        fit: called with the windows to learn from.
        shown: the views that the models answer for.
        rows: windows of at least two people.
        seed: of the folds.

    Returns:
        View -> task -> float64 [n, C], in the order of `rows`; even shares where the people to learn from had no label.
    """
    people = next(iter(shown.values())).windows.people[rows]
    result: dict[str, Answers] = {name: {} for name in shown}
    for tested in people_folds(people, seed):
        heads = fit(rows[~tested])
        for name, view in shown.items():
            for task, answer in view.answers(heads, rows[tested]).items():
                said = result[name].setdefault(task, np.full((len(rows), answer.shape[1]), 1 / answer.shape[1]))
                said[tested] = answer
    return result


@dataclass(frozen=True)
class Gain:
    """How much lower one way's class-balanced Brier score is than another's, with its interval over people."""

    improvement: float
    low: float
    high: float
    people: int

    @property
    def shown(self) -> bool:
        """Whether the interval lies above 0, over people enough for an interval."""
        return self.people >= LEAST_PEOPLE and self.low > 0

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"improvement": self.improvement, "interval": [self.low, self.high], "people": self.people}


def gain(windows: WindowSet, task: Task, rows: Rows, better: Answers, other: Answers, seed: int) -> Gain:
    """What `better` improves on `other`, both for the windows `rows`; resamples people, or minutes of few people."""
    told = ~windows.allowed[task.name][rows].all(1)
    chosen = rows[told]
    estimate, low, high = improvement(
        windows.allowed[task.name][chosen],
        better[task.name][told],
        other[task.name][told],
        clusters(windows, chosen),
        seed,
        LEVEL,
    )
    return Gain(estimate, low, high, len(np.unique(windows.people[chosen])))


def clusters(windows: WindowSet, rows: Rows) -> list[str]:
    """The cluster of each window: its person, or the minute of its session where people are few."""
    return cluster_ids(windows.people[rows].tolist(), windows.sessions[rows].tolist(), windows.elapsed[rows].tolist())


def scores(windows: WindowSet, task: Task, rows: Rows, answers: Answers) -> dict[str, float]:
    """Class-balanced accuracy and Brier score and the calibration error, of the labelled among `rows`."""
    told = ~windows.allowed[task.name][rows].all(1)
    return figures(windows.allowed[task.name][rows[told]], answers[task.name][told])
