"""Metrics of a validation, each with an interval over people.

Every pooled metric is computed from sums per person (or per pair of people), so that one matrix product gives it for
thousands of resamples of the people. Windows of one person resemble each other, so they are never resampled. Metrics
that exist within one person are computed for each and averaged.

For a task:

    balanced_accuracy, macro_f1   over the classes that occur; f1 also over those predicted
    auroc                         the probability that a window with the event scores above one without; over classes
                                  one against the rest, averaged, where there are more than two
    auroc_per_person              the same within each person who has two classes, averaged over people
    balanced_accuracy_per_person  likewise
    ece                           expected calibration error, top label, 15 equal bins
    fpr, fnr                      share of windows without the event at or above the alert's threshold, and of windows
                                  with it below; the rule's duration and cooldown are not applied

For a scale, after averaging prediction and rating over each block, which is what people rate:

    ccc                           concordance (Lin 1989, Biometrics 45): penalises a wrong mean and a wrong spread
    pearson, spearman             correlation over all blocks; leaving one person out alone pushes it below 0, because
                                  the mean of the others is higher when a person's own rating is low
    spearman_per_person           within each person with three blocks or more whose ratings differ
    mae, rmse                     in units of the scale
    mae_of_mean, rmse_of_mean     of predicting the mean of the people learned from
    mae_gain                      how much lower the error is than theirs, by person

The interval is the estimate plus and minus Student's t with P - 1 degrees of freedom times the standard error: of the
mean over people, or by bootstrap over people (Cameron, Gelbach and Miller 2008) for what is pooled. People who are
learned from and tested in turn are not independent of one another, and no estimate from one cross-validation knows how
much (Bengio and Grandvalet 2004, JMLR 5). So the variance over K folds is widened from 1 / K to 1 / K + tested /
learned from (Nadeau and Bengio 2003, Machine Learning 52), as `training.evaluation.protocols.dependence` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sentry_proto.tasks import Task
from training.evaluation.results import Figure
from training.evaluation.weighted import (
    Floats,
    Weights,
    calibration_error,
    class_scores,
    concordance,
    concordant_pairs,
    correlation,
    f1_score,
    mean_of_known,
    mean_recall,
    ranks,
    ratio,
)
from training.windows import Names

RESAMPLES = 1_000
LEVEL = 0.95
BINS = 15
LEAST_BLOCKS = 3
"""In which one person's ratings must differ for a correlation within that person."""

_SHARE, _CORRELATION, _ERROR = (0.0, 1.0), (-1.0, 1.0), (0.0, math.inf)
TASK_RANGES = dict.fromkeys(
    (
        "balanced_accuracy",
        "macro_f1",
        "auroc",
        "auroc_per_person",
        "balanced_accuracy_per_person",
        "ece",
        "fpr",
        "fnr",
    ),
    _SHARE,
)
SCALE_RANGES = {
    **dict.fromkeys(("ccc", "pearson", "spearman", "spearman_per_person"), _CORRELATION),
    **dict.fromkeys(("mae", "rmse", "mae_of_mean", "rmse_of_mean"), _ERROR),
    "mae_gain": (-math.inf, math.inf),
}

Measured = dict[str, Floats]
"""Metric name -> [R] of a pooled metric, [P] of one within people; NaN where it cannot be told."""


@dataclass(frozen=True)
class TaskRound:
    """What was said in one round about n windows.

    Attributes:
        people: str [n].
        probabilities: float64 [n, C].
        allowed: bool [n, C].
    """

    people: Names
    probabilities: Floats
    allowed: NDArray[np.bool_]


@dataclass(frozen=True)
class ScaleRound:
    """What was said in one round about the ratings of n windows.

    Attributes:
        people, blocks: str [n].
        predicted, ratings: float64 [n].
        constant: float64 [n], the mean rating of the people learned from.
    """

    people: Names
    blocks: Names
    predicted: Floats
    ratings: Floats
    constant: Floats


