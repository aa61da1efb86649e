"""Validation on people whom a model has never met.

A `Study` says what is learned, from which windows, by which estimator and under which split; `validate` fits and tests
all folds of all studies, on all cores or on Ray, and measures them. Nothing of a tested person is learned from, except
the calibration minutes of `FewShot`; each fold is checked for that before its model is fitted.

A study looks at the windows in which at least one of its modalities was seen in some second: a model that sees nothing
should abstain, not be scored.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from training.evaluation.calibration import Reliability, reliability
from training.evaluation.estimator import Classifier, Regressor
from training.evaluation.fold_engines import ENGINES, run_jobs
from training.evaluation.people_metrics import (
    BINS,
    Measurement,
    ScaleRound,
    TaskRound,
    confusion_by_person,
    measure_scale,
    measure_task,
)
from training.evaluation.protocols import Fold, Leak, SplitProtocol, check_fold, dependence
from training.evaluation.results import Figure, Ingredient, Result
from training.windows import Rows, WindowSet

__all__ = ["ENGINES", "Figure", "Ingredient", "Leak", "Result", "Study", "seen_windows", "usable_rows", "validate"]

RANKED_WITHIN = {"auroc_per_person", "spearman_per_person"}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """One ingredient on one task or scale.

    Attributes:
        target: a task, or the name of a scale.
        windows: all of them, labelled or not; studies that share them cost no more than one.
        estimator: a `Classifier` for a task, a `Regressor` for a scale.
        protocol: how people are split.
    """

    target: Task | str
    ingredient: Ingredient
    windows: WindowSet
    estimator: Classifier | Regressor
    protocol: SplitProtocol

    @property
    def name(self) -> str:
        """Of the task or scale."""
        return self.target if isinstance(self.target, str) else self.target.name


@dataclass(frozen=True)
class _Job:
    study: int
    seed: int
    fold: Fold


def validate(
    studies: Sequence[Study],
    seeds: int = 1,
    engine: str = "local",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """Fit and test every fold of every study, and measure.

    Args:
        studies: any number of them.
        seeds: how often each is repeated, with other groups of people where the protocol draws them.
        engine: one of `ENGINES`.
        workers: processes of the local engine; None for one per core, 1 for this very process.
        progress: told after each fold how many are done, of how many.

    Returns:
        One result per study, in their order.

    Raises:
        Leak: a protocol puts a person on both sides.
        InputError: there are too few people or classes, or no such engine.
        MissingDependency: Ray is asked for and not installed.
    """
    jobs = [
        _Job(number, seed, fold)
        for number, study in enumerate(studies)
        for seed in range(seeds)
        for fold in _folds(study, seed)
    ]
    for study in studies:
        study.windows.pooled()  # here once, and in no fold or process again
    answers: list[Floats] = [np.zeros(0)] * len(jobs)
    for done, (number, answer) in enumerate(run_jobs(_fit_and_predict, tuple(studies), jobs, engine, workers), 1):
        answers[number] = answer
        if progress:
            progress(done, len(jobs))
    tested: dict[int, list[tuple[_Job, Floats]]] = defaultdict(list)
    for job, answer in zip(jobs, answers, strict=True):
        tested[job.study].append((job, answer))
    return [_result(study, tested[number], seeds) for number, study in enumerate(studies)]


def usable_rows(windows: WindowSet, target: Task | str) -> Rows:
    """The windows that carry a label or rating, and in which a modality was seen.

    Raises:
        InputError: there is none, or all labels are of one class, or all ratings the same.
    """
    if isinstance(target, str):
        rows = np.flatnonzero(~np.isnan(windows.scales[target]) & seen_windows(windows))
        several = len(np.unique(windows.scales[target][rows])) > 1
        name, what = target, "rating"
    else:
        rows = windows.labelled(target.name)
        rows = rows[seen_windows(windows)[rows]]
        several = not windows.allowed[target.name][rows].all(0).any()
        name, what = target.name, "label"
    if not len(rows):
        raise InputError(f"{name}: no window has a {what}")
    if not several:
        raise InputError(f"{name}: all {len(rows)} windows have the same {what}; there is nothing to tell apart")
    return rows


def seen_windows(windows: WindowSet) -> NDArray[np.bool_]:
    """Which windows saw a modality in at least one second, bool [N]."""
    seen = np.concatenate([[0], np.cumsum((windows.coverage > 0).any(1))])
    result: NDArray[np.bool_] = seen[windows.ends] > seen[windows.ends - windows.length]
    return result


def _folds(study: Study, seed: int) -> list[Fold]:
    windows, target = study.windows, study.target
    rows = usable_rows(windows, target)
    classes = None
    if isinstance(target, Task):
        allowed = windows.allowed[target.name][rows]
        classes = np.where(allowed.sum(1) == 1, allowed.argmax(1), -1)
    folds = study.protocol.folds(windows, rows, classes, seed)
    for fold in folds:
        check_fold(windows, fold)
    return folds


def _fit_and_predict(studies: tuple[Study, ...], job: _Job) -> Floats:
    study, learned = studies[job.study], job.fold.learned()
    if isinstance(study.target, Task):
        predictor = cast(Classifier, study.estimator).fit(study.windows, study.target, learned, job.seed)
    else:
        predictor = cast(Regressor, study.estimator).fit(study.windows, study.target, learned, job.seed)
    return predictor(study.windows, job.fold.test).astype(np.float64)


def _result(study: Study, answers: Sequence[tuple[_Job, Floats]], seeds: int) -> Result:
    rounds: dict[tuple[int, int], list[tuple[Fold, Floats]]] = defaultdict(list)
    for job, answer in answers:
        rounds[job.seed, job.fold.round].append((job.fold, answer))
    rows = np.unique(np.concatenate([job.fold.test for job, _ in answers]))
    people = np.unique(study.windows.people[rows])
    confusion: Floats | None = None
    curve: Reliability | None = None
    spread = float(np.mean([dependence(study.windows, [fold for fold, _ in parts]) for parts in rounds.values()]))
    if isinstance(study.target, Task):
        of_task = [_tested_task(study, study.target, parts) for parts in rounds.values()]
        measured = measure_task(study.target, of_task, dependence=spread)
        confusion = np.mean([confusion_by_person(tested, people).sum(0) for tested in of_task], axis=0)
        curve = _reliability(of_task)
    else:
        measured = measure_scale(
            [_tested_scale(study, study.target, parts) for parts in rounds.values()], dependence=spread
        )
    if any(_tested_in_parts(study.windows, [fold for fold, _ in parts]) for parts in rounds.values()):
        measured = _without_ranks_within(measured)
    return Result(
        task=study.name,
        kind="task" if isinstance(study.target, Task) else "scale",
        ingredient=study.ingredient,
        protocol=str(study.protocol),
        seeds=seeds,
        people=len(people),
        windows=len(rows),
        metrics=measured.figures,
        per_person=measured.per_person,
        classes=study.target.classes if isinstance(study.target, Task) else (),
        confusion=confusion,
        reliability=curve,
    )


def _tested_in_parts(windows: WindowSet, folds: Sequence[Fold]) -> bool:
    """Whether a person is tested by several folds of a round, which know different things of that person."""
    tested = [np.unique(windows.people[fold.test]) for fold in folds]
    return len(np.unique(np.concatenate(tested))) < sum(map(len, tested))


def _without_ranks_within(measured: Measurement) -> Measurement:
    """Scores of models that know different things of a person cannot be ranked against each other within the person."""
    unknown = dict.fromkeys(RANKED_WITHIN & measured.figures.keys(), Figure(math.nan, math.nan, math.nan, 0))
    kept = {name: values for name, values in measured.per_person.items() if name not in RANKED_WITHIN}
    return Measurement({**measured.figures, **unknown}, kept)


def _reliability(rounds: Sequence[TaskRound]) -> Reliability:
    """Of the windows with an exact label, in all rounds together."""
    probabilities = np.concatenate([tested.probabilities for tested in rounds])
    allowed = np.concatenate([tested.allowed for tested in rounds])
    exact = allowed.sum(1) == 1
    return reliability(probabilities[exact], allowed[exact].argmax(1), BINS)


def _tested_task(study: Study, task: Task, parts: Sequence[tuple[Fold, Floats]]) -> TaskRound:
    rows = np.concatenate([fold.test for fold, _ in parts])
    answers = np.concatenate([answer for _, answer in parts])
    return TaskRound(study.windows.people[rows], answers, study.windows.allowed[task.name][rows])


def _tested_scale(study: Study, scale: str, parts: Sequence[tuple[Fold, Floats]]) -> ScaleRound:
    windows, ratings = study.windows, study.windows.scales[scale]
    rows = np.concatenate([fold.test for fold, _ in parts])
    constant = [np.full(len(fold.test), _mean_of_people(windows, ratings, fold.train)) for fold, _ in parts]
    answers = np.concatenate([answer for _, answer in parts])
    return ScaleRound(windows.people[rows], windows.blocks[rows], answers, ratings[rows], np.concatenate(constant))


def _mean_of_people(windows: WindowSet, ratings: Floats, rows: Rows) -> float:
    """Mean rating with every block counting the same, as it does when it is tested."""
    _, inverse = np.unique(windows.blocks[rows], return_inverse=True)
    return float((np.bincount(inverse, ratings[rows]) / np.bincount(inverse)).mean())
