"""Controls beside a score: what could be had without looking at anybody, and what chance would give.

    time in the session     a model that knows only the clock, under the same splits as the score
    place of the block      the same with only the ordinal number of the block in the session
    person alone            what the labels of a person's other blocks say of a block. No model under test knows them,
                            so this is no score to reach; it says how far labels go with people, so that a score may
                            tell people apart rather than states, and what labelled minutes of the person may add
                            without a look at anybody. Below chance where everybody has about as much of every class:
                            then the other blocks have more of the others
    whole blocks permuted   labels of blocks exchanged within each person: the p value of a score, since windows of one
                            block are not independent
    windows shuffled        labels of windows shuffled within each person: must land on chance, or something leaks

A permutation test counts the drawn orders whose score is at least as high, with the observed one among them (Phipson
and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9).
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from training.evaluation.estimator import Predictor
from training.evaluation.protocols import OtherBlocks, SplitProtocol
from training.evaluation.results import Figure, Ingredient
from training.evaluation.validation import Study, usable_rows, validate
from training.windows import Names, Rows, WindowSet

CLOCK, PLACE, PERSON = "time in the session alone", "place of the block alone", "person alone"
CLOCK_BINS = 10
SMOOTHING = 1.0
"""Windows that every bin and person begins with, of each class, or with the mean rating."""

ALARMING = 0.6
"""An AUROC of a control at or above it is worth a sentence, if its interval also excludes chance."""

ALARMING_SHARE = 0.8
"""Share of people with one class only, likewise."""

LEAKING_ERRORS = 4.0
"""Standard errors between chance and the mean of shuffled scores that no clean pipeline should show."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trap:
    """Something else than the state by which a label can be told.

    Attributes:
        control: `CLOCK`, `PLACE` or `PERSON`.
        figure: AUROC of the control; or, of `PERSON`, the share of people with one class, without an interval.
        sentence: for a reader.
    """

    control: str
    figure: Figure
    sentence: str


@dataclass(frozen=True)
class PermutationTest:
    """A score beside those of permuted labels.

    Attributes:
        observed: with the labels as they are.
        permuted: float64 [R].
        p: share of orders, the observed one included, that score at least as high.
    """

    observed: float
    permuted: Floats
    p: float

    def leaks(self, chance: float = 0.5) -> bool:
        """Whether the permuted scores lie off chance by more than their own scatter explains."""
        error = float(self.permuted.std(ddof=1)) / math.sqrt(len(self.permuted))
        return abs(float(self.permuted.mean()) - chance) > LEAKING_ERRORS * error + 1e-9


@dataclass(frozen=True)
class TimeAlone:
    """Class shares or mean rating by the time in the session, or by the number of the block; looks at no feature.

    Attributes:
        by_block: whether the block's number stands for the time.
    """

    by_block: bool = False

    def fit(self, windows: WindowSet, target: Task | str, rows: Rows, seed: int) -> Predictor:
        """See `training.evaluation.estimator`."""
        clock = self.clock(windows)
        edges = np.unique(np.quantile(clock[rows], np.linspace(0, 1, CLOCK_BINS + 1)[1:-1]))
        if self.by_block:
            edges = np.unique(clock[rows])
        bins = np.searchsorted(edges, clock[rows], "right")
        return _ByTime(self, edges, _mean_answers(windows, target, rows, bins, len(edges) + 1))

    def clock(self, windows: WindowSet) -> Floats:
        """Seconds into the session, or the block's number in it; float64 [N]."""
        if not self.by_block:
            return windows.elapsed
        blocks, inverse = np.unique(windows.blocks, return_inverse=True)
        start = np.full(len(blocks), np.inf)
        np.minimum.at(start, inverse, windows.elapsed)
        number = np.zeros(len(windows))
        for session in np.unique(windows.sessions):
            own = windows.sessions == session
            number[own] = np.unique(start[inverse[own]], return_inverse=True)[1]
        return number


@dataclass(frozen=True)
class PersonAlone:
    """Class shares or mean rating of each person's windows; looks at no feature. Strangers get even shares."""

    def fit(self, windows: WindowSet, target: Task | str, rows: Rows, seed: int) -> Predictor:
        """See `training.evaluation.estimator`."""
        people, inverse = np.unique(windows.people[rows], return_inverse=True)
        return _ByPerson(people, _mean_answers(windows, target, rows, inverse, len(people) + 1))


@dataclass(frozen=True)
class _ByTime:
    control: TimeAlone
    edges: Floats
    answers: Floats

    def __call__(self, windows: WindowSet, rows: Rows) -> Floats:
        chosen: Floats = self.answers[np.searchsorted(self.edges, self.control.clock(windows)[rows], "right")]
        return chosen


@dataclass(frozen=True)
class _ByPerson:
    people: Names
    answers: Floats

    def __call__(self, windows: WindowSet, rows: Rows) -> Floats:
        index = np.searchsorted(self.people, windows.people[rows])
        known = np.isin(windows.people[rows], self.people)
        chosen: Floats = self.answers[np.where(known, index, len(self.people))]
        return chosen


