"""Training of learned fusion: deterministic, masked, by person, and able to find what pooling cannot see."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import STRESS, Task
from tests.training.window_study import BURST, make_windows
from training.evaluation.gate import figures
from training.trainers.estimators import LinearHeads
from training.trainers.fusion_fitting import Fusion, FusionRecipe, _stopping, fit_fusion
from training.windows import Rows, WindowSet

QUICK = FusionRecipe(members=2, hidden=8, epochs=15, batch=32, decay=1.0)
STUDY = make_windows(people=8, minutes=7, seed=1)
TRAIN, TEST = np.flatnonzero(STUDY.people < "p1-05"), np.flatnonzero(STUDY.people >= "p1-05")
PRESENCE = Task("presence", "binary", ("no", "yes"))


def accuracy(fusion: Fusion, task: str, windows: WindowSet, rows: Rows) -> float:
    probabilities = fusion.heads[task].predict(fusion.vectors(windows, rows)).mean
    return figures(windows.allowed[task][rows], probabilities)["balanced_accuracy"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    recipe = dataclasses.replace(QUICK, epochs=2)
    one, same, other = (fit_fusion(STUDY, TRAIN, [STRESS], seed, recipe=recipe) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.vectors(STUDY, TEST), same.vectors(STUDY, TEST))
    np.testing.assert_array_equal(one.heads["stress"].weights, same.heads["stress"].weights)
    assert not np.allclose(one.vectors(STUDY, TEST), other.vectors(STUDY, TEST))


def test_each_task_learns_from_the_windows_that_carry_its_label() -> None:
    """Two tasks share no labelled window, and both are learned; the wrong labels that are masked do no harm."""
    stress = STUDY.allowed["stress"].copy()
    presence = np.stack([stress[:, 0], ~stress[:, 0]], 1)
    stress[TRAIN[::2]], presence[TRAIN[1::2]] = True, True
    windows = dataclasses.replace(STUDY, allowed={"stress": stress, "presence": presence})
    fusion = fit_fusion(windows, TRAIN, [STRESS, PRESENCE], seed=0, recipe=QUICK)
    assert accuracy(fusion, "stress", windows, TEST) > 0.45
    assert accuracy(fusion, "presence", windows, TEST) > 0.6


def test_an_ordinal_task_moves_its_classes_in_their_order() -> None:
    head = fit_fusion(STUDY, TRAIN, [STRESS], seed=0, recipe=dataclasses.replace(QUICK, epochs=2)).heads["stress"]
    steps = np.diff(head.weights, axis=2)
    np.testing.assert_allclose(steps[..., 0], steps[..., 1], atol=1e-6)
    assert np.abs(steps).max() > 0


def test_people_by_whom_a_member_stops_are_nobody_it_learns_from_and_every_person_serves_once() -> None:
    people = STUDY.people.tolist()
    stopping = _stopping(people, 3)
    assert (stopping.sum(0) == 1).all()
    for member in stopping:
        names = STUDY.people[member]
        assert not set(names) & set(STUDY.people[~member])


def test_fewer_people_than_members() -> None:
    rows = np.flatnonzero(STUDY.people < "p1-02")
    fusion = fit_fusion(STUDY, rows, [STRESS], seed=0, recipe=FusionRecipe(members=4, hidden=3, epochs=2))
    assert np.isfinite(fusion.vectors(STUDY, TEST)).all()


def test_nothing_to_learn_from_is_said() -> None:
    nothing = dataclasses.replace(STUDY, allowed={"stress": np.ones_like(STUDY.allowed["stress"])})
    with pytest.raises(InputError, match="has a label"):
        fit_fusion(nothing, TRAIN, [STRESS], seed=0)
    unrated = dataclasses.replace(STUDY, scales={"calm": np.full(len(STUDY), np.nan)})
    with pytest.raises(InputError, match="has a rating"):
        fit_fusion(unrated, TRAIN, [], seed=0, scales=["calm"])
    with pytest.raises(InputError, match="two people"):
        fit_fusion(STUDY, np.flatnonzero(STUDY.people == "p1-00"), [STRESS], seed=0)


@pytest.mark.slow
def test_short_bursts_are_found_that_pooling_cannot_see() -> None:
    train, test = (make_windows(people, 10, effect=4.0, seed=seed, how=BURST) for people, seed in ((20, 1), (12, 2)))
    rows, tested = np.arange(len(train)), np.arange(len(test))
    pooled = LinearHeads(members=4).fit(train, STRESS, rows, seed=0)(test, tested)
    assert figures(test.allowed["stress"], pooled)["balanced_accuracy"] < 0.42
    assert accuracy(fit_fusion(train, rows, [STRESS], seed=0), "stress", test, tested) > 0.6


@pytest.mark.slow
def test_modality_dropout_makes_the_loss_of_the_face_gentler() -> None:
    train, test = (make_windows(16, 8, effect=2.0, seed=seed, missing=0.0) for seed in (1, 2))
    hidden, rows, losses = test.only("pose", "quality"), np.arange(len(train)), {}
    for share in (0.0, 0.2):
        fusion = fit_fusion(train, rows, [STRESS], seed=0, recipe=FusionRecipe(modality_dropout=share))
        head = fusion.heads["stress"]
        answers = head.predict(fusion.vectors(hidden, np.arange(len(test)))).mean
        losses[share] = figures(test.allowed["stress"], answers)["brier"]
    assert losses[0.2] < losses[0.0] - 0.02
