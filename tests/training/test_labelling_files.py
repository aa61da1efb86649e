"""Windows out to people, answers back: every format, whole, partly answered and wrong."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentry_proto.errors import LabelFileError
from tests.training.label_sheets import sheet
from training.active_learning.answer_files import read_answers
from training.active_learning.labelling_files import (
    FORMATS,
    label_studio_config,
    read_sheets,
    to_csv,
    to_label_studio,
    to_lines,
)
from training.active_learning.sheets import Sheet

SHEETS = [sheet(n) for n in range(1, 5)]
NOW = 5.0
GIVEN = {SHEETS[0].window_id: "calm", SHEETS[2].window_id: "true alarm", SHEETS[3].window_id: "mildly stressed"}
"""The second window is left unanswered."""


def fill_csv(text: str, separator: str = ",") -> str:
    rows = list(csv.DictReader(io.StringIO(text)))
    for row in rows:
        row.update(value=GIVEN.get(row["window_id"], ""), rater="ann" if row["window_id"] in GIVEN else "")
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def fill_lines(text: str) -> str:
    rows = [json.loads(line) for line in text.splitlines()]
    filled = [{**row, "value": GIVEN.get(row["window_id"], ""), "rater": "ann"} for row in rows]
    return "".join(json.dumps(row) + "\n" for row in filled)


def annotation(value: str | None, **changes: Any) -> dict[str, Any]:
    chosen = {
        "id": "Dx_aB91ISN",
        "from_name": "label",
        "to_name": "curves",
        "type": "choices",
        "origin": "manual",
        "value": {"choices": [value]},
    }
    return {
        "id": 1001,
        "completed_by": 7,
        "result": [chosen] if value else [],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-03-09T22:16:08.728353Z",
        "updated_at": "2026-03-09T22:16:08.728378Z",
        "lead_time": 4.288,
        **changes,
    }


def fill_label_studio(text: str) -> str:
    """As Label Studio's JSON export has it: with ids, annotations and predictions; a skipped task among them."""
    exported = []
    for number, task in enumerate(json.loads(text), 1):
        value = GIVEN.get(task["data"]["window_id"])
        given = annotation(value, was_cancelled=value is None)
        exported.append({"id": number, "project": 83, "data": task["data"], "annotations": [given], "predictions": []})
    return json.dumps(exported)


FILL: Mapping[str, Callable[[str], str]] = {"csv": fill_csv, "jsonl": fill_lines, "labelstudio": fill_label_studio}


@pytest.mark.parametrize("kind", FORMATS)
def test_partly_answered_files_come_back_from_every_format(kind: str) -> None:
    found = read_answers(FILL[kind](FORMATS[kind](SHEETS)), NOW)
    rater = "label-studio-7" if kind == "labelstudio" else "ann"
    assert [(label.window_id, label.value, label.rater) for _, label in found.answers] == [
        (window_id, value, rater) for window_id, value in GIVEN.items()
    ]
    assert {label.task for _, label in found.answers} == {"stress"}
    assert (found.unanswered, found.wrong) == (1, {})
    created = datetime.fromisoformat("2026-03-09T22:16:08.728378+00:00").timestamp()
    assert {label.created for _, label in found.answers} == {created if kind == "labelstudio" else NOW}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_nobody_touched_holds_no_answer(kind: str) -> None:
    found = read_answers(FORMATS[kind](SHEETS), NOW)
    assert (found.answers, found.unanswered, found.wrong) == ([], 4, {})


@pytest.mark.parametrize("kind", FORMATS)
def test_no_file_says_more_than_a_person_can_read(kind: str) -> None:
    text = FORMATS[kind](SHEETS)
    assert "blendshape" not in text
    assert "baseline" not in text
    assert "probabilities" not in text
    assert SHEETS[0].participant in text
    assert datetime.fromtimestamp(SHEETS[0].start).astimezone().isoformat() in text


def test_reading_the_same_file_twice_gives_the_same_label_ids() -> None:
    text = fill_csv(to_csv(SHEETS))
    first, second = (read_answers(text, now) for now in (1.0, 2.0))
    assert [label.label_id for _, label in first.answers] == [label.label_id for _, label in second.answers]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_may_separate_by_something_else(separator: str) -> None:
    assert len(read_answers("\ufeff" + fill_csv(to_csv(SHEETS), separator), NOW).answers) == 3


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)


@settings(max_examples=30, deadline=None)
@given(participant=words, classes=st.lists(words, min_size=2, max_size=4, unique=True).map(tuple))
def test_sheets_survive_json_lines(participant: str, classes: tuple[str, ...]) -> None:
    made = sheet(participant=participant, classes=classes)
    assert read_sheets(to_lines([made])) == [dataclasses.replace(made)]


@given(participant=words, value=words.map(str.strip).filter(bool))
def test_whatever_a_class_is_called_it_comes_back_from_a_spreadsheet(participant: str, value: str) -> None:
    text = to_csv([sheet(participant=participant, classes=(value, "other"))])
    rows = list(csv.DictReader(io.StringIO(text)))
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    writer.writerow({**rows[0], "value": value, "rater": "ann"})
    assert [label.value for _, label in read_answers(out.getvalue(), NOW).answers] == [value]


