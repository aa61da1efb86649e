"""Personal offsets: learned from a person's labels, and used only where they have won on later windows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sentry_proto.limits import MAX_OFFSET
from sentry_proto.tasks import STRESS, Task
from training.active_learning.personal import shift
from training.evaluation.personal import PersonWindows, fit_offset, judge_offset

KIND = Task("activity", "multiclass", ("read", "write", "talk"))


def seen(bias: float, count: int = 150, seed: int = 0, blocks: bool = True) -> PersonWindows:
    """A window a minute of somebody whose head leans by `bias` logits from the first class to the last."""
    random = np.random.default_rng(seed)
    truth = random.integers(3, size=count)
    scores = random.normal(0, 0.6, (count, 3))
    scores[np.arange(count), truth] += 1.2
    starts = 60.0 * np.arange(count)
    generic = shift(np.full((count, 3), 1 / 3), scores + bias * np.linspace(-1, 1, 3))
    return PersonWindows(np.eye(3, dtype=bool)[truth], generic, np.ones(count), starts, starts + 30, ["s"] * count)


def joined(*parts: PersonWindows) -> PersonWindows:
    """All their windows."""
    arrays = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("allowed", "generic", "weights", "starts", "ends")
    )
    allowed, generic, weights, starts, ends = arrays
    return PersonWindows(allowed, generic, weights, starts, ends, [name for part in parts for name in part.sessions])


def test_shifting_by_nothing_changes_nothing_and_a_shift_moves_the_odds() -> None:
    some = np.array([0.2, 0.3, 0.5])
    assert shift(some, np.zeros(3)) == pytest.approx(some)
    moved = shift(some, np.array([0.0, 0.0, 1.0]))
    assert moved.sum() == pytest.approx(1)
    assert np.log(moved[2] / moved[0]) == pytest.approx(np.log(0.5 / 0.2) + 1)


@pytest.mark.parametrize("bias", [-1.0, 1.0])
def test_an_offset_undoes_a_lean(bias: float) -> None:
    found = fit_offset(STRESS, seen(bias))
    assert found == pytest.approx(-bias * np.linspace(-1, 1, 3), abs=0.35)


def test_few_labels_move_it_little_and_it_has_a_bound() -> None:
    few, many = (abs(fit_offset(STRESS, seen(1.0, count))[0]) for count in (3, 150))
    assert 0 < few < 0.7 * many
    assert np.abs(fit_offset(STRESS, seen(20.0, 150))).max() <= MAX_OFFSET


def test_without_an_order_each_class_has_its_own() -> None:
    lean = np.array([-0.6, 1.2, -0.6])
    plain = seen(0.0, 300)
    found = fit_offset(KIND, dataclasses.replace(plain, generic=shift(plain.generic, lean)))
    assert found == pytest.approx(-lean, abs=0.4)


def test_labels_that_leave_two_classes_possible_still_tell() -> None:
    some = seen(1.5)
    allowed = some.allowed | np.array([True, True, False]) & ~some.allowed[:, 2:]
    assert allowed.sum(1).max() == 2
    assert fit_offset(STRESS, dataclasses.replace(some, allowed=allowed))[0] > 0.3


def test_it_is_used_where_it_wins_and_beside_it_stands_the_generic_head() -> None:
    found = judge_offset(STRESS, seen(1.5))
    assert found.used
    assert found.generic is not None
    assert found.personal is not None
    assert found.personal["brier"] < found.generic["brier"] - 0.05
    assert found.interval is not None
    assert found.interval[0] > 0
    assert "offset in use" in found.words


def test_people_whom_the_head_suits_get_none() -> None:
    used = [judge_offset(STRESS, seen(0.0, 60, seed)).used for seed in range(20)]
    assert sum(used) <= 1


def test_a_head_that_has_come_to_suit_the_person_ends_it() -> None:
    """What it learned of the old head no longer helps on what the new head says."""
    old, new = seen(1.5, 80), seen(0.0, 120, 1)
    later = dataclasses.replace(new, starts=new.starts + 6_000, ends=new.ends + 6_000)
    both = joined(old, later)
    assert judge_offset(STRESS, old).used
    assert not judge_offset(STRESS, both).used


@pytest.mark.parametrize(
    ("count", "one_class", "words"),
    [(12, False, "of 20 labelled windows"), (60, True, "of 20 labelled windows"), (0, False, "0 of 20")],
)
def test_too_little_is_said_in_words(count: int, one_class: bool, words: str) -> None:
    some = seen(1.5, count)
    if one_class:
        some = dataclasses.replace(some, allowed=np.tile([False, False, True], (count, 1)))
    found = judge_offset(STRESS, some)
    assert not found.used
    assert words in found.words


def test_windows_close_together_do_not_judge_one_another() -> None:
    """All within one block: there is no past that could have taught anything."""
    some = seen(1.5, 60)
    crowded = dataclasses.replace(some, starts=some.starts / 100, ends=some.starts / 100 + 30)
    assert judge_offset(STRESS, crowded).windows == 0


def test_the_windows_of_a_minute_count_as_one() -> None:
    some = seen(1.0, 40)
    tenfold = joined(*[some] * 10)
    assert fit_offset(STRESS, tenfold) == pytest.approx(fit_offset(STRESS, some), abs=1e-6)
