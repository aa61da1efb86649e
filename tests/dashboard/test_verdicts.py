from __future__ import annotations

from typing import Any

import pytest

from dashboard.verdicts import Bench
from sentry_proto.errors import PeerUnreachable

ALERT = {"alert_id": "a1", "window_id": "w1", "task": "stress"}


class Trainer:
    """Keeps labels and remarks by their ids, as the trainer does."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.away = False

    def __call__(self, method: str, **params: Any) -> Any:
        if self.away:
            raise PeerUnreachable("no answer")
        key = params.get("label_id") or params["remark_id"]
        if method.startswith("withdraw"):
            return {"withdrawn": self.kept.pop(key, None) is not None}
        fresh = key not in self.kept
        self.kept.setdefault(key, {"method": method, **params})
        return {"stored": True, "fresh": fresh}


@pytest.mark.parametrize(
    ("verdict", "method"), [("true alarm", "label"), ("false alarm", "label"), ("unsure", "remark")]
)
def test_a_verdict_is_stored_once_and_undone(verdict: str, method: str) -> None:
    trainer, bench = Trainer(), Bench()
    assert bench.judge(trainer, ALERT, verdict, "R1")
    assert bench.judge(trainer, ALERT, verdict, "R1"), "a double click"
    (kept,) = trainer.kept.values()
    assert (kept["method"], kept["window_id"], kept["task"], kept["rater"]) == (method, "w1", "stress", "R1")
    assert bench.undo(trainer) == "a1"
    assert (trainer.kept, bench.given) == ({}, [])
    assert bench.judge(trainer, ALERT, verdict, "R1"), "under a new id"
    assert len(trainer.kept) == 1


def test_nothing_is_taken_as_stored_before_the_trainer_says_so() -> None:
    trainer, bench = Trainer(), Bench()
    trainer.away = True
    assert not bench.judge(trainer, ALERT, "true alarm", "R1")
    assert bench.given == []
    assert bench.outcome is not None
    assert bench.outcome.sentence.startswith("Not stored: no answer")
    trainer.away = False
    assert bench.judge(trainer, ALERT, "true alarm", "R1")
    trainer.away = True
    assert bench.undo(trainer) is None
    assert len(bench.given) == 1
