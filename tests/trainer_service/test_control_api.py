from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sentry_proto import sentry_pb2 as pb
from sentry_proto.keys import AGENT
from sentry_proto.layout import SECOND_FEATURES
from sentry_proto.tasks import DEFAULT_TASKS
from sentry_proto.types import Prediction, ScoredCount, Stratum, Window
from tests.sentry_proto.records import alert, heartbeat, window
from tests.trainer_service.conftest import NOW, arrival, hex_id, put_windows
from trainer_service import keyring
from trainer_service.audit import Entry
from trainer_service.control_api import METHODS, ControlApi
from trainer_service.enrolment import Enrolment
from trainer_service.fleet import Fleet, Moment
from trainer_service.keyring import Home
from trainer_service.store import Store

CALM = Prediction("stress", (0.8, 0.1, 0.1), 0.4, 0.1, False)
TENSE = Prediction("stress", (0.1, 0.2, 0.7), 0.6, 0.1, True)
UNSURE = Prediction("stress", (0.3, 0.4, 0.3), 1.1, 0.3, False)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "control-api.md"


class OneRollout:
    """Version 5 is tried on lab-1."""

    def offered(self, agent: str) -> int:
        return 5 if self.is_canary(agent) else 4

    def is_canary(self, agent: str) -> bool:
        return agent == "lab-1"

    def describe(self) -> dict[str, Any]:
        return {"version": 5, "agents": ["lab-1"]}


class Notebook:
    """A learner that writes down what it is asked."""

    model_version = 4

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.entries: list[Entry] = []
        self.rollout = OneRollout()

    def describe(self) -> dict[str, Any]:
        return {"state": "idle", "last_run": None, "last_verdict": None, "waits_for": {"stress": "3 more labels"}}

    def nudge(self) -> None:
        self.asked.append("nudge")

    def retrain(self) -> None:
        self.asked.append("retrain")

    def rollback(self, to: int | None, entry: Entry) -> int:
        self.entries.append(entry)
        self.asked.append(to)
        return 5

    def apply_threshold(self, task: str, threshold: float, entry: Entry, version: int | None) -> int:
        self.entries.append(entry)
        self.asked.append((task, threshold, version))
        return 6


class Desk:
    """The API as a client sees it."""

    def __init__(self, home: Home, store: Store) -> None:
        self.store, self.learner, self.fleet = store, Notebook(), Fleet({})
        keyring.enroll(home, "lab-1", home.folder / "lab-1.key", AGENT, NOW)
        allowed = Enrolment(home.enrolled)
        self.api = ControlApi(store, self.fleet, allowed, DEFAULT_TASKS, self.learner, 10.0, home.folder)

    def reply(self, method: str, params: str) -> pb.ControlReply:
        request = pb.ControlRequest(request_id="r1", method=method, params=params)
        answer = self.api.answer(request.SerializeToString())
        assert answer is not None
        return pb.ControlReply.FromString(answer)

    def call(self, method: str, **params: Any) -> Any:
        reply = self.reply(method, json.dumps(params))
        assert (reply.request_id, reply.error) == ("r1", "")
        return json.loads(reply.result)


def refused(desk: Desk, method: str, **params: Any) -> tuple[str, str]:
    """Kind and words of the error that a call meets."""
    reply = desk.reply(method, json.dumps(params))
    return reply.error_kind, reply.error


@pytest.fixture
def desk(home: Home, store: Store) -> Desk:
    return Desk(home, store)


def scored(number: int, stratum: Stratum, prediction: Prediction, participant: str = "P01") -> Window:
    return window(hex_id(number), stratum=stratum, predictions=(prediction,), participant=participant, model_version=1)


@pytest.fixture
def windows(desk: Desk) -> list[Window]:
    """Six windows, stored in this order."""
    given = [
        scored(1, Stratum.AUDIT, CALM),
        scored(2, Stratum.UNCERTAIN, UNSURE),
        scored(3, Stratum.UNCERTAIN, CALM),
        scored(4, Stratum.ALERT, TENSE),
        scored(5, Stratum.ALERT, CALM, "P02"),
        scored(6, Stratum.AUDIT, TENSE, "P02"),
    ]
    put_windows(desk.store, given)
    return given


