from __future__ import annotations

import dataclasses
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sentry_proto.errors import InputError
from sentry_proto.types import Window
from tests.e2e.study import Study, eventually
from tests.e2e.wire_agent import WireAgent
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import TASKS, arrival, hex_id, label, put_labels, put_windows
from trainer_service import schema, self_reports
from trainer_service.opinions import OpinionFeed
from trainer_service.self_reports import SelfReport, class_answer, questionnaire_answer
from trainer_service.store import Store

NOON = 1_750_000_000.0


def centred(number: int, middle: float, participant: str = "P01") -> Window:
    """A window of 30 s around a time after noon."""
    return window(hex_id(number), start=NOON + middle - 15, participant=participant)


def report(number: int, at: float, value: str = "calm", task: str = "stress", participant: str = "P01") -> SelfReport:
    return SelfReport(hex_id(number), participant, NOON + at, class_answer(task, value, TASKS))


def put(store: Store, *said: SelfReport) -> list[bool]:
    with store.write() as connection:
        return [self_reports.put(connection, one, NOON) for one in said]


def held(store: Store, task: str = "stress") -> dict[int, str]:
    """What the learner takes each window for."""
    with store.read() as connection:
        return {int(opinion.window_id, 16): opinion.value for opinion in OpinionFeed(task).read(connection)}


def test_an_answer_labels_the_windows_whose_middle_lies_in_the_minute_before(store: Store) -> None:
    middles = {1: 39.5, 2: 40, 3: 70, 4: 99.5, 5: 100}
    put_windows(store, [*(centred(n, middle) for n, middle in middles.items()), centred(6, 70, "P02")])
    assert put(store, report(1, at=100, value="stressed")) == [True]
    assert held(store) == {2: "stressed", 3: "stressed", 4: "stressed"}
    with store.read() as connection:
        row = connection.execute(select(schema.labels)).first()
    assert row is not None
    assert (row.source, row.rater, row.confidence, row.created) == ("self-report", "P01", 1.0, NOON + 100)


def test_a_repeated_report_is_stored_once_and_labels_once(store: Store) -> None:
    put_windows(store, [centred(1, 70)])
    assert put(store, report(1, at=100), report(1, at=100, value="stressed")) == [True, False]
    assert held(store) == {1: "calm"}
    with store.read() as connection:
        assert len(connection.execute(select(schema.labels)).all()) == 1


def test_a_window_that_arrives_later_is_labelled_when_it_is_stored(store: Store) -> None:
    called: list[str] = []
    store.on_labels = lambda: called.append("labels")
    put(store, report(1, at=100))
    late = arrival(centred(1, 95), 1)
    assert store.ingest([late], NOON + 400) == [None]
    assert held(store) == {1: "calm"}
    assert called == ["labels"]
    store.ingest([late, arrival(centred(2, 300), 2)], NOON + 401)
    assert held(store) == {1: "calm"}
    assert called == ["labels"]


@pytest.mark.parametrize("order", list(permutations(["window", "first", "second"])), ids=" ".join)
def test_the_later_answer_counts_in_whatever_order_things_arrive(store: Store, order: tuple[str, ...]) -> None:
    for thing in order:
        if thing == "window":
            put_windows(store, [centred(1, 50), centred(2, 95)])
        else:
            put(store, report(1, at=100) if thing == "first" else report(2, at=130, value="stressed"))
    assert held(store) == {1: "calm", 2: "stressed"}


def test_one_question_does_not_correct_another(store: Store) -> None:
    put_windows(store, [centred(1, 70)])
    put(store, report(1, at=100), report(2, at=105, value="4", task="focus"))
    assert held(store) == {1: "calm"}
    assert held(store, "focus") == {1: "4"}


def test_an_observer_stands_beside_the_participant(store: Store) -> None:
    put_windows(store, [centred(1, 70)])
    put_labels(store, label(9, hex_id(1), "stressed"))
    put(store, report(1, at=100))
    with store.read() as connection:
        assert [(o.value, o.weight) for o in OpinionFeed("stress").read(connection)] == [
            ("stressed", 0.5),
            ("calm", 0.5),
        ]


def test_a_questionnaire_is_scored_and_labels_no_window(store: Store) -> None:
    put_windows(store, [centred(1, 70)])
    answer = questionnaire_answer("phq8", [2, 2, 2, 2, 1, 1, 0, 0], TASKS)
    assert put(store, SelfReport(hex_id(1), "P01", NOON + 100, answer)) == [True]
    with store.read() as connection:
        (found,) = self_reports.listed(connection, "P01", None, 10)
        assert connection.execute(select(schema.labels)).all() == []
    assert (found["task"], found["value"], found["instrument"], found["score"]) == (
        "depression", "moderate", "phq8", 10,
    )  # fmt: skip
    assert found["answers"] == [2, 2, 2, 2, 1, 1, 0, 0]


def test_lists_are_of_one_participant_and_go_back_row_by_row(store: Store) -> None:
    put(store, *(report(n, at=60 * n, participant=f"P0{1 + n % 2}") for n in range(1, 7)))
    with store.read() as connection:
        assert [row["row"] for row in self_reports.listed(connection, None, None, 4)] == [6, 5, 4, 3]
        assert [row["row"] for row in self_reports.listed(connection, "P01", 6, 4)] == [4, 2]


@pytest.mark.parametrize(
    ("task", "value", "words"),
    [
        ("joy", "much", "task 'joy' is not configured; known are stress"),
        ("stress", "bored", "no class 'bored'; it has calm, mildly stressed, stressed"),
        ("stress", "true alarm", "no class 'true alarm'"),
        ("depression", "mild", "reported with the instrument phq8"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(task: str, value: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        class_answer(task, value, TASKS)


@pytest.mark.parametrize(
    ("instrument", "answers", "words"),
    [
        ("phq9", [0] * 9, "no instrument 'phq9'; there are phq8, gad7"),
        ("gad7", [0] * 6, "GAD-7 has 7 items, and 6 answers were given"),
        ("gad7", [0] * 6 + ["3"], "whole numbers from 0 to 3"),
    ],
)
def test_what_is_wrong_with_a_questionnaire_is_said(instrument: str, answers: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        questionnaire_answer(instrument, answers, TASKS)


def test_a_questionnaire_whose_task_is_not_configured_is_refused() -> None:
    with pytest.raises(InputError, match="task 'anxiety' is not configured"):
        questionnaire_answer("gad7", [0] * 7, {"stress": TASKS["stress"]})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"participant": " "}, "participant must be 1 to 200"),
        ({"participant": "P\n"}, "participant must be 1 to 200"),
        ({"report_id": ""}, "report_id must be 1 to 200"),
        ({"created": float("nan")}, "created must be a time"),
    ],
)
def test_who_says_it_and_when_is_checked(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        self_reports.check(dataclasses.replace(report(1, at=0), **changes))


@pytest.mark.e2e
def test_windows_that_come_after_the_answer_wake_the_learner(tmp_path: Path) -> None:
    study = Study(tmp_path)
    study.start_trainer()
    waits = eventually(lambda: study.status()["learner"]["waits_for"].get("stress"), 20, "a look")
    study.control.call("self_report", report_id="1", participant="P01", task="stress", value="calm", created=NOON + 100)
    agent = WireAgent(study.enroll("lab-1"))
    try:
        assert agent.send([centred(n, 41 + n) for n in range(1, 6)]) == []
        assert study.status()["labels"] == 5
        eventually(lambda: study.status()["learner"]["waits_for"]["stress"] != waits, 20, "another look")
    finally:
        agent.close()
        study.close()
