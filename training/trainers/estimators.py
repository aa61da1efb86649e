"""What the validation compares: ways to learn a task or a rating scale from a `WindowSet`, behind one interface.

    LinearHeads                    the state heads on statistics pooling
    LearnedFusion                  learned fusion layers with one head
    LogisticRegressionBaseline     plain logistic regression on the same columns
    GradientBoostingBaseline       boosted trees on the same columns (Friedman 2001, binned)
    RidgeScale                     ridge regression, its strength chosen by person
    GradientBoostingScale          boosted trees
    FusionScale                    learned fusion layers with a linear predictor

All are frozen dataclasses without open resources, so that they and what they fit can be pickled. A label that leaves
several classes possible counts in equal parts for each of them where a model only takes exact labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GroupKFold

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from training.evaluation.estimator import Predictor
from training.evaluation.gate import class_balance
from training.pooling import seen_columns
from training.trainers.columns import Binned, Standardised
from training.trainers.fusion_fitting import Fusion, FusionRecipe, fit_fusion
from training.trainers.state_heads import MOST_BALANCE, TaskHead, fit_head
from training.windows import Rows, WindowSet

RIDGE_STRENGTHS = np.logspace(1, 5, 9)
"""On standardised columns; with hundreds of them and few people, weak ones only cost time."""

INNER_FOLDS = 5
"""By person, to choose the strength of the ridge."""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearHeads:
    """Sentry's state heads on pooled windows, see `training.trainers.state_heads`.

    Attributes:
        members: K, size of the ensemble.
        ordered: whether ordinal tasks take the ordered form.
    """

    members: int = 8
    ordered: bool = True

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        """Fit on the labelled windows among `rows`.

        Raises:
            InputError: if none of them is labelled.
        """
        rows = labelled_rows(windows, task, rows)
        head = fit_head(
            task,
            windows.pooled(rows),
            windows.allowed[task.name][rows],
            np.ones(len(rows)),
            windows.people[rows].tolist(),
            members=self.members,
            seed=seed,
            space=windows.space,
            ordered=self.ordered,
        )
        return _Heads(head)


@dataclass(frozen=True)
class LearnedFusion:
    """Learned fusion layers, see `training.trainers.fusion_fitting`.

    Attributes:
        recipe: how they are trained.
    """

    recipe: FusionRecipe = field(default_factory=FusionRecipe)

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        """Fit on the labelled windows among `rows`.

        Raises:
            InputError: if none of them is labelled, or all are of one person.
        """
        return _FusedTask(fit_fusion(windows, rows, [task], seed, recipe=self.recipe), task.name)


@dataclass(frozen=True)
class LogisticRegressionBaseline:
    """Multinomial logistic regression on pooled windows; what was not seen stands at the mean.

    Attributes:
        strength: inverse of the L2 penalty, on standardised columns.
    """

    strength: float = 0.02

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        """Fit on the labelled windows among `rows`.

        Raises:
            InputError: if none of them is labelled.
        """
        return _fit_classifier(LogisticRegression(C=self.strength, max_iter=2_000), windows, task, rows)


@dataclass(frozen=True)
class GradientBoostingBaseline:
    """Boosted shallow trees on pooled windows; what was not seen is missing to them.

    Attributes:
        rounds, rate, leaves: number of trees per class, their learning rate and size.
    """

    rounds: int = 100
    rate: float = 0.05
    leaves: int = 8

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        """Fit on the labelled windows among `rows`.

        Raises:
            InputError: if none of them is labelled.
        """
        trees = HistGradientBoostingClassifier(
            max_iter=self.rounds,
            learning_rate=self.rate,
            max_leaf_nodes=self.leaves,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed,
        )
        return _fit_classifier(trees, windows, task, rows)


@dataclass(frozen=True)
class RidgeScale:
    """Ridge regression on pooled windows, with the strength that errs least on people left out."""

    def fit(self, windows: WindowSet, scale: str, rows: Rows, seed: int) -> Predictor:
        """Fit on the rated windows among `rows`.

        Raises:
            InputError: if none of them is rated.
        """
        rows = rated_rows(windows, scale, rows)
        people = windows.people[rows]
        folds = min(INNER_FOLDS, len(set(people.tolist())))
        if folds < 2:
            return _fit_regressor(Ridge(alpha=float(np.median(RIDGE_STRENGTHS))), windows, scale, rows)
        splits = list(GroupKFold(folds).split(rows, groups=people))
        ridge = RidgeCV(alphas=RIDGE_STRENGTHS, cv=splits, scoring="neg_mean_squared_error")
        return _fit_regressor(ridge, windows, scale, rows)


@dataclass(frozen=True)
class GradientBoostingScale:
    """Boosted shallow trees on pooled windows.

    Attributes:
        rounds, rate, leaves: number of trees, their learning rate and size.
    """

    rounds: int = 100
    rate: float = 0.05
    leaves: int = 8

    def fit(self, windows: WindowSet, scale: str, rows: Rows, seed: int) -> Predictor:
        """Fit on the rated windows among `rows`.

        Raises:
            InputError: if none of them is rated.
        """
        trees = HistGradientBoostingRegressor(
            max_iter=self.rounds,
            learning_rate=self.rate,
            max_leaf_nodes=self.leaves,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed,
        )
        return _fit_regressor(trees, windows, scale, rated_rows(windows, scale, rows))


@dataclass(frozen=True)
class FusionScale:
    """Learned fusion layers, trained on the squared error of the rating.

    Attributes:
        recipe: how they are trained.
    """

    recipe: FusionRecipe = field(default_factory=FusionRecipe)

    def fit(self, windows: WindowSet, scale: str, rows: Rows, seed: int) -> Predictor:
        """Fit on the rated windows among `rows`.

        Raises:
            InputError: if none of them is rated, or all are of one person.
        """
        return _FusedScale(fit_fusion(windows, rows, [], seed, [scale], self.recipe), scale)


def labelled_rows(windows: WindowSet, task: Task, rows: Rows) -> Rows:
    """Those of `rows` whose label rules out a class.

    Raises:
        InputError: if there is none.
    """
    found = rows[~windows.allowed[task.name][rows].all(1)]
    if not len(found):
        raise InputError(f"{task.name}: none of the {len(rows)} windows to learn from has a label")
    return found


def rated_rows(windows: WindowSet, scale: str, rows: Rows) -> Rows:
    """Those of `rows` that have a rating.

    Raises:
        InputError: if there is none.
    """
    found = rows[~np.isnan(windows.scales[scale][rows])]
    if not len(found):
        raise InputError(f"{scale}: none of the {len(rows)} windows to learn from has a rating")
    return found


@dataclass(frozen=True)
class _Heads:
    head: TaskHead

    def __call__(self, windows: WindowSet, rows: Rows) -> Array:
        return self.head.predict(windows.pooled(rows)).mean


@dataclass(frozen=True)
class _FusedTask:
    fusion: Fusion
    task: str

    def __call__(self, windows: WindowSet, rows: Rows) -> Array:
        return self.fusion.heads[self.task].predict(self.fusion.vectors(windows, rows)).mean


@dataclass(frozen=True)
class _FusedScale:
    fusion: Fusion
    scale: str

    def __call__(self, windows: WindowSet, rows: Rows) -> Array:
        return self.fusion.scales[self.scale].predict(self.fusion.vectors(windows, rows))


@dataclass(frozen=True)
class _Classes:
    """A fitted scikit-learn classifier; classes that it has never met get no probability."""

    shown: Standardised | Binned
    model: Any
    classes: int

    def __call__(self, windows: WindowSet, rows: Rows) -> Array:
        result = np.zeros((len(rows), self.classes))
        if len(rows):
            result[:, self.model.classes_] = self.model.predict_proba(self.shown(_columns(windows, rows)))
        return result


@dataclass(frozen=True)
class _OnlyClass:
    """What can be said after labels of a single class."""

    index: int
    classes: int

    def __call__(self, windows: WindowSet, rows: Rows) -> Array:
        return np.tile(np.eye(self.classes)[self.index], (len(rows), 1))


@dataclass(frozen=True)
class _Ratings:
    shown: Standardised | Binned
    model: Any

    def __call__(self, windows: WindowSet, rows: Rows) -> Array:
        if not len(rows):
            return np.zeros(0)
        predicted: NDArray[np.float64] = self.model.predict(self.shown(_columns(windows, rows))).astype(np.float64)
        return predicted


def _fit_classifier(model: Any, windows: WindowSet, task: Task, rows: Rows) -> Predictor:
    rows = labelled_rows(windows, task, rows)
    allowed = windows.allowed[task.name][rows]
    balanced = class_balance(allowed, np.ones(len(rows)), MOST_BALANCE)
    window, label = np.nonzero(allowed)
    if len(np.unique(label)) == 1:
        return _OnlyClass(int(label[0]), len(task.classes))
    columns = _columns(windows, rows)[window]
    share = (balanced / allowed.sum(1))[window]
    shown = Binned.of(columns, share) if isinstance(model, HistGradientBoostingClassifier) else Standardised.of(columns)
    model.fit(shown(columns), label, sample_weight=share)
    return _Classes(shown, model, len(task.classes))


def _fit_regressor(model: Any, windows: WindowSet, scale: str, rows: Rows) -> Predictor:
    columns = _columns(windows, rows)
    trees = isinstance(model, HistGradientBoostingRegressor)
    shown = Binned.of(columns, np.ones(len(rows))) if trees else Standardised.of(columns)
    model.fit(shown(columns), windows.scales[scale][rows])
    return _Ratings(shown, model)


def _columns(windows: WindowSet, rows: Rows) -> Array:
    """Pooled windows [n, D], NaN where nothing was seen."""
    pooled = windows.pooled(rows)
    return np.where(seen_columns(pooled, windows.space), pooled, np.nan)