@dataclass(frozen=True)
class Measurement:
    """The figures of all rounds together; what is within people also by person."""

    figures: Mapping[str, Figure]
    per_person: Mapping[str, Mapping[str, float]]


def measure_task(task: Task, rounds: Sequence[TaskRound], *, dependence: float = 1.0, seed: int = 0) -> Measurement:
    """All metrics of a task, averaged over rounds.

    Args:
        task: what is measured.
        rounds: repetitions.
        dependence: by what the variance over people is multiplied.
        seed: of the resamples.
    """
    people, weights = _resamples([tested.people for tested in rounds], seed)
    measured = [_measure_task(task, tested, people, weights) for tested in rounds]
    return _summarise(people, measured, TASK_RANGES, dependence)


def measure_scale(rounds: Sequence[ScaleRound], *, dependence: float = 1.0, seed: int = 0) -> Measurement:
    """All metrics of a scale, averaged over rounds; see `measure_task`."""
    people, weights = _resamples([tested.people for tested in rounds], seed)
    measured = [_measure_scale(tested, people, weights) for tested in rounds]
    return _summarise(people, measured, SCALE_RANGES, dependence)


def confusion_by_person(tested: TaskRound, people: Names) -> Floats:
    """Windows with an exact label, float64 [P, C, C], rows are labels."""
    exact = tested.allowed.sum(1) == 1
    count, classes = len(people), tested.allowed.shape[1]
    result = np.zeros((count, classes, classes))
    where = np.searchsorted(people, tested.people[exact])
    np.add.at(result, (where, tested.allowed[exact].argmax(1), tested.probabilities[exact].argmax(1)), 1)
    return result


def _measure_task(task: Task, tested: TaskRound, people: Names, weights: Weights) -> tuple[Measured, Measured]:
    """Pooled metrics and those within people."""
    exact = tested.allowed.sum(1) == 1
    index = np.searchsorted(people, tested.people[exact])
    labels, probabilities = tested.allowed[exact].argmax(1), tested.probabilities[exact]
    confusion = confusion_by_person(tested, people)
    pooled_confusion = np.tensordot(weights, confusion, 1)
    scores = class_scores(task, probabilities)
    pairs = [concordant_pairs(score, labels == c, index, len(people)) for c, score in scores.items()]
    pooled = {
        "balanced_accuracy": mean_recall(pooled_confusion),
        "macro_f1": f1_score(pooled_confusion),
        "auroc": mean_of_known(np.stack([pair.pooled(weights) for pair in pairs])),
        "ece": calibration_error(probabilities, labels, index, weights, BINS),
        **_event_rates(task, tested, people, weights),
    }
    several = (confusion.sum(2) > 0).sum(1) > 1
    within = {
        "auroc_per_person": mean_of_known(np.stack([pair.within() for pair in pairs])),
        "balanced_accuracy_per_person": np.where(several, mean_recall(confusion), np.nan),
    }
    return pooled, within


