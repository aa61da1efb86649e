"""Estimators: each finds an effect that is there, in people it has not met, and looks at nothing else."""

from __future__ import annotations

import dataclasses
import pickle
import warnings

import numpy as np
import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import FALSE_ALARM, STRESS, TRUE_ALARM
from tests.training.window_study import make_windows
from training.evaluation.estimator import Classifier, Regressor
from training.evaluation.gate import figures
from training.trainers.estimators import (
    FusionScale,
    GradientBoostingBaseline,
    GradientBoostingScale,
    LearnedFusion,
    LinearHeads,
    LogisticRegressionBaseline,
    RidgeScale,
)
from training.trainers.fusion_fitting import FusionRecipe
from training.windows import Rows, WindowSet

QUICK = FusionRecipe(members=2, hidden=8, epochs=15, batch=32, decay=1.0)
CLASSIFIERS: dict[str, Classifier] = {
    "linear": LinearHeads(members=4),
    "logistic": LogisticRegressionBaseline(),
    "boosting": GradientBoostingBaseline(rounds=15),
    "fusion": LearnedFusion(QUICK),
}
REGRESSORS: dict[str, Regressor] = {
    "ridge": RidgeScale(),
    "boosting": GradientBoostingScale(rounds=30),
    "fusion": FusionScale(QUICK),
}
STUDY = make_windows(people=8, minutes=7, seed=1)
TRAIN, TEST = np.flatnonzero(STUDY.people < "p1-05"), np.flatnonzero(STUDY.people >= "p1-05")


def with_labels(windows: WindowSet, rows: Rows, *classes: str) -> WindowSet:
    """The same windows with one other label on some rows."""
    allowed = windows.allowed["stress"].copy()
    allowed[rows] = [name in classes for name in STRESS.classes]
    return dataclasses.replace(windows, allowed={"stress": allowed})


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_finds_the_effect_in_other_people(name: str) -> None:
    predictor = CLASSIFIERS[name].fit(STUDY, STRESS, TRAIN, seed=0)
    probabilities = pickle.loads(pickle.dumps(predictor))(STUDY, TEST)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert figures(STUDY.allowed["stress"][TEST], probabilities)["balanced_accuracy"] > 0.42  # of three people


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_without_an_effect_there_is_nothing_to_find(name: str) -> None:
    study = make_windows(people=20, minutes=7, seed=2, effect=0.0)
    people = np.unique(study.people)
    train = np.flatnonzero(np.isin(study.people, people[:5]))
    test = np.flatnonzero(~np.isin(study.people, people[:5]))
    probabilities = CLASSIFIERS[name].fit(study, STRESS, train, seed=0)(study, test)
    assert 0.25 < figures(study.allowed["stress"][test], probabilities)["balanced_accuracy"] < 0.42


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_labels_of_the_tested_people_are_not_looked_at(name: str) -> None:
    blind = with_labels(STUDY, TEST, "calm")
    one, other = (CLASSIFIERS[name].fit(study, STRESS, TRAIN, seed=0)(study, TEST) for study in (STUDY, blind))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_verdicts_and_windows_without_a_label_are_legal(name: str) -> None:
    some = with_labels(STUDY, TRAIN[::3], *STRESS.classes)
    event = {True: STRESS.allowed(TRUE_ALARM), False: STRESS.allowed(FALSE_ALARM)}
    for row in TRAIN[1::3]:
        some = with_labels(some, row, *event[bool(STUDY.allowed["stress"][row, 2])])
    probabilities = CLASSIFIERS[name].fit(some, STRESS, TRAIN, seed=0)(STUDY, TEST)
    assert figures(STUDY.allowed["stress"][TEST], probabilities)["balanced_accuracy"] > 0.45


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_class_and_modalities_that_are_never_seen(name: str) -> None:
    study = with_labels(STUDY, np.arange(len(STUDY)), "calm").only("pose")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        probabilities = CLASSIFIERS[name].fit(study, STRESS, TRAIN, seed=0)(study, TEST)
    assert (probabilities.argmax(1) == 0).all()
    assert CLASSIFIERS[name].fit(study, STRESS, TRAIN, seed=0)(study, TEST[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_modality_that_was_hidden_from_the_start_is_not_looked_at(name: str) -> None:
    study = STUDY.only("pose")
    other = dataclasses.replace(study, values=np.where(STUDY.space.feature_modality == 1, study.values, np.float32(3)))
    one, two = (CLASSIFIERS[name].fit(windows, STRESS, TRAIN, seed=0)(windows, TEST) for windows in (study, other))
    np.testing.assert_allclose(one.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "boosting" else ()) for name in REGRESSORS]
)
def test_a_regressor_follows_the_ratings_of_other_people(name: str) -> None:
    ratings = STUDY.scales["stress_rating"].copy()
    ratings[TRAIN[::4]] = np.nan
    study = dataclasses.replace(STUDY, scales={"stress_rating": ratings})
    predicted = pickle.loads(pickle.dumps(REGRESSORS[name].fit(study, "stress_rating", TRAIN, seed=0)))(study, TEST)
    assert predicted.shape == TEST.shape
    assert np.corrcoef(predicted, ratings[TEST])[0, 1] > 0.4


def test_a_ridge_of_one_person_needs_no_folds() -> None:
    rows = np.flatnonzero(STUDY.people == STUDY.people[0])
    assert np.isfinite(RidgeScale().fit(STUDY, "stress_rating", rows, seed=0)(STUDY, TEST)).all()


def test_nothing_to_learn_from_is_said() -> None:
    unlabelled = with_labels(STUDY, np.arange(len(STUDY)), *STRESS.classes)
    for classifier in CLASSIFIERS.values():
        with pytest.raises(InputError, match="stress: none of the"):
            classifier.fit(unlabelled, STRESS, TRAIN, seed=0)
    empty = dataclasses.replace(STUDY, scales={"stress_rating": np.full(len(STUDY), np.nan)})
    for regressor in REGRESSORS.values():
        with pytest.raises(InputError, match="rating"):
            regressor.fit(empty, "stress_rating", TRAIN, seed=0)