def submit(desk: Desk, number: int, window_number: int, value: str, **changes: Any) -> Any:
    fields = {"task": "stress", "source": "observer", "rater": "ann", **changes}
    return desk.call("label", label_id=hex_id(number), window_id=hex_id(window_number), value=value, **fields)


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["window_id"], 16) for row in rows]


def test_the_document_and_the_api_name_the_same_methods_and_parameters() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert tuple(name for name, _ in documented) == METHODS
    for name, parameters in documented:
        code = getattr(ControlApi, name).__code__
        taken = code.co_varnames[1 : code.co_argcount]
        assert [
            p for p in re.findall(r"[a-z_]+(?=\??(?: \(| =|,|`|$))", parameters.split(" (CSV")[0]) if p in taken
        ] == [*taken]


@pytest.mark.parametrize(
    ("method", "params", "kind", "words"),
    [
        ("fly", "{}", "InputError", "there is no method 'fly'; there are status"),
        ("answer", "{}", "InputError", "there is no method 'answer'"),
        ("__init__", "{}", "InputError", "there is no method"),
        ("window", "{}", "InputError", "window needs the parameter window_id"),
        ("status", '{"loud": 1}', "InputError", "status knows no parameter 'loud'; it takes none"),
        ("windows", '{"limit": "9"}', "InputError", "windows: limit must be a whole number"),
        ("windows", '{"limit": true}', "InputError", "limit must be a whole number"),
        ("windows", '{"limit": 0}', "InputError", "limit must be between 1 and 1000"),
        ("windows", '{"participant": 3}', "InputError", "participant must be text"),
        ("windows", '{"stratum": "all"}', "InputError", "stratum must be one of alert, audit, uncertain"),
        ("windows", '{"unlabelled": "joy"}', "InputError", "task 'joy' is not configured"),
        ("window", '{"window_id": "9"}', "InputError", "there is no window '9'"),
        ("alerts", '{"unjudged": 1}', "InputError", "alerts: unjudged must be true or false"),
        ("queue", '{"task": "joy", "rater": "a"}', "InputError", "task 'joy' is not configured"),
        ("rates", '{"task": "joy"}', "InputError", "task 'joy' is not configured"),
        (
            "self_report",
            '{"report_id": "1", "participant": "P01"}',
            "InputError",
            "either a task with its value, an instrument",
        ),
        (
            "self_report",
            '{"report_id": "1", "participant": "P01", "task": "stress", "value": "calm", "answers": []}',
            "InputError",
            "either a task with its value, an instrument",
        ),
        (
            "self_report",
            '{"report_id": "1", "participant": "P01", "instrument": "gad7", "answers": "0000000"}',
            "InputError",
            "answers must be a list",
        ),
        ("import_labels", '{"text": "no"}', "LabelFileError", "row 1: the header must name"),
    ],
)
def test_wrong_requests_are_refused_in_one_sentence(
    desk: Desk, method: str, params: str, kind: str, words: str
) -> None:
    reply = desk.reply(method, params)
    assert (reply.result, reply.error_kind) == ("", kind)
    assert words in reply.error
    assert "\n" not in reply.error


@pytest.mark.parametrize("params", ["{", "[]", '{"a":' * 100_000])
def test_what_is_no_request_gets_no_answer(desk: Desk, params: str) -> None:
    request = pb.ControlRequest(request_id="r1", method="status", params=params)
    assert desk.api.answer(request.SerializeToString()) is None
    assert desk.api.answer(b"\xff" * 9) is None


def test_status_counts(desk: Desk, windows: list[Window]) -> None:
    submit(desk, 1, 1, "calm")
    submit(desk, 2, 2, "calm")
    desk.call("withdraw", label_id=hex_id(2))
    status = desk.call("status")
    assert {name: status[name] for name in ("windows", "labels", "alerts", "people")} == {
        "windows": len(windows), "labels": 1, "alerts": 0, "people": 2,
    }  # fmt: skip
    assert (status["model_version"], status["started"]) == (4, 10.0)
    assert [task["name"] for task in status["tasks"]] == ["stress", "focus", "anxiety", "depression"]
    assert status["learner"]["waits_for"] == {"stress": "3 more labels"}


