"""Validation: what can be known of strangers is found, what cannot is not, on every engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sentry_proto.errors import InputError
from sentry_proto.tasks import AlertRule, Task
from tests.training.minute_study import make_minutes
from training.evaluation.estimator import Predictor
from training.evaluation.fold_engines import run_jobs
from training.evaluation.protocols import (
    FewShot,
    Fold,
    Holdout,
    Leak,
    LeaveOnePersonOut,
    PersonKFold,
    SplitProtocol,
)
from training.evaluation.results import Ingredient
from training.evaluation.validation import Result, Study, usable_rows, validate
from training.trainers.estimators import LogisticRegressionBaseline, RidgeScale
from training.windows import Rows, WindowSet

STATE = Task("state", "binary", ("low", "high"), AlertRule(("high",), 0.5, 0.5))
INGREDIENT = Ingredient("test")


@dataclass(frozen=True)
class Memory:
    """Remembers who was how, and answers chance for strangers."""

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        people, labels = windows.people[rows], windows.allowed[task.name][rows]
        return _Remembered({name: labels[people == name].mean(0) for name in np.unique(people).tolist()})


@dataclass(frozen=True)
class _Remembered:
    shares: dict[str, NDArray[np.float64]]

    def __call__(self, windows: WindowSet, rows: Rows) -> NDArray[np.float64]:
        return np.array([self.shares.get(person, np.array([0.5, 0.5])) for person in windows.people[rows].tolist()])


@dataclass(frozen=True)
class Shared:
    """A split by window: the mistake that all of this is there to prevent."""

    def folds(self, windows: WindowSet, rows: Rows, classes: NDArray[np.int64] | None, seed: int) -> list[Fold]:
        shuffled = np.random.default_rng(seed).permutation(rows)
        return [Fold(shuffled[::2], shuffled[1::2])]


def study(windows: WindowSet, protocol: SplitProtocol, target: Task | str = STATE, estimator: Any = None) -> Study:
    model = estimator or (RidgeScale() if isinstance(target, str) else LogisticRegressionBaseline())
    return Study(target, INGREDIENT, windows, model, protocol)


def run(*studies: Study, **options: Any) -> list[Result]:
    return validate(studies, **{"workers": 1, **options})


def test_an_effect_is_found_in_strangers() -> None:
    (result,) = run(study(make_minutes(people=10, effect=1.0, person=1.0), LeaveOnePersonOut()))
    assert result.metrics["auroc_per_person"].low > 0.7
    assert result.metrics["balanced_accuracy"].low > 0.5
    assert (result.people, result.windows, result.classes) == (10, 200, ("low", "high"))
    assert result.confusion is not None
    assert result.confusion.sum() == 200
    curve = result.reliability
    assert curve is not None
    gaps = np.nansum(curve.count * np.abs(curve.confidence - curve.accuracy))
    assert gaps / curve.count.sum() == pytest.approx(result.metrics["ece"].value)


def test_without_an_effect_the_interval_holds_chance() -> None:
    (result,) = run(study(make_minutes(people=12, effect=0.0, person=1.0), LeaveOnePersonOut()))
    for name in ("auroc_per_person", "auroc", "balanced_accuracy"):
        assert result.metrics[name].low <= 0.5 <= result.metrics[name].high, name


@pytest.mark.parametrize("protocol", [LeaveOnePersonOut(), PersonKFold(), Holdout(0.3)])
def test_knowing_people_by_heart_is_worth_nothing(protocol: SplitProtocol) -> None:
    """Four people are nearly always high, the others low: on a split by window, memory would be right 9 times in 10."""
    windows = make_minutes(people=8, minutes=20)
    usual = np.isin(windows.people, ["p1", "p3", "p5", "p7"])
    high = usual ^ (np.random.default_rng(0).random(len(windows)) < 0.1)
    windows = replace(windows, allowed={"state": np.stack([~high, high], 1)})
    (honest,) = run(study(windows, protocol, estimator=Memory()))
    assert honest.metrics["auroc"].value == pytest.approx(0.5)
    rows = usable_rows(windows, STATE)
    by_window = Memory().fit(windows, STATE, rows[::2], 0)(windows, rows[1::2])[:, 1] > 0.5
    assert (by_window == high[rows[1::2]]).mean() > 0.8


def test_a_person_on_both_sides_is_refused() -> None:
    with pytest.raises(Leak, match="people are both learned from and tested"):
        run(study(make_minutes(), Shared()))


def test_labels_of_the_tested_never_reach_the_model() -> None:
    windows = make_minutes(people=6, effect=0.5)
    (before,) = run(study(windows, Holdout(0.3)))
    (fold,) = Holdout(0.3).folds(windows, usable_rows(windows, STATE), None, 0)
    flipped = windows.allowed["state"].copy()
    flipped[fold.test] = ~flipped[fold.test]
    (after,) = run(study(replace(windows, allowed={"state": flipped}), Holdout(0.3)))
    assert after.metrics["auroc"].value == pytest.approx(1 - before.metrics["auroc"].value)


@pytest.mark.slow
def test_minutes_of_the_person_help_where_people_differ() -> None:
    """Effect and person are on the same features: without minutes of a stranger, high looks like a tall person."""
    windows = make_minutes(people=10, conditions=("low", "high", "low", "high"), effect=1.0, person=3.0, minutes=12)
    with_minutes, without = run(study(windows, FewShot(10, weight=20)), study(windows, FewShot(10, weight=0)))
    assert with_minutes.metrics["ece"].value != without.metrics["ece"].value
    assert with_minutes.windows == without.windows == len(windows)


def test_a_scale_is_predicted_and_compared_with_the_mean() -> None:
    windows = make_minutes(people=12, effect=1.5)
    (result,) = run(study(windows, LeaveOnePersonOut(), "rating"))
    assert result.kind == "scale"
    assert result.metrics["ccc"].low > 0.4
    assert result.metrics["mae_gain"].low > 0
    assert result.confusion is None
    assert result.reliability is None
    (nothing,) = run(study(make_minutes(people=12, effect=0.0), LeaveOnePersonOut(), "rating"))
    assert nothing.metrics["mae_gain"].low <= 0.05


def test_repetitions_are_averaged() -> None:
    windows = make_minutes(people=9, effect=0.7)
    single = [run(study(windows, PersonKFold(3)), seeds=1)[0], run(study(windows, PersonKFold(3)), seeds=3)[0]]
    assert single[0].people == single[1].people == 9
    assert single[0].metrics["auroc"].value != single[1].metrics["auroc"].value
    assert single[1].seeds == 3


def test_windows_that_saw_nothing_are_not_scored() -> None:
    windows = make_minutes(people=6)
    windows.coverage[:30] = 0
    (result,) = run(study(windows, LeaveOnePersonOut()))
    assert result.windows == len(windows) - 30
    (face,) = run(study(windows.only("face"), LeaveOnePersonOut()))
    assert face.windows == len(windows) - 30


BROKEN: dict[str, tuple[Callable[[WindowSet], WindowSet], Task | str, str]] = {
    "no label": (
        lambda w: replace(w, allowed={"state": np.ones_like(w.allowed["state"])}),
        STATE,
        "no window has a label",
    ),
    "one class": (lambda w: w.take(np.flatnonzero(w.allowed["state"][:, 0])), STATE, "have the same label"),
    "one rating": (lambda w: replace(w, scales={"rating": np.full(len(w), 2.0)}), "rating", "have the same rating"),
    "no rating": (lambda w: replace(w, scales={"rating": np.full(len(w), np.nan)}), "rating", "no window has a rating"),
    "one person": (lambda w: w.take(np.flatnonzero(w.people == "p0")), STATE, "needs 2 people"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_validated_is_said(name: str) -> None:
    breaks, target, message = BROKEN[name]
    with pytest.raises(InputError, match=message):
        run(study(breaks(make_minutes(people=4)), LeaveOnePersonOut(), target))


def test_a_result_is_plain_json() -> None:
    (result,) = run(study(make_minutes(people=3), LeaveOnePersonOut()))
    read = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert read["metrics"]["auroc"]["n"] == 3
    assert read["model"] == "test"
    assert len(read["confusion"]) == 2
    assert len(read["reliability"]["count"]) == 15


def test_processes_give_what_one_process_gives() -> None:
    assert sorted(run_jobs(max, 7, [1, 20, 3], workers=2)) == [(0, 7), (1, 20), (2, 7)]
    with pytest.raises(InputError, match="there is no engine 'cloud'"):
        list(run_jobs(max, 7, [1], engine="cloud"))


@pytest.mark.slow
@pytest.mark.timeout(400)  # Ray takes minutes to start on a machine that is busy
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_every_engine_gives_the_same_figures(engine: str) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="the extra `scale` is not installed")
    studies = [
        study(make_minutes(people=6), LeaveOnePersonOut()),
        study(make_minutes(people=5), PersonKFold(3), "rating"),
    ]
    told: list[tuple[int, int]] = []
    found = run(*studies, engine=engine, workers=2, progress=lambda done, total: told.append((done, total)))
    assert [result.to_json() for result in found] == [result.to_json() for result in run(*studies)]
    assert told == [(number, 9) for number in range(1, 10)]
