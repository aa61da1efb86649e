"""State heads: they learn what shows, admit what they do not know, and forget slowly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sentry_proto.tasks import FALSE_ALARM, STRESS, TRUE_ALARM, Task
from tests.training.synthetic import Study, make_study
from training.evaluation.gate import figures
from training.feature_space import SECOND_SPACE
from training.trainers.state_heads import TaskHead, _rebase, fit_head

BINARY = Task("presence", "binary", ("no", "yes"))
TEST = make_study(people=12, windows=15, effect=1.5, seed=900, prefix="t")


def fit(study: Study, allowed: NDArray[np.bool_] | None = None, task: Task = STRESS, **more: Any) -> TaskHead:
    allowed = study.allowed if allowed is None else allowed
    return fit_head(task, study.pooled, allowed, np.ones(len(allowed)), study.participants, **more)


def score(head: TaskHead, study: Study = TEST) -> dict[str, float]:
    return figures(study.allowed, head.predict(study.pooled).mean)


def verdicts(study: Study) -> NDArray[np.bool_]:
    """Only true and false alarms: whether the highest state was there."""
    allowed = [STRESS.allowed(TRUE_ALARM if state == 2 else FALSE_ALARM) for state in study.states]
    return np.array([[name in names for name in STRESS.classes] for names in allowed])


def test_learns_a_state_of_people_it_has_never_seen() -> None:
    result = score(fit(make_study(people=10, windows=40, effect=1.5, seed=1)))
    assert result["balanced_accuracy"] > 0.65
    assert result["brier"] < 0.5
    assert result["ece"] < 0.15


def test_forty_windows_of_four_people_already_help_and_never_harm_much() -> None:
    uniform = figures(TEST.allowed, np.full((len(TEST.states), 3), 1 / 3))["brier"]
    found = [score(fit(make_study(people=4, windows=10, effect=1.5, seed=seed)))["brier"] for seed in range(8)]
    assert np.mean(found) < uniform - 0.05
    assert max(found) < uniform + 0.02
    for seed in range(4):
        assert score(fit(make_study(people=4, windows=10, effect=0.0, seed=seed)))["brier"] < uniform + 0.1


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    study = make_study(people=6, windows=10)
    one, same, other = fit(study, seed=3), fit(study, seed=3), fit(study, seed=4)
    np.testing.assert_array_equal(one.weights, same.weights)
    assert one.temperature == same.temperature
    assert not np.allclose(one.weights, other.weights)


@pytest.mark.slow
def test_the_ordered_form_moves_the_classes_in_their_order_and_helps() -> None:
    studies = [make_study(people=10, windows=20, effect=1.5, seed=seed) for seed in range(2)]
    free, ordered = ([fit(study, ordered=form) for study in studies] for form in (False, True))
    for head in ordered:
        steps = np.diff(head.weights, axis=2)
        np.testing.assert_allclose(steps[:, :, 0], steps[:, :, 1], atol=1e-6)
        np.testing.assert_allclose(head.predict(TEST.pooled).mean.sum(1), 1, atol=1e-5)
    gain = np.mean([score(head)["brier"] for head in free]) - np.mean([score(head)["brier"] for head in ordered])
    assert gain > 0.02


def test_the_ordered_form_changes_nothing_for_a_task_without_order() -> None:
    study = make_study(people=4, windows=10, classes=2)
    free, ordered = (fit(study, study.allowed, BINARY, ordered=form) for form in (False, True))
    np.testing.assert_array_equal(free.weights, ordered.weights)


def test_output_shapes_and_ranges() -> None:
    head = fit(make_study(people=5, windows=8), members=4)
    output = head.predict(TEST.pooled[:7])
    assert output.members.shape == (7, 4, 3)
    assert output.mean.shape == (7, 3)
    np.testing.assert_allclose(output.members.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(output.members.mean(1), output.mean, atol=1e-6)
    assert ((output.entropy >= output.mutual_information) & (output.mutual_information >= 0)).all()
    assert (output.entropy <= np.log(3) + 1e-6).all()
    assert (output.mutual_information > 0).any()


def test_verdicts_alone_teach_the_event() -> None:
    study = make_study(people=10, windows=40, effect=1.5, seed=2)
    event = fit(study, verdicts(study)).predict(TEST.pooled).mean[:, 2]
    with_event, without = event[TEST.states == 2], event[TEST.states == 0]
    assert (with_event[:, None] > without[None]).mean() > 0.85


def test_what_a_window_shows_does_not_matter_when_its_label_says_nothing() -> None:
    study = make_study(people=6, windows=20, seed=5)
    silent = np.arange(len(study.states)) % 4 == 0
    allowed, pooled = study.allowed | silent[:, None], study.pooled
    swapped = pooled.copy()
    swapped[silent] = pooled[silent][::-1]

    def weights(windows: NDArray[np.float32], labels: NDArray[np.bool_]) -> NDArray[np.float32]:
        return fit_head(STRESS, windows, labels, np.ones(len(labels)), study.participants).weights

    np.testing.assert_allclose(weights(pooled, allowed), weights(swapped, allowed), atol=5e-3)
    assert np.abs(weights(pooled, study.allowed) - weights(swapped, study.allowed)).max() > 0.02


def test_weight_nought_is_no_label() -> None:
    study = make_study(people=6, windows=20, effect=1.5, seed=6)
    wrong = study.allowed.copy()
    wrong[::2] = np.roll(wrong[::2], 1, axis=1)
    weights = np.where(np.arange(len(wrong)) % 2, 1.0, 0.0)
    ignoring = fit_head(STRESS, study.pooled, wrong, weights, study.participants)
    believing = fit_head(STRESS, study.pooled, wrong, np.ones(len(wrong)), study.participants)
    assert score(ignoring)["brier"] < score(believing)["brier"]


def test_a_rare_state_is_not_drowned() -> None:
    study = make_study(people=10, windows=60, classes=2, effect=2.0, seed=7)
    rare = (study.states == 0) | (np.arange(len(study.states)) % 8 == 0)
    names = [name for name, keep in zip(study.participants, rare, strict=True) if keep]
    head = fit_head(BINARY, study.pooled[rare], study.allowed[rare], np.ones(rare.sum()), names)
    test = make_study(people=8, windows=15, classes=2, effect=2.0, seed=901, prefix="t")
    found = head.predict(test.pooled).mean.argmax(1) == 1
    assert found[test.states == 1].mean() > 0.5


def test_pure_noise_is_answered_with_doubt() -> None:
    head = fit(make_study(people=10, windows=30, effect=0.0, seed=8))
    assert head.predict(TEST.pooled).mean.max(1).mean() < 0.5


def test_a_warm_start_arrives_where_a_cold_one_does() -> None:
    study = make_study(people=10, windows=40, effect=1.5, seed=1)
    elsewhere = fit(make_study(people=6, windows=20, effect=1.5, seed=30))
    warm, cold = fit(study, warm_start=elsewhere), fit(study)
    np.testing.assert_allclose(warm.predict(TEST.pooled).mean, cold.predict(TEST.pooled).mean, atol=0.02)


@pytest.mark.parametrize("people", [4, 10])
def test_a_few_new_labels_change_little(people: int) -> None:
    study = make_study(people=people, windows=40, effect=1.5, seed=1)
    most = np.arange(len(study.states)) % 40 < 38
    names = [name for name, keep in zip(study.participants, most, strict=True) if keep]
    incumbent = fit_head(STRESS, study.pooled[most], study.allowed[most], np.ones(most.sum()), names)
    candidate = fit(study, warm_start=incumbent)
    difference = np.abs(candidate.predict(TEST.pooled).mean - incumbent.predict(TEST.pooled).mean)
    assert difference.mean() < 0.03


def test_warm_start_improves_with_more_people() -> None:
    first = make_study(people=4, windows=20, effect=1.5, seed=1)
    both = [first, make_study(people=12, windows=20, effect=1.5, seed=2)]
    incumbent = fit(first)
    pooled, allowed = np.concatenate([s.pooled for s in both]), np.concatenate([s.allowed for s in both])
    people = [name for s in both for name in s.participants]
    later = fit_head(STRESS, pooled, allowed, np.ones(len(allowed)), people, warm_start=incumbent)
    assert score(later)["brier"] < score(incumbent)["brier"]


def test_an_incumbent_keeps_its_meaning_under_another_standardisation() -> None:
    incumbent = fit(make_study(people=6, windows=20, effect=1.5))
    centre, scale = incumbent.centre + 0.2 * incumbent.scale, incumbent.scale * np.float32(1.5)
    rebased = _rebase(incumbent, STRESS, 8, centre, scale)
    assert rebased is not None
    moved = TaskHead(STRESS, centre, scale, *rebased, incumbent.temperature)
    usual = np.random.default_rng(0).uniform(-2, 2, (20, SECOND_SPACE.n_pooled)) * incumbent.scale + incumbent.centre
    usual[:, SECOND_SPACE.is_coverage] = np.clip(usual[:, SECOND_SPACE.is_coverage], 0.1, 1)
    np.testing.assert_allclose(moved.predict(usual).mean, incumbent.predict(usual).mean, atol=1e-4)
    assert np.ptp(incumbent.predict(usual).mean) > 0.2


def test_an_incumbent_of_another_shape_is_no_start() -> None:
    study = make_study(people=5, windows=10)
    small = fit(study, members=3)
    np.testing.assert_array_equal(fit(study, warm_start=small).weights, fit(study).weights)


def test_a_single_person_can_be_learned_from() -> None:
    head = fit(make_study(people=1, windows=40, effect=1.5, seed=9))
    assert np.isfinite(head.weights).all()
    assert head.temperature == 1.0


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_handful_of_windows_is_enough_for_a_fit(count: int) -> None:
    """Along all but a few axes they say nothing, which must not stop the search for the axes."""
    pooled = np.sign(np.random.default_rng(1).normal(size=(count, SECOND_SPACE.n_pooled))).astype(np.float32)
    allowed = np.eye(2, dtype=bool)[np.arange(count) % 2]
    head = fit_head(BINARY, pooled, allowed, np.ones(count), [f"p{number}" for number in range(count)])
    assert np.isfinite(head.weights).all()


def test_unseen_modalities_move_nothing() -> None:
    head = fit(make_study(people=6, windows=20, effect=1.5))
    nothing = np.zeros_like(TEST.pooled[:1])
    far = nothing.copy()
    far[0, :100] = 1e6
    np.testing.assert_array_equal(head.predict(nothing).mean, head.predict(far).mean)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no class allowed": ({"allowed": np.zeros((40, 3), bool)}, "allow a class"),
    "another number of classes": ({"allowed": np.ones((40, 2), bool)}, "do not fit"),
    "too few weights": ({"weights": np.ones(39)}, "do not fit"),
    "negative weight": ({"weights": -np.ones(40)}, "weights"),
    "only weights of 0": ({"weights": np.zeros(40)}, "weights"),
    "not finite": ({"pooled": np.full((40, SECOND_SPACE.n_pooled), np.nan)}, "finite"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_refused(name: str) -> None:
    study = make_study(people=4, windows=10)
    good = {"pooled": study.pooled, "allowed": study.allowed, "weights": np.ones(40), "groups": study.participants}
    change, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        fit_head(STRESS, **{**good, **change})
