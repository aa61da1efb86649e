from __future__ import annotations

from typing import Any

from demo.timeline import RATE_NAMES, Timeline


def state(**changes: Any) -> dict[str, Any]:
    return {"windows": 0, "labels": 0, "model_version": 0, "alerts": 0, "people": 0, **changes}


def look(timeline: Timeline, elapsed: float, status: dict[str, Any], rate: bool = False) -> None:
    row = {name: {"enough": rate} for name in RATE_NAMES}
    agents = [{"model_version": status["model_version"]}]
    answers = {"status": status, "agents": agents, "rates": [row], "decisions": []}
    timeline.look(lambda method, **_: answers[method], elapsed)


def test_each_thing_is_noted_when_it_is_first_seen() -> None:
    timeline = Timeline()
    look(timeline, 1.0, state())
    look(timeline, 2.04, state(windows=1))
    look(timeline, 3.0, state(windows=5, labels=2))
    look(timeline, 4.0, state(windows=9, labels=4, model_version=1))
    look(timeline, 5.0, state(windows=9, labels=4, model_version=1, alerts=1), rate=True)
    told = timeline.as_json()
    assert told["first_seen_s"] == {
        "window": 2.0, "label": 3.0, "version": 4.0, "agent_version": 4.0, "alert": 5.0, "rate": 5.0,
    }  # fmt: skip
    assert told["model_version"] == 1
