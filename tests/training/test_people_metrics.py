"""Metrics over people: hand-computed values, and intervals that people, not windows, make narrow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from sentry_proto.tasks import AlertRule, Task
from training.evaluation.people_metrics import ScaleRound, TaskRound, measure_scale, measure_task

CALM = Task("stress", "binary", ("calm", "stressed"), AlertRule(("stressed",), threshold=0.6))
ORDERED = Task("focus", "ordinal", ("1", "2", "3"))


def judged(people: str, labels: str, scores: list[float]) -> TaskRound:
    """One letter a window for the person and one for the label; `?` allows both classes."""
    allowed = np.array([[label in "0?", label in "1?"] for label in labels])
    event = np.array(scores)
    return TaskRound(np.array(list(people)), np.stack([1 - event, event], 1), allowed)


def rated(people: int, blocks: int, noise: float, seed: int = 0, level: float = 0.0) -> ScaleRound:
    """Three windows a block; ratings follow what is predicted, with noise, and people differ by `level`."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(5, 1, (people, blocks)) + level * np.arange(people)[:, None]
    predicted = truth + generator.normal(0, noise, truth.shape)
    names = np.array([f"p{person:02d}" for person in range(people)])
    person = np.repeat(names, blocks * 3)
    block = np.char.add(person, np.tile(np.repeat(np.arange(blocks), 3), people).astype(str))
    three = np.tile([-1.0, 0.0, 1.0], people * blocks)
    return ScaleRound(
        person, block, predicted.repeat(3) + three, truth.repeat(3), np.full(len(person), float(truth.mean()))
    )


def test_figures_by_hand() -> None:
    """Person a ranks 3 of 4 pairs right, b all of 1; of three windows without the event, one is at 0.6 or above."""
    found = measure_task(CALM, [judged("aaaabb", "001101", [0.1, 0.7, 0.6, 0.9, 0.2, 0.4])])
    figures = found.figures
    assert found.per_person["auroc_per_person"] == pytest.approx({"a": 0.75, "b": 1.0})
    assert figures["auroc_per_person"].value == pytest.approx(0.875)
    assert figures["auroc"].value == pytest.approx(7 / 9)
    assert figures["balanced_accuracy"].value == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert figures["macro_f1"].value == pytest.approx(2 / 3)
    assert figures["fpr"].value == pytest.approx(1 / 3)
    assert figures["fnr"].value == pytest.approx(1 / 3)
    assert figures["auroc"].n == 2


def test_the_interval_of_a_mean_over_people_is_students() -> None:
    """Areas 0.5, 0.75 and 1: mean 0.75, standard error 0.25 / sqrt(3), t(2) = 4.30265; no share is above 1."""
    scores = [0.2, 0.8, 0.1, 0.9, 0.2, 0.8, 0.5, 0.9, 0.1, 0.2, 0.3, 0.4]
    found = measure_task(CALM, [judged("aaaabbbbcccc", "001100110011", scores)])
    assert found.per_person["auroc_per_person"] == pytest.approx({"a": 0.5, "b": 0.75, "c": 1.0})
    figure = found.figures["auroc_per_person"]
    assert (figure.value, figure.high, figure.n) == (0.75, 1.0, 3)
    assert figure.low == pytest.approx(0.75 - 4.30265 * 0.25 / math.sqrt(3), abs=1e-4)


def test_more_windows_of_the_same_people_do_not_narrow_the_interval() -> None:
    people, labels = "aabbccdd", "01010101"
    scores = [0.2, 0.7, 0.6, 0.5, 0.3, 0.9, 0.4, 0.35]
    once = measure_task(CALM, [judged(people, labels, scores)]).figures
    often = measure_task(CALM, [judged(people * 50, labels * 50, scores * 50)]).figures
    for name in ("auroc", "balanced_accuracy", "auroc_per_person", "fpr"):
        assert (often[name].low, often[name].high) == pytest.approx((once[name].low, once[name].high)), name