def test_agents_are_those_that_are_enrolled_for_it(desk: Desk) -> None:
    (agent,) = desk.call("agents")
    assert (agent["name"], agent["seen"], agent["fps"]) == ("lab-1", False, None)
    desk.fleet.heard("lab-1", heartbeat(), Moment(0.0, 0.0))
    (agent,) = desk.call("agents")
    assert (agent["seen"], agent["fps"]) == (True, 29.5)
    assert (agent["offered_version"], agent["canary"]) == (5, True)
    assert desk.call("status")["rollout"] == {"version": 5, "agents": ["lab-1"]}


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, [6, 5, 4, 3, 2, 1]),
        ({"limit": 2}, [6, 5]),
        ({"participant": "P02"}, [6, 5]),
        ({"agent": "lab-9"}, []),
        ({"stratum": "audit"}, [6, 1]),
        ({"since": 4}, [6, 5]),
        ({"unlabelled": "stress"}, [6, 5, 4, 3, 2]),
        ({"unlabelled": "focus"}, [6, 5, 4, 3, 2, 1]),
    ],
)
def test_windows_are_found(desk: Desk, params: dict[str, Any], expected: list[int]) -> None:
    submit(desk, 1, 1, "calm")
    assert numbers(desk.call("windows", **params)) == expected


@pytest.mark.usefixtures("windows")
def test_a_window_shows_labels_and_features(desk: Desk) -> None:
    submit(desk, 7, 4, "true alarm", rater="bob")
    found = desk.call("window", window_id=hex_id(4))
    assert found["labels"] == [
        {"label_id": hex_id(7), "task": "stress", "value": "true alarm", "rater": "bob", "source": "observer"}
    ]
    assert found["predictions"][0]["probabilities"] == [0.1, 0.2, 0.7]
    assert found["features"]["names"] == [feature.name for feature in SECOND_FEATURES]
    assert len(found["features"]["values"]) == found["features"]["seconds"] == 30


def test_unseen_values_are_null(desk: Desk) -> None:
    unseen = window(hex_id(1))
    unseen.features.coverage[3:, 0] = 0
    put_windows(desk.store, [unseen])
    values = desk.call("window", window_id=hex_id(1))["features"]["values"]
    column = next(i for i, feature in enumerate(SECOND_FEATURES) if feature.modality == "face")
    assert [second[column] is None for second in values] == [False] * 3 + [True] * 27


def test_the_queue_does_not_ask_about_the_same_sight_twice_in_a_row(desk: Desk) -> None:
    """Six uncertain windows, of which the four least certain look all but the same."""
    sights = [0, 0, 0, 0, 1, 2]
    unsure = [Prediction("stress", (0.4, 0.3, 0.3), 1.0 - 0.1 * n, 0.1) for n in range(6)]
    put_windows(
        desk.store,
        [window(hex_id(n + 1), seed=sight, predictions=(unsure[n],)) for n, sight in enumerate(sights)],
    )
    assert numbers(desk.call("queue", task="stress", rater="ann"))[:3] == [1, 5, 6]
    assert sorted(numbers(desk.call("queue", task="stress", rater="ann"))) == [1, 2, 3, 4, 5, 6]


def test_what_a_rater_cannot_tell_is_asked_of_the_others_only(desk: Desk) -> None:
    put_windows(desk.store, [scored(n, Stratum.AUDIT, CALM) for n in (1, 2)])
    about = {"window_id": hex_id(1), "task": "stress", "rater": "R1", "words": "face hidden"}
    assert desk.call("remark", remark_id=hex_id(9), kind="unsure", **about)["fresh"]
    waiting = {who: [one["window_id"] for one in desk.call("queue", task="stress", rater=who)] for who in ("R1", "R2")}
    assert waiting == {"R1": [hex_id(2)], "R2": [hex_id(2), hex_id(1)]}
    assert len(desk.call("queue", task="focus", rater="R1")) == 2
    assert desk.call("withdraw_remark", remark_id=hex_id(9))["withdrawn"]
    assert len(desk.call("queue", task="stress", rater="R1")) == 2