def control_studies(windows: WindowSet, target: Task | str, protocol: SplitProtocol) -> list[Study]:
    """The controls by time, under the same splits as what they stand beside."""
    return [
        Study(target, Ingredient(name, "none", "none", control=True), windows, TimeAlone(name == PLACE), protocol)
        for name in (CLOCK, PLACE)
    ]


def person_study(windows: WindowSet, target: Task | str) -> Study:
    """The control by person.

    Raises:
        InputError: nobody has labels in two blocks.
    """
    study = Study(target, Ingredient(PERSON, "none", "none", control=True), windows, PersonAlone(), OtherBlocks())
    study.protocol.folds(windows, usable_rows(windows, target), None, 0)
    return study


def traps(windows: WindowSet, task: Task, protocol: SplitProtocol) -> list[Trap]:
    """By what else than the state the label can be told, with a sentence each; none is good news.

    Raises:
        InputError: the task cannot be validated on these windows.
    """
    single = _one_class_each(windows, task)
    studies = control_studies(windows, task, protocol)
    if not single:
        with suppress(InputError):
            studies.append(person_study(windows, task))
    found = []
    for result in validate(studies, workers=1):
        figure = result.metrics["auroc_per_person"]
        if not math.isfinite(figure.value):
            figure = result.metrics["auroc"]
        if figure.value >= ALARMING and figure.low > 0.5:
            name = result.ingredient.model
            found.append(Trap(name, figure, _sentence(task, f"the {name}", f"AUROC {figure.value:.2f}")))
    return found + single


def permutation_test(
    study: Study,
    permutations: int = 99,
    whole_blocks: bool = True,
    seed: int = 0,
    metric: str = "auroc_per_person",
    workers: int | None = 1,
) -> PermutationTest:
    """Score a study again with labels permuted within each person, of whole blocks or of single windows.

    Raises:
        InputError: the study is of a scale, or a block to be permuted has several labels.
    """
    if isinstance(study.target, str):
        raise InputError(f"{study.target}: only labels of a task are permuted, not ratings")
    generator = np.random.default_rng(seed)
    shuffled = [
        replace(study, windows=permute_labels(study.windows, study.target, generator, whole_blocks))
        for _ in range(permutations)
    ]
    observed, *permuted = (result.metrics[metric].value for result in validate([study, *shuffled], workers=workers))
    scores = np.array(permuted)
    return PermutationTest(observed, scores, (1 + int((scores >= observed - 1e-12).sum())) / (1 + permutations))


def permute_labels(windows: WindowSet, task: Task, generator: np.random.Generator, whole_blocks: bool) -> WindowSet:
    """The same windows with labels exchanged within each person: of whole blocks, or of the windows that can be used.

    Raises:
        InputError: whole blocks are asked for, and one has several labels.
    """
    rows = windows.labelled(task.name) if whole_blocks else usable_rows(windows, task)
    allowed = windows.allowed[task.name].copy()
    unit = windows.blocks[rows] if whole_blocks else rows.astype(str)
    units, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    labels = allowed[rows[first]]
    if (labels[inverse] != allowed[rows]).any():
        raise InputError(f"{task.name}: blocks have several labels each, so whole blocks cannot be permuted")
    owner = windows.people[rows[first]]
    order = np.arange(len(units))
    for person in np.unique(owner):
        own = np.flatnonzero(owner == person)
        order[own] = generator.permutation(own)
    allowed[rows] = labels[order][inverse]
    return windows.relabelled(task.name, allowed)


def _one_class_each(windows: WindowSet, task: Task) -> list[Trap]:
    """Where most people carry one class only, a score compares people, not states."""
    rows = usable_rows(windows, task)
    names = np.unique(windows.people[rows])
    single = [windows.allowed[task.name][rows[windows.people[rows] == name]].all(0).any() for name in names]
    share = float(np.mean(single))
    if share < ALARMING_SHARE:
        return []
    sentence = _sentence(task, "the person alone", f"{sum(single)} of {len(names)} people have one class only")
    return [Trap(PERSON, Figure(share, math.nan, math.nan, len(names)), sentence)]


def _mean_answers(windows: WindowSet, target: Task | str, rows: Rows, group: Rows, groups: int) -> Floats:
    """Class shares [groups, C], or mean rating [groups], of the windows of each group."""
    if isinstance(target, str):
        ratings = windows.scales[target][rows]
        total = SMOOTHING * ratings.mean() + np.bincount(group, ratings, groups)
        means: Floats = total / (SMOOTHING + np.bincount(group, minlength=groups))
        return means
    allowed = windows.allowed[target.name][rows].astype(np.float64)
    counts = np.full((groups, len(target.classes)), SMOOTHING)
    np.add.at(counts, group, allowed / allowed.sum(1, keepdims=True))
    shares: Floats = counts / counts.sum(1, keepdims=True)
    return shares


def _sentence(task: Task, what: str, how_well: str) -> str:
    reason = "who people are" if "person" in what else "time on task"
    return f"{task.name} can be told from {what} ({how_well}): a score beside it may measure {reason}."
