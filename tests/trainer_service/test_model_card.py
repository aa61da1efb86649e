from __future__ import annotations

import pytest

from sentry_proto.types import Stratum
from tests.trainer_service.conftest import put_windows
from tests.trainer_service.test_control_api import CALM, TENSE, Desk, desk, refused, scored, submit
from trainer_service.registry import Decision, Model, announce, record, settle
from trainer_service.study import Study

__all__ = ["desk"]

MEASURED = {
    "balanced_accuracy": 0.71, "brier": 0.412, "ece": 0.06, "n": 84, "people": 3, "improvement": 0.05,
    "interval": [0.01, 0.09], "level": 0.9, "incumbent": {"balanced_accuracy": 0.6, "brier": 0.462, "ece": 0.1},
    "threshold": 0.7, "raters": {"count": 2, "doubted": ["ann"]}, "stream": {"people": {"P01": {"head": 0.5}}},
}  # fmt: skip


@pytest.fixture
def published(desk: Desk) -> Desk:
    """Version 1, which a head of stress came with."""
    with desk.store.write() as connection:
        announce(connection, Model(1, 0, 1_750_000_000.0, ("stress",), {"stress": MEASURED}, b"heads"))
        decision = Decision(
            1.0, "labels", "stress", "published", "stress: better than guessing", 1, 0, 1, 130, 8, MEASURED, 9
        )
        record(connection, [decision])
        settle(connection, 1, 2.0)
    return desk


def test_a_card_says_what_it_rests_on_how_it_was_judged_and_what_it_is_not(published: Desk) -> None:
    text = published.call("card", version=1)["markdown"]
    for said in (
        "# Heads, version 1", "| Published | 2025-06-15 15:06 UTC |", "| Starts from | none |",
        "Ordinal: calm, mildly stressed, stressed. It alerts on stressed from a probability of 0.7 (applied by hand)",
        "Learned from 130 labels of 8 people. Verdict of the gate: published (labels). stress: better than guessing.",
        "Held out: 84 windows of 3 people", "| Balanced accuracy | 0.710 | 0.600 |",
        "Improvement in Brier score: +0.050 (90% interval +0.010 to +0.090).",
        "| stress | Miss rate | - | not enough labels yet", "It is no diagnosis",
    ):  # fmt: skip
        assert said in text


def test_a_card_says_what_the_study_declares_to_be_for(published: Desk) -> None:
    published.api._study = Study(purpose="safety")
    assert "| Declared purpose of the study | safety |" in published.call("card", version=1)["markdown"]


def test_a_card_names_nobody(published: Desk) -> None:
    put_windows(published.store, [scored(1, Stratum.ALERT, TENSE), scored(2, Stratum.AUDIT, CALM)])
    submit(published, 1, 1, "stressed", rater="ann")
    text = published.call("card", version=1)["markdown"]
    assert "ann" not in text.replace("cannot", "")
    assert "P01" not in text


def test_rates_in_use_are_those_of_this_version_with_their_intervals(published: Desk) -> None:
    windows = [scored(number, Stratum.ALERT, TENSE) for number in range(1, 31)]
    windows += [scored(number, Stratum.AUDIT, CALM) for number in range(31, 81)]
    put_windows(published.store, windows)
    for number in range(1, 81):
        submit(published, number, number, "stressed" if 10 < number < 40 else "calm")
    line = next(line for line in published.call("card", version=1)["markdown"].splitlines() if "| Miss rate |" in line)
    _, _, _, value, interval, n, _ = (cell.strip() for cell in line.split("|"))
    assert value.endswith(" %")
    assert " to " in interval
    assert int(n) > 0


def test_there_is_no_card_of_what_was_never_published(published: Desk) -> None:
    assert refused(published, "card", version=7) == ("InputError", "there is no version 7")
