from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sentry_proto.tasks import STRESS
from trainer_service import policy
from trainer_service.labels import Opinion
from trainer_service.partition import partition_of


def opinions(people: int, per_person: int, values: Sequence[str] = ("calm", "stressed")) -> list[Opinion]:
    """Labels of so many people in the order of their numbers, the values in turn, a minute apart."""
    return [
        Opinion(
            f"{person}-{n}",
            f"P{person}",
            f"session-{person}",
            partition_of(person),
            60.0 * n,
            values[n % len(values)],
            1.0,
            "ann",
        )
        for person in range(1, people + 1)
        for n in range(per_person)
    ]


ENOUGH = opinions(3, 20)

CASES: dict[str, tuple[list[Opinion], int, int, str]] = {
    "due": (ENOUGH, 10, 10, ""),
    "more than due": (ENOUGH, 60, 10, ""),
    "one label short": (ENOUGH, 9, 10, "1 more label"),
    "some labels short": (ENOUGH, 3, 10, "7 more labels"),
    "by hand, nothing new": (ENOUGH, 0, 0, ""),
    "nothing at all": (
        [], 0, 10, "10 more labels, 2 more labelled people and a labelled person to hold out (every third one is)",
    ),
    "one person": (
        opinions(1, 40), 40, 10, "1 more labelled person and a labelled person to hold out (every third one is)",
    ),
    "nobody more to train on": (opinions(2, 40), 80, 10, "1 more labelled person"),
    "one class": (
        opinions(3, 20, ["calm"]), 60, 10,
        "a second class among the labels and a second class among the labels of held-out people",
    ),
    "verdicts that one class explains": (
        opinions(3, 20, ["true alarm", "stressed"]), 60, 10,
        "a second class among the labels and a second class among the labels of held-out people",
    ),
    "verdicts of both kinds": (opinions(3, 20, ["true alarm", "false alarm"]), 60, 10, ""),
    "a short holdout": (opinions(3, 12), 36, 10, "8 more labelled windows of held-out people"),
    "by hand without people": (
        opinions(1, 1), 1, 0,
        "1 more labelled person, a second class among the labels and "
        "a labelled person to hold out (every third one is)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_when_a_run_is_due(case: str) -> None:
    held, new_labels, per_run, words = CASES[case]
    assert policy.lacking(policy.stock(STRESS, held), new_labels, per_run) == words


def test_windows_of_one_minute_are_one_cluster() -> None:
    held = [replace(o, start=0.0) for o in ENOUGH]
    assert policy.lacking(policy.stock(STRESS, held), 60, 10) == "4 more labelled minutes of held-out people"


def test_two_raters_of_a_window_make_no_second_window() -> None:
    twice = [*opinions(3, 15), *opinions(3, 15)]
    assert policy.lacking(policy.stock(STRESS, twice), 60, 10) == "5 more labelled windows of held-out people"


def test_every_third_person_is_held_out() -> None:
    assert [number for number in range(1, 12) if partition_of(number) == "holdout"] == [2, 5, 8, 11]


def test_a_drift_raises_the_audit_and_the_hours_lower_it_again() -> None:
    wishes = [policy.audit_probability(HOUR * hours, 0.0) for hours in (-1, 0, 1, 2, 6)]
    assert wishes == pytest.approx([0.2, 0.2, 0.1, 0.05, 0.0])
    assert policy.audit_probability(HOUR, None) == 0.0


HOUR = 3_600.0
OCCASIONS: dict[str, tuple[float | None, float | None, bool, policy.Occasion]] = {
    "labels only": (None, None, False, policy.Occasion(policy.BY_LABELS, 10)),
    "the time has come": (2 * HOUR, None, False, policy.Occasion(policy.BY_TIME, 1)),
    "the time has not come": (3 * HOUR, None, False, policy.Occasion(policy.BY_LABELS, 10)),
    "the stream has drifted since": (3 * HOUR, 1.5 * HOUR, False, policy.Occasion(policy.BY_DRIFT, 1)),
    "that drift was answered by the last run": (None, 0.5 * HOUR, False, policy.Occasion(policy.BY_LABELS, 10)),
    "by hand": (2 * HOUR, 1.5 * HOUR, True, policy.Occasion(policy.BY_HAND, 0)),
}


@pytest.mark.parametrize("case", OCCASIONS)
def test_what_speaks_for_a_run(case: str) -> None:
    every_s, drift, by_hand, expected = OCCASIONS[case]
    assert policy.occasion(3 * HOUR, HOUR, 10, every_s, drift, by_hand) == expected


BY_TIME: dict[str, tuple[list[Opinion], int, float | None, policy.ByTime | None]] = {
    "labels that came wait for more, or for the time": (ENOUGH, 7, 3_600.0, policy.ByTime(4_600.0, 0)),
    "without any, one must come by then": (ENOUGH, 0, 3_600.0, policy.ByTime(4_600.0, 1)),
    "it is due": (ENOUGH, 10, 3_600.0, None),
    "no time is set": (ENOUGH, 7, None, None),
    "people are lacking, too": (opinions(1, 40), 7, 3_600.0, None),
}


@pytest.mark.parametrize(("held", "news", "every_s", "expected"), BY_TIME.values(), ids=BY_TIME)
def test_when_the_time_alone_makes_a_run_due(
    held: list[Opinion], news: int, every_s: float | None, expected: policy.ByTime | None
) -> None:
    due = policy.occasion(1_500.0, 1_000.0, 10, every_s, None, by_hand=False)
    assert policy.by_time(policy.stock(STRESS, held), news, due, 1_000.0, every_s) == expected


def test_once_the_time_has_come_a_single_label_is_said_to_suffice() -> None:
    due = policy.occasion(4_700.0, 1_000.0, 10, 3_600.0, None, by_hand=False)
    assert policy.by_time(policy.stock(STRESS, ENOUGH), 0, due, 1_000.0, 3_600.0) is None
    assert policy.lacking(policy.stock(STRESS, ENOUGH), 0, due.wanted) == "1 more label"
