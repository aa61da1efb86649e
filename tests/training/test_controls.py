"""The controls find what was put in, and a leak."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import Task
from training.datasets.simulation import TASK, SimulatedStudy
from training.evaluation.controls import (
    CLOCK,
    PERSON,
    PLACE,
    control_studies,
    permutation_test,
    permute_labels,
    person_study,
    traps,
)
from training.evaluation.estimator import Predictor
from training.evaluation.protocols import Holdout, LeaveOnePersonOut, PersonKFold, SplitProtocol
from training.evaluation.results import Figure, Ingredient
from training.evaluation.validation import Study, validate
from training.feature_space import FeatureSpace
from training.trainers.estimators import LinearHeads, LogisticRegressionBaseline
from training.windows import Rows, WindowSet

SPACE = FeatureSpace(("brow", "smile", "lean", "slouch"), ("face", "posture"), (0, 0, 1, 1))
SMALL = SimulatedStudy(people=10, space=SPACE)


@dataclass(frozen=True)
class Leaky:
    """Answers with the label that it should predict."""

    def fit(self, windows: WindowSet, task: Task, rows: Rows, seed: int) -> Predictor:
        return _Peek(task.name)


@dataclass(frozen=True)
class _Peek:
    task: str

    def __call__(self, windows: WindowSet, rows: Rows) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return windows.allowed[self.task][rows].astype(np.float64)


def _study(windows: WindowSet, estimator: LinearHeads | LogisticRegressionBaseline | Leaky) -> Study:
    return Study(TASK, Ingredient("tested"), windows, estimator, PersonKFold(3))


def _auroc(windows: WindowSet) -> Figure:
    return validate([_study(windows, LinearHeads(members=2))], workers=1)[0].metrics["auroc_per_person"]


def test_an_effect_is_recovered() -> None:
    study = replace(SMALL, effect=1.0, missing=0.0, drift=0.0)
    figure = _auroc(study.draw(1))
    assert figure.low > 0.5
    assert study.best_auroc() - 0.15 < figure.value < study.best_auroc() + 0.05


def test_no_effect_is_reported_where_there_is_none() -> None:
    covered = [figure.low <= 0.5 <= figure.high for figure in (_auroc(SMALL.draw(seed)) for seed in range(3))]
    assert sum(covered) >= 2


def _coverage_of_chance(protocol: SplitProtocol, people: int, studies: int) -> float:
    """Share of studies without an effect whose interval holds 0.5."""
    drawn = [replace(SMALL, people=people).draw(seed) for seed in range(studies)]
    tested = [replace(_study(windows, LogisticRegressionBaseline()), protocol=protocol) for windows in drawn]
    figures = [result.metrics["auroc_per_person"] for result in validate(tested, workers=1)]
    return float(np.mean([figure.low <= 0.5 <= figure.high for figure in figures]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "people"), [(Holdout(0.5), 20), (PersonKFold(3), 10), (LeaveOnePersonOut(), 10)], ids=str
)
def test_intervals_cover_chance_in_most_studies_without_an_effect(protocol: SplitProtocol, people: int) -> None:
    assert _coverage_of_chance(protocol, people, 100) >= 0.885  # 95 % less three standard errors of 100 studies


def test_a_confounded_order_is_named() -> None:
    found = {
        trap.control: trap for trap in traps(replace(SMALL, order="confounded").draw(0), TASK, LeaveOnePersonOut())
    }
    assert set(found) == {CLOCK, PLACE}
    assert found[CLOCK].figure.value > 0.9
    assert "time on task" in found[CLOCK].sentence


def test_a_counterbalanced_order_is_no_trap() -> None:
    assert not traps(SMALL.draw(0), TASK, LeaveOnePersonOut())


def test_one_class_a_person_is_named() -> None:
    windows = SMALL.draw(0)
    one = np.eye(2, dtype=np.bool_)[(np.unique(windows.people, return_inverse=True)[1]) % 2]
    (trap,) = traps(replace(windows, allowed={TASK.name: one}), TASK, LeaveOnePersonOut())
    assert trap.control == "person alone"
    assert "10 of 10 people" in trap.sentence


def _mostly_one_class(exceptions: float = 0.2) -> WindowSet:
    """Every other person is high, the rest low, but for a share of the blocks."""
    windows = replace(SMALL, people=20).draw(0)
    blocks, of_block = np.unique(windows.blocks, return_inverse=True)
    exception = np.random.default_rng(1).random(len(blocks)) < exceptions
    usual = np.unique(windows.people, return_inverse=True)[1] % 2
    return windows.relabelled(TASK.name, np.eye(2, dtype=np.bool_)[usual ^ exception[of_block]])


def test_people_who_are_mostly_in_one_state_are_named_by_what_their_other_blocks_say() -> None:
    windows = _mostly_one_class()
    (result,) = validate([person_study(windows, TASK)], workers=1)
    assert result.metrics["balanced_accuracy"].low > 0.5
    assert result.metrics["auroc"].n == 20
    assert "auroc_per_person" not in result.per_person
    assert math.isnan(result.metrics["auroc_per_person"].value)
    (trap,) = traps(windows, TASK, LeaveOnePersonOut())
    assert trap.control == PERSON
    assert trap.figure.value == pytest.approx(result.metrics["auroc"].value)
    assert "who people are" in trap.sentence


def test_states_in_balance_are_not_told_by_the_person() -> None:
    (result,) = validate([person_study(SMALL.draw(0), TASK)], workers=1)
    assert result.metrics["auroc"].value < 0.5


def test_one_block_a_person_leaves_the_person_alone_unmeasured() -> None:
    windows = SMALL.draw(0)
    with pytest.raises(InputError, match="nobody has labels in two blocks"):
        person_study(replace(windows, blocks=windows.people), TASK)


def test_ratings_are_told_by_the_person_or_the_clock_that_makes_them() -> None:
    windows = SMALL.draw(0)
    number = np.unique(windows.people, return_inverse=True)[1].astype(np.float64)
    for ratings, telling in ((number, {PERSON}), (windows.elapsed, {CLOCK, PLACE})):
        rated = replace(windows, scales={"rating": ratings})
        studies = [*control_studies(rated, "rating", LeaveOnePersonOut()), person_study(rated, "rating")]
        reached = {r.ingredient.model: r.metrics["ccc"].value for r in validate(studies, workers=1)}
        assert {name for name, value in reached.items() if value > 0.8} == telling
        assert all(value < 0.2 for name, value in reached.items() if name not in telling)


def test_shuffled_windows_land_on_chance() -> None:
    study = _study(replace(SMALL, effect=1.0).draw(0), LogisticRegressionBaseline())
    test = permutation_test(study, 20, whole_blocks=False)
    assert not test.leaks()
    assert test.p == pytest.approx(1 / 21)


def test_a_leak_does_not_land_on_chance() -> None:
    test = permutation_test(_study(SMALL.draw(0), Leaky()), 10, whole_blocks=False)
    assert test.leaks()
    assert test.p == 1.0


def test_whole_blocks_keep_one_label_and_people_keep_theirs() -> None:
    windows = SMALL.draw(0)
    permuted = permute_labels(windows, TASK, np.random.default_rng(0), whole_blocks=True)
    before, after = windows.allowed[TASK.name], permuted.allowed[TASK.name]
    assert (before != after).any()
    for block in np.unique(windows.blocks):
        assert len(np.unique(after[windows.blocks == block], axis=0)) == 1
    for person in np.unique(windows.people):
        own = windows.people == person
        assert before[own].sum(0).tolist() == after[own].sum(0).tolist()


def test_blocks_of_several_labels_cannot_be_permuted() -> None:
    windows = permute_labels(SMALL.draw(0), TASK, np.random.default_rng(0), whole_blocks=False)
    with pytest.raises(InputError, match="several labels"):
        permute_labels(windows, TASK, np.random.default_rng(0), whole_blocks=True)


def test_everybody_begins_with_the_same_baseline_and_then_has_their_own() -> None:
    windows = SMALL.draw(0)
    assert (windows.baselines[:, 1] > 0).all()
    spread = [np.ptp(windows.baselines[windows.elapsed == start], axis=0).max() for start in (0, 100)]
    assert spread[0] == pytest.approx(0, abs=1e-5)
    assert spread[1] > 1


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match="no order 'random'"):
        replace(SMALL, order="random").draw(0)
