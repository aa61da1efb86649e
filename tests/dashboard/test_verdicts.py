from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.verdicts import Bench
from sentry_proto.errors import PeerUnreachable
from sentry_proto.types import Label
from tests.sentry_proto.records import alert, window
from tests.trainer_service.conftest import NOW, arrival, hex_id
from tests.trainer_service.test_control_api import TENSE, Desk
from trainer_service import keyring
from trainer_service.store import Store
from training.active_learning.review import desk as review

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
    (given,) = bench.given
    assert bench.undo(trainer, given) == "a1"
    assert bench.undo(trainer, given) is None, "a double click"
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
    assert bench.undo(trainer, bench.given[-1]) is None
    assert len(bench.given) == 1


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Desk]:
    """The trainer's own API and store, with one alert."""
    store = Store(tmp_path / "store.sqlite", tmp_path / "copies")
    raised = dataclasses.replace(alert(hex_id(1)), window_id=hex_id(1))
    store.ingest([arrival(window(hex_id(1), predictions=(TENSE,)), 1), arrival(raised, 2)], 0.0)
    yield Desk(keyring.init(tmp_path / "trainer", "127.0.0.1", 1, NOW), store)
    store.close()


@pytest.mark.promise("R9")
def test_a_rater_who_goes_back_and_forth_is_told_what_the_store_holds(real: Desk) -> None:
    bench, (judged,) = Bench(), real.call("alerts")
    for verdict in ("true alarm", "false alarm", "true alarm", "unsure", "true alarm", "unsure"):
        assert bench.judge(real.call, judged, verdict, "ann")
        assert bench.outcome is not None
        assert bench.outcome.sentence == f"Stored: {verdict}, by ann."
        assert real.call("alerts")[0]["verdict"] == verdict
    said = []
    while bench.given:
        assert bench.undo(real.call, bench.given[-1]) == judged["alert_id"]
        said.append(real.call("alerts")[0]["verdict"])
    assert said == ["true alarm", "unsure", "true alarm", "false alarm", "true alarm", None]


class _Late:
    """A tray whose answer is lost, while the label arrives."""

    def __init__(self, real: Desk) -> None:
        self._real, self.lost = real, True

    def put(self, label: Label) -> bool:
        stored = self._real.call("label", **vars(label))
        if self.lost:
            raise PeerUnreachable("no answer")
        return bool(stored["fresh"])


def test_another_answer_after_one_that_arrived_late_is_stored(real: Desk) -> None:
    desk, tray = review.Desk(), _Late(real)
    click = review.Click(hex_id(1), "stress", "calm", "ann")
    desk.label(tray, click, 10.0)  # type: ignore[arg-type]
    tray.lost = False
    desk.label(tray, dataclasses.replace(click, value="stressed"), 20.0)  # type: ignore[arg-type]
    assert desk.outcome is not None
    assert desk.outcome.sentence == "Stored: stressed, by ann."
    assert real.call("alerts")[0]["verdict"] == "true alarm"
