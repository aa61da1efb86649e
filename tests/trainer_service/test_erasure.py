"""After an erasure nothing names the person: not in the database, not in its files, not in what is exported."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sentry_proto import person_file
from sentry_proto.types import Prediction, ScoredCount
from tests.sentry_proto.records import alert, heartbeat, window
from tests.trainer_service.conftest import arrival, hex_id
from tests.trainer_service.test_control_api import Desk, desk, refused, submit
from trainer_service import erasure, report_export, schema
from trainer_service.fleet import Moment
from trainer_service.queue_export import Wanted, fetch
from trainer_service.registry import Decision, Model, announce, record, settle

__all__ = ["desk"]

GONE, STAYS = "Zed-4711", "P02"
SAID = Prediction("stress", (0.1, 0.2, 0.7), 0.6, 0.1, True)


def decided(version: int, last_label: int, labels: int = 2) -> Decision:
    known = {"stream": {"people": {GONE: {"head": 0.5}, STAYS: {"head": 0.6}}}, "raters": {"doubted": [GONE]}}
    return Decision(
        1.0, "labels", "stress", "published", "better", version, version - 1, version, labels, 2, known, last_label
    )


def beat(participant: str) -> Any:
    counts = tuple(ScoredCount(1, name, "stress", True, 9) for name in (GONE, STAYS))
    return dataclasses.replace(heartbeat(), participant=participant, session=f"of {participant}", counts=counts)


@pytest.fixture
def full(desk: Desk) -> Desk:
    """Two people, of both everything that a trainer can hold."""
    given = []
    for number, name in enumerate((GONE, GONE, STAYS), 1):
        seen = window(hex_id(number), participant=name, predictions=(SAID,))
        given.append(arrival(seen, number))
        raised = dataclasses.replace(alert(alert_id=hex_id(50 + number)), participant=name)
        given.append(arrival(raised, 50 + number))
    assert desk.store.ingest(given, 5.0) == [None] * len(given)
    desk.store.keep_heartbeats([("lab-1", beat(GONE), 6.0)])
    desk.fleet.heard("lab-1", beat(GONE), Moment(0.0, -1e9))
    for number, name in ((1, GONE), (3, STAYS)):
        submit(desk, number, number, "calm", rater="ann")
        desk.call(
            "remark", remark_id=hex_id(number), kind="unsure", task="stress", rater="ann", window_id=hex_id(number)
        )
        desk.call("remark", remark_id=hex_id(60 + number), kind="missed event", task="stress", rater="ann",
                  participant=name, moment=9.0, words="frowned")  # fmt: skip
        desk.call("self_report", report_id=hex_id(number), participant=name, task="focus", value="3", created=8.0)
        desk.call("self_report", report_id=hex_id(90 + number), participant=name, instrument="gad7", answers=[1] * 7)
        desk.call("note_consent", participant=name, state="withdrawn")
    with desk.store.write() as connection:
        for version, parent, last in ((1, 0, 0), (2, 1, 2), (3, 2, 2), (4, 1, 2)):
            metrics = {"stress": {"people": {GONE: 1}}}
            announce(connection, Model(version, parent, 1.0, ("stress",), metrics, b"heads"))
            record(connection, [decided(version, last, labels=2 if version < 3 else 0)])
            settle(connection, version, 2.0)
    return desk


def naming(desk: Desk, name: str) -> dict[str, int]:
    """Table -> rows in any column of which the name occurs, as text or within bytes."""
    found: dict[str, int] = {}
    with desk.store.read() as connection:
        for table in schema.metadata.sorted_tables:
            rows = [list(row) for row in connection.execute(select(table))]
            hits = sum(any(name in _text(value) for value in row) for row in rows)
            found |= {table.name: hits} if hits else {}
    return found


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else json.dumps(value)


def exported(desk: Desk) -> str:
    """What leaves a trainer as files."""
    reports = report_export.to_csv(report_export.fetch(desk.call, None), "")
    sheets, _ = fetch(desk.call, Wanted("focus", 100, "", [], None))
    return (
        reports + str(sheets) + json.dumps([desk.call(name) for name in ("windows", "alerts", "audit_log", "agents")])
    )


@pytest.mark.promise("P2")
def test_after_an_erasure_nothing_names_the_person_and_the_versions_are_listed(full: Desk) -> None:
    before = naming(full, GONE)
    assert set(before) == {
        "agents", "alerts", "audit", "decisions", "labels", "models", "people", "remarks", "scored_counts", "scores",
        "self_reports", "weekly_counts", "windows", "withdrawals",
    }  # fmt: skip
    assert GONE in exported(full)
    others = full.call("person", participant=STAYS)["counts"]

    done = full.call("erase", participant=GONE, confirm=GONE)

    assert naming(full, GONE) == {}
    assert GONE not in exported(full)
    assert not any(GONE.encode() in path.read_bytes() for path in _files(full))
    assert full.call("person", participant=STAYS)["counts"] == others
    assert done["counts"]["windows"] == 2
    assert done["counts"]["remarks"] == 2
    assert [(entry["version"], entry["why"]) for entry in done["versions"]] == [
        (3, "starts from version 2"), (2, "learned from this person: stress"),
    ]  # fmt: skip
    (entry,) = full.call("audit_log", action="erase")
    assert entry["participant"] == "(erased)"
    assert entry["details"].endswith("versions that know of them: 3, 2")
    assert full.learner.asked[-1] == "nudge"


def _files(desk: Desk) -> list[Path]:
    """The update repository and, where the trainer keeps it itself, the database with its journal."""
    repository = [path for path in desk.api._folder.rglob("*") if path.is_file()] if desk.api._folder else []
    database = desk.store.database
    return repository + (list(database.parent.glob("store.sqlite*")) if isinstance(database, Path) else [])


@pytest.mark.promise("P2")
def test_what_an_agent_still_holds_of_an_erased_person_is_refused(full: Desk) -> None:
    full.call("erase", participant=GONE, confirm=GONE)
    late = [window(hex_id(7), participant=GONE), window(hex_id(8), participant=STAYS)]
    full.call("note_consent", participant=STAYS, state="given")
    words, accepted = full.store.ingest([arrival(one, 70 + i) for i, one in enumerate(late)], 9.0)
    assert words == "this participant was erased; a person who comes back gets a new name"
    assert accepted is None
    full.store.keep_heartbeats([("lab-1", beat(GONE), 10.0)])
    assert naming(full, GONE) == {}
    assert refused(full, "self_report", report_id="x", participant=GONE, task="focus", value="3")[1] == words


def test_a_withdrawn_consent_ends_the_intake_until_there_is_one_again(full: Desk) -> None:
    late = arrival(window(hex_id(8), participant=STAYS), 80)
    assert full.store.ingest([late], 9.0) == ["this participant has withdrawn the consent"]
    assert full.call("person", participant=STAYS)["withdrawn"] is not None
    full.call("note_consent", participant=STAYS, state="given")
    assert full.store.ingest([late], 9.0) == [None]
    assert [one["withdrawn"] for one in full.call("participants") if one["participant"] == STAYS] == [None]


def test_erasing_asks_for_the_name_and_for_the_recording_to_end(full: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "is not the participant's name" in refused(full, "erase", participant=GONE, confirm="yes")[1]
    assert (
        "nothing here is of a participant 'nobody'" in refused(full, "erase", participant="nobody", confirm="nobody")[1]
    )
    monkeypatch.setattr("time.monotonic", lambda: -1e9 + 1)
    words = "lab-1 is recording this participant: end that first"
    assert refused(full, "erase", participant=GONE, confirm=GONE)[1] == words
    assert naming(full, GONE)


def test_a_persons_file_holds_all_of_the_person_and_nothing_of_others(full: Desk) -> None:
    with zipfile.ZipFile(io.BytesIO(person_file.pack(full.call, GONE))) as archive:
        held = {name: archive.read(name).decode() for name in archive.namelist()}
    rows = {name: len(text.splitlines()) for name, text in held.items() if name.endswith("jsonl")}
    assert rows == {
        "windows.jsonl": 2, "alerts.jsonl": 2, "labels.jsonl": 1, "self_reports.jsonl": 2, "remarks.jsonl": 2,
        "scored_counts.jsonl": 1, "audit.jsonl": 7,
    }  # fmt: skip
    assert STAYS not in "".join(held.values())
    assert "blendshape_browDown_mean" in held["windows.jsonl"]
    assert full.call("audit_log", action="export")[0]["participant"] == GONE


def test_only_the_name_itself_is_taken_out_of_json() -> None:
    value = {"P1": 1, "P12": {"P1": 2, "x": ["P1", "P12"]}, "who": "P1"}
    assert erasure.without(value, "P1") == {"P12": {"x": ["P12"]}, "who": ""}