def test_intervals_cover_the_truth() -> None:
    """Twenty people, each with a hit rate of their own around 0.6: 95 % intervals miss about 1 study in 20."""
    generator = np.random.default_rng(0)
    missed = 0
    for _ in range(150):
        rate = generator.beta(6, 4, 20)
        right = generator.random((20, 20)) < rate[:, None]
        labels = np.tile([0, 1], (20, 10))
        answer = np.where(right, labels, 1 - labels).ravel()
        names = np.repeat([f"{person:02d}" for person in range(20)], 20)
        study = TaskRound(names, np.eye(2)[answer], np.eye(2, dtype=bool)[labels.ravel()])
        figure = measure_task(CALM, [study]).figures["balanced_accuracy"]
        missed += not figure.low <= 0.6 <= figure.high
    assert missed <= 15


def test_labels_that_leave_classes_open_count_for_the_event_alone() -> None:
    task = Task("stress", "ordinal", ("calm", "mild", "stressed"), AlertRule(("stressed",), threshold=0.5))
    allowed = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]], np.bool_)
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.2, 0.7], [0.1, 0.2, 0.7]])
    figures = measure_task(task, [TaskRound(np.array(list("abab")), probabilities, allowed)]).figures
    assert figures["balanced_accuracy"].value == 1.0
    assert (figures["fpr"].value, figures["fnr"].value) == (0.5, 0.0)


def test_a_task_without_an_alert_has_no_alert_rates_and_ranks_each_class() -> None:
    generator = np.random.default_rng(1)
    labels = np.tile([0, 1, 2], 20)
    probabilities = generator.dirichlet([1, 1, 1], 60) + 3 * np.eye(3)[labels]
    people = np.repeat(list("abcd"), 15)
    found = measure_task(ORDERED, [TaskRound(people, probabilities / 4, np.eye(3, dtype=bool)[labels])])
    assert "fpr" not in found.figures
    assert found.figures["auroc"].value == 1.0
    assert set(found.per_person["auroc_per_person"]) == set("abcd")


def test_rounds_are_averaged_not_pooled() -> None:
    """Scores of two rounds are on scales of their own; ranked together they would say less."""
    low = judged("aabb", "0101", [0.1, 0.2, 0.1, 0.2])
    high = judged("aabb", "0101", [0.8, 0.9, 0.8, 0.9])
    assert measure_task(CALM, [low, high]).figures["auroc"].value == 1.0


def test_one_person_has_no_interval() -> None:
    figure = measure_task(CALM, [judged("aaa", "011", [0.1, 0.2, 0.3])]).figures["auroc"]
    assert figure.value == 1.0
    assert math.isnan(figure.low)
    assert figure.to_json() == {"value": 1.0, "low": None, "high": None, "n": 1}


def test_a_scale_is_measured_over_blocks() -> None:
    """Predictions that are off by -1, 0 and 1 within a block are right on the block."""
    figures = measure_scale([rated(people=6, blocks=4, noise=0.0)]).figures
    for name in ("ccc", "pearson", "spearman", "spearman_per_person"):
        assert figures[name].value == pytest.approx(1.0), name
    assert figures["mae"].value == pytest.approx(0.0, abs=1e-12)
    assert figures["mae_gain"].value == pytest.approx(figures["mae_of_mean"].value)


def test_errors_of_a_scale_by_hand() -> None:
    def array(*values: float) -> NDArray[np.float64]:
        return np.array(values)

    people, blocks = np.array(["a", "a", "b", "b"]), np.array(["a1", "a2", "b1", "b1"])
    study = ScaleRound(people, blocks, array(1, 4, 3, 5), array(2, 2, 6, 6), array(4, 4, 2, 2))
    figures = measure_scale([study]).figures
    assert figures["mae"].value == pytest.approx((1 + 2 + 2) / 3)
    assert figures["rmse"].value == pytest.approx(math.sqrt((1 + 4 + 4) / 3))
    assert figures["mae_of_mean"].value == pytest.approx((2 + 2 + 4) / 3)
    assert figures["mae_gain"].value == pytest.approx(((4 - 3) / 2 + (4 - 2)) / 2)


def test_knowing_who_someone_is_does_not_help_within_a_person() -> None:
    study = rated(people=12, blocks=4, noise=0.0, level=3.0)
    by_person = np.array([study.ratings[study.people == person].mean() for person in study.people])
    figures = measure_scale([ScaleRound(study.people, study.blocks, by_person, study.ratings, study.constant)]).figures
    assert figures["pearson"].value > 0.9
    assert figures["spearman_per_person"].n == 0
    assert math.isnan(figures["spearman_per_person"].value)
