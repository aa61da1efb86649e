from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dashboard import wording
from training.active_learning.review import words

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.004, "0.4 %"), (0.0994, "9.9 %"), (0.0996, "10 %"), (0.5, "50 %"), (1, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (12.4, "12 s"), (89, "89 s"), (600, "10 min"), (7200, "2 h"), (2e5, "2 d")]
)
def test_duration(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


def test_interval_has_unit_and_n_or_says_what_is_missing() -> None:
    known = {"value": 0.2, "low": 0.05, "high": 0.31, "n": 1200, "words": ""}
    assert wording.interval("miss_rate", known) == "5.0 to 31 % (95 %), n = 1\u202f200"
    assert (
        wording.interval(wording.PER_HOUR, {**known, "low": 1.25, "high": 9}) == "1.2 to 9.0 / h (95 %), n = 1\u202f200"
    )
    missing = {"value": None, "low": None, "high": None, "n": 3, "words": "not enough labels yet: 5 more"}
    assert wording.interval("miss_rate", missing) == "not enough labels yet: 5 more"


def test_clock_is_utc_unless_told() -> None:
    assert words.clock(1_750_000_000.0) == "15:06:40"


@pytest.mark.parametrize(
    ("by_time", "text"),
    [
        (None, "3 more labels"),
        ({"time": NOON + 7_500, "labels": 0}, "3 more labels, or 14:05"),
        ({"time": NOON + 7_500, "labels": 1}, "3 more labels, or one after 14:05"),
        ({"time": NOON + 7_500 + 86_400, "labels": 0}, "3 more labels, or 16 Jun, 14:05"),
    ],
)
def test_what_the_learner_waits_for_names_the_time(by_time: dict[str, float] | None, text: str) -> None:
    learner = {"waits_for": {"stress": "3 more labels"}, "by_time": {"stress": by_time} if by_time else {}}
    assert wording.waits(learner, "stress", NOON, UTC) == text
