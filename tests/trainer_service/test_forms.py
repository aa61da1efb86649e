from __future__ import annotations

import time

import pytest

from tests.sentry_proto.records import window
from tests.trainer_service.conftest import arrival, hex_id
from tests.trainer_service.test_control_api import Desk, desk
from trainer_service.forms import DAY_S, standing

__all__ = ["desk"]

CASES: dict[str, tuple[list[float], float, float, int, int]] = {
    # days at which it was handed in, today; when it is due, stretches begun, of which kept
    "just came": ([], 0, 0, 1, 0),
    "never handed in": ([], 30, 0, 3, 0),
    "on the first day": ([0.1], 3, 14.1, 1, 1),
    "late": ([0.1], 20, 14.1, 2, 1),
    "twice in one stretch": ([0.1, 0.2], 20, 14.2, 2, 1),
    "always": ([1, 15, 29], 30, 43, 3, 3),
    "one was left out": ([1, 29], 30, 43, 3, 2),
}


@pytest.mark.parametrize(("times", "today", "due", "stretches", "kept"), CASES.values(), ids=CASES)
def test_when_a_form_is_due_and_how_far_that_was_kept(
    times: list[float], today: float, due: float, stretches: int, kept: int
) -> None:
    found = standing("P01", "phq8", 14, 0.0, [day * DAY_S for day in times], today * DAY_S)
    assert (found.stretches, found.kept, found.handed_in) == (stretches, kept, len(times))
    assert found.due == pytest.approx(due * DAY_S)


def test_an_admin_sees_how_everybody_stands(desk: Desk) -> None:
    now = time.time()
    seen = window(hex_id(1), participant="P01")
    desk.store.ingest([arrival(seen, 1)], now - 20 * DAY_S)
    answers = {"instrument": "gad7", "answers": [1] * 7, "created": now - 16 * DAY_S}
    desk.call("self_report", report_id="1", participant="P01", **answers)
    desk.call("make_link", participant="P02")
    found = {(one["participant"], one["instrument"]): one for one in desk.call("forms")}
    assert list(found) == [("P01", "phq8"), ("P01", "gad7"), ("P02", "phq8"), ("P02", "gad7")]
    assert found["P01", "phq8"]["due"] == pytest.approx(now - 20 * DAY_S, abs=5)
    late = found["P01", "gad7"]
    assert (late["handed_in"], late["kept"], late["stretches"]) == (1, 1, 2)
    assert late["due"] == pytest.approx(now - 2 * DAY_S, abs=5)
    assert found["P02", "gad7"]["due"] == pytest.approx(now, abs=5)
