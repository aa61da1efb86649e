"""From windows to heads: effects that are there go live, what is not shown abstains, and those held out stay unseen."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.tasks import FOCUS, STRESS
from tests.training.window_study import BURST, make_windows
from training.trainers.classifier_training import AUTO, LEARNED, STATISTICS, Settings, Trained, train
from training.trainers.comparison import View
from training.trainers.fusion_fitting import FusionHead, FusionRecipe
from training.trainers.state_heads import TaskHead
from training.windows import WindowSet

STUDY = make_windows(people=10, minutes=7, seed=1)
LINEAR = Settings(fusion=STATISTICS, members=2)
QUICK = FusionRecipe(members=2, hidden=6, epochs=6, batch=64, rate=2e-2)


def relabelled(windows: WindowSet, rows: NDArray[np.bool_], *classes: str) -> WindowSet:
    allowed = windows.allowed["stress"].copy()
    allowed[rows] = [name in classes for name in STRESS.classes]
    return dataclasses.replace(windows, allowed={"stress": allowed})


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(STUDY, [STRESS], LINEAR)


def test_an_effect_goes_live_and_holds_for_the_people_held_out(trained: Trained) -> None:
    task = trained.report["tasks"]["stress"]
    assert isinstance(trained.heads["stress"], TaskHead)
    assert task["gate"]["interval"][0] > 0
    assert task["held_out"]["people"] == 2
    assert task["held_out"]["balanced_accuracy"]["value"] > 0.5
    assert task["held_out"]["ece"]["low"] < task["held_out"]["ece"]["value"] < task["held_out"]["ece"]["high"]
    assert trained.abstaining == {}
    assert trained.population is None


def test_without_an_effect_every_head_abstains() -> None:
    nothing = train(make_windows(people=10, minutes=7, seed=1, effect=0.0), [STRESS], LINEAR)
    assert nothing.heads == {}
    assert "not shown to be better than a constant forecast" in nothing.abstaining["stress"]
    assert nothing.report["tasks"]["stress"]["held_out"] is None


def test_the_people_held_out_change_nothing_but_the_final_figures(trained: Trained) -> None:
    held_out = np.isin(STUDY.people, trained.report["held_out"])
    assert held_out.any()
    values = STUDY.values.copy()
    for end in STUDY.ends[held_out]:
        values[end - STUDY.length : end] = 7
    changed = relabelled(dataclasses.replace(STUDY, values=values), held_out, "calm")
    other = train(changed, [STRESS], LINEAR)
    rows = np.flatnonzero(~held_out)
    one, two = (View(STUDY).answers(result.heads, rows)["stress"] for result in (trained, other))
    np.testing.assert_array_equal(one, two)
    before, after = (dict(result.report["tasks"]["stress"]) for result in (trained, other))
    assert before.pop("held_out") != after.pop("held_out")
    assert before == after


def test_the_loss_of_face_or_body_and_the_gain_of_baselines_are_reported(trained: Trained) -> None:
    task = trained.report["tasks"]["stress"]
    shown = task["cross_validation"]["statistics"]
    assert task["gain_of_baseline"]["interval"][0] > 0
    assert shown["both"]["brier"] < min(shown["face only"]["brier"], shown["posture only"]["brier"])


@pytest.mark.slow
def test_a_run_without_baselines_says_what_stands_in_for_them() -> None:
    result = train(STUDY, [STRESS], dataclasses.replace(LINEAR, baseline=False))
    assert "gain_of_baseline" not in result.report["tasks"]["stress"]
    assert result.population is not None
    assert result.population.shape == (2, len(STUDY.space.features))


@pytest.mark.slow
def test_learned_layers_are_used_when_asked_for_but_not_when_they_do_not_win() -> None:
    asked = train(STUDY, [STRESS], Settings(fusion=LEARNED, recipe=QUICK))
    assert asked.report["tasks"]["stress"]["fusion"] == LEARNED
    kept = train(STUDY, [STRESS], Settings(fusion=AUTO, recipe=dataclasses.replace(QUICK, epochs=1), members=2))
    assert isinstance(kept.heads["stress"], TaskHead)
    assert kept.report["tasks"]["stress"]["gain_of_learned_fusion"]["interval"][0] < 0


@pytest.mark.slow
def test_learned_layers_replace_pooling_where_they_win() -> None:
    study = make_windows(people=24, minutes=10, effect=4.0, seed=1, how=BURST)
    result = train(study, [STRESS], Settings())
    assert isinstance(result.heads["stress"], FusionHead)
    assert result.report["tasks"]["stress"]["gain_of_learned_fusion"]["interval"][0] > 0
    assert result.report["tasks"]["stress"]["held_out"]["balanced_accuracy"]["value"] > 0.5


def test_a_task_with_labels_of_too_few_people_abstains_beside_one_with_enough() -> None:
    focus = np.ones((len(STUDY), 5), bool)
    some = np.isin(STUDY.people, ["p1-03", "p1-04"])
    focus[some] = np.eye(5, dtype=bool)[np.arange(some.sum()) % 5]
    windows = dataclasses.replace(STUDY, allowed={**STUDY.allowed, "focus": focus})
    result = train(windows, [STRESS, FOCUS], LINEAR)
    assert set(result.heads) == {"stress"}
    assert "labels of at least 3 people are needed" in result.abstaining["focus"]


@pytest.mark.slow
def test_few_people_are_not_held_out_and_keep_statistics_pooling() -> None:
    few = STUDY.take(np.flatnonzero(STUDY.people < "p1-04"))
    result = train(few, [STRESS], Settings(recipe=QUICK, members=2))
    assert result.report["held_out"] == []
    assert result.report["tasks"]["stress"]["fusion"] == STATISTICS


@pytest.mark.slow
def test_the_same_seed_gives_the_same_report(trained: Trained) -> None:
    assert train(STUDY, [STRESS], LINEAR).report == trained.report


EVERYONE = np.ones(len(STUDY), bool)
BAD: dict[str, tuple[Any, str]] = {
    "one person": (
        lambda: STUDY.take(np.flatnonzero(STUDY.people == "p1-00")),
        "all labelled windows are of one person",
    ),
    "one class": (lambda: relabelled(STUDY, EVERYONE, "calm"), "labels of two classes or more.*only 'calm'"),
    "no label": (lambda: relabelled(STUDY, EVERYONE, *STRESS.classes), "has a label of stress"),
    "two people": (lambda: STUDY.take(np.flatnonzero(STUDY.people < "p1-02")), "at least 3 people are needed"),
    "nothing seen": (lambda: dataclasses.replace(STUDY, coverage=STUDY.coverage * 0), "none of the labelled windows"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_trained_is_said_in_one_sentence(name: str) -> None:
    make, words = BAD[name]
    with pytest.raises(InputError, match=words) as error:
        train(make(), [STRESS], LINEAR)
    assert "\n" not in str(error.value)
