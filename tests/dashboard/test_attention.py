from __future__ import annotations

from typing import Any

import pytest

from dashboard.attention import acted, attention
from dashboard.troubles import troubles
from tests.dashboard.fake_trainer import NOW, agent, never_seen

WELL = {"free": 8e11, "total": 1e12, "database": 5e9, "expires": {"root": NOW + 9e7, "timestamp": NOW + 9e4}}


def status(**changes: Any) -> dict[str, Any]:
    learner = {"state": "idle", "waits_for": {"stress": "3 more labels"}}
    return {"now": NOW, "model_version": 2, "rollout": None, "unjudged": 0, "learner": learner, **changes}


TRIAL = {"version": 3, "agents": ["lab-1"], "since": NOW, "seconds": 60, "words": ""}
CASES = [
    ("all is well", status(), [agent()], {}, "Nothing needs attention."),
    ("learner failed", status(learner={"state": "failed: disk full", "waits_for": {}}, unjudged=1), [agent()], {},
     "The learner failed: disk full."),
    ("agent silent", status(unjudged=3), [agent(alive=False, silent_s=600)], {}, "lab-1 has been silent for 10 min."),
    ("agent in trouble", status(), [agent(error="quota reached")], {}, "lab-1 reports: quota reached"),
    ("dark picture", status(unjudged=2), [agent(camera_state="dark")], {}, "The camera of lab-1 sees a dark picture."),
    ("several faces are fine", status(), [agent(camera_state="several faces")], {}, "Nothing needs attention."),
    ("records dropped", status(), [agent(dropped=3)], {}, "lab-1 has dropped 3 records, which are lost."),
    ("nobody enrolled", status(), [], {}, "No agent is enrolled yet."),
    ("enrolled, never called", status(), [never_seen()], {}, "lab-9 is enrolled and has never called."),
    ("never called, open alerts", status(unjudged=2), [never_seen()], {}, "lab-9 is enrolled and has never called."),
    ("one alive, two never called", status(), [agent(), never_seen(), never_seen("lab-8")], {},
     "lab-9 and lab-8 are enrolled and have never called."),
    ("open alerts", status(unjudged=2), [agent()], {}, "2 alerts wait for a verdict."),
    ("one open alert", status(unjudged=1), [agent()], {}, "1 alert waits for a verdict."),
    ("abstaining", status(model_version=0), [agent()], {},
     "The heads abstain: they are not calibrated yet, so no alert can come."),
    ("disk full, alerts open", status(unjudged=2), [agent()], {"free": 1e10},
     "The trainer's disk has 10.0 GB left, 1 % of it."),
    ("signature ran out", status(), [agent()], {"expires": {"timestamp": NOW - 7_200}},
     "The signature of timestamp ran out 2 h ago: agents take up no new model."),
    ("updates frozen", status(), [agent(update_state="frozen: the timestamp ran out")], {},
     "lab-1 was given metadata that has run out, and keeps its model: frozen: the timestamp ran out."),
    ("a version on trial", status(rollout=TRIAL), [agent()], {}, "Version 3 is tried on lab-1 first."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "agents", "system", "sentence"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_most_urgent_thing_comes_first(
    now: dict[str, Any], agents: list[dict[str, Any]], system: dict[str, Any], sentence: str
) -> None:
    assert attention(now, agents, {**WELL, **system}).sentence == sentence


@pytest.mark.promise("R10")
@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_the_overview_says_that_all_is_well_only_where_the_system_page_lists_nothing(case: Any) -> None:
    _, now, agents, system, _ = case
    listed, said = troubles(now, agents, {**WELL, **system}), attention(now, agents, {**WELL, **system})
    assert (said.tone == "good") is (not listed)
    assert said.sentence == listed[0].sentence if listed else "Nothing needs attention."


def test_what_else_there_is_is_counted() -> None:
    said = attention(status(unjudged=2), [agent(), never_seen()], {**WELL, "free": 1e10})
    assert said.advice.endswith("2 more on the System page.")


def test_puppet_or_fast_clock_is_named_as_acted() -> None:
    assert acted([agent(), never_seen()]) is None
    assert acted([agent()], declared=True) == "A puppet acts what you see. No psychological state was measured."
    assert "at 10 times real time" in str(acted([agent(clock_rate=10.0)]))