@pytest.mark.usefixtures("windows")
def test_the_queue_mixes_the_strata_and_skips_what_this_rater_did(desk: Desk) -> None:
    queue = desk.call("queue", task="stress", rater="ann")
    assert numbers(queue) == [4, 6, 2, 5, 1, 3]
    assert [row["reason"] for row in queue] == ["alert", "audit", "uncertain"] * 2
    submit(desk, 1, 4, "stressed")
    submit(desk, 2, 6, "stressed", rater="bob")
    assert numbers(desk.call("queue", task="stress", rater="ann", limit=3)) == [6, 2, 5]
    assert numbers(desk.call("queue", task="focus", rater="ann"))[:2] == [5, 6]


@pytest.mark.usefixtures("windows")
def test_a_rater_learns_how_far_they_have_come(desk: Desk) -> None:
    early = scored(9, Stratum.AUDIT, CALM)
    baseline = dataclasses.replace(early.features.baseline, seconds=0)
    early = dataclasses.replace(early, features=dataclasses.replace(early.features, baseline=baseline))
    desk.store.ingest([arrival(early, 9)], 0.0)

    def come(rater: str, since: float = 0.0) -> tuple[int, int]:
        done = desk.call("progress", task="stress", rater=rater, since=since)
        return done["given"], done["left"]

    assert come("ann") == (0, 6), "one from before its person's baseline is not asked for"
    submit(desk, 1, 4, "stressed", created=100.0)
    submit(desk, 2, 6, "stressed", created=200.0)
    submit(desk, 3, 6, "calm", created=300.0)
    submit(desk, 4, 1, "calm", rater="bob")
    desk.call("remark", remark_id="r1", kind="unsure", task="stress", rater="ann", window_id=hex_id(2))
    assert (come("ann"), come("ann", 150.0), come("bob")) == ((2, 3), (1, 3), (1, 5))
    assert come("ann")[1] == len(desk.call("queue", task="stress", rater="ann"))


@pytest.mark.usefixtures("windows")
def test_alerts_carry_the_newest_verdict(desk: Desk) -> None:
    raised = [
        dataclasses.replace(alert(hex_id(100 + n)), window_id=hex_id(n), task=task)
        for n, task in ((4, "stress"), (5, "stress"), (6, "focus"))
    ]
    desk.store.ingest([arrival(one, n) for n, one in enumerate(raised)], 0.0)
    submit(desk, 1, 4, "true alarm")
    submit(desk, 2, 4, "calm", rater="bob")
    submit(desk, 3, 6, "stressed")
    submit(desk, 4, 5, "stressed")
    found = desk.call("alerts")
    assert [(row["task"], row["verdict"], row["end"]) for row in found] == [
        ("focus", None, None),
        ("stress", "true alarm", None),
        ("stress", "false alarm", None),
    ]
    assert len(desk.call("alerts", task="focus", agent="lab-1", participant="P01")) == 1


@pytest.mark.usefixtures("windows")
def test_older_alerts_those_of_a_time_and_those_without_a_verdict_are_found(desk: Desk) -> None:
    for n in range(1, 7):
        one = dataclasses.replace(alert(hex_id(100 + n)), window_id=hex_id(n), start=1_000.0 * n)
        desk.store.ingest([arrival(one, n)], 0.0)
    for n in (6, 5, 3):
        submit(desk, n, n, "calm")
    desk.call("remark", remark_id="r1", kind="unsure", task="stress", rater="ann", window_id=hex_id(2))

    def found(**asked: Any) -> list[int]:
        return [int(row["alert_id"], 16) - 100 for row in desk.call("alerts", **asked)]

    newest = desk.call("alerts", limit=2)
    assert found(limit=2, before=newest[-1]["row"]) == [4, 3]
    assert found(unjudged=True) == [4, 1], "the newest three were judged"
    assert found(unjudged=True, limit=1) == [4]
    assert found(since=2_000.0, until=4_000) == [3, 2]
    assert sum(entry["alerts"] for entry in desk.call("alert_course", since=2_000.0, until=4_000.0)["bins"]) == 2


@pytest.mark.usefixtures("windows")
def test_labels_that_were_read_ahead_are_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for rater in ("ann", "bob"):
        submit(desk, ord(rater[0]), 1, "calm", rater=rater)
    desk.api.read_ahead()
    monkeypatch.delattr("trainer_service.agreement.weighed")
    monkeypatch.delattr("trainer_service.judged_feed.seen_of")
    assert [pair["windows"] for pair in desk.call("agreement", task="stress")["pairs"]] == [1]
    assert desk.call("rates", task="stress")
    submit(desk, 3, 2, "calm", rater="ann")
    with pytest.raises(AssertionError, match="failed at this request"):
        desk.call("agreement", task="stress")


