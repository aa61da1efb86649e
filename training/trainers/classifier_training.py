"""From labelled windows to state heads that have been judged on people they had not met.

1  One in five people is held out. Nothing below looks at them until the last step.
2  A task that too few people, or people in too few classes, are labelled for abstains.
3  Cross-validation by person on the others: statistics pooling against learned fusion layers, with the face or the
   body hidden, and with and without the people's own baselines (`training.trainers.comparison`).
4  A task whose better way is not shown to beat a constant forecast in the cross-validation abstains: the rule of
   the gate for a first version (`training.evaluation.gate`).
5  The others are trained on all people that were not held out; these are the heads of the bundle.
6  Their figures on the people held out are measured, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from sentry_proto.types import Float32
from training.evaluation.gate import Verdict, judge
from training.evaluation.people_metrics import TaskRound, measure_task
from training.trainers.comparison import (
    BOTH,
    Answers,
    Fit,
    Heads,
    View,
    clusters,
    cross_validate,
    fit_learned,
    fit_statistics,
    gain,
    labelled,
    scores,
    views,
    without_baselines,
)
from training.trainers.fusion_fitting import FusionRecipe
from training.windows import Rows, WindowSet

AUTO, STATISTICS, LEARNED = "auto", "statistics", "learned"
FUSIONS = (AUTO, STATISTICS, LEARNED)

HELD_OUT = 0.2
LEAST_TO_HOLD_OUT = 5
"""With fewer people than this, none is held out and there is no final figure."""

LEAST_PEOPLE, LEAST_PEOPLE_A_CLASS = 3, 2
"""With labels of a task, and with labels of at least two of its classes."""


@dataclass(frozen=True)
class Settings:
    """What a training run can be told.

    Attributes:
        fusion: one of `FUSIONS`.
        seed: of who is held out, the folds, the resampling and the networks.
        baseline: whether windows are seen relative to each person's own baseline.
        members: of the final ensembles on statistics pooling.
        recipe: of learned fusion layers.
    """

    fusion: str = AUTO
    seed: int = 0
    baseline: bool = True
    members: int = 8
    recipe: FusionRecipe = field(default_factory=FusionRecipe)


@dataclass(frozen=True)
class Trained:
    """What came out.

    Attributes:
        heads: task name -> head, of the tasks that are live.
        abstaining: task name -> why it is not live.
        metrics: task name -> plain values for the bundle.
        report: plain values for people: who was held out, and for each task all that was compared.
        population: the centre and scale [2, F] that stand in for people's baselines; None where these are used.
    """

    heads: Heads
    abstaining: Mapping[str, str]
    metrics: Mapping[str, Mapping[str, Any]]
    report: Mapping[str, Any]
    population: Float32 | None


def train(windows: WindowSet, tasks: Sequence[Task], settings: Settings) -> Trained:
    """Train and judge heads for all tasks that there are labels for.

    Raises:
        InputError: if the labelled windows are of one person, or no task can be trained; says why.
    """
    rows = _usable_rows(windows, tasks)
    held_out = _held_out(windows, rows, settings.seed)
    training = rows[~np.isin(windows.people[rows], held_out)]
    reasons = {task.name: _missing(windows, task, training) for task in tasks}
    ready = [task for task in tasks if not reasons[task.name]]
    if not ready:
        raise InputError("no task can be trained: " + "; ".join(f"{name}: {why}" for name, why in reasons.items()))
    raw, population = without_baselines(windows, training)
    study = _Study(windows if settings.baseline else raw, raw, ready, training, settings)
    compared = study.compare()
    heads = study.final({name for name, found in compared.items() if found.verdict.passed}, compared)
    final = _on_held_out(study.shown[BOTH], heads, rows[np.isin(windows.people[rows], held_out)], settings.seed)
    reasons |= {name: found.verdict.reason for name, found in compared.items() if not found.verdict.passed}
    abstaining = {name: why for name, why in reasons.items() if why}
    report = {
        "people": len(np.unique(windows.people[rows])),
        "held_out": held_out,
        "windows": len(rows),
        "tasks": {
            task.name: {"live": task.name in heads, "reason": abstaining.get(task.name)}
            | (compared[task.name].report if task.name in compared else {})
            | {"held_out": final.get(task.name)}
            for task in tasks
        },
    }
    metrics = {
        name: compared[name].verdict.metrics | {"fusion": compared[name].way, "held_out": final.get(name)}
        for name in heads
    }
    return Trained(heads, abstaining, metrics, report, None if settings.baseline else population)


@dataclass(frozen=True)
class _Compared:
    """What the cross-validation found for one task: which way is better, and whether it beats a constant."""

    way: str
    verdict: Verdict
    report: dict[str, Any]


class _Study:
    """The people to learn from, and the ways to do so."""

    def __init__(
        self, windows: WindowSet, raw: WindowSet, tasks: Sequence[Task], rows: Rows, settings: Settings
    ) -> None:
        self.shown = views(windows)
        self._raw, self._tasks, self._rows, self._settings = raw, tasks, rows, settings

    def compare(self) -> dict[str, _Compared]:
        """Cross-validate every way."""
        seed, whole = self._settings.seed, self.shown[BOTH]
        ways: dict[str, Fit] = {STATISTICS: lambda rows: fit_statistics(whole, self._tasks, rows, seed)}
        if self._settings.fusion != STATISTICS:
            recipe = self._settings.recipe
            half = replace(recipe, members=max(recipe.members // 2, 1))  # as those on statistics pooling: it saves time
            ways[LEARNED] = lambda rows: fit_learned(whole, self._tasks, rows, seed, half)
        said = {way: cross_validate(fit, self.shown, self._rows, seed) for way, fit in ways.items()}
        without: Answers = {}
        if self._settings.baseline:
            raw = View(self._raw)
            blind = cross_validate(
                lambda rows: fit_statistics(raw, self._tasks, rows, seed), {BOTH: raw}, self._rows, seed
            )
            without = blind[BOTH]
        return {task.name: self._judge(task, said, without) for task in self._tasks}

    def final(self, names: set[str], compared: Mapping[str, _Compared]) -> Heads:
        """The heads of these tasks, each trained its better way on all people that are not held out."""
        seed, whole = self._settings.seed, self.shown[BOTH]
        linear = [task for task in self._tasks if task.name in names and compared[task.name].way == STATISTICS]
        heads = dict(fit_statistics(whole, linear, self._rows, seed, self._settings.members))
        if names - heads.keys():
            joint = fit_learned(whole, self._tasks, self._rows, seed, self._settings.recipe)
            heads |= {name: joint[name] for name in names - heads.keys()}
        return {task.name: heads[task.name] for task in self._tasks if task.name in heads}

    def _judge(self, task: Task, said: Mapping[str, Mapping[str, Answers]], without: Answers) -> _Compared:
        windows, rows, seed = self.shown[BOTH].windows, self._rows, self._settings.seed
        told = labelled(windows, task, rows)
        report: dict[str, Any] = {
            "windows": len(told),
            "people": len(np.unique(windows.people[told])),
            "cross_validation": {
                way: {view: scores(windows, task, rows, answers) for view, answers in by_view.items()}
                for way, by_view in said.items()
            },
        }
        way = STATISTICS if self._settings.fusion == AUTO else self._settings.fusion
        if LEARNED in said:
            learned = gain(windows, task, rows, said[LEARNED][BOTH], said[STATISTICS][BOTH], seed)
            report["gain_of_learned_fusion"] = learned.to_json()
            if self._settings.fusion == AUTO and learned.shown:
                way = LEARNED
        if without:
            baseline = gain(windows, task, rows, said[STATISTICS][BOTH], without, seed)
            report["gain_of_baseline"] = baseline.to_json()
        allowed = windows.allowed[task.name][rows]
        parts = allowed[~allowed.all(1)] / allowed[~allowed.all(1)].sum(1, keepdims=True)
        verdict = judge(task, allowed, said[way][BOTH][task.name], None, parts.mean(0), clusters(windows, rows), seed)
        return _Compared(way, verdict, report | {"fusion": way, "gate": verdict.metrics})


def _usable_rows(windows: WindowSet, tasks: Sequence[Task]) -> Rows:
    """The windows with a label in which something was seen, of at least two people."""
    known = np.zeros(len(windows), bool)
    for task in tasks:
        known[windows.labelled(task.name)] = True
    rows = np.flatnonzero(known)
    if not len(rows):
        raise InputError(f"none of the {len(windows)} windows has a label of {', '.join(task.name for task in tasks)}")
    modalities = len(windows.space.modalities)
    rows = rows[(windows.pooled(rows)[:, -modalities:] > 0).any(1)]
    people = np.unique(windows.people[rows])
    if not len(rows):
        raise InputError("in none of the labelled windows was a face, a body or anything else seen")
    if len(people) == 1:
        raise InputError(
            f"all labelled windows are of one person, {people[0]}; heads are judged on people whom they have not met, "
            f"so at least {LEAST_PEOPLE} people are needed"
        )
    return rows


def _held_out(windows: WindowSet, rows: Rows, seed: int) -> list[str]:
    """The people held out, in order."""
    people = np.unique(windows.people[rows])
    if len(people) < LEAST_TO_HOLD_OUT:
        return []
    chosen = np.random.default_rng((seed, 20)).permutation(people)[: round(HELD_OUT * len(people))]
    return sorted(chosen.tolist())


def _missing(windows: WindowSet, task: Task, rows: Rows) -> str:
    """What a task lacks, in words; empty if it can be trained."""
    told = labelled(windows, task, rows)
    people, allowed = windows.people[told], windows.allowed[task.name][told]
    count = len(np.unique(people))
    if count < LEAST_PEOPLE:
        return f"labels of at least {LEAST_PEOPLE} people are needed, there are {count} (without those held out)"
    exact = allowed.sum(1) == 1
    common = [
        name
        for index, name in enumerate(task.classes)
        if len(np.unique(people[exact & allowed[:, index]])) >= LEAST_PEOPLE_A_CLASS
    ]
    verdicts = len(np.unique(allowed[~exact], axis=0))
    if len(common) + verdicts < 2:
        found = f"only {common[0]!r}" if common else "none"
        return f"labels of two classes or more, each of {LEAST_PEOPLE_A_CLASS} people, are needed; there is {found}"
    return ""


def _on_held_out(view: View, heads: Heads, rows: Rows, seed: int) -> dict[str, Any]:
    """Task -> the figures of its head, for those with labels of people held out, with intervals over people."""
    result = {}
    for name, head in heads.items():
        told = labelled(view.windows, head.task, rows)
        if not len(told):
            continue
        answers = view.answers({name: head}, told)[name]
        tested = TaskRound(view.windows.people[told], answers.astype(np.float64), view.windows.allowed[name][told])
        figures = measure_task(head.task, [tested], seed=seed).figures
        result[name] = {
            "windows": len(told),
            "people": len(np.unique(tested.people)),
            **{key: figure.to_json() for key, figure in figures.items()},
        }
    return result
