"""What the System page says, and the audit log as a file."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard import audit
from dashboard.troubles import troubles
from tests.dashboard.conftest import open_page, words
from tests.dashboard.fake_trainer import NOW, FakeTrainer, agent

WELL = {"free": 8e11, "total": 1e12, "database": 5e9, "expires": {"root": NOW + 9e7, "timestamp": NOW + 9e4}}
DRIFT = {"time": NOW - 600, "signal": "error", "task": "stress", "before": 0.2, "after": 0.4}


def said(agents: Any = ({},), learner: Any = (), **system: Any) -> list[tuple[str, str]]:
    status = {
        "now": NOW,
        "model_version": 2,
        "rollout": None,
        "unjudged": 0,
        "learner": {"state": "idle", "stream": {"drifts": []}, **dict(learner)},
    }
    found = troubles(status, [{**agent(), **one} for one in agents], {**WELL, **system})
    return [(trouble.tone, trouble.sentence) for trouble in found]


@pytest.mark.parametrize(
    ("how", "tone", "sentence"),
    [
        ({"free": 1e11}, "warn", "The trainer's disk has 100.0 GB left, 10 % of it."),
        ({"free": 1e10}, "bad", "The trainer's disk has 10.0 GB left, 1 % of it."),
        ({"expires": {"timestamp": NOW - 7_200}}, "bad",
         "The signature of timestamp ran out 2 h ago: agents take up no new model."),
        ({"expires": {"root": NOW + 30 * 86_400}}, "warn", "The signature of root runs out in 30 d."),
        ({"learner": {"state": "failed: no memory"}}, "bad", "The learner failed: no memory."),
        ({"learner": {"stream": {"drifts": [DRIFT]}}}, "warn",
         "The error of stress moved from 0.20 to 0.40, 10 min ago."),
        ({"agents": [{"update_state": "frozen: the timestamp ran out"}]}, "bad",
         "lab-1 was given metadata that has run out, and keeps its model: frozen: the timestamp ran out."),
        ({"agents": [{"dropped": 3}]}, "warn", "lab-1 has dropped 3 records, which are lost."),
        ({"agents": [{"spooled": 900}]}, "warn", "900 records wait in the spool of lab-1."),
        ({"agents": [{"alive": False, "silent_s": 600.0}]}, "bad", "lab-1 has been silent for 10 min."),
        ({"agents": [{"error": "the camera is gone"}]}, "bad", "lab-1 reports: the camera is gone"),
        ({"agents": [{"clock_off_s": 120.0}]}, "warn", "The clock of lab-1 is 2 min ahead of the trainer's."),
    ],
)  # fmt: skip
def test_each_trouble_has_its_sentence(how: dict[str, Any], tone: str, sentence: str) -> None:
    assert said(**how) == [(tone, sentence)]


def test_without_trouble_nothing_is_said_and_the_worst_comes_first() -> None:
    assert said([{}]) == []
    assert [tone for tone, _ in said([{"dropped": 1, "error": "dark"}], free=1e9)] == ["bad", "bad", "warn"]


def test_the_system_page_says_what_to_do(trainer: FakeTrainer) -> None:
    trainer.agents = [agent(dropped=2)]
    text = words(open_page("system"))
    assert "lab-1 has dropped 2 records, which are lost. Its disk was full or its spool too small." in text
    assert "800.0 GB of 1.0 TB" in text


def test_the_log_as_a_file() -> None:
    entry = {"row": 1, "time": 0.0, "actor": "ann", "role": "rater", "action": "label", "target": "x, y"}
    text = audit.to_csv([{**entry, "participant": None, "details": ""}], "clinical")
    assert text == (
        "row,time,actor,role,action,target,participant,details,purpose\n"
        '1,1970-01-01T00:00:00Z,ann,rater,label,"x, y",,,clinical\n'
    )