@pytest.mark.usefixtures("windows")
def test_a_label_is_stored_once_and_wakes_the_learner_once(desk: Desk) -> None:
    assert submit(desk, 1, 1, "calm") == {"stored": True, "fresh": True}
    assert submit(desk, 1, 1, "calm") == {"stored": True, "fresh": False}
    assert desk.learner.asked == ["nudge"]


@pytest.mark.usefixtures("windows")
def test_an_id_that_is_known_to_say_something_else_is_refused(desk: Desk) -> None:
    given = {"task": "stress", "source": "observer", "rater": "ann"}
    submit(desk, 1, 1, "calm")
    kind, words = refused(desk, "label", label_id=hex_id(1), window_id=hex_id(1), value="stressed", **given)
    assert (kind, "(stress: calm, by ann); give it a new id" in words) == ("InputError", True)
    about = {"remark_id": "r1", "kind": "unsure", "task": "stress", "rater": "ann", "window_id": hex_id(1)}
    desk.call("remark", **about, words="unclear")
    assert "give it a new id" in refused(desk, "remark", **about, words="bad picture")[1]


@pytest.mark.usefixtures("windows")
def test_unsure_takes_the_place_of_a_label_until_it_is_taken_back(desk: Desk) -> None:
    def standing() -> list[tuple[str, str]]:
        return [(said["rater"], said["value"]) for said in desk.call("window", window_id=hex_id(4))["labels"]]

    def judged() -> int:
        return sum(row["labelled_alerts"] + row["labelled_audit"] for row in desk.call("rates", task="stress")[:1])

    desk.store.ingest([arrival(dataclasses.replace(alert(hex_id(104)), window_id=hex_id(4)), 9)], 0.0)
    submit(desk, 1, 4, "true alarm")
    submit(desk, 2, 4, "calm", rater="bob")
    assert judged() == 1
    desk.call("remark", remark_id="r1", kind="unsure", task="stress", rater="ann", window_id=hex_id(4))
    desk.call("remark", remark_id="r2", kind="unsure", task="stress", rater="bob", window_id=hex_id(4))
    assert (standing(), judged(), desk.call("alerts")[0]["verdict"]) == ([], 0, "unsure")
    desk.call("withdraw_remark", remark_id="r2")
    assert (standing(), judged(), desk.call("alerts")[0]["verdict"]) == ([("bob", "calm")], 1, "false alarm")
    submit(desk, 3, 4, "calm")
    desk.call("withdraw_remark", remark_id="r1")
    assert standing() == [("bob", "calm"), ("ann", "calm")], "what was said after the remark is kept"
    assert desk.call("withdraw", label_id=hex_id(2)) == {"withdrawn": True}, "under the id that it always had"


@pytest.mark.usefixtures("windows")
def test_what_a_participant_says_is_no_verdict_of_somebody_who_looked(desk: Desk) -> None:
    desk.store.ingest([arrival(dataclasses.replace(alert(hex_id(104)), window_id=hex_id(4)), 9)], 0.0)
    submit(desk, 1, 4, "calm", source="self-report", rater="P01")
    assert (desk.call("alerts")[0]["verdict"], desk.call("status")["unjudged"]) == (None, 1)
    submit(desk, 2, 4, "stressed")
    submit(desk, 3, 4, "mildly stressed", source="self-report", rater="P01")
    assert (desk.call("alerts")[0]["verdict"], desk.call("status")["unjudged"]) == ("true alarm", 0)
    assert desk.call("withdraw", label_id=hex_id(1)) == {"withdrawn": True}
    assert desk.call("withdraw", label_id=hex_id(1)) == {"withdrawn": False}


@pytest.mark.usefixtures("windows")
def test_a_file_is_imported_whole_or_not_at_all(desk: Desk) -> None:
    header = "window_id,task,value,rater\n"
    text = f"{header}{hex_id(1)},stress,calm,ann\n{hex_id(2)},stress,nothing,ann\n"
    assert "row 3: " in desk.reply("import_labels", json.dumps({"text": text})).error
    assert desk.call("status")["labels"] == 0
    assert desk.call("import_labels", text=text.replace("nothing", "calm")) == {
        "stored": 2,
        "known": 0,
        "unanswered": 0,
    }


