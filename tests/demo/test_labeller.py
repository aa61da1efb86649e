from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from demo.labeller import Pace, Rater
from sentry_proto.tasks import STRESS

PACE = Pace(before=2.0, after=1.0)


def window(
    row: int, *, stratum: str = "uncertain", alerting: bool = False, value: str | None = "calm", baseline: int = 60
) -> dict[str, Any]:
    predictions = [{"task": "stress", "alerting": alerting}]
    return {
        "row": row,
        "window_id": f"w{row}",
        "stratum": stratum,
        "baseline_seconds": baseline,
        "predictions": predictions,
        "acted": value,
    }


def truth(seen: Mapping[str, Any]) -> dict[str, str]:
    return {"stress": seen["acted"]} if seen["acted"] else {}


def rater() -> Rater:
    return Rater(truth, {"stress": STRESS}, PACE)


def test_a_window_from_before_the_baseline_is_left_alone() -> None:
    plays = rater()
    plays.look([window(1, baseline=0)])
    plays.due(0.0, 0)
    assert plays.due(10.0, 0) == []


def test_labels_come_at_the_pace_and_not_at_once() -> None:
    plays = rater()
    plays.look([window(row) for row in range(1, 11)])
    assert plays.due(100.0, 0) == []
    assert [due.window_id for due in plays.due(101.0, 0)] == ["w1", "w2"]
    assert [due.window_id for due in plays.due(102.0, 1)] == ["w3"]


def test_long_pause_is_not_made_up_for_by_a_flood() -> None:
    plays = rater()
    plays.look([window(row) for row in range(1, 101)])
    plays.due(0.0, 0)
    assert len(plays.due(1000.0, 0)) == 10


def test_ambiguous_window_is_left_alone() -> None:
    plays = rater()
    plays.look([window(1, value=None), window(2)])
    plays.due(0.0, 0)
    assert [due.window_id for due in plays.due(10.0, 0)] == ["w2"]


def test_after_the_first_version_alerts_and_audits_come_first() -> None:
    plays = rater()
    plays.look([window(1), window(2, stratum="audit"), window(3, stratum="alert", alerting=True)])
    plays.due(0.0, 1)
    assert [due.window_id for due in plays.due(10.0, 1)] == ["w3", "w2", "w1"]


def test_alerting_window_gets_a_verdict() -> None:
    plays = rater()
    acted = [window(1, alerting=True, value="stressed"), window(2, alerting=True, value="mildly stressed")]
    plays.look(acted)
    plays.due(0.0, 1)
    assert [due.value for due in plays.due(10.0, 1)] == ["true alarm", "false alarm"]


def test_newest_first_pages_are_taken_in_order_and_remembered() -> None:
    plays = rater()
    plays.look([window(3), window(2), window(1)])
    assert plays.seen == 3
    plays.due(0.0, 0)
    assert [due.window_id for due in plays.due(1.5, 0)] == ["w1", "w2", "w3"]


def test_label_id_depends_on_the_window_only() -> None:
    first, second = rater(), rater()
    for plays in (first, second):
        plays.look([window(1)])
        plays.due(0.0, 0)
    assert first.due(1.0, 0)[0].label_id == second.due(1.0, 0)[0].label_id


def test_until_the_first_version_only_the_clear_cases_are_labelled() -> None:
    plays = rater()
    plays.look([window(1, value="mildly stressed"), window(2, value="stressed"), window(3)])
    plays.due(0.0, 0)
    assert [due.window_id for due in plays.due(5.0, 0)] == ["w2", "w3"]
    assert [due.window_id for due in plays.due(10.0, 1)] == ["w1"]