def _event_rates(task: Task, tested: TaskRound, people: Names, weights: Weights) -> Measured:
    """False-positive and false-negative rate of the alert's event at its threshold; nothing without an alert."""
    if task.alert is None:
        return {}
    event = np.isin(task.classes, task.alert.classes)
    raised = tested.probabilities[:, event].sum(1) >= task.alert.threshold
    index = np.searchsorted(people, tested.people)

    def share(of: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> Floats:
        counts = (np.bincount(index[rows], minlength=len(people)) for rows in (np.logical_and(of, wrong), of))
        return ratio(*(weights @ count for count in counts))

    without = np.logical_not(tested.allowed[:, event].any(1))
    present = np.logical_not(tested.allowed[:, ~event].any(1))
    return {"fpr": share(without, raised), "fnr": share(present, np.logical_not(raised))}


def _measure_scale(tested: ScaleRound, people: Names, weights: Weights) -> tuple[Measured, Measured]:
    """Pooled metrics and those within people, over blocks."""
    blocks, first, inverse = np.unique(tested.blocks, return_index=True, return_inverse=True)
    size = np.bincount(inverse)
    predicted, ratings, constant = (
        np.bincount(inverse, values) / size for values in (tested.predicted, tested.ratings, tested.constant)
    )
    index = np.searchsorted(people, tested.people[first])
    by_block = weights[:, index]
    total = by_block.sum(1)
    error, error_of_mean = predicted - ratings, constant - ratings
    pooled = {
        "ccc": concordance(predicted, ratings, by_block),
        "pearson": correlation(predicted, ratings, by_block),
        "spearman": correlation(ranks(predicted, by_block), ranks(ratings, by_block), by_block),
        "mae": ratio(by_block @ np.abs(error), total),
        "rmse": np.sqrt(ratio(by_block @ error**2, total)),
        "mae_of_mean": ratio(by_block @ np.abs(error_of_mean), total),
        "rmse_of_mean": np.sqrt(ratio(by_block @ error_of_mean**2, total)),
    }
    own = (index == np.arange(len(people))[:, None]).astype(np.float64)
    enough = (own.sum(1) >= LEAST_BLOCKS) if len(blocks) else np.zeros(len(people), np.bool_)
    rank_correlation = correlation(ranks(predicted, own), ranks(ratings, own), own)
    within = {
        "spearman_per_person": np.where(enough, rank_correlation, np.nan),
        "mae_gain": ratio(own @ (np.abs(error_of_mean) - np.abs(error)), own.sum(1)),
    }
    return pooled, within


def _resamples(names: Sequence[Names], seed: int) -> tuple[Names, Weights]:
    people = np.unique(np.concatenate(names))
    count = len(people)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return people, np.concatenate([np.ones((1, count)), drawn])


def _summarise(
    people: Names,
    measured: Sequence[tuple[Measured, Measured]],
    ranges: Mapping[str, tuple[float, float]],
    dependence: float,
) -> Measurement:
    pooled, within = (
        {name: mean_of_known(np.stack([part[which][name] for part in measured])) for name in measured[0][which]}
        for which in (0, 1)
    )
    figures = {name: _pooled_figure(values, len(people)) for name, values in pooled.items()}
    figures |= {name: _figure_over_people(values) for name, values in within.items()}
    widened = {name: _widen(figure, math.sqrt(dependence)) for name, figure in figures.items()}
    clipped = {name: _clip(widened[name], *span) for name, span in ranges.items() if name in widened}
    per_person = {
        name: {str(person): float(x) for person, x in zip(people, values, strict=True) if math.isfinite(x)}
        for name, values in within.items()
    }
    return Measurement(clipped, per_person)


def _pooled_figure(values: Floats, people: int) -> Figure:
    """The estimate stands first, its resamples follow."""
    known = values[1:][np.isfinite(values[1:])]
    error = float(known.std()) * math.sqrt(people / (people - 1)) if people > 1 and len(known) else math.nan
    return _figure(float(values[0]), error, people)


def _figure_over_people(values: Floats) -> Figure:
    known = values[np.isfinite(values)]
    if not len(known):
        return Figure(math.nan, math.nan, math.nan, 0)
    error = float(known.std(ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    return _figure(float(known.mean()), error, len(known))


def _figure(value: float, error: float, people: int) -> Figure:
    reach = error * float(stdtrit(max(people - 1, 1), (1 + LEVEL) / 2))
    return Figure(value, value - reach, value + reach, people)


def _widen(figure: Figure, factor: float) -> Figure:
    value = figure.value
    return Figure(value, value + factor * (figure.low - value), value + factor * (figure.high - value), figure.n)


def _clip(figure: Figure, least: float, most: float) -> Figure:
    return Figure(figure.value, max(figure.low, least), min(figure.high, most), figure.n)