@pytest.mark.usefixtures("windows")
def test_a_self_report_is_stored_once_and_wakes_the_learner_once(desk: Desk) -> None:
    said = {"report_id": hex_id(1), "participant": "P01", "task": "stress", "value": "calm", "created": 1_750_000_030.0}
    assert desk.call("self_report", **said) == {"stored": True, "fresh": True, "result": None}
    assert desk.call("self_report", **said) == {"stored": True, "fresh": False, "result": None}
    assert desk.learner.asked == ["nudge"]
    assert {row["window_id"]: row["labels"][0]["source"] for row in desk.call("windows", participant="P01")} == {
        hex_id(n): "self-report" for n in range(1, 5)
    }


def test_a_questionnaire_comes_back_with_its_score(desk: Desk) -> None:
    desk.call("self_report", report_id=hex_id(1), participant="P01", instrument="gad7", answers=[3] * 7, created=5)
    assert desk.call("self_reports", participant="P02") == []
    assert desk.call("self_reports", participant="P01") == [
        {
            "row": 1, "report_id": hex_id(1), "participant": "P01", "created": 5.0, "task": "anxiety",
            "value": "severe", "instrument": "gad7", "answers": [3] * 7, "score": 21, "words": "",
        }
    ]  # fmt: skip


@pytest.mark.usefixtures("windows")
def test_people_have_a_partition_from_their_first_label_on(desk: Desk) -> None:
    submit(desk, 1, 6, "calm")
    assert desk.call("people") == [
        {"participant": "P02", "partition": "train", "windows": 2, "labels": 1},
        {"participant": "P01", "partition": None, "windows": 4, "labels": 0},
    ]


def test_the_learner_is_asked(desk: Desk) -> None:
    assert desk.call("retrain") == {"queued": True}
    assert desk.call("rollback") == {"version": 5}
    assert desk.call("rollback", version=2) == {"version": 5}
    assert desk.learner.asked == ["retrain", None, 2]


def test_rates_from_counts_verdicts_and_the_audit(desk: Desk) -> None:
    quiet = [scored(n, Stratum.AUDIT, CALM) for n in range(1, 41)]
    noisy = [scored(n, Stratum.ALERT, TENSE) for n in range(41, 61)]
    blind = [scored(n, Stratum.UNCERTAIN, CALM) for n in range(61, 71)]
    put_windows(desk.store, [*quiet, *noisy, *blind])
    raised = [dataclasses.replace(alert(hex_id(500 + n)), window_id=hex_id(n)) for n in range(41, 51)]
    desk.store.ingest([arrival(one, n) for n, one in enumerate(raised)], 0.0)
    counts = (ScoredCount(1, "P01", "stress", False, 700), ScoredCount(1, "P01", "stress", True, 20))
    desk.store.keep_heartbeats([("lab-1", heartbeat(counts=counts), 0.0)])
    for n in range(1, 71):
        event = n <= 2 or 45 < n <= 60 or n > 60
        submit(desk, n, n, "stressed" if event else "false alarm")
    overall, first = desk.call("rates", task="stress")
    assert (overall["model_version"], first["model_version"]) == (None, 1)
    assert {**overall, "model_version": 1} == first
    assert {name: first[name] for name in ("windows", "alerts", "labelled_alerts", "labelled_audit")} == {
        "windows": 720, "alerts": 10, "labelled_alerts": 10, "labelled_audit": 40,
    }  # fmt: skip
    # 700 quiet windows of which 2 in 40 held the event, 20 alerting ones of which 15 did
    misses, hits, false_alarms = 700 * 2 / 40, 15.0, 5.0
    assert first["miss_rate"]["value"] == pytest.approx(misses / (misses + hits))
    assert first["false_positive_rate"]["value"] == pytest.approx(false_alarms / (false_alarms + 700 - misses))
    assert first["false_discovery_share"]["value"] == pytest.approx(0.25)
    assert first["false_alarms_per_hour"]["value"] == pytest.approx(5 / (720 * 5 / 3600))
    # of 700 quiet windows 2 in 40 held the event that the head called 0.1, of 20 alerting ones 15 what it called 0.7
    assert [(one["n"], one["was"]) for one in first["calibration"]["bins"]] == [
        (40, pytest.approx(0.05)), (20, pytest.approx(0.75)),
    ]  # fmt: skip
    assert first["calibration"]["error"] == pytest.approx((700 * 0.05 + 20 * 0.05) / 720)
    ranking = desk.call("ranking", task="stress", model_version=first["model_version"])
    assert (ranking["n"], ranking["events"]) == (60, 17)
    # 38 of 40 quiet windows without the event stand for 665; 5 alerting ones are on
    on = next(point for point in ranking["curve"] if point["threshold"] >= 0.5)
    assert on["false_positive_rate"] == pytest.approx(5 / 670)
    assert on["detected"] == pytest.approx(15 / (15 + 35))
    assert desk.call("ranking", task="stress", participant="P99")["curve"] == []
    nobody = desk.call("rates", participant="P99")
    assert {row["task"] for row in nobody} == {"stress", "focus"}
    assert not nobody[0]["miss_rate"]["enough"]


