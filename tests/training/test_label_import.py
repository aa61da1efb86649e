"""Exported self-reports find the sessions that they speak of, once, and the others are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perception.session_folder import LABELS, SessionFolder
from perception.session_rows import QuestionnaireResult, SessionLabel
from sentry_proto.errors import LabelFileError
from tests.training.session_trees import BEGIN, label, write_session
from trainer_service import report_export
from training.cli import main
from training.datasets.label_import import COLUMNS, add_labels
from training.datasets.session_check import check_sessions

NOW = BEGIN + 10_000.0
ANSWERS = (1, 1, 1, 1, 1, 1, 1, 1)


def prompt(t: float, value: str, task: str = "stress", participant: str = "P01") -> dict[str, object]:
    """A row of the export; `t` counts from `BEGIN`."""
    return {
        "row": 0, "created": BEGIN + t, "participant": participant, "task": task, "value": value, "instrument": None,
        "score": None, "answers": None,
    }  # fmt: skip


def form(t: float, participant: str = "P01") -> dict[str, object]:
    filled = {"instrument": "phq8", "score": 8, "answers": list(ANSWERS)}
    return prompt(t, "mild", "depression", participant) | filled


def exported(*reports: dict[str, object]) -> str:
    return report_export.to_csv(reports, "research")


def stretches(folder: Path) -> list[tuple[str, str, float, float]]:
    labels = SessionFolder.open(folder).labels()
    return [(one.task, one.value, one.start - BEGIN, one.end - BEGIN) for one in labels]


def test_both_ends_name_the_same_columns() -> None:
    assert (*COLUMNS, "words", "purpose") == report_export.COLUMNS


def test_an_answer_holds_since_the_one_before_but_for_no_more_than_a_minute(tmp_path: Path) -> None:
    folder = write_session(tmp_path, seconds=300)
    text = exported(prompt(40, "calm"), prompt(70, "stressed"), prompt(200, "calm"), prompt(200, "3", "focus"))
    merge = add_labels(tmp_path, text, NOW)
    assert stretches(folder) == [
        ("focus", "3", 140, 200),
        ("stress", "calm", 0, 40),
        ("stress", "stressed", 40, 70),
        ("stress", "calm", 140, 200),
    ]
    assert (merge.added, merge.known, merge.unmatched.counts) == ({"P01/s1": 4}, 0, {})
    assert not check_sessions(tmp_path, NOW).problems


def test_a_questionnaire_holds_for_the_whole_session(tmp_path: Path) -> None:
    folder = write_session(tmp_path)
    add_labels(tmp_path, exported(form(-300)), NOW)
    (one,) = SessionFolder.open(folder).labels()
    whole = SessionLabel(BEGIN, BEGIN + 120, "depression", "mild", "self-report", "P01", 1.0, BEGIN - 300)
    assert one == whole
    assert SessionFolder.open(folder).questionnaires() == [QuestionnaireResult(BEGIN - 300, "phq8", ANSWERS, 8, "mild")]
    assert not [problem for session in check_sessions(tmp_path, NOW).sessions for problem in session.problems]


@pytest.mark.parametrize("closed", [True, False])
def test_reading_a_file_again_adds_nothing(closed: bool, tmp_path: Path) -> None:
    folder = write_session(tmp_path, seconds=80, labels=[label(0, 60, "calm")], closed=closed)
    now = (folder / LABELS).stat().st_mtime + 3600
    text = exported(prompt(70, "calm"), form(75))
    first, again = (add_labels(tmp_path, text, now) for _ in range(2))
    content = (folder / LABELS).read_bytes()
    more = add_labels(tmp_path, exported(prompt(70, "calm"), prompt(80, "calm"), form(75)), now)
    assert (sum(first.added.values()), first.known) == (2, 0)
    assert (again.added, again.known) == ({}, 2)
    assert (more.added, more.known) == ({"P01/s1": 1}, 2)
    assert (folder / LABELS).read_bytes().startswith(content)
    assert len(SessionFolder.open(folder).labels()) == 4


def test_a_report_goes_to_the_nearest_session_of_its_person(tmp_path: Path) -> None:
    first = write_session(tmp_path, "P01", "a")
    second = write_session(tmp_path, "P01", "b", start=BEGIN + 600)
    other = write_session(tmp_path, "P02", "c")
    add_labels(tmp_path, exported(prompt(60, "calm"), form(500), prompt(700, "stressed")), NOW)
    assert [len(stretches(folder)) for folder in (first, second, other)] == [1, 2, 0]


UNMATCHED = {
    "of nobody here": (prompt(60, "calm", participant="P09"), "P09 has no session at that time"),
    "before the session": (prompt(-1, "calm"), "P01 has no session at that time"),
    "long after the session": (prompt(181, "calm"), "P01 has no session at that time"),
    "a form of another day": (form(90_000), "P01 has no session at that time"),
    "right at its beginning": (prompt(0, "calm"), "nothing of the session lies before it"),
    "a value that the session does not know": (prompt(60, "tense"), "task stress knows no value 'tense'"),
    "a task that the session does not know": (prompt(60, "high", "arousal"), "the session knows no task arousal"),
}


@pytest.mark.parametrize("case", UNMATCHED)
def test_what_does_not_match_is_counted(case: str, tmp_path: Path) -> None:
    report, reason = UNMATCHED[case]
    folder = write_session(tmp_path)
    merge = add_labels(tmp_path, exported(report, prompt(110, "calm")), NOW)
    assert merge.unmatched.total(f"reports: {reason}") == merge.unmatched.total() == 1
    assert len(stretches(folder)) == 1


def test_a_running_recording_is_left_alone(tmp_path: Path) -> None:
    folder = write_session(tmp_path, seconds=30, closed=False)
    merge = add_labels(tmp_path, exported(prompt(20, "calm")), (folder / "features.arrows").stat().st_mtime + 5)
    assert merge.unmatched.total("sessions: still being recorded") == 1
    assert not stretches(folder)


def test_columns_in_another_order_and_a_last_line_without_an_end_are_kept(tmp_path: Path) -> None:
    folder = write_session(tmp_path)
    by_hand = "note,task,value,start,end,source,rater,confidence,created\nhm,focus,3,{},{},observer,R1,1,0"
    (folder / LABELS).write_text(by_hand.format(BEGIN, BEGIN + 60))
    add_labels(tmp_path, exported(prompt(70, "calm")), NOW)
    assert stretches(folder) == [("focus", "3", 0, 60), ("stress", "calm", 10, 70)]


BAD_FILES = {
    "no header": ("1,2,3\n", "row 1: the header must name"),
    "a short row": (",".join(COLUMNS) + "\n1,P01\n", "row 2: it has too few"),
    "no time": (exported(prompt(60, "calm")).replace(str(BEGIN + 60), "soon"), "row 2: "),
    "not a source": (exported(prompt(60, "calm")).replace("self-report", "rumour"), "row 2: source must be one of"),
    "a nameless task": (exported(prompt(60, "calm", "")), "row 2: participant, task, value and rater"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_changes_nothing(case: str, tmp_path: Path) -> None:
    text, reason = BAD_FILES[case]
    folder = write_session(tmp_path)
    with pytest.raises(LabelFileError, match=reason):
        add_labels(tmp_path, text, NOW)
    assert not stretches(folder)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "tree")
    file = tmp_path / "reports.csv"
    file.write_text(exported(prompt(60, "calm"), prompt(60, "calm", participant="P09")))
    assert main(["sessions", "add-labels", str(tmp_path / "tree"), str(file)]) == 0
    said = capsys.readouterr().out
    assert "labels added: 1, to sessions: 1, there already: 0" in said
    assert "left out 1 reports: P09 has no session at that time (row 3)" in said
    assert main(["sessions", "add-labels", str(tmp_path / "tree"), str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["known"] == 1
    assert main(["sessions", "add-labels", str(tmp_path / "tree"), str(tmp_path / "none.csv")]) == 2
    assert "cannot read" in capsys.readouterr().err
