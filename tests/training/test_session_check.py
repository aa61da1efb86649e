"""Each thing that can be wrong with a session is named, and a clean tree has nothing to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.fusion import absent
from perception.session_features import PARQUET, STREAM
from perception.session_folder import LABELS, SessionFolder
from perception.session_metadata import FILE
from perception.session_rows import QuestionnaireResult
from sentry_proto.errors import InputError
from tests.training.session_trees import BEGIN, label, make_seconds, write_session
from training.cli import main
from training.datasets.session_check import check_sessions

NOW = BEGIN + 10_000.0


def problems(root: Path, now: float = NOW) -> list[str]:
    return [problem for session in check_sessions(root, now).sessions for problem in session.problems]


def change(folder: Path, **fields: Any) -> None:
    (folder / FILE).write_text(replace(SessionFolder.open(folder).metadata, **fields).to_json())


def test_a_clean_tree_has_no_problem(tmp_path: Path) -> None:
    labels = [label(0, 60, "calm"), label(60, 120, "stressed"), label(0, 120, "4", "focus"), label(0, 60, "a", "block")]
    answers = [QuestionnaireResult(BEGIN + 60, "phq8", (1,) * 8, 8, "mild")]
    for person in ("P01", "P02"):
        write_session(tmp_path, person, f"{person}-1", labels=labels, questionnaires=answers)
    inventory = check_sessions(tmp_path, NOW)
    assert [session.problems for session in inventory.sessions] == [[], []]
    assert [note for note in inventory.notes if "focus" not in note] == []
    first = inventory.sessions[0]
    assert (first.place, first.seconds, first.start, first.end) == ("P01/P01-1", 120, BEGIN, BEGIN + 120)
    assert first.coverage["face"] == 1
    assert first.balance["stress"] == {"calm": 60, "mildly stressed": 0, "stressed": 60}
    assert inventory.people()["P02"]["focus"]["4"] == 120


def gap(root: Path) -> None:
    seconds = make_seconds(120)
    write_session(root, seconds=seconds[:50] + seconds[57:90] + seconds[93:])


def backwards(root: Path) -> None:
    seconds = make_seconds(120)
    write_session(root, seconds=seconds[:60] + seconds[50:])


def wrong_numbers(root: Path) -> None:
    seconds = make_seconds(120)
    seconds[3].values[0], seconds[4].values[0], seconds[4].values[-1] = np.nan, 1e6, np.inf
    write_session(root, seconds=seconds)


def unclosed(root: Path) -> None:
    write_session(root, seconds=30, closed=False)


def half_closed(root: Path) -> None:
    (write_session(root) / STREAM).write_bytes(b"")


def no_features(root: Path) -> None:
    (write_session(root) / PARQUET).unlink()


def ruined(root: Path) -> None:
    (write_session(root) / PARQUET).write_bytes(b"PAR1")


def bad_row(root: Path) -> None:
    with (write_session(root) / LABELS).open("a") as file:
        file.write("soon,later,stress,calm,observer,R1,1,0\n")


def labelled(*labels: Any) -> Callable[[Path], None]:
    return lambda root: void(write_session(root, labels=labels))


def described(**fields: Any) -> Callable[[Path], None]:
    return lambda root: change(write_session(root), **fields)


def void(_: object) -> None: ...


PROBLEMS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a gap": (gap, ["gaps: 2, with 10 seconds missing"]),
    "time goes backwards": (backwards, ["time goes backwards or stands still: 1"]),
    "wrong numbers": (wrong_numbers, ["a value that is no number or out of its range: 3"]),
    "an interrupted recording": (unclosed, ["its recording was never closed"]),
    "interrupted while it was closed": (half_closed, ["it was interrupted while it was closed"]),
    "no features": (no_features, ["it has neither features nor a video"]),
    "ruined features": (ruined, ["is no features file"]),
    "too short": (lambda root: void(write_session(root, seconds=29)), ["it has 29 seconds, fewer than the 30"]),
    "nobody": (
        lambda root: void(write_session(root, seconds=[absent(BEGIN + i) for i in range(60)])),
        ["nobody was seen in it"],
    ),
    "a missing video": (described(video="video.mkv"), ["its video video.mkv is missing"]),
    "in the wrong folder": (described(participant="P02"), ["session.json says that it is P02/s1"]),
    "another start": (described(started=BEGIN - 3600.0), ["its first second is +3600 s from the start"]),
    "another end": (described(ended=BEGIN + 20.0), ["its last second is +100 s from the end"]),
    "a malformed row": (bad_row, ["row 2: start must be a number"]),
    "an unknown word": (labelled(label(0, 60, "tense")), ["labels: task stress knows no value 'tense'"]),
    "an unknown task": (labelled(label(0, 60, "high", "arousal")), ["labels: task arousal is not asked for"]),
    "outside": (labelled(label(130, 190, "calm")), ["labels: outside the recording (1 x)"]),
    "beyond the end": (labelled(label(60, 190, "calm")), ["labels that reach beyond the recording: 1"]),
    "twice": (labelled(label(0, 60, "calm"), label(0, 60, "calm")), ["label rows that stand there more than once: 1"]),
    "overlapping": (
        labelled(label(0, 60, "calm"), label(30, 90, "stressed")),
        ["labels of stress by R1 that overlap: 1"],
    ),
    "given before": (
        labelled(label(60, 90, "calm", created=BEGIN + 1.0)),
        ["given before the time that they speak of: 1"],
    ),
    "a wrong sum": (
        lambda root: void(
            write_session(root, questionnaires=[QuestionnaireResult(BEGIN, "phq8", (1,) * 8, 9, "mild")])
        ),
        ["the answers to PHQ-8 do not add up to its score of 9"],
    ),
    "no session.json": (lambda root: (root / "P01" / "s1").mkdir(parents=True), ["it has no session.json"]),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_is_named(case: str, tmp_path: Path) -> None:
    make, expected = PROBLEMS[case]
    make(tmp_path)
    found = problems(tmp_path)
    assert len(found) == len(expected), found
    for words, problem in zip(expected, found, strict=True):
        assert words in problem


def test_two_raters_may_speak_of_the_same_time(tmp_path: Path) -> None:
    write_session(tmp_path, labels=[label(0, 60, "calm", rater="A"), label(30, 90, "stressed", rater="B")])
    assert not problems(tmp_path)


def test_a_session_in_the_future_is_clock_trouble(tmp_path: Path) -> None:
    write_session(tmp_path)
    assert problems(tmp_path, BEGIN - 3600.0) == ["it lies in the future: a clock was wrong"]


def test_sessions_that_cannot_both_be_right(tmp_path: Path) -> None:
    write_session(tmp_path, "P01", "a")
    write_session(tmp_path, "P01", "b", start=BEGIN + 60)
    write_session(tmp_path, "P02", "a", start=BEGIN + 60)
    found = {session.place: session.problems for session in check_sessions(tmp_path, NOW).sessions}
    assert found["P01/b"] == ["it overlaps with P01/a, though nobody can be in two places"]
    assert found["P01/a"] == found["P02/a"] == ["2 sessions have the id a"]


def test_what_cannot_be_learned_from_is_noted(tmp_path: Path) -> None:
    write_session(tmp_path, labels=[label(0, 60, "calm")])
    one_person, one_class = check_sessions(tmp_path, NOW).notes
    assert "one person, P01" in one_person
    assert "All labels of stress say calm" in one_class


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no session folder"):
        check_sessions(tmp_path, NOW)


# ---- the command


def test_the_command_prints_a_table_and_says_if_anything_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_session(tmp_path, "P01", labels=[label(0, 90, "calm")])
    assert main(["sessions", "check", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "P01/s1" in said
    assert "stress: calm 1:30" in said
    assert "sessions: 1, people: 1, problems: 0" in said
    write_session(tmp_path, "P02", labels=[label(0, 90, "tense")])
    assert main(["sessions", "check", str(tmp_path)]) == 1
    assert "P02/s1: labels: task stress knows no value 'tense'" in capsys.readouterr().out


def test_the_command_prints_json_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "tree", labels=[label(0, 90, "calm"), label(90, 120, "stressed")])
    picture = tmp_path / "balance.png"
    assert main(["sessions", "check", str(tmp_path / "tree"), "--json", "--picture", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["people"] == {"P01": {"stress": {"calm": 90, "mildly stressed": 0, "stressed": 30}}}
    assert found["sessions"][0]["seconds"] == 120
    assert found["problems"] == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["balance.xyz", "nowhere/balance.png"])
def test_a_picture_that_cannot_be_written_is_a_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_session(tmp_path / "tree", labels=[label(0, 90, "calm")])
    assert main(["sessions", "check", str(tmp_path / "tree"), "--picture", str(tmp_path / name)]) in {2, 3}
    assert str(tmp_path / name) in capsys.readouterr().err


def test_without_labels_there_is_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_session(tmp_path / "tree")
    assert main(["sessions", "check", str(tmp_path / "tree"), "--picture", str(tmp_path / "a.png")]) == 2
    assert "no second has a label" in capsys.readouterr().err