def minutes_later(window: Window, minutes: int) -> Window:
    start = window.features.start + 60 * minutes
    return dataclasses.replace(window, features=dataclasses.replace(window.features, start=start, end=start + 30))


@pytest.mark.parametrize(
    ("by", "groups"),
    [("agent", ["lab-1"]), ("participant", ["P02", "P01"]), ("week", ["2025-06-09"]), ("model_version", [1])],
)
def test_rates_are_grouped_and_say_what_is_missing(desk: Desk, by: str, groups: list[object]) -> None:
    some = [scored(n, Stratum.AUDIT, CALM, "P02" if n % 2 else "P01") for n in range(1, 81)]
    put_windows(desk.store, [*some, *(scored(n, Stratum.ALERT, TENSE) for n in range(81, 101))])
    counts = (ScoredCount(1, "P01", "stress", False, 700), ScoredCount(1, "P02", "stress", False, 300))
    in_june = 1_750_000_100.0
    desk.store.keep_heartbeats([("lab-1", heartbeat(counts=counts), in_june)])
    desk.store.keep_heartbeats([("lab-1", heartbeat(counts=counts), in_june + 600_000)])
    for n in range(1, 101):
        submit(desk, n, n, "stressed" if n > 90 else "calm")
    overall, *rows = desk.call("rates", task="stress", by=by)
    assert [row[by] for row in rows] == groups
    assert (overall[by], overall["windows"]) == (None, 1_020)
    assert sum(row["windows"] for row in rows) == 1_020
    assert (rows[-1]["false_discovery_share"]["value"], rows[-1]["false_discovery_share"]["n"]) == (0.5, 20)
    assert rows[-1]["false_discovery_share"]["more"] > 50
    assert desk.call("rates", task="stress", by="agent", **{by: groups[-1]})[0]["windows"] == rows[-1]["windows"]


def test_confidences_beside_labels_and_a_warning_where_they_differ(desk: Desk) -> None:
    some = [scored(n, Stratum.AUDIT, CALM if n > 20 else TENSE) for n in range(1, 221)]
    put_windows(desk.store, [minutes_later(window, n) for n, window in enumerate(some)])
    (overall, _) = desk.call("rates", task="stress")
    free = overall["label_free"]["false_discovery_share"]
    assert (free["value"], free["n"], free["warning"]) == (pytest.approx(0.3), 20, None)
    assert overall["label_free"]["miss_rate"]["value"] == pytest.approx(200 * 0.1 / (200 * 0.1 + 20 * 0.7))
    assert "not enough labels" in overall["false_discovery_share"]["words"]
    for n in range(1, 21):
        submit(desk, n, n, "calm")
    warning = desk.call("rates", task="stress")[0]["label_free"]["false_discovery_share"]["warning"]
    assert "70 points higher" in warning