def line(**changes: Any) -> str:
    return json.dumps({"window_id": "a", "task": "stress", "value": "calm", "rater": "ann", **changes})


def studio(*given: Any, data: Any = None) -> str:
    about = {"window_id": "a", "task": "stress"} if data is None else data
    return json.dumps([{"id": 1, "data": about, "annotations": list(given)}])


TWO_CHOICES = {"result": [{"from_name": "label", "value": {"choices": ["calm", "stressed"]}}]}


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("\n".join([line(), "{"]), {2: "it is no JSON"}),
        ("\n".join([line(), "[1]"]), {2: "it must be a JSON object"}),
        (line(confidense=1), {1: "unknown fields: confidense"}),
        (line(value=["calm"]), {1: "value must be text"}),
        (line(confidence="sure"), {1: "confidence 'sure' is no number"}),
        (
            "\n".join([line(), "", line(value="stressed")]),
            {3: "ann has said 'calm' about this window already, in row 1"},
        ),
        (studio(annotation("calm"), annotation("stressed")), {1: "label-studio-7 has said 'calm' about this window"}),
        (studio(annotation("calm", **TWO_CHOICES)), {1: "must hold one choice of 'label' and nothing else"}),
        (studio(annotation("calm", result=[{"from_name": "other", "value": {}}])), {1: "one choice of 'label'"}),
        (studio(annotation("calm", updated_at="yesterday")), {1: "'yesterday' is no time"}),
        (studio(data={"window": "a"}), {1: "not as JSON-MIN"}),
        (json.dumps([{"window_id": "a", "label": "calm"}]), {1: "not as JSON-MIN"}),
        (studio("calm"), {1: "its annotations must be a list of objects"}),
    ],
)
def test_what_is_wrong_is_said_by_row(text: str, reasons: dict[int, str]) -> None:
    found = read_answers(text, NOW)
    assert found.wrong.keys() == reasons.keys()
    for number, reason in reasons.items():
        assert reason in found.wrong[number]
    with pytest.raises(LabelFileError, match=f"(row|task) {next(iter(reasons))}: "):
        found.raise_if_wrong()


def test_a_broken_export_is_refused() -> None:
    with pytest.raises(LabelFileError, match="begins as a Label Studio export but is no JSON"):
        read_answers("[{", NOW)


def test_all_wrong_rows_are_named_up_to_a_bound() -> None:
    found = read_answers("\n".join(line(window_id=str(n), confidence="x") for n in range(12)), NOW)
    with pytest.raises(LabelFileError, match=r"row 1: .*; row 8: .*; and 4 more$"):
        found.raise_if_wrong()


def test_the_same_answer_twice_is_no_contradiction_and_another_raters_is_none() -> None:
    found = read_answers("\n".join([line(), line(), line(value="stressed", rater="bob")]), NOW)
    assert (len(found.answers), found.wrong) == (3, {})
    assert len({label.label_id for _, label in found.answers}) == 2


def test_answers_that_do_not_say_whose_they_are_take_the_given_rater() -> None:
    found = read_answers("\n".join([line(rater=""), line(window_id="b")]), NOW, rater="bob")
    assert [label.rater for _, label in found.answers] == ["bob", "ann"]


def test_label_studio_gets_an_interface_that_fits_its_tasks() -> None:
    tasks = json.loads(to_label_studio(SHEETS))
    view = ET.fromstring(label_studio_config(SHEETS))
    series, choices = view.find("TimeSeries"), view.find("Choices")
    assert series is not None
    assert choices is not None
    assert choices.get("toName") == series.get("name")
    assert [choice.get("value") for choice in choices] == [*SHEETS[0].classes, "true alarm", "false alarm"]
    columns = {str(channel.get("column")) for channel in series} | {str(series.get("timeColumn"))}
    for task in tasks:
        data = task["data"][str(series.get("value")).removeprefix("$")]
        assert columns <= data.keys()
        assert {len(data[column]) for column in columns} == {30}
        assert all(isinstance(value, float) for column in columns for value in data[column])
    assert tasks[0]["data"]["curves"]["seen"] == [1.0] * 24 + [0.0] * 6
    assert tasks[0]["data"]["curves"]["smile"][24:] == [pytest.approx(0.23)] * 6, "held, not 0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no window"),
        ("{", "row 1: "),
        ('{"window_id": "a"}', "row 1: .* it must be an object with window_id"),
        (to_lines(SHEETS[:1]) + to_lines([sheet(camera_states="oo")]), "row 2: .* every curve"),
        (to_csv(SHEETS), "row 1: this is no window exported as JSON Lines"),
    ],
)
def test_a_file_that_holds_no_windows_is_refused(text: str, words: str) -> None:
    with pytest.raises(LabelFileError, match=words):
        read_sheets(text)


def test_curves_that_were_never_seen_are_said_to_be_so() -> None:
    plain = sheet()
    curves: dict[str, Any] = {**plain.curves, "slouch": [None] * 30}
    blind: Sheet = dataclasses.replace(plain, curves=curves)
    (row,) = csv.DictReader(io.StringIO(to_csv([blind])))
    assert row["slouch_mean"] == ""
    assert row["smile_highest"] == "0.23"
    assert "never seen: Slouch" in json.loads(to_label_studio([blind]))[0]["data"]["about"]
