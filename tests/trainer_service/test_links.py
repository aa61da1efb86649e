"""Participants answer by a link of their own, which lets in nobody else and shows them nothing of others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.e2e.study import Study, run
from tests.sentry_proto.records import window
from tests.trainer_service.conftest import hex_id, put_windows
from tests.trainer_service.test_accounts import cheap, staff
from tests.trainer_service.test_control_api import Desk, desk, refused
from trainer_service import schema

__all__ = ["cheap", "desk", "staff"]

CALM = {"task": "stress", "value": "calm"}
GONE = ("NotAllowed", "this link is not valid any more; please ask the people who run the study for a new one")


def link_of(desk: Desk, participant: str) -> str:
    return str(desk.call("make_link", participant=participant)["link"])


def test_a_link_answers_for_its_participant_and_for_nobody_else(desk: Desk) -> None:
    link = link_of(desk, "P07")
    desk.call("self_report", token=link, report_id="1", **CALM)
    desk.call("self_report", token=link, report_id="2", participant="P07", **CALM)
    assert refused(desk, "self_report", token=link, report_id="3", participant="P08", **CALM) == (
        "NotAllowed", "this link is of another participant",
    )  # fmt: skip
    assert refused(desk, "answer_sheet", token=link, participant="P08")[0] == "NotAllowed"
    assert [report["participant"] for report in desk.call("self_reports")] == ["P07", "P07"]


@pytest.mark.parametrize("token", ["", "link-", "link-of-somebody"])
def test_without_a_link_nobody_answers_and_nobody_new_appears(desk: Desk, token: str) -> None:
    assert refused(desk, "self_report", token=token, report_id="1", participant="P08", **CALM)[0] == "NotAllowed"
    assert refused(desk, "answer_sheet", token=token, participant="P08")[0] == "NotAllowed"
    assert desk.call("participants") == []


def test_a_revoked_link_and_one_from_before_a_new_one_are_refused(desk: Desk) -> None:
    first, second = link_of(desk, "P07"), link_of(desk, "P07")
    assert refused(desk, "answer_sheet", token=first) == GONE
    assert desk.call("answer_sheet", token=second)["participant"] == "P07"
    assert desk.call("revoke_link", participant="P07") == {"participant": "P07", "revoked": True}
    assert refused(desk, "self_report", token=second, report_id="1", **CALM) == GONE
    assert desk.call("revoke_link", participant="P07") == {"participant": "P07", "revoked": False}
    actions = [entry["action"] for entry in desk.call("audit_log", participant="P07")]
    assert actions == ["revoke_link", "make_link", "make_link"]


def test_a_link_ends_with_an_erasure_and_an_erased_person_gets_none(desk: Desk) -> None:
    link = link_of(desk, "P07")
    desk.call("erase", participant="P07", confirm="P07")
    assert refused(desk, "answer_sheet", token=link) == GONE
    assert "was erased" in refused(desk, "make_link", participant="P07")[1]


def test_the_store_holds_no_link(desk: Desk) -> None:
    link = link_of(desk, "P07")
    with desk.store.read() as connection:
        assert not any(link in str(row) for row in connection.execute(select(schema.links)))


def test_a_rater_may_answer_for_a_participant_and_a_viewer_may_not(desk: Desk, staff: dict[str, str]) -> None:
    desk.call("self_report", token=staff["rater"], report_id="1", participant="P01", **CALM)
    assert desk.call("audit_log", action="self_report")[0]["actor"] == "a-rater"
    assert "it takes the role rater, or a link" in refused(
        desk, "self_report", token=staff["viewer"], report_id="2", participant="P01", **CALM
    )[1]  # fmt: skip
    assert refused(desk, "answer_sheet", token=staff["rater"])[1] == "this needs the parameter participant"


def test_answers_and_scores_are_read_by_admins_only_and_that_is_written_down(desk: Desk, staff: dict[str, str]) -> None:
    desk.call("self_report", report_id="1", participant="P07", instrument="phq8", answers=[3] * 8)
    for role in ("guest", "participant", "viewer", "rater"):
        assert refused(desk, "self_reports", token=staff[role], participant="P07")[0] == "NotAllowed"
    sheet = desk.call("answer_sheet", token=staff["participant"])
    assert set(sheet) == {"participant", "tasks", "last", "forms", "results"}
    assert "24" not in re.sub(r"[\d.]{9,}", "", json.dumps(sheet)), "times aside"
    for before in (None, 10_000):  # whichever page is asked for first
        page = {} if before is None else {"before": before}
        assert desk.call("self_reports", token=staff["admin"], participant="P07", **page)[0]["score"] == 24
    (entry,) = desk.call("audit_log", action="self_reports")
    assert (entry["actor"], entry["participant"]) == ("a-admin", "P07")


def test_an_export_is_written_down_whichever_row_it_begins_with(desk: Desk, staff: dict[str, str]) -> None:
    desk.call("person_rows", token=staff["admin"], participant="P01", kind="labels", after=-1)
    desk.call("person_rows", token=staff["admin"], participant="P01", kind="windows", after=1)
    (entry,) = desk.call("audit_log", action="export")
    assert (entry["actor"], entry["participant"]) == ("a-admin", "P01")


def test_who_is_not_signed_in_learns_of_nobody(desk: Desk, staff: dict[str, str]) -> None:
    for role in ("guest", "participant"):
        assert set(desk.call("status", token=staff[role])) == {"software", "tasks"}
    assert "learner" in desk.call("status", token=staff["viewer"])


def test_a_sentence_is_kept_and_labels_nothing(desk: Desk) -> None:
    put_windows(desk.store, [window(hex_id(1), participant="P07", start=970.0)])
    link = link_of(desk, "P07")
    desk.call("self_report", token=link, report_id="1", words="  The test was hard.\nI slept badly. ", created=1_000.0)
    (kept,) = desk.call("self_reports", participant="P07")
    assert (kept["words"], kept["instrument"], kept["task"]) == ("The test was hard.\nI slept badly.", "sentence", "")
    assert desk.call("window", window_id=hex_id(1))["labels"] == []
    assert desk.call("answer_sheet", token=link)["last"] == {"sentence": 1_000.0}
    for words in (" ", "x" * 1_001):
        assert (
            "words must be 1 to 1000 characters"
            in refused(desk, "self_report", token=link, report_id="2", words=words)[1]
        )


@pytest.mark.e2e
def test_the_command_prints_a_link_and_ends_it(tmp_path: Path) -> None:
    study = Study(tmp_path)
    where = ("--dir", study.trainer_dir)
    try:
        study.start_trainer()
        made = run("sentry-trainer", "reports", "link", "P07", "--dashboard", "https://lab.example/", *where)
        address = made.stdout.splitlines()[0]
        assert address.startswith("https://lab.example/self-report?link=link-")
        token = address.partition("link=")[2]
        assert study.control.call("answer_sheet", token=token)["participant"] == "P07"
        ended = run("sentry-trainer", "reports", "link", "P07", "--revoke", *where)
        assert ended.stdout == "the link of P07 has ended\n"
    finally:
        study.close()