def test_rates_with_an_offset_stand_beside_those_of_the_generic_head(desk: Desk) -> None:
    # the generic head alerts in 21 to 60, the personal one in 41 to 60 only, and those hold the event
    def said(n: int) -> Prediction:
        personal, generic = (TENSE if n > first else CALM for first in (40, 20))
        return dataclasses.replace(generic, alerting=n > 40, personal=personal.probabilities, generic_alerting=n > 20)

    some = [
        dataclasses.replace(scored(n, Stratum.AUDIT if n <= 40 else Stratum.ALERT, CALM), predictions=(said(n),))
        for n in range(1, 61)
    ]
    put_windows(desk.store, some)
    for n in range(1, 61):
        submit(desk, n, n, "stressed" if n > 40 else "calm")
    (overall, row) = desk.call("rates", task="stress", by="participant")
    assert overall["beside"] == row["beside"]
    beside = row["beside"]
    assert beside["personal"]["false_discovery_share"]["value"] == 0
    assert beside["generic"]["false_discovery_share"]["value"] == pytest.approx(0.5)
    assert beside["generic"]["false_discovery_share"]["n"] == 40
    assert beside["personal"]["false_positive_rate"]["value"] < beside["generic"]["false_positive_rate"]["value"]
    assert desk.call("rates", task="focus")[0]["beside"] is None


def test_audit_windows_weigh_by_the_probability_of_their_draw(desk: Desk) -> None:
    often = [dataclasses.replace(scored(n, Stratum.AUDIT, CALM), audit_probability=0.5) for n in range(1, 41)]
    seldom = [dataclasses.replace(scored(n, Stratum.AUDIT, CALM), audit_probability=0.05) for n in range(41, 81)]
    put_windows(desk.store, [*often, *seldom])
    for n in range(1, 81):
        submit(desk, n, n, "stressed" if n > 76 else "calm")
    desk.store.keep_heartbeats(
        [("lab-1", heartbeat(counts=(ScoredCount(1, "P01", "stress", False, 1_000),)), 1_750_000_000.0)]
    )
    put_alerts = [scored(n, Stratum.ALERT, TENSE) for n in range(81, 101)]
    desk.store.ingest([arrival(window, n) for n, window in enumerate(put_alerts, 1_000)], 0.0)
    for n in range(81, 101):
        submit(desk, n, n, "stressed")
    (overall, _) = desk.call("rates", task="stress")
    share = 4 / 0.05 / (40 / 0.05 + 40 / 0.5)
    assert overall["miss_rate"]["value"] == pytest.approx(1_000 * share / (1_000 * share + 20))


def test_advice_and_its_application(desk: Desk) -> None:
    lacking = desk.call("threshold_advice", task="stress", most_misses=0.2)
    assert (lacking["threshold"], lacking["model_version"]) == (None, 4)
    assert lacking["words"].startswith("not enough labels yet")
    assert desk.call("apply_threshold", task="stress", threshold=1) == {"version": 6}
    desk.call("apply_threshold", task="stress", threshold=0.7, model_version=4)
    assert desk.learner.asked == [("stress", 1.0, None), ("stress", 0.7, 4)]
    for params in (
        '{"task": "stress"}',
        '{"task": "stress", "most_misses": 20}',
        '{"task": "anxiety", "most_misses": 0.2}',
    ):
        assert desk.reply("threshold_advice", params).error_kind == "InputError"


def test_windows_that_overlap_count_for_less_than_windows_that_do_not(desk: Desk) -> None:
    def spaced(first: int, participant: str, seconds: float) -> list[Window]:
        plain = [scored(n, Stratum.ALERT, TENSE, participant) for n in range(first, first + 30)]
        starts = [1_750_000_000.0 + seconds * n for n in range(30)]
        return [
            dataclasses.replace(window, features=dataclasses.replace(window.features, start=start, end=start + 30))
            for window, start in zip(plain, starts, strict=True)
        ]

    put_windows(desk.store, [*spaced(1, "P05", 5), *spaced(101, "P06", 65)])
    for n in (*range(1, 31), *range(101, 131)):
        submit(desk, n, n, "stressed" if (n // 10) % 2 else "false alarm")
    rates = [desk.call("rates", task="stress", participant=who)[0]["false_discovery_share"] for who in ("P05", "P06")]
    assert [rate["n"] for rate in rates] == [30, 30]
    overlapping, apart = (rate["high"] - rate["low"] for rate in rates)
    assert overlapping > 1.2 * apart
