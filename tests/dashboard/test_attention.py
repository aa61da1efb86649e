from __future__ import annotations

from typing import Any

import pytest

from dashboard.attention import acted, attention
from tests.dashboard.fake_trainer import agent, never_seen


def status(**changes: Any) -> dict[str, Any]:
    learner = {"state": "idle", "waits_for": {"stress": "3 more labels"}}
    return {"model_version": 2, "learner": learner, **changes}


CASES = [
    ("all is well", status(), [agent()], 0, "Nothing needs attention."),
    ("learner failed", status(learner={"state": "failed: disk full", "waits_for": {}}), [agent()], 1,
     "The learner failed: disk full."),
    ("agent silent", status(), [agent(alive=False, silent_s=600)], 3, "lab-1 has been silent for 10 min."),
    ("agent in trouble", status(), [agent(error="quota reached")], 0, "lab-1 reports: quota reached"),
    ("dark picture", status(), [agent(camera_state="dark")], 2, "The camera of lab-1 sees a dark picture."),
    ("several faces are fine", status(), [agent(camera_state="several faces")], 0, "Nothing needs attention."),
    ("records dropped", status(), [agent(dropped=3)], 0, "lab-1 cannot send fast enough."),
    ("nobody enrolled", status(), [], 0, "No agent is enrolled yet."),
    ("enrolled, never called", status(), [never_seen()], 0, "An agent is enrolled but has never called."),
    ("open alerts", status(), [agent()], 2, "2 alerts wait for a verdict."),
    ("one open alert", status(), [agent()], 1, "1 alert waits for a verdict."),
    ("abstaining", status(model_version=0), [agent()], 0,
     "The heads abstain: they are not calibrated yet, so no alert can come."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "agents", "open_alerts", "sentence"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_most_urgent_thing_comes_first(
    now: dict[str, Any], agents: list[dict[str, Any]], open_alerts: int, sentence: str
) -> None:
    assert attention(now, agents, open_alerts).sentence == sentence


def test_puppet_or_fast_clock_is_named_as_acted() -> None:
    assert acted([agent(), never_seen()]) is None
    assert acted([agent()], declared=True) == "A puppet acts what you see. No psychological state was measured."
    assert "at 10 times real time" in str(acted([agent(clock_rate=10.0)]))
