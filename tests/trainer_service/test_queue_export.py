"""Windows that leave the trainer for people to label, and what must not leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sentry_proto.errors import InputError
from sentry_proto.tasks import DEFAULT_TASKS, tasks_to_json
from tests.dashboard.fake_trainer import features, window
from trainer_service.queue_export import Wanted, fetch, live_consents, write
from training.active_learning.answer_files import read_answers
from training.active_learning.labelling_files import FORMATS, read_sheets

STILL = "/9j/4AAQSkZJRg=="


def ask(method: str, **params: Any) -> Any:
    """A trainer with four windows; the second is labelled for stress, the fourth is the puppet's."""
    consents = ("c1", "c2", "c3", "puppet")
    windows = [
        window(str(n), stratum="alert" if n == 1 else "audit", participant=f"P0{n}", consent_id=consents[n - 1])
        for n in range(1, 5)
    ]
    for calm in windows[1:]:
        calm["predictions"] = [{**said, "alerting": False} for said in calm["predictions"]]
    windows[1]["labels"] = [{"task": "stress", "value": "calm", "rater": "bob"}]
    if method == "status":
        return {"tasks": tasks_to_json(DEFAULT_TASKS)}
    if method == "study":
        return {"purpose": "clinical"}
    if method == "queue":
        assert params["limit"] == 1_000
        return windows
    return {**windows[int(params["window_id"]) - 1], "features": features(), "stills": [{"time": 1.0, "jpeg": STILL}]}


@pytest.mark.parametrize(
    ("wanted", "left", "held_back"),
    [
        (Wanted("stress", 9), ["1", "3", "4"], 0),
        (Wanted("stress", 2), ["1", "3"], 0),
        (Wanted("focus", 9), ["1", "2", "3", "4"], 0),
        (Wanted("stress", 9, rater="ann"), ["1", "2", "3", "4"], 0),
        (Wanted("stress", 9, without=["P01", "P04"]), ["3"], 2),
        (Wanted("stress", 9, consents=["c1"]), ["1", "4"], 1),
        (Wanted("stress", 9, consents=[]), ["4"], 2),
        (Wanted("stress", 9, without=["P01"], consents=["c1"]), ["4"], 2),
    ],
)
def test_what_leaves(wanted: Wanted, left: list[str], held_back: int) -> None:
    sheets, withheld = fetch(ask, wanted)
    assert ([sheet.window_id for sheet in sheets], withheld) == (left, held_back)
    assert [bool(sheet.verdicts) for sheet in sheets] == [
        sheet.window_id == "1" and wanted.task == "stress" for sheet in sheets
    ], "a verdict is asked for where this task's alert was on"


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(InputError, match="--count must be between 1 and 1000"):
        fetch(ask, Wanted("stress", count))


def test_the_models_estimate_and_the_whole_vector_stay(tmp_path: Path) -> None:
    sheets, _ = fetch(ask, Wanted("stress", 9))
    (path,) = write(sheets, "jsonl", tmp_path / "q.jsonl")
    text = path.read_text()
    assert not [word for word in ("probabilities", "entropy", "model_version", "consent", "gaze") if word in text]
    assert [sheet.curves for sheet in read_sheets(text)] == [sheet.curves for sheet in sheets]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_row_bears_the_purpose_that_the_study_declares(kind: str, tmp_path: Path) -> None:
    sheets, _ = fetch(ask, Wanted("stress", 9))
    text = write(sheets, kind, tmp_path / f"q.{kind}")[0].read_text()
    assert text.count("clinical") == len(sheets)
    if kind == "jsonl":
        assert {sheet.purpose for sheet in read_sheets(text)} == {"clinical"}
        older = "".join(json.dumps({**json.loads(line), "purpose": None}) for line in text.splitlines()[:1])
        assert read_sheets(older.replace(', "purpose": null', ""))[0].purpose == "", "files of before bear none"


@pytest.mark.parametrize("kind", FORMATS)
def test_no_picture_leaves(kind: str, tmp_path: Path) -> None:
    sheets, _ = fetch(ask, Wanted("stress", 9))
    assert all(sheet.stills for sheet in sheets)
    paths = write(sheets, kind, tmp_path / f"q.{kind}")
    assert not [path for path in paths if STILL in path.read_text() or "stills" in path.read_text()]


def test_label_studio_gets_its_interface_beside_the_tasks(tmp_path: Path) -> None:
    sheets, _ = fetch(ask, Wanted("stress", 9))
    tasks, interface = write(sheets, "labelstudio", tmp_path / "q.json")
    assert read_answers(tasks.read_text(), 0.0).unanswered == 3
    assert interface == tmp_path / "q.xml"
    assert '<Choice value="mildly stressed"' in interface.read_text()


def record(consent_id: str, withdrawn: float | None = None, until: float | None = None) -> dict[str, Any]:
    return {"consent_id": consent_id, "participant": "P01", "withdrawn": withdrawn, "until": until, "granted": 1.0}


def test_only_live_consents_count(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps([record("live"), record("withdrawn", withdrawn=5.0), record("over", until=99.0)]))
    second.write_text(json.dumps([record("until later", until=101.0)]))
    assert live_consents([first, second], 100.0) == {"live", "until later"}


@pytest.mark.parametrize("text", ["", "{}x", '{"a": 1}', "[1]", '[{"consent_id": "a"}]'])
def test_what_is_no_consent_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "consent.json"
    path.write_text(text)
    with pytest.raises(InputError, match="holds no consent records"):
        live_consents([path], 0.0)
    with pytest.raises(InputError, match="cannot read"):
        live_consents([tmp_path / "none"], 0.0)
