"""Ways to train, compared on people whom they have not met."""

from __future__ import annotations

import numpy as np
import pytest

from sentry_proto.tasks import STRESS
from tests.training.window_study import make_windows
from training.feature_space import SECOND_SPACE
from training.trainers import comparison
from training.trainers.comparison import (
    BOTH,
    FACE_ONLY,
    POSTURE_ONLY,
    Heads,
    View,
    cross_validate,
    fit_statistics,
    gain,
    people_folds,
    scores,
    views,
    without_baselines,
)
from training.windows import Rows

STUDY = make_windows(people=7, minutes=6, seed=3)
ROWS = np.arange(len(STUDY))


def test_every_person_is_in_one_fold() -> None:
    folds = people_folds(STUDY.people, seed=1)
    assert len(folds) == 5
    assert (np.sum(folds, axis=0) == 1).all()
    for tested in folds:
        assert not set(STUDY.people[tested]) & set(STUDY.people[~tested])
    assert not np.array_equal(folds, people_folds(STUDY.people, seed=2))


def test_no_fit_sees_a_person_whom_it_answers_for() -> None:
    view, met = View(STUDY), []

    def fit(rows: Rows) -> Heads:
        met.append(set(STUDY.people[rows].tolist()))
        return fit_statistics(view, [STRESS], rows, seed=0, members=2)

    said = cross_validate(fit, {BOTH: view}, ROWS, seed=0)[BOTH]["stress"]
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-5)
    everyone = set(STUDY.people.tolist())
    assert sorted(person for some in met for person in everyone - some) == sorted(everyone)


def test_a_gain_is_shown_only_with_people_enough_and_an_interval_above_zero() -> None:
    truth = {"stress": STUDY.allowed["stress"].astype(float)}
    nothing = {"stress": np.full((len(STUDY), 3), 1 / 3)}
    assert gain(STUDY, STRESS, ROWS, truth, nothing, seed=0).shown
    assert not gain(STUDY, STRESS, ROWS, nothing, truth, seed=0).shown
    assert not gain(STUDY, STRESS, ROWS, nothing, nothing, seed=0).shown
    few = np.flatnonzero(STUDY.people < "p3-04")
    told = {"stress": truth["stress"][few]}
    assert not gain(STUDY, STRESS, few, told, {"stress": nothing["stress"][few]}, seed=0).shown


def test_face_and_posture_are_hidden_from_the_views() -> None:
    study = make_windows(people=2, minutes=3, space=SECOND_SPACE, missing=0.0)
    seen = {
        name: {SECOND_SPACE.modalities[m] for m in np.flatnonzero(view.windows.coverage.any(0))}
        for name, view in views(study).items()
    }
    assert seen == {
        BOTH: {"face", "emotion", "pose", "hands", "quality"},
        FACE_ONLY: {"face", "emotion", "quality"},
        POSTURE_ONLY: {"pose", "hands", "quality"},
    }


@pytest.mark.slow
def test_people_who_differ_need_their_baselines() -> None:
    """Without baselines the differences between people drown the state, under statistics of the others alone."""
    train = np.flatnonzero(STUDY.people < "p3-05")
    raw, population = without_baselines(STUDY, train)
    assert (raw.baselines == population).all()
    centres = STUDY.baselines[train, 0]
    np.testing.assert_allclose(population[0], centres.mean(0), rtol=1e-4)
    assert (population[1] > centres.std(0)).all()
    shown = {
        name: cross_validate(lambda rows: fit_statistics(view, [STRESS], rows, 0), {BOTH: view}, ROWS, 0)[BOTH]  # noqa: B023
        for name, view in (("own", View(STUDY)), ("none", View(raw)))
    }
    own, none = (scores(STUDY, STRESS, ROWS, shown[name])["brier"] for name in ("own", "none"))
    assert own < none - 0.05


@pytest.mark.slow
def test_a_head_that_has_learned_without_the_face_is_less_sure_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_windows(people=8, minutes=10, effect=4.0, space=SECOND_SPACE, missing=0.0)
    rows, shown = np.arange(len(study)), views(study)

    def brier() -> dict[str, float]:
        said = cross_validate(lambda some: fit_statistics(shown[BOTH], [STRESS], some, 0, 2), shown, rows, 0)
        return {name: scores(study, STRESS, rows, answers)["brier"] for name, answers in said.items()}

    with_hidden = brier()  # which costs something where the face is there
    monkeypatch.setattr(comparison, "HIDE_EVERY", len(study))
    without = brier()
    assert with_hidden[POSTURE_ONLY] < without[POSTURE_ONLY] - 0.005
    assert with_hidden[BOTH] < without[BOTH] + 0.06
